//! A node without consensus and network: store, chain, pool and server are the real ones; blocks are made on demand.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy::rpc::client::{ClientBuilder, RpcClient};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, hex, keccak256};
use k256::ecdsa::SigningKey;
use l1::FinalBlocks;
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    Genesis, L1Origin, Member, SequencerSet, SnapshotId, Weight,
    block::{GAS_PRICE_ORACLE, L1_BLOCK},
    genesis::{GenesisAccount, L1Contracts, Params},
};
use rpc::{NodeIdentity, RpcConfig, RpcServer};
use serde_json::{Value, json};
use store::{EmptyState, Store, StoreConfig};
use tokio::sync::{broadcast, watch};

use crate::{
    backend::{BlockCache, NodeBackend},
    chain::Chain,
    committer::Committer,
    config::Role,
    deadline::Watchdog,
    epochs::Epochs,
    open::OpenBlocks,
    operator::NodeOperator,
    transactions::{MIN_TIP, Transactions},
    vitals::Vitals,
};

pub(crate) const CHAIN_ID: u64 = 59_902;
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Reverts with its input.
pub(crate) const REVERTER: Address = address!("00000000000000000000000000000000000000e1");
/// Adds one to its slot 0 and logs it with a topic.
pub(crate) const COUNTER: Address = address!("00000000000000000000000000000000000000e3");
/// Calls the address in its input with 7 wei, and returns what comes back.
pub(crate) const FORWARDER: Address = address!("00000000000000000000000000000000000000e4");
/// Takes pairs of words and sets the slot that the first names to the second.
pub(crate) const SETTER: Address = address!("00000000000000000000000000000000000000e5");
/// Stores the hash of the block whose number is its input.
pub(crate) const HASHER: Address = address!("00000000000000000000000000000000000000e6");
/// Loops until its gas is used up.
pub(crate) const BURNER: Address = address!("00000000000000000000000000000000000000e7");
/// Topic of the counter's log.
pub(crate) const COUNTED: B256 = B256::repeat_byte(0x77);
/// A contract's creation code: its code is one `STOP`.
pub(crate) const INIT: [u8; 10] = hex!("60015f8160095f39f300");

/// Waits until something holds.
pub(crate) async fn until(patience: Duration, what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn key(index: u8) -> SigningKey {
    SigningKey::from_slice(&[index; 32]).unwrap()
}

pub(crate) fn account(index: u8) -> Address {
    Address::from_public_key(key(index).verifying_key())
}

pub(crate) fn sign<T: SignableTransaction<Signature>>(sender: u8, tx: T) -> OpTxEnvelope
where
    OpTxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let (signature, parity) = key(sender).sign_prehash_recoverable(tx.signature_hash().as_slice()).unwrap();
    OpTxEnvelope::from(tx.into_signed(Signature::from_signature_and_parity(signature, parity.is_y_odd())))
}

pub(crate) fn call_tx(nonce: u64, to: TxKind, value: u64, input: impl Into<Bytes>) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 200_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to,
        value: U256::from(value),
        input: input.into(),
        ..TxEip1559::default()
    }
}

fn contract(code: &str) -> GenesisAccount {
    GenesisAccount { code: hex::decode(code).unwrap().into(), nonce: 1, ..GenesisAccount::default() }
}

fn predeploy(name: &str) -> GenesisAccount {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../contracts/artifacts/{name}.json"));
    let artifact: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let code = &artifact["deployedBytecode"];
    let code = code.as_str().or_else(|| code["object"].as_str()).unwrap();
    contract(code.trim_start_matches("0x"))
}

pub(crate) fn genesis() -> Genesis {
    let rich = GenesisAccount { balance: U256::from(10).pow(U256::from(21)), ..GenesisAccount::default() };
    let mut alloc: BTreeMap<_, _> = (1..=5).map(|index| (account(index), rich.clone())).collect();
    alloc.insert(L1_BLOCK, predeploy("L1Block"));
    alloc.insert(GAS_PRICE_ORACLE, predeploy("GasPriceOracle"));
    alloc.insert(HISTORY_STORAGE_ADDRESS, contract(&hex::encode(&HISTORY_STORAGE_CODE)));
    alloc.insert(REVERTER, contract("365f5f37365ffd"));
    // sstore(0, sload(0) + 1); log1(it, COUNTED)
    alloc.insert(COUNTER, contract(&format!("5f54600101805f555f527f{}60205fa1", hex::encode(COUNTED))));
    alloc.insert(
        FORWARDER,
        GenesisAccount { balance: rich.balance, ..contract("5f5f5f5f60075f355af1503d5f5f3e3d5ff3") },
    );
    alloc.insert(SETTER, contract("5f5b3681101560175780602001358135556040016001565b00"));
    alloc.insert(HASHER, contract("5f35405f5500"));
    alloc.insert(BURNER, contract("5b5f56"));
    let members = vec![Member { signer: account(1), weight: Weight(20_000) }];
    Genesis {
        chain_id: CHAIN_ID,
        timestamp: 1_700_000_000,
        l1: L1Contracts { chain_id: 31_337, staking: Address::repeat_byte(2), ..L1Contracts::default() },
        origin: L1Origin {
            number: 76,
            hash: B256::repeat_byte(0x11),
            base_fee: 20_000_000_000,
            blob_base_fee: 3_000_000,
            ..L1Origin::default()
        },
        set: SequencerSet::new(SnapshotId(1), members).unwrap(),
        seed: B256::repeat_byte(9),
        params: Params { epoch_blocks: 100, turn_blocks: 10, ..Params::default() },
        alloc,
    }
}

