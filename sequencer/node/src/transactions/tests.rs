//! Admission against inclusion, and the journal over restarts.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Signature, TxKind, U256};
use execution::{BlockBuilder, InvalidTransaction, PushError, genesis_block, recover as recover_raw};
use futures::FutureExt as _;
use k256::ecdsa::SigningKey;
use l1::FinalBlocks;
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    Genesis, L1Origin, Member, SequencerSet, SnapshotId, Weight,
    block::L1_BLOCK,
    genesis::{GenesisAccount, L1Contracts, Params},
    signing::{SECP256K1_HALF_ORDER, address_of},
};
use store::{Store, StoreConfig};

use super::*;
use crate::epochs::Epochs;

mod fees;
mod killed;

const CHAIN: u64 = 59_902;
/// The sender's nonce at genesis.
const NONCE: u64 = 5;
const BALANCE: u128 = 1_000_000_000_000_000_000;
const GWEI: u128 = 1_000_000_000;
const CALLEE: Address = Address::repeat_byte(0xee);

fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn sign(key: &SigningKey, hash: B256) -> Signature {
    Signature::from(key.sign_prehash_recoverable(hash.as_slice()).unwrap())
}

/// The contract that holds what execution charges for L1 data.
fn l1_block() -> GenesisAccount {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/artifacts/L1Block.json");
    let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let code = &artifact["deployedBytecode"];
    let code = code.as_str().or_else(|| code["object"].as_str()).unwrap().parse().unwrap();
    GenesisAccount { nonce: 1, code, ..GenesisAccount::default() }
}

fn genesis() -> Genesis {
    let l1 = L1Contracts { chain_id: 1, ..L1Contracts::default() };
    let account = |nonce| GenesisAccount { nonce, balance: U256::from(BALANCE), ..GenesisAccount::default() };
    let with_code = |code: Vec<u8>| GenesisAccount { code: code.into(), ..account(NONCE) };
    let delegation = [&[0xef, 0x01, 0x00][..], &[0x77; 20]].concat();
    let member = Member { signer: Address::repeat_byte(1), weight: Weight(1) };
    Genesis {
        chain_id: CHAIN,
        timestamp: 1_700_000_000,
        l1,
        origin: L1Origin { number: 9, base_fee: 7_000_000_000, blob_base_fee: 3, ..L1Origin::default() },
        set: SequencerSet::new(SnapshotId(1), vec![member]).unwrap(),
        seed: B256::ZERO,
        params: Params::default(),
        alloc: [
            (address_of(&key(1)), account(NONCE)),
            (address_of(&key(2)), with_code(vec![0x00])),
            (address_of(&key(3)), with_code(delegation)),
            (L1_BLOCK, l1_block()),
        ]
        .into(),
    }
}

struct Node {
    chain: Arc<Chain>,
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self::of(genesis())
    }

    fn of(genesis: Genesis) -> Self {
        let genesis = Arc::new(genesis);
        let folder = tempfile::tempdir().unwrap();
        let (block, diff) = genesis_block(&genesis, &store::EmptyState).unwrap();
        let store = Store::create(&folder.path().join("db"), &block, &diff, &StoreConfig::default()).unwrap();
        let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
        let chain = Chain::open(genesis, store, FinalBlocks::default(), epochs).unwrap();
        Self { chain: Arc::new(chain), folder }
    }

    /// A pool without a journal, on the node's head.
    fn pool(&self) -> Arc<Transactions> {
        Transactions::new(self.chain.clone(), Limits::default(), broadcast::channel(1).0, None).0
    }

    /// The pool of a node that starts.
    fn started(&self) -> Arc<Transactions> {
        let pool = self.pool();
        pool.restore(&self.folder.path().join("journal")).unwrap();
        pool
    }

    /// The next block, before any user transaction.
    fn open(&self) -> BlockBuilder {
        let head = self.chain.head();
        let time = protocol::block::timestamp_ms(&head.header) + 500;
        self.chain.open_block(&head, Address::repeat_byte(1), time).unwrap()
    }
}

/// A transaction before it is signed.
#[derive(Clone, Debug)]
struct Draft {
    kind: u8,
    from: u8,
    chain_id: u64,
    nonce: u64,
    gas: u64,
    fee_cap: u128,
    tip: u128,
    to: Address,
    create: bool,
    value: U256,
    input: Vec<u8>,
    slots: usize,
    authorizations: usize,
    high_s: bool,
    trailing: bool,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            kind: 2,
            from: 1,
            chain_id: CHAIN,
            nonce: NONCE,
            gas: 100_000,
            fee_cap: 10 * GWEI,
            tip: GWEI,
            to: CALLEE,
            create: false,
            value: U256::from(1),
            input: Vec::new(),
            slots: 0,
            authorizations: 1,
            high_s: false,
            trailing: false,
        }
    }
}

