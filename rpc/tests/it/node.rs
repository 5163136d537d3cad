//! An in-memory node behind the port, for what clients send and how answers look. It executes nothing: state and call
//! results are fixed. What execution answers is tested on a real node, in `node`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_consensus::{Transaction as _, transaction::SignerRecoverable};
use alloy_eips::{BlockNumHash, eip2718::Decodable2718, eip2930::AccessListResult};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, address, hex, keccak256};
use alloy_rpc_types_eth::{AccessList, EIP1186AccountProofResponse, EIP1186StorageProof};
use futures::future::BoxFuture;
use op_alloy_consensus::OpTxEnvelope;
use parking_lot::{Condvar, Mutex};
use protocol::{
    BatchCertificate, BatchHeader, BatchIndex, CommitCertificate, CommitSignature, CompactSignature, Epoch, Genesis,
    Height, L1Origin, Member, RecoveredTx, Round, SequencerSet, SnapshotId, Weight,
    genesis::{L1Contracts, Params},
    state::Account,
};
use rpc::{
    Backend, BackendError, BatchInclusion, BatchRecord, BatchSigners, BatchStatus, BlockRecord, CallError, CallRequest,
    ChainEvent, EpochRecord, Executed, ExecutionWitness, Heads, History, L1BlockRef, L1Heads, NewHead, NodeIdentity,
    PoolContent, PoolStatus, PooledTransaction, Reach, SealedHeader, SimulateError, SimulateRequest, SimulatedBlock,
    StorageRange, StorageRangeRequest, SubmitError, SyncProgress, Trace, TraceRequest, TransactionPosition,
};
use tokio::sync::broadcast;

use crate::chain::{CHAIN_ID, L1_HASH, Made, every_type, key, make, signer, transfer};

/// Calls to it revert with `Error("no")`.
pub const REVERTS: Address = address!("000000000000000000000000000000000000dead");
/// Calls to it run until their deadline.
pub const SLOW: Address = address!("0000000000000000000000000000000000005100");
/// What traces and simulations answer here; the node's own tests have them on real blocks.
pub const NOTHING_EXECUTED: &str = "this node executed nothing";
/// State before this height is pruned.
pub const PRUNED: u64 = 1;

pub struct TestNode {
    pub blocks: Mutex<Vec<Made>>,
    pub pending: Mutex<Option<Made>>,
    pub pool: Mutex<Vec<PooledTransaction>>,
    pub events: broadcast::Sender<ChainEvent>,
    pub syncing: Mutex<Option<SyncProgress>>,
    pub ready: Mutex<Result<(), String>>,
    /// Every block is in memory.
    pub all_at_hand: AtomicBool,
    /// Counts calls that were let run to their end.
    pub finished_calls: (Mutex<usize>, Condvar),
}

impl TestNode {
    /// Genesis, a block with every transaction type, then three small ones.
    pub fn new() -> Arc<Self> {
        let genesis = make(None, Vec::new());
        let first = make(Some(&genesis.0), every_type());
        let mut blocks = vec![genesis, first];
        for nonce in 0..3 {
            let parent = Arc::clone(&blocks.last().unwrap().0);
            blocks.push(make(Some(&parent), vec![transfer(nonce, 2), transfer(nonce, 3)]));
        }
        // Small, so that a slow subscriber lags in tests.
        let (events, _) = broadcast::channel(16);
        Arc::new(Self {
            blocks: Mutex::new(blocks),
            pending: Mutex::new(None),
            pool: Mutex::new(vec![pooled(transfer(7, 4)), pooled(transfer(8, 4))]),
            events,
            syncing: Mutex::new(None),
            ready: Mutex::new(Ok(())),
            all_at_hand: AtomicBool::new(false),
            finished_calls: (Mutex::new(0), Condvar::new()),
        })
    }

    /// Decides one more block.
    pub fn append(&self, users: Vec<alloy_consensus::transaction::Recovered<OpTxEnvelope>>) -> Made {
        let made = {
            let mut blocks = self.blocks.lock();
            let made = make(Some(&blocks.last().unwrap().0), users);
            blocks.push(made.clone());
            *self.pending.lock() = None;
            made
        };
        let head = NewHead { block: Arc::clone(&made.0), receipts: Arc::clone(&made.1) };
        let _nobody = self.events.send(ChainEvent::Head(head));
        made
    }

    /// Streams the next block: what a node shows of it.
    pub fn stream(&self, users: Vec<alloy_consensus::transaction::Recovered<OpTxEnvelope>>) -> Made {
        let parent = Arc::clone(&self.blocks.lock().last().unwrap().0);
        let (block, receipts) = make(Some(&parent), users);
        let header = alloy_primitives::Sealed::new_unchecked(block.header.inner().clone(), B256::ZERO);
        let made = (Arc::new(BlockRecord { header, transactions: block.transactions.clone() }), receipts);
        *self.pending.lock() = Some(made.clone());
        let _nobody = self.events.send(ChainEvent::PendingBlock);
        made
    }

