//! A chain in memory: genesis with funded keys and the real L1 attributes predeploy, blocks built and verified.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Sealed, Signature, TxKind, U256, address, keccak256};
use k256::ecdsa::SigningKey;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use protocol::{
    BlockAttributes, L1Origin, RecoveredTx,
    block::L1_BLOCK,
    genesis::{GenesisAccount, Params},
    state::{Account, AccountDiff, StateDiff, StateReader},
};

use crate::{
    BlockBuilder, BlockVerifier, ChainConfig, CodeCache, DecodedBlock, ExecutedBlock, PendingState, decode_block,
    memory::MemoryState, recover, verify_block,
};

pub(crate) const CHAIN_ID: u64 = 59_902;
pub(crate) const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Reverts with its input.
pub(crate) const REVERTER: Address = address!("00000000000000000000000000000000000000e1");
/// Burns all gas (invalid opcode).
pub(crate) const HALTER: Address = address!("00000000000000000000000000000000000000e2");
/// Adds one to its slot 0 and logs it.
pub(crate) const COUNTER: Address = address!("00000000000000000000000000000000000000e3");

/// A test key.
pub(crate) fn key(index: u8) -> SigningKey {
    SigningKey::from_slice(&[index; 32]).unwrap()
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

pub(crate) fn sign_hash(key: &SigningKey, hash: B256) -> Signature {
    let (signature, parity) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    Signature::from_signature_and_parity(signature, parity.is_y_odd())
}

/// Signs any transaction.
pub(crate) fn sign<T: SignableTransaction<Signature>>(key: &SigningKey, tx: T) -> RecoveredTx
where
    OpTxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = sign_hash(key, tx.signature_hash());
    let envelope = OpTxEnvelope::from(tx.into_signed(signature));
    recover(&envelope.encoded_2718(), CHAIN_ID).unwrap()
}

pub(crate) fn call_tx(nonce: u64, to: Address, value: U256, input: impl Into<Bytes>) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(to),
        value,
        input: input.into(),
        ..TxEip1559::default()
    }
}

pub(crate) fn transfer(sender: u8, nonce: u64, to: Address, value: u64) -> RecoveredTx {
    sign(&key(sender), TxEip1559 { gas_limit: 21_000, ..call_tx(nonce, to, U256::from(value), Bytes::new()) })
}

/// Code as built by the contracts' own build.
pub(crate) fn artifact(name: &str) -> Bytes {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/artifacts").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let artifact: serde_json::Value = serde_json::from_str(&text).unwrap();
    let code = &artifact["deployedBytecode"];
    code.as_str().or_else(|| code["object"].as_str()).unwrap().parse().unwrap()
}

fn contract(code: Bytes) -> GenesisAccount {
    GenesisAccount { code, nonce: 1, ..GenesisAccount::default() }
}

pub(crate) fn alloc() -> BTreeMap<Address, GenesisAccount> {
    let rich = GenesisAccount { balance: ETHER * U256::from(1000), ..GenesisAccount::default() };
    let mut alloc: BTreeMap<_, _> = (1..=5).map(|index| (address_of(&key(index)), rich.clone())).collect();
    alloc.insert(L1_BLOCK, contract(artifact("L1Block.json")));
    // calldatacopy(0, 0, calldatasize); revert(0, calldatasize)
    alloc.insert(REVERTER, contract(code("365f5f37365ffd")));
    alloc.insert(HALTER, contract(code("fe")));
    // sstore(0, sload(0) + 1); log1 of it
    alloc.insert(COUNTER, contract(code("5f54600101805f555f5260205fa0")));
    alloc
}

fn code(text: &str) -> Bytes {
    alloy_primitives::hex::decode(text).unwrap().into()
}