impl Draft {
    fn raw(&self) -> Bytes {
        let Self { chain_id, nonce, gas: gas_limit, fee_cap, tip, value, .. } = *self;
        let input: Bytes = self.input.clone().into();
        let to = if self.create { TxKind::Create } else { TxKind::Call(self.to) };
        let item = AccessListItem { address: CALLEE, storage_keys: vec![B256::ZERO; self.slots] };
        let access_list = if self.slots == 0 { AccessList::default() } else { AccessList(vec![item]) };
        let (max_fee_per_gas, max_priority_fee_per_gas) = (fee_cap, tip);
        match self.kind {
            0 => self.seal(TxLegacy { chain_id: None, nonce, gas_price: fee_cap, gas_limit, to, value, input }),
            1 => self.seal(TxEip2930 { chain_id, nonce, gas_price: fee_cap, gas_limit, to, value, access_list, input }),
            2 => self.seal(TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            }),
            _ => {
                let authorize = |index: usize| {
                    let tuple = Authorization { chain_id: U256::from(CHAIN), address: CALLEE, nonce: index as u64 };
                    let signature = sign(&key(7), tuple.signature_hash());
                    tuple.into_signed(signature)
                };
                self.seal(TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: self.to,
                    value,
                    access_list,
                    authorization_list: (0..self.authorizations).map(authorize).collect(),
                    input,
                })
            }
        }
    }

    fn seal<T: SignableTransaction<Signature>>(&self, tx: T) -> Bytes
    where
        OpTxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let mut signature = sign(&key(self.from), tx.signature_hash());
        if self.high_s {
            let order: U256 = SECP256K1_HALF_ORDER * U256::from(2) + U256::from(1);
            signature = Signature::new(signature.r(), order - signature.s(), !signature.v());
        }
        let mut raw = OpTxEnvelope::from(tx.into_signed(signature)).encoded_2718();
        if self.trailing {
            raw.push(0);
        }
        raw.into()
    }
}

