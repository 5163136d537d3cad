//! Other people's blocks: every lie is found, no bytes cause a panic.

use alloy_consensus::Header;
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, TxKind, U256};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use proptest::prelude::*;
use protocol::{Block, BlockAttributes};

use super::fixture::*;
use crate::{ExecutedBlock, FullReason, InvalidBlock, InvalidTransaction, RecoverError, VerifyError, deposit};

const BOB: Address = Address::repeat_byte(0xb0);

struct Case {
    chain: Chain,
    attributes: BlockAttributes,
    honest: ExecutedBlock,
}

fn case() -> Case {
    let mut chain = Chain::new();
    chain.extend(Vec::new(), &[]);
    let queued = |mint| TxDeposit {
        source_hash: B256::repeat_byte(9),
        from: BOB,
        to: TxKind::Call(BOB),
        mint,
        gas_limit: 100_000,
        ..TxDeposit::default()
    };
    let deposits = vec![queued(1), queued(2)];
    let txs = [transfer(1, 0, BOB, 1), sign(&key(2), call_tx(0, COUNTER, U256::ZERO, Bytes::new()))];
    let honest = chain.build(deposits.clone(), &txs);
    Case { attributes: chain.attributes(deposits), chain, honest }
}

impl Case {
    fn judge(&self, block: &Block) -> Result<ExecutedBlock, InvalidBlock> {
        let decoded = self.chain.decode(&alloy_rlp::encode(block))?;
        self.chain.verify(&self.attributes, &decoded).map_err(|error| match error {
            VerifyError::Invalid(reason) => reason,
            VerifyError::Fatal(error) => panic!("a peer's block is never fatal: {error}"),
        })
    }

    fn judge_with(&self, change: impl FnOnce(&mut Block)) -> InvalidBlock {
        let mut block = self.honest.block.clone();
        change(&mut block);
        self.judge(&block).expect_err("the altered block must be refused")
    }

    fn judge_header(&self, change: impl FnOnce(&mut Header)) -> InvalidBlock {
        self.judge_with(|block| change(&mut block.header))
    }
}

#[test]
fn the_honest_block_stands() {
    let case = case();
    assert_eq!(case.judge(&case.honest.block).as_ref(), Ok(&case.honest));
}

#[test]
fn every_header_field_is_checked() {
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 21] = [
        ("parentHash", |h| h.parent_hash = B256::ZERO),
        ("sha3Uncles", |h| h.ommers_hash = B256::ZERO),
        ("miner", |h| h.beneficiary = Address::ZERO),
        ("stateRoot", |h| h.state_root = B256::ZERO),
        ("transactionsRoot", |h| h.transactions_root = B256::ZERO),
        ("receiptsRoot", |h| h.receipts_root = B256::ZERO),
        ("logsBloom", |h| h.logs_bloom = Bloom::repeat_byte(0xff)),
        ("difficulty", |h| h.difficulty = U256::from(1)),
        ("number", |h| h.number += 1),
        ("gasLimit", |h| h.gas_limit += 1),
        ("gasUsed", |h| h.gas_used -= 1),
        ("timestamp", |h| h.timestamp += 1),
        ("extraData", |h| h.extra_data = protocol::HeaderExtra { millis: 1, leader: BOB }.encode()),
        ("mixHash", |h| h.mix_hash = B256::ZERO),
        ("nonce", |h| h.nonce = B64::repeat_byte(1)),
        ("baseFeePerGas", |h| h.base_fee_per_gas = Some(1)),
        ("withdrawalsRoot", |h| h.withdrawals_root = Some(B256::ZERO)),
        ("blobGasUsed", |h| h.blob_gas_used = Some(1)),
        ("excessBlobGas", |h| h.excess_blob_gas = Some(1)),
        ("parentBeaconBlockRoot", |h| h.parent_beacon_block_root = Some(BOB.into_word())),
        ("requestsHash", |h| h.requests_hash = Some(B256::ZERO)),
    ];
    let case = case();
    for (field, change) in changes {
        assert_eq!(case.judge_header(change), InvalidBlock::Header(field));
    }
    // Fields of later forks must be absent.
    assert_eq!(
        case.judge_header(|h| h.block_access_list_hash = Some(B256::ZERO)),
        InvalidBlock::Header("unknown field")
    );
}