    /// A decided block, or the pending one.
    fn made(&self, number: u64) -> Option<Made> {
        let decided = self.blocks.lock().get(number as usize).cloned();
        decided.or_else(|| self.pending.lock().clone().filter(|(block, _)| block.number() == number))
    }

    pub fn block(&self, number: u64) -> Made {
        self.blocks.lock()[number as usize].clone()
    }
}

pub fn pooled(tx: alloy_consensus::transaction::Recovered<OpTxEnvelope>) -> PooledTransaction {
    use alloy_eips::Encodable2718;
    let (envelope, sender) = tx.into_parts();
    let (hash, encoded) = (envelope.tx_hash(), envelope.encoded_2718().into());
    Arc::new(RecoveredTx { envelope, sender, hash, encoded })
}

pub fn set() -> SequencerSet {
    let mut members: Vec<Member> =
        (1..=4).map(|number| Member { signer: signer(number), weight: Weight(20_000 * u64::from(number)) }).collect();
    members.sort_by_key(|member| member.signer);
    SequencerSet::new(SnapshotId(1), members).unwrap()
}

pub fn genesis() -> Genesis {
    Genesis {
        chain_id: CHAIN_ID,
        timestamp: 1_700_000_000,
        l1: L1Contracts {
            chain_id: 31_337,
            metis: Address::repeat_byte(1),
            staking: Address::repeat_byte(2),
            sequencer_set: Address::repeat_byte(3),
            batch_registry: Address::repeat_byte(4),
            portal: Address::repeat_byte(5),
            ..L1Contracts::default()
        },
        origin: L1Origin { number: 76, hash: L1_HASH, ..L1Origin::default() },
        set: set(),
        seed: B256::repeat_byte(9),
        params: Params { epoch_blocks: 100, turn_blocks: 10, ..Params::default() },
        alloc: std::collections::BTreeMap::new(),
    }
}

pub fn revert_output() -> Bytes {
    let mut output = hex!("08c379a0").to_vec();
    output.extend(B256::with_last_byte(32));
    output.extend(B256::with_last_byte(2));
    output.extend(B256::right_padding_from(b"no"));
    output.into()
}

impl rpc::Operator for TestNode {
    fn node(&self) -> rpc::OperatedNode {
        rpc::OperatedNode {
            id: String::new(),
            name: "horae".to_owned(),
            role: "follower".to_owned(),
            signer: None,
            in_set: false,
            chain_id: CHAIN_ID,
            genesis: self.block(0).0.hash(),
            listen_addresses: Vec::new(),
        }
    }

    fn peers(&self) -> Vec<rpc::Peer> {
        Vec::new()
    }

    fn add_peer(&self, address: &str) -> Result<(), String> {
        Err(format!("{address} is nowhere"))
    }