type Change = (&'static str, fn(&mut Draft));

/// One step away from a good transaction each, on both sides of every limit.
const CHANGES: [Change; 45] = [
    ("as it is", |_| {}),
    ("legacy, any chain", |d| d.kind = 0),
    ("access list type", |d| d.kind = 1),
    ("set code type", |d| d.kind = 4),
    ("another chain", |d| d.chain_id = 1),
    ("nonce used", |d| d.nonce = NONCE - 1),
    ("nonce ahead", |d| d.nonce = NONCE + 1),
    ("last nonce", |d| d.nonce = u64::MAX - 1),
    ("no nonce", |d| d.nonce = u64::MAX),
    ("gas 0", |d| d.gas = 0),
    ("gas 20,999", |d| d.gas = 20_999),
    ("gas 21,000", |d| d.gas = 21_000),
    ("gas 46,000", |d| d.gas = 46_000),
    ("gas 45,999", |d| d.gas = 45_999),
    ("gas 53,000", |d| d.gas = 53_000),
    ("gas 52,999", |d| d.gas = 52_999),
    ("gas at the cap", |d| d.gas = 16_777_216),
    ("gas above the cap", |d| d.gas = 16_777_217),
    ("gas above a block", |d| d.gas = 30_000_001),
    ("all gas", |d| d.gas = u64::MAX),
    ("lowest fee", |d| (d.fee_cap, d.tip) = (1_000_000, 1)),
    ("below the lowest fee", |d| (d.fee_cap, d.tip) = (999_999, 1)),
    ("base fee", |d| (d.fee_cap, d.tip) = (1_000_000_000, 1)),
    ("above all fees", |d| d.fee_cap = u128::MAX),
    ("no tip", |d| d.tip = 0),
    ("tip above fee", |d| d.tip = d.fee_cap.saturating_add(1)),
    ("tip at fee", |d| d.tip = d.fee_cap),
    ("no value", |d| d.value = U256::ZERO),
    ("all value", |d| d.value = U256::from(BALANCE)),
    ("greatest value", |d| d.value = U256::MAX),
    ("creation", |d| d.create = true),
    ("100 zero bytes", |d| d.input = vec![0; 100]),
    ("1,000 zero bytes", |d| d.input = vec![0; 1_000]),
    ("1,000 bytes", |d| d.input = vec![1; 1_000]),
    ("floor above intrinsic", |d| (d.input, d.gas) = (vec![1; 1_000], 60_999)),
    ("floor", |d| (d.input, d.gas) = (vec![1; 1_000], 61_000)),
    ("largest init code", |d| (d.create, d.input, d.gas) = (true, vec![0; 49_152], 9_000_000)),
    ("too large init code", |d| (d.create, d.input, d.gas) = (true, vec![0; 49_153], 9_000_000)),
    ("too large", |d| (d.input, d.gas) = (vec![0; 131_072], 9_000_000)),
    ("slots", |d| d.slots = 3),
    ("no authorization", |d| d.authorizations = 0),
    ("contract as sender", |d| d.from = 2),
    ("delegated sender", |d| d.from = 3),
    ("high s", |d| d.high_s = true),
    ("trailing byte", |d| d.trailing = true),
];

/// What a block says to a transaction.
fn included(node: &Node, raw: &Bytes) -> Result<(), String> {
    let tx = recover_raw(raw, CHAIN).map_err(|error| error.to_string())?;
    node.open().push(&tx).map(drop).map_err(|error| match error {
        PushError::Fatal(error) => panic!("{error}"),
        other => other.to_string(),
    })
}

/// What is pooled although the next block cannot take it: it can in a later one.
fn may_wait(node: &Node, raw: &Bytes) -> bool {
    let Ok(tx) = recover_raw(raw, CHAIN) else { return false };
    matches!(
        node.open().push(&tx),
        Err(PushError::Invalid(InvalidTransaction::NonceTooHigh { .. } | InvalidTransaction::GasPriceLessThanBasefee))
    )
}

#[test]
fn what_is_pooled_can_be_included_and_what_is_refused_cannot() {
    let node = Node::new();
    let (mut taken, mut refused, mut waiting) = (0, 0, 0);
    for (first_name, first) in CHANGES {
        for (second_name, second) in CHANGES {
            let mut draft = Draft::default();
            first(&mut draft);
            second(&mut draft);
            // The one rule that is the pool's own: this node builds for tips.
            if draft.tip == 0 && draft.kind != 0 && draft.kind != 1 {
                continue;
            }
            let raw = draft.raw();
            let pooled = node.pool().admit(&raw, Origin::Remote, 0);
            let built = included(&node, &raw);
            let name = format!("{first_name}, {second_name}: pool {pooled:?}, block {built:?}");
            match (&pooled, &built) {
                (Ok(_), Ok(())) => taken += 1,
                (Err(_), Err(_)) => refused += 1,
                (Ok(_), Err(_)) => {
                    assert!(may_wait(&node, &raw), "{name}");
                    waiting += 1;
                }
                (Err(error), Ok(())) => panic!("{name}: {error}"),
            }
        }
    }
    assert!(taken > 200 && refused > 500 && waiting > 20, "{taken} taken, {refused} refused, {waiting} waiting");
}

fn hashes(pool: &Transactions) -> (Vec<B256>, Vec<B256>) {
    let content = pool.with_pool(Pool::content);
    let names = |list: Vec<Pooled>| list.iter().map(Pooled::hash).collect();
    (names(content.pending), names(content.queued))
}

#[tokio::test]
async fn our_own_transactions_survive_a_restart_until_they_are_included() {
    let node = Node::new();
    let raw = |nonce| Draft { nonce, ..Draft::default() }.raw();
    let pool = node.started();
    let mut sent = Vec::new();
    for nonce in [NONCE, NONCE + 1, NONCE + 4] {
        sent.push(pool.submit(raw(nonce), Origin::Local).await.unwrap());
    }
    pool.submit(Draft { from: 3, ..Draft::default() }.raw(), Origin::Remote).await.unwrap();
    assert_eq!(pool.with_pool(Pool::status).pending, 3);
    drop(pool);
    // The process dies in the middle of a record.
    let path = node.folder.path().join("journal");
    let mut journal = std::fs::read(&path).unwrap();
    journal.extend_from_slice(&[0, 0, 0, 200, 1, 2, 3]);
    std::fs::write(&path, journal).unwrap();

    let pool = node.started();
    assert_eq!(hashes(&pool), (sent[..2].to_vec(), sent[2..].to_vec()), "the peer's is gone, ours are there");
    // A block takes the first one.
    let mut builder = node.open();
    builder.push(&recover_raw(&raw(NONCE), CHAIN).unwrap()).unwrap();
    let executed = builder.finish(node.chain.store()).unwrap();
    let committed = store::CommittedBlock {
        block: executed.block,
        senders: executed.senders,
        receipts: executed.receipts,
        diff: executed.diff,
        certificate: None,
    };
    node.chain.store().commit_block(&committed).unwrap();
    let pool = node.started();
    assert_eq!(hashes(&pool), (sent[1..2].to_vec(), sent[2..].to_vec()));
    let replaced = Draft { nonce: NONCE + 4, fee_cap: 20 * GWEI, tip: 2 * GWEI, ..Draft::default() };
    let replacement = pool.submit(replaced.raw(), Origin::Local).await.unwrap();
    let pool = node.started();
    assert_eq!(hashes(&pool), (sent[1..2].to_vec(), vec![replacement]));
    assert_eq!(pool.with_pool(|pool| pool.get(replacement).unwrap().origin), Origin::Local);
}

#[tokio::test]
async fn the_journal_stays_bounded_by_what_is_pooled() {
    let node = Node::new();
    let pool = node.started();
    let path = node.folder.path().join("journal");
    // Each replaces the one before: only the last is worth keeping.
    let mut fee_cap = 10 * GWEI;
    for _ in 0..40 {
        fee_cap = fee_cap * 111 / 100;
        let draft = Draft { fee_cap, tip: fee_cap, input: vec![0; 100_000], gas: 1_100_000, ..Draft::default() };
        pool.submit(draft.raw(), Origin::Local).await.unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        assert!(size < 1_300_000, "{size} bytes");
    }
    assert_eq!(node.started().with_pool(Pool::status).pending, 1);
}

#[tokio::test]
async fn peers_are_told_of_what_our_own_rpc_took_once_it_can_be_executed() {
    let node = Node::new();
    let (pool, mut gossip) = Transactions::new(node.chain.clone(), Limits::default(), broadcast::channel(1).0, None);
    let raw = |nonce| Draft { nonce, ..Draft::default() }.raw();
    let theirs = Draft { from: 3, ..Draft::default() }.raw();
    pool.submit(raw(NONCE + 1), Origin::Local).await.unwrap();
    assert!(gossip.try_recv().is_err(), "it waits behind a gap");
    // What came from a peer goes on in the message it came in; that it closed our gap is news.
    let answers = pool.submit_all(vec![raw(NONCE), theirs.clone(), Bytes::from_static(&[1])]).await;
    assert!(matches!(&answers[..], [Ok(_), Ok(_), Err(SubmitError::Malformed(_))]), "{answers:?}");
    assert_eq!(gossip.try_recv().unwrap(), raw(NONCE + 1));
    assert!(gossip.try_recv().is_err());
    // Known by its hash alone, whoever says it again.
    for known in [raw(NONCE + 1), theirs] {
        assert!(matches!(pool.submit(known, Origin::Local).await, Err(SubmitError::AlreadyKnown)));
    }
    pool.submit(raw(NONCE + 2), Origin::Local).await.unwrap();
    assert_eq!(gossip.try_recv().unwrap(), raw(NONCE + 2));
}

/// A submission that has been begun: its place is taken when this returns.
fn begun<T: Send + 'static>(submission: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    let mut submission = Box::pin(submission);
    assert!(submission.as_mut().now_or_never().is_none());
    tokio::spawn(submission)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_fill_their_places_do_not_shut_out_our_own_rpc() {
    let node = Node::new();
    let pool = node.pool();
    let submit_all = |pool: &Arc<Transactions>, raw: Vec<Bytes>| {
        let pool = pool.clone();
        async move { pool.submit_all(raw).await }
    };
    let submit = |pool: &Arc<Transactions>, raw: Bytes| {
        let pool = pool.clone();
        async move { pool.submit(raw, Origin::Local).await }
    };
    let (remote, local) = {
        // Judging stands still while the pool is held.
        let _held = pool.pool.lock();
        let mut remote = Vec::new();
        for _ in 0..MAX_REMOTE / 64 {
            remote.push(begun(submit_all(&pool, vec![Bytes::from_static(&[1]); 64])));
        }
        let refused = submit_all(&pool, vec![Bytes::from_static(&[1])]).now_or_never().unwrap();
        assert!(matches!(&refused[..], [Err(SubmitError::PoolFull)]));
        assert_eq!(pool.judging.available_permits(), 0);
        (remote, begun(submit(&pool, Draft::default().raw())))
    };
    local.await.unwrap().unwrap();
    for judged in remote {
        assert!(matches!(judged.await.unwrap()[0], Err(SubmitError::Malformed(_))));
    }
    assert_eq!(pool.remote.available_permits(), MAX_REMOTE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_only_when_its_work_is_done() {
    let node = Node::new();
    let pool = node.pool();
    {
        let _held = pool.pool.lock();
        let mut submission = Box::pin(pool.submit(Draft::default().raw(), Origin::Local));
        assert!(submission.as_mut().now_or_never().is_none());
        drop(submission);
        assert_eq!(pool.local.available_permits(), MAX_LOCAL - 1, "its work is still with a worker");
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while pool.local.available_permits() < MAX_LOCAL {
        assert!(std::time::Instant::now() < deadline, "the place is lost");
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.with_pool(Pool::status).pending, 1);
}