#[test]
fn deposits_must_be_exactly_the_queue_s() {
    let case = case();
    assert_eq!(case.judge_with(|block| drop(block.body.transactions.remove(0))), InvalidBlock::Attributes);
    assert_eq!(case.judge_with(|block| block.body.transactions.clear()), InvalidBlock::Attributes);
    assert_eq!(case.judge_with(|block| block.body.transactions.swap(0, 1)), InvalidBlock::Attributes);
    assert_eq!(case.judge_with(|block| block.body.transactions.swap(1, 2)), InvalidBlock::Deposit { index: 1 });
    assert_eq!(case.judge_with(|block| drop(block.body.transactions.remove(2))), InvalidBlock::Deposit { index: 2 });
    assert_eq!(case.judge_with(|block| block.body.transactions.swap(2, 3)), InvalidBlock::Deposit { index: 2 });
    let forged = deposit(TxDeposit { from: BOB, mint: 1_000, ..TxDeposit::default() }).envelope;
    let appended = case.judge_with(|block| block.body.transactions.push(forged.clone()));
    assert_eq!(appended, InvalidBlock::Deposit { index: 5 });
    let inserted = case.judge_with(|block| block.body.transactions.insert(3, forged));
    assert_eq!(inserted, InvalidBlock::Deposit { index: 3 });
    let inflated = case.judge_with(|block| {
        let OpTxEnvelope::Deposit(real) = &block.body.transactions[1] else { panic!("a deposit") };
        block.body.transactions[1] = deposit(TxDeposit { mint: 1 << 100, ..real.inner().clone() }).envelope;
    });
    assert_eq!(inflated, InvalidBlock::Deposit { index: 1 });
}

/// The same rules for a block that comes piece by piece, where nothing can be checked ahead.
#[test]
fn a_block_in_pieces_is_judged_as_a_whole_one() {
    let case = case();
    let honest = &case.honest.block;
    let judge = |order: &[usize]| {
        let state = std::sync::Arc::new(case.chain.state.clone());
        let mut verifier =
            crate::BlockVerifier::new(&case.chain.config, &case.chain.parent, &case.attributes, state).unwrap();
        for at in order {
            let item = alloy_rlp::encode(&honest.body.transactions[*at]);
            verifier.push(&crate::decode_item(&case.chain.config, *at, &item, &|_| None)?)?;
        }
        verifier.finish(&honest.header, &case.chain.state).map(|executed| executed.hash)
    };
    assert_eq!(judge(&[0, 1, 2, 3, 4]).unwrap(), case.honest.hash);
    for (order, expected) in [
        (&[][..], InvalidBlock::Attributes),
        (&[1, 0], InvalidBlock::Attributes),
        (&[0, 1], InvalidBlock::Deposit { index: 2 }),
        (&[0, 2, 1], InvalidBlock::Deposit { index: 1 }),
        (&[0, 1, 3], InvalidBlock::Deposit { index: 2 }),
        (&[0, 1, 2, 3, 4, 1], InvalidBlock::Deposit { index: 5 }),
        (&[0, 1, 2, 3], InvalidBlock::Header("transactionsRoot")),
    ] {
        match judge(order) {
            Err(VerifyError::Invalid(reason)) => assert_eq!(reason, expected, "{order:?}"),
            other => panic!("{order:?}: {other:?}"),
        }
    }
    assert_eq!(crate::decode_item(&case.chain.config, 0, &[0xc1, 0x05], &|_| None), Err(InvalidBlock::Malformed));
}