/// A chain that grows in memory.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) config: ChainConfig,
    pub(crate) state: MemoryState,
    pub(crate) parent: Sealed<Header>,
    pub(crate) origin: L1Origin,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::with_params(Params::default())
    }

    pub(crate) fn with_params(params: Params) -> Self {
        let mut diff = StateDiff::default();
        for (address, wanted) in alloc() {
            let account = Account { nonce: wanted.nonce, balance: wanted.balance, code_hash: keccak256(&wanted.code) };
            diff.code.insert(account.code_hash, wanted.code);
            diff.accounts.insert(address, AccountDiff { account: Some(account), ..AccountDiff::default() });
        }
        let history = crate::genesis::history_contract();
        let account = Account { nonce: 1, balance: U256::ZERO, code_hash: keccak256(&history.code) };
        diff.code.insert(account.code_hash, history.code);
        let change = AccountDiff { account: Some(account), ..AccountDiff::default() };
        diff.accounts.insert(alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS, change);
        let mut state = MemoryState::default();
        state.apply(&diff);
        let header = Header {
            timestamp: 1_700_000_000,
            gas_limit: params.gas_limit,
            base_fee_per_gas: Some(params.initial_base_fee),
            state_root: state.roots().state_root,
            ..Header::default()
        };
        let origin = L1Origin {
            number: 100,
            hash: B256::repeat_byte(0xa1),
            timestamp: 1_699_999_000,
            base_fee: 7_000_000_000,
            blob_base_fee: 3,
            randao: B256::repeat_byte(0xa2),
        };
        Self {
            config: ChainConfig { chain_id: CHAIN_ID, params, codes: CodeCache::default() },
            state,
            parent: Sealed::new(header),
            origin,
        }
    }

    pub(crate) fn attributes(&self, deposits: Vec<TxDeposit>) -> BlockAttributes {
        BlockAttributes {
            timestamp_ms: protocol::block::timestamp_ms(&self.parent) + 500,
            leader: Address::repeat_byte(0x1e),
            origin: self.origin,
            sequence_number: self.parent.number,
            deposits,
        }
    }

    pub(crate) fn open(&self, deposits: Vec<TxDeposit>) -> BlockBuilder {
        let attributes = self.attributes(deposits);
        BlockBuilder::new(&self.config, &self.parent, &attributes, Arc::new(self.state.clone())).unwrap()
    }

    /// Builds a block of these transactions without keeping it.
    pub(crate) fn build(&self, deposits: Vec<TxDeposit>, transactions: &[RecoveredTx]) -> ExecutedBlock {
        let mut builder = self.open(deposits);
        for tx in transactions {
            builder.push(tx).unwrap();
        }
        builder.finish(&self.state).unwrap()
    }

    pub(crate) fn verify(
        &self,
        attributes: &BlockAttributes,
        block: &DecodedBlock,
    ) -> Result<ExecutedBlock, crate::VerifyError> {
        verify_block(&self.config, &self.parent, attributes, block, Arc::new(self.state.clone()), &self.state)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<DecodedBlock, crate::InvalidBlock> {
        decode_block(&self.config, bytes, &|_| None)
    }

    /// Builds a block, checks that a verifier comes to the same from its bytes, and goes on from it.
    pub(crate) fn extend(&mut self, deposits: Vec<TxDeposit>, transactions: &[RecoveredTx]) -> ExecutedBlock {
        let built = self.build(deposits.clone(), transactions);
        let decoded = self.decode(&alloy_rlp::encode(&built.block)).unwrap();
        assert_eq!(decoded.hash, built.hash);
        let verified = self.verify(&self.attributes(deposits.clone()), &decoded).unwrap();
        assert_eq!(verified, built);
        assert_eq!(self.verify_as_it_comes(&built, &self.attributes(deposits)), built);
        let supply = self.supply();
        self.state.apply(&built.diff);
        assert_eq!(self.state.roots().state_root, built.block.header.state_root);
        let minted =
            built.block.body.transactions.iter().filter_map(|tx| tx.as_deposit()).map(|tx| U256::from(tx.mint));
        assert_eq!(self.supply(), supply + minted.sum::<U256>(), "nothing is burned, only deposits mint");
        self.state.block_hashes.insert(built.block.header.number, built.hash);
        self.parent = Sealed::new_unchecked(built.block.header.clone(), built.hash);
        built
    }

    /// Verifies a block transaction by transaction, and holds the pending state on the way against the block's own.
    fn verify_as_it_comes(&self, built: &ExecutedBlock, attributes: &BlockAttributes) -> ExecutedBlock {
        let state = Arc::new(self.state.clone());
        let mut verifier = BlockVerifier::new(&self.config, &self.parent, attributes, state.clone()).unwrap();
        for (index, tx) in built.block.body.transactions.iter().enumerate() {
            let item = alloy_rlp::encode(tx);
            verifier.push(&crate::decode_item(&self.config, index, &item, &|_| None).unwrap()).unwrap();
        }
        let pending = PendingState::new(state, Arc::new(verifier.builder().diff()));
        let mut after = self.state.clone();
        after.apply(&built.diff);
        for (address, (account, storage)) in &after.accounts {
            assert_eq!(pending.account(address).unwrap(), Some(*account));
            for (slot, value) in storage {
                assert_eq!(pending.storage(address, slot).unwrap(), *value);
            }
            assert_eq!(pending.code(&account.code_hash).unwrap(), after.code(&account.code_hash).unwrap());
        }
        verifier.finish(&built.block.header, &self.state).unwrap()
    }

    pub(crate) fn supply(&self) -> U256 {
        self.state.accounts.values().map(|(account, _)| account.balance).sum()
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        self.state.accounts.get(&address).map_or(U256::ZERO, |(account, _)| account.balance)
    }

    pub(crate) fn nonce(&self, address: Address) -> u64 {
        self.state.accounts.get(&address).map_or(0, |(account, _)| account.nonce)
    }

    pub(crate) fn slot(&self, address: Address, slot: u64) -> U256 {
        let key = B256::from(U256::from(slot));
        self.state.accounts.get(&address).and_then(|(_, storage)| storage.get(&key)).copied().unwrap_or_default()
    }
}