pub(crate) struct Node {
    pub(crate) chain: Arc<Chain>,
    pub(crate) transactions: Arc<Transactions>,
    pub(crate) open: Arc<OpenBlocks>,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) committer: Arc<Committer>,
    client: RpcClient,
    pub(crate) server: RpcServer,
    _folder: tempfile::TempDir,
}

/// A node at genesis.
pub(crate) async fn start(config: RpcConfig) -> Node {
    start_with(config, genesis(), StoreConfig::default()).await
}

/// A node at a genesis of the test's own.
pub(crate) async fn start_with(config: RpcConfig, genesis: Genesis, storage: StoreConfig) -> Node {
    let genesis = Arc::new(genesis);
    let folder = tempfile::tempdir().unwrap();
    let (block, diff) = execution::genesis_block(&genesis, &EmptyState).unwrap();
    let store = Store::create(&folder.path().join("db"), &block, &diff, &storage).unwrap();
    let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
    let chain = Arc::new(Chain::open(genesis.clone(), store, FinalBlocks::default(), epochs).unwrap());
    let (events, _) = broadcast::channel(64);
    let (transactions, _gossip) = Transactions::new(chain.clone(), mempool::Limits::default(), events.clone(), None);
    let (committer, _announcements) = Committer::new(chain.clone(), transactions.clone(), events.clone());
    let genesis_hash = chain.head().header.hash();
    let operator = NodeOperator::new(chain.clone(), Role::Follower, None, "tested".to_owned(), genesis_hash);
    let open = OpenBlocks::start(chain.clone(), transactions.clone(), events.clone()).unwrap();
    let vitals = Arc::new(Vitals::new(events.clone()));
    let backend = NodeBackend {
        operator: Arc::new(operator),
        chain: chain.clone(),
        transactions: transactions.clone(),
        open: open.clone(),
        events,
        l1: watch::channel(None).1,
        identity: NodeIdentity {
            client_version: "horae/v0.1.0/linux-x86_64".to_owned(),
            min_priority_fee: MIN_TIP,
            signer: None,
        },
        vitals: vitals.clone(),
        watchdog: Watchdog::start().unwrap(),
        forwards: true,
        blocks: BlockCache::default(),
    };
    let config = RpcConfig { listen: "127.0.0.1:0".parse().unwrap(), ..config };
    let server = RpcServer::start(&config, Arc::new(backend)).await.unwrap();
    let url = format!("http://{}", server.address()).parse().unwrap();
    let client = ClientBuilder::default().http(url);
    Node { chain, transactions, open, vitals, committer, client, server, _folder: folder }
}

impl Node {
    /// Submits transactions over RPC and makes a block of all that the pool has.
    pub(crate) async fn mine(&self, transactions: &[OpTxEnvelope]) -> u64 {
        use alloy_eips::eip2718::Encodable2718;
        for tx in transactions {
            let raw = Bytes::from(tx.encoded_2718());
            self.call("eth_sendRawTransaction", json!([raw])).await;
        }
        let now = protocol::block::timestamp_ms(&self.chain.head().header) + 500;
        let mut builder = self.chain.open_block(&self.chain.head(), account(1), now).unwrap();
        let mut best = self.transactions.best();
        while let Some(pooled) = best.next_pooled() {
            builder.push(&pooled.tx).unwrap();
        }
        let candidate = self.chain.keep(builder.finish(self.chain.store()).unwrap());
        let users = candidate.executed.block.body.transactions.iter().filter(|tx| !tx.is_deposit()).count();
        assert_eq!(users, transactions.len());
        self.committer.commit(candidate.executed.hash, None).unwrap();
        candidate.executed.block.header.number
    }

    /// The result of a call that must succeed.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params.clone())
            .await
            .unwrap_or_else(|(code, text, _)| panic!("{method} {params}: {code} {text}"))
    }

    /// The result, or code, message and data of the error.
    pub(crate) async fn try_call(&self, method: &str, params: Value) -> Result<Value, (i64, String, Value)> {
        self.client.request::<Value, Value>(method.to_owned(), params).await.map_err(|error| {
            let payload = error.as_error_resp().unwrap_or_else(|| panic!("{method}: {error}"));
            let data = payload.data.as_ref().map_or(Value::Null, |data| serde_json::from_str(data.get()).unwrap());
            (payload.code, payload.message.to_string(), data)
        })
    }
}

/// One transaction of every type, from account 1: a creation, calls that count, one with a list, one that delegates.
pub(crate) fn every_type() -> Vec<OpTxEnvelope> {
    let gas_price = 10 * GWEI;
    let counter = TxKind::Call(COUNTER);
    let legacy = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce: 1,
        gas_price,
        gas_limit: 100_000,
        to: counter,
        value: U256::ZERO,
        input: Bytes::new(),
    };
    let access_list = AccessList(vec![AccessListItem { address: COUNTER, storage_keys: vec![B256::ZERO] }]);
    let listed = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce: 2,
        gas_price,
        gas_limit: 100_000,
        to: counter,
        access_list,
        ..TxEip2930::default()
    };
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: COUNTER, nonce: 0 };
    let (signature, parity) = key(5).sign_prehash_recoverable(authorization.signature_hash().as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    let delegating = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: 3,
        gas_limit: 200_000,
        max_fee_per_gas: gas_price,
        max_priority_fee_per_gas: GWEI,
        to: account(5),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    vec![
        sign(1, call_tx(0, TxKind::Create, 0, INIT)),
        sign(1, legacy),
        sign(1, listed),
        sign(1, delegating),
        sign(1, call_tx(4, TxKind::Call(FORWARDER), 3, B256::left_padding_from(COUNTER.as_slice()).to_vec())),
        sign(1, call_tx(5, TxKind::Call(REVERTER), 0, keccak256("no")[..4].to_vec())),
    ]
}