#[test]
fn attributes_must_be_the_expected_ones() {
    let case = case();
    let decoded = case.chain.decode(&alloy_rlp::encode(&case.honest.block)).unwrap();
    let expect = |change: fn(&mut BlockAttributes)| {
        let mut attributes = case.attributes.clone();
        change(&mut attributes);
        match case.chain.verify(&attributes, &decoded) {
            Err(VerifyError::Invalid(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(expect(|a| a.origin.hash = B256::ZERO), InvalidBlock::Attributes);
    assert_eq!(expect(|a| a.origin.base_fee += 1), InvalidBlock::Attributes);
    assert_eq!(expect(|a| a.sequence_number += 1), InvalidBlock::Attributes);
    assert_eq!(expect(|a| a.origin.randao = B256::ZERO), InvalidBlock::Header("mixHash"));
    assert_eq!(expect(|a| a.leader = BOB), InvalidBlock::Header("extraData"));
    assert_eq!(expect(|a| drop(a.deposits.pop())), InvalidBlock::Deposit { index: 2 });
    let origin = decoded.l1_attributes().unwrap().origin;
    assert_eq!(origin, case.attributes.origin);
}

#[test]
fn users_transactions_must_be_valid_where_they_stand() {
    let case = case();
    let doubled = case.judge_with(|block| block.body.transactions.push(block.body.transactions[3].clone()));
    assert!(matches!(
        doubled,
        InvalidBlock::Execution { index: 5, reason: InvalidTransaction::NonceTooLow { tx: 0, state: 1 }, .. }
    ));
    let swapped = case.judge_with(|block| block.body.transactions.swap(3, 4));
    assert_eq!(swapped, InvalidBlock::Header("transactionsRoot"));
    let dropped = case.judge_with(|block| drop(block.body.transactions.pop()));
    assert_eq!(dropped, InvalidBlock::Header("transactionsRoot"));
    let foreign = alloy_consensus::TxEip1559 { chain_id: 1, ..call_tx(0, BOB, U256::ZERO, Bytes::new()) };
    let signature = sign_hash(&key(1), alloy_consensus::SignableTransaction::signature_hash(&foreign));
    let foreign = alloy_consensus::SignableTransaction::into_signed(foreign, signature);
    let replayed = case.judge_with(|block| block.body.transactions.push(OpTxEnvelope::Eip1559(foreign)));
    let reason = RecoverError::WrongChain { got: 1, expected: CHAIN_ID };
    assert_eq!(replayed, InvalidBlock::Transaction { index: 5, reason });
    let filler = |sender: u8| {
        let tx = alloy_consensus::TxEip1559 { gas_limit: 15_000_000, ..call_tx(0, HALTER, U256::ZERO, Bytes::new()) };
        sign(&key(sender), tx).envelope
    };
    let overfull = case.judge_with(|block| block.body.transactions.extend([filler(3), filler(4)]));
    assert_eq!(overfull, InvalidBlock::Limit { index: 6, reason: FullReason::Gas });
}

#[test]
fn bodies_have_no_ommers_and_no_withdrawals() {
    let case = case();
    assert_eq!(case.judge_with(|block| block.body.ommers.push(Header::default())), InvalidBlock::Body);
    assert_eq!(case.judge_with(|block| block.body.withdrawals = None), InvalidBlock::Body);
    let withdrawal = Withdrawal { index: 0, validator_index: 0, address: BOB, amount: 1 };
    let paid = case.judge_with(|block| block.body.withdrawals = Some(Withdrawals::new(vec![withdrawal])));
    assert_eq!(paid, InvalidBlock::Body);
}

#[test]
fn a_known_sender_saves_the_recovery_and_changes_nothing() {
    let case = case();
    let bytes = alloy_rlp::encode(&case.honest.block);
    let honest = case.chain.decode(&bytes).unwrap();
    let senders: std::collections::BTreeMap<_, _> = honest.transactions.iter().map(|tx| (tx.hash, tx.sender)).collect();
    let known = crate::decode_block(&case.chain.config, &bytes, &|hash| senders.get(hash).copied()).unwrap();
    assert_eq!(known, honest);
}

#[test]
fn sizes_are_bounded() {
    let case = case();
    assert_eq!(case.chain.decode(&vec![0; 2 * 1024 * 1024 + 1]), Err(InvalidBlock::TooLarge(2 * 1024 * 1024 + 1)));
    let mut bytes = alloy_rlp::encode(&case.honest.block);
    bytes.push(0);
    assert_eq!(case.chain.decode(&bytes), Err(InvalidBlock::Malformed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(case_cached().chain.decode(&bytes).is_err());
    }

    #[test]
    fn altered_bytes_are_refused(position in any::<prop::sample::Index>(), flip in 1u8..) {
        let case = case_cached();
        let mut bytes = alloy_rlp::encode(&case.honest.block);
        let at = position.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(decoded) = case.chain.decode(&bytes) {
            let verdict = case.chain.verify(&case.attributes, &decoded);
            prop_assert!(matches!(verdict, Err(VerifyError::Invalid(_))), "byte {}: {:?}", at, verdict);
        }
    }
}

fn case_cached() -> &'static Case {
    static CASE: std::sync::OnceLock<Case> = std::sync::OnceLock::new();
    CASE.get_or_init(case)
}
