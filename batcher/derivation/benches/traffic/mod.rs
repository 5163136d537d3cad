//! Plausible traffic from a fixed seed: the same transactions in every run, for the size test and the benchmark.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use derivation::BatchBlock;

const USERS: u64 = 300;
const TOKENS: u64 = 8;
const BLOCK_TRANSACTIONS: usize = 50;

struct Random(B256);

impl Random {
    fn word(&mut self) -> B256 {
        self.0 = keccak256(self.0);
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.word()[..8].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)) % bound
    }

    fn address(&mut self, kind: &str, count: u64) -> Address {
        Address::from_word(keccak256(format!("{kind} {}", self.below(count))))
    }

    /// Mostly round amounts, as people write them, some exact ones.
    fn amount(&mut self) -> U256 {
        let round = U256::from(self.below(5_000) + 1) * U256::from(10u64).pow(U256::from(13 + self.below(4)));
        if self.below(4) == 0 { round + U256::from(self.below(1 << 40)) } else { round }
    }
}

/// METIS transfers between few hundred users.
pub(crate) fn transfers(count: usize) -> Vec<BatchBlock> {
    blocks(count, |random| (random.address("user", USERS), random.amount(), Bytes::new(), 21_000))
}

/// ERC-20 transfers.
pub(crate) fn token_transfers(count: usize) -> Vec<BatchBlock> {
    blocks(count, |random| {
        let words = [random.address("user", USERS).into_word(), random.amount().into()];
        (random.address("token", TOKENS), U256::ZERO, calldata("transfer(address,uint256)", &words), 65_000)
    })
}

/// Swaps through a router: amounts, a path of two tokens, recipient, deadline.
pub(crate) fn swaps(count: usize) -> Vec<BatchBlock> {
    let signature = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)";
    blocks(count, |random| {
        let words = [
            random.amount().into(),
            B256::from(U256::from(random.below(1 << 60))),
            B256::with_last_byte(0xa0),
            random.address("user", USERS).into_word(),
            B256::from(U256::from(1_763_000_000 + random.below(100_000))),
            B256::with_last_byte(2),
            random.address("token", TOKENS).into_word(),
            random.address("token", TOKENS).into_word(),
        ];
        (random.address("router", 2), U256::ZERO, calldata(signature, &words), 180_000 + random.below(40_000))
    })
}

fn calldata(signature: &str, words: &[B256]) -> Bytes {
    [&keccak256(signature)[..4], &words.concat()].concat().into()
}

fn blocks(count: usize, make: impl Fn(&mut Random) -> (Address, U256, Bytes, u64)) -> Vec<BatchBlock> {
    let mut random = Random(B256::repeat_byte(7));
    let transactions: Vec<Bytes> = (0..count).map(|_| transaction(&mut random, &make)).collect();
    let block = |(number, transactions): (u64, &[Bytes])| BatchBlock {
        timestamp_ms: 1_763_000_000_000 + number * 500,
        leader: Address::from_word(keccak256(format!("leader {}", number / 40 % 4))),
        l1_origin: 23_000_000 + number / 24,
        transactions: transactions.to_vec(),
    };
    (0..).zip(transactions.chunks(BLOCK_TRANSACTIONS)).map(block).collect()
}

fn transaction(random: &mut Random, make: impl Fn(&mut Random) -> (Address, U256, Bytes, u64)) -> Bytes {
    let (to, value, input, gas_limit) = make(random);
    let tx = TxEip1559 {
        chain_id: 1_088,
        nonce: random.below(400),
        gas_limit,
        max_fee_per_gas: 1_500_000_000 + u128::from(random.below(3)) * 100_000_000,
        max_priority_fee_per_gas: [0, 1_000_000, 1_000_000_000][random.below(3) as usize],
        to: to.into(),
        value,
        input,
        ..Default::default()
    };
    let (r, s) = (U256::from_be_bytes(random.word().0), U256::from_be_bytes(random.word().0) >> 1);
    let signature = Signature::new(r, s, random.below(2) == 1);
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}