    fn remove_peer(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn log_filter(&self) -> String {
        "info".to_owned()
    }

    fn set_log_filter(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

impl Backend for TestNode {
    fn operator(&self) -> Option<&dyn rpc::Operator> {
        Some(self)
    }

    fn identity(&self) -> NodeIdentity {
        NodeIdentity {
            client_version: "horae/v0.1.0-test/linux-x86_64/rust1.95".to_owned(),
            min_priority_fee: 1_000_000,
            signer: Some(signer(1)),
        }
    }

    fn heads(&self) -> Heads {
        let blocks = self.blocks.lock();
        let at = |number: usize| BlockNumHash::new(number as u64, blocks[number].0.hash());
        let latest = blocks.len() - 1;
        Heads { earliest: 0, latest: at(latest), safe: at(latest - 1), finalized: at(latest - 2) }
    }

    fn history(&self) -> History {
        History { state: Reach { from: PRUNED, window: None }, ..History::default() }
    }

    fn pending(&self) -> Option<u64> {
        self.pending.lock().as_ref().map(|(block, _)| block.number())
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        *self.syncing.lock()
    }

    fn peer_count(&self) -> usize {
        3
    }

    fn readiness(&self) -> Result<(), String> {
        self.ready.lock().clone()
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }

    fn header(&self, number: u64) -> Result<Option<SealedHeader>, BackendError> {
        Ok(self.made(number).map(|(block, _)| block.header.clone()))
    }

    fn block(&self, number: u64) -> Result<Option<Arc<BlockRecord>>, BackendError> {
        Ok(self.made(number).map(|(block, _)| block))
    }

    /// Every other block, so that both ways are taken.
    fn at_hand(&self, number: u64, _: bool) -> Option<usize> {
        let there = number.is_multiple_of(2) || self.all_at_hand.load(Ordering::Relaxed);
        self.made(number).filter(|_| there).map(|(block, _)| block.transactions.len())
    }

    fn block_number(&self, hash: B256) -> Result<Option<u64>, BackendError> {
        Ok(self.blocks.lock().iter().find(|(block, _)| block.hash() == hash).map(|(block, _)| block.number()))
    }

    fn executed(&self, number: u64) -> Result<Option<Executed>, BackendError> {
        Ok(self.made(number))
    }

    fn transaction_position(&self, hash: B256) -> Result<Option<TransactionPosition>, BackendError> {
        for (block, _) in self.blocks.lock().iter().chain(self.pending.lock().iter()) {
            if let Some(index) = block.transactions.iter().position(|tx| tx.tx_hash() == hash) {
                return Ok(Some(TransactionPosition { number: block.number(), index: index as u64 }));
            }
        }
        Ok(None)
    }

    fn account(&self, address: Address, at: u64) -> Result<Option<Account>, BackendError> {
        if at < PRUNED {
            return Err(BackendError::HistoryUnavailable(at));
        }
        if address == Address::repeat_byte(0xee) {
            return Err(BackendError::Internal("disk on fire at /dev/sda".to_owned()));
        }
        let known = (1..=4).any(|number| address == signer(number));
        Ok(known.then(|| Account { nonce: 5 + at, balance: U256::from(10).pow(U256::from(20)), ..Account::default() }))
    }

    fn code(&self, address: Address, _: u64) -> Result<Bytes, BackendError> {
        Ok(if address == crate::chain::TOKEN { Bytes::from_static(&[0x60, 0x01]) } else { Bytes::new() })
    }

    fn storage(&self, _: Address, slot: B256, _: u64) -> Result<U256, BackendError> {
        Ok(U256::from_be_bytes(slot.0) + U256::from(1))
    }

    fn proof(&self, address: Address, slots: &[B256], _: u64) -> Result<EIP1186AccountProofResponse, BackendError> {
        let storage_proof = slots
            .iter()
            .map(|slot| EIP1186StorageProof::new((*slot).into(), U256::from(1), vec![Bytes::from_static(&[0xc0])]))
            .collect();
        Ok(EIP1186AccountProofResponse {
            address,
            code_hash: KECCAK256_EMPTY,
            storage_hash: keccak256([0x80]),
            account_proof: vec![Bytes::from_static(&[0xc0])],
            storage_proof,
            ..EIP1186AccountProofResponse::default()
        })
    }

    fn call(&self, request: CallRequest) -> Result<Bytes, CallError> {
        match request.transaction.to.and_then(|to| to.to().copied()) {
            Some(REVERTS) => Err(CallError::Reverted(revert_output())),
            Some(SLOW) => {
                let (count, changed) = &self.finished_calls;
                let mut count = count.lock();
                // Nobody notifies: this waits for the deadline, as an interpreter loop would.
                while !changed.wait_until(&mut count, request.deadline).timed_out() {}
                *count += 1;
                assert!(request.deadline <= Instant::now() + Duration::from_secs(60));
                changed.notify_all();
                Err(CallError::Timeout)
            }
            _ => Ok(request.transaction.input.into_input().unwrap_or_default()),
        }
    }

    fn estimate_gas(&self, request: CallRequest) -> Result<u64, CallError> {
        match request.transaction.to.and_then(|to| to.to().copied()) {
            Some(REVERTS) => Err(CallError::Reverted(revert_output())),
            _ => Ok(21_000),
        }
    }

    fn create_access_list(&self, _: CallRequest) -> Result<AccessListResult, CallError> {
        Ok(AccessListResult { access_list: AccessList::default(), gas_used: U256::from(21_000), error: None })
    }

    fn trace(&self, _: TraceRequest) -> Result<Vec<Trace>, CallError> {
        Err(CallError::Rejected(NOTHING_EXECUTED.to_owned()))
    }

    fn witness(&self, _: u64, _: Instant) -> Result<ExecutionWitness, CallError> {
        Err(CallError::Rejected(NOTHING_EXECUTED.to_owned()))
    }

    fn storage_range(&self, _: StorageRangeRequest) -> Result<StorageRange, CallError> {
        Err(CallError::Rejected(NOTHING_EXECUTED.to_owned()))
    }

    fn simulate(&self, _: SimulateRequest) -> Result<Vec<SimulatedBlock>, SimulateError> {
        Err(CallError::Rejected(NOTHING_EXECUTED.to_owned()).into())
    }

    fn next_base_fee(&self) -> u64 {
        crate::chain::BASE_FEE - 5
    }

    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, SubmitError>> {
        Box::pin(async move {
            if raw.len() > protocol::limits::MAX_TRANSACTION_BYTES {
                return Err(SubmitError::Oversized { size: raw.len(), limit: protocol::limits::MAX_TRANSACTION_BYTES });
            }
            let envelope =
                OpTxEnvelope::decode_2718_exact(&raw).map_err(|why| SubmitError::Malformed(why.to_string()))?;
            if envelope.chain_id().is_some_and(|have| have != CHAIN_ID) {
                return Err(SubmitError::WrongChain { have: envelope.chain_id().unwrap(), want: CHAIN_ID });
            }
            let sender = envelope.recover_signer().map_err(|_| SubmitError::InvalidSender)?;
            let hash = envelope.tx_hash();
            if self.pool.lock().iter().any(|known| known.hash == hash) {
                return Err(SubmitError::AlreadyKnown);
            }
            let transaction = pooled(alloy_consensus::transaction::Recovered::new_unchecked(envelope, sender));
            self.pool.lock().push(Arc::clone(&transaction));
            let _nobody = self.events.send(ChainEvent::Pending(transaction));
            Ok(hash)
        })
    }

    fn pooled(&self, hash: B256) -> Option<PooledTransaction> {
        self.pool.lock().iter().find(|tx| tx.hash == hash).cloned()
    }

    fn pooled_nonce(&self, sender: Address) -> Option<u64> {
        (sender == signer(4)).then_some(40)
    }

    fn pool_status(&self) -> PoolStatus {
        PoolStatus { pending: 1, queued: 1 }
    }

    fn pool_content(&self, sender: Option<Address>) -> PoolContent {
        let pool = self.pool.lock();
        let mut all = pool.iter().filter(|tx| sender.is_none_or(|sender| tx.sender == sender)).cloned();
        PoolContent { pending: all.next().into_iter().collect(), queued: all.collect() }
    }

    fn genesis(&self) -> Arc<Genesis> {
        Arc::new(genesis())
    }

    fn epoch(&self, epoch: Epoch) -> Result<Option<EpochRecord>, BackendError> {
        Ok((epoch.0 < 2).then(|| EpochRecord { set: set(), seed: B256::repeat_byte(9) }))
    }

    fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, BackendError> {
        let blocks = self.blocks.lock();
        let Some((block, _)) = blocks.get(height.0 as usize).filter(|_| height.0 > 0) else { return Ok(None) };
        let mut certificate =
            CommitCertificate { height, round: Round(0), block_hash: block.hash(), signatures: Vec::new() };
        let digest = certificate.digest(&genesis().domain());
        for number in 2..=4 {
            let signature = CompactSignature::sign(&key(number), &digest).unwrap();
            certificate.signatures.push(CommitSignature { signer: signer(number), signature });
        }
        Ok(Some(certificate))
    }

    fn latest_batch(&self) -> Option<BatchIndex> {
        Some(BatchIndex(2))
    }

    fn batch(&self, index: BatchIndex) -> Result<Option<BatchRecord>, BackendError> {
        if index.0 == 0 || index.0 > 2 {
            return Ok(None);
        }
        let (block, _) = self.block(index.0);
        let header = BatchHeader {
            index: index.0,
            parentHash: B256::ZERO,
            firstHeight: index.0,
            lastHeight: index.0,
            lastBlockHash: block.hash(),
            stateRoot: block.header.state_root,
            withdrawalsRoot: B256::ZERO,
            blocksRoot: protocol::batch::blocks_root(&[block.hash()]),
            dataHash: B256::ZERO,
            snapshotId: 1,
            l1OriginNumber: 77,
            l1OriginHash: L1_HASH,
            depositCount: 0,
            turns: U256::from(1),
        };
        let digest = genesis().domain().digest(&header);
        let signatures: Vec<_> = (2..=4)
            .map(|number| {
                let index = set().index_of(signer(number)).unwrap();
                (index, CompactSignature::sign(&key(number), &digest).unwrap())
            })
            .collect();
        let posted = index.0 == 1;
        Ok(Some(BatchRecord {
            header,
            signed_by: posted.then(|| BatchSigners {
                members: set().members().to_vec(),
                bitmap: BatchCertificate::assemble(&set(), &signatures).bitmap,
            }),
            inclusion: posted.then(|| BatchInclusion {
                transaction: B256::repeat_byte(0x77),
                block: BlockNumHash::new(80, B256::repeat_byte(0x80)),
                blobs: true,
            }),
            status: if posted { BatchStatus::Safe } else { BatchStatus::Signed },
        }))
    }

    fn l1_heads(&self) -> L1Heads {
        let at = |number| L1BlockRef { number, hash: L1_HASH, parent_hash: B256::ZERO, timestamp: 1 };
        L1Heads { head: at(90), safe: at(88), finalized: at(86), derived: at(86) }
    }
}
