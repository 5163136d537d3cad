//! A chain small enough to read: blocks of a header and a payload, kept in memory.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use async_trait::async_trait;
use consensus::{AppError, Application, Built, Candidate, Evidence, Refusal, Turn, slices};
use protocol::{CommitCertificate, Domain, Height, Leadership, SequencerSet, Slice, SliceBody};
use tokio::sync::{Notify, watch};

#[derive(RlpEncodable, RlpDecodable, Clone, Debug, PartialEq)]
pub(crate) struct ToyHeader {
    pub(crate) height: u64,
    pub(crate) parent: B256,
    pub(crate) leader: Address,
    pub(crate) timestamp_ms: u64,
    /// Hash of the payload.
    pub(crate) root: B256,
}

/// What a node tells peers that catch up instead of the truth.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lie {
    /// Another body under the decided header.
    Body,
    /// Another header, which nobody can judge yet.
    Header,
}

/// A timestamp that [`ToyChain`] cannot judge.
const UNSEEN: u64 = u64::MAX;

#[derive(RlpEncodable, RlpDecodable, Clone, Debug, PartialEq)]
pub(crate) struct ToyBlock {
    pub(crate) header: ToyHeader,
    pub(crate) payload: Vec<Bytes>,
    ommers: Vec<u64>,
    withdrawals: Vec<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) header: ToyHeader,
    pub(crate) hash: B256,
    pub(crate) block: Bytes,
    pub(crate) certificate: CommitCertificate,
    pub(crate) at: Instant,
}

/// What one node knows; survives the restart of its engine, as a database would.
pub(crate) struct ToyChain {
    own: Address,
    set: SequencerSet,
    domain: Domain,
    turn_blocks: u64,
    payload_bytes: usize,
    interval_ms: u64,
    /// Places of the slices of this run.
    pub(crate) slices: Mutex<BTreeSet<(u64, u32, u32)>>,
    /// Our own slices, of all runs.
    pub(crate) sent: Mutex<Vec<Slice>>,
    /// Streaming this height stops in the middle.
    pub(crate) stall_at: Mutex<Option<u64>>,
    /// Committing this height never ends.
    pub(crate) hang_at: Mutex<Option<u64>>,
    hanging: Notify,
    /// A height whose first checks, so many, find out nothing.
    pub(crate) blind: Mutex<(u64, usize)>,
    /// Every check: height, hash, and whether the block was found valid.
    pub(crate) checked: Mutex<Vec<(u64, B256, bool)>>,
    blocks: Mutex<Vec<Committed>>,
    pub(crate) evidence: Mutex<Vec<Evidence>>,
    /// How its history is told to peers.
    pub(crate) lie: Mutex<Option<Lie>>,
    /// Blocks told so.
    pub(crate) lies: AtomicUsize,
    head: watch::Sender<u64>,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl ToyChain {
    pub(crate) fn new(
        own: Address,
        set: SequencerSet,
        domain: Domain,
        turn_blocks: u64,
        payload_bytes: usize,
        interval: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            own,
            set,
            domain,
            turn_blocks,
            payload_bytes,
            interval_ms: interval.as_millis() as u64,
            slices: Mutex::default(),
            sent: Mutex::default(),
            stall_at: Mutex::new(None),
            hang_at: Mutex::new(None),
            hanging: Notify::new(),
            blind: Mutex::default(),
            checked: Mutex::default(),
            blocks: Mutex::new(Vec::new()),
            evidence: Mutex::new(Vec::new()),
            lie: Mutex::default(),
            lies: AtomicUsize::new(0),
            head: watch::channel(0).0,
        })
    }

    pub(crate) fn blocks(&self) -> Vec<Committed> {
        self.blocks.lock().unwrap().clone()
    }

    /// Waits until `height` is committed; panics at the deadline.
    pub(crate) async fn reaches(&self, height: u64, limit: Duration) {
        let mut head = self.head.subscribe();
        let reached = tokio::time::timeout(limit, head.wait_for(|head| *head >= height)).await;
        assert!(reached.is_ok(), "head is {} after {limit:?}, not {height}", self.head().0);
    }

    /// Waits until a commit hangs; panics at the deadline.
    pub(crate) async fn hangs(&self, limit: Duration) {
        let hangs = tokio::time::timeout(limit, self.hanging.notified()).await;
        assert!(hangs.is_ok(), "head is {} after {limit:?}", self.head().0);
    }

    pub(crate) fn set(&self) -> &SequencerSet {
        &self.set
    }

    /// Leader of the next height's round 0.
    pub(crate) fn next_leader(&self) -> Address {
        self.leadership(self.head().next()).unwrap().leaders[0]
    }

    /// Our own block of a height that one round decided, from its slices.
    pub(crate) fn sent_block(&self, height: u64) -> Bytes {
        let sent = self.sent.lock().unwrap();
        let mut stream = Vec::new();
        for slice in sent.iter().filter(|slice| slice.height.0 == height) {
            match &slice.body {
                SliceBody::Data(data) => stream.extend_from_slice(data),
                SliceBody::Last(header) => return protocol::slice::assemble(&stream, header).unwrap().1,
            }
        }
        panic!("height {height} was not sent")
    }

    fn judge(&self, candidate: Candidate) -> Result<(), Refusal> {
        let mut blind = self.blind.lock().unwrap();
        if blind.0 == candidate.height.0 && blind.1 > 0 {
            blind.1 -= 1;
            return Err(Refusal::Unable("nothing can be seen".into()));
        }
        let block =
            ToyBlock::decode(&mut candidate.block.as_ref()).map_err(|error| Refusal::Invalid(error.to_string()))?;
        if block.header.timestamp_ms == UNSEEN {
            return Err(Refusal::Unable("its time has not come".into()));
        }
        if !self.is_whole(&candidate.block) {
            return Err(Refusal::Invalid("payload".into()));
        }
        let blocks = self.blocks.lock().unwrap();
        if candidate.height.0 != blocks.len() as u64 + 1 {
            return Err(Refusal::Unable("not the next height".into()));
        }
        let parent = blocks.last().map_or(B256::ZERO, |last| last.hash);
        let is_leader = candidate.leader.is_none_or(|leader| leader == block.header.leader);
        if block.header.height != candidate.height.0 || block.header.parent != parent || !is_leader {
            return Err(Refusal::Invalid("header".into()));
        }
        Ok(())
    }
}

impl Lie {
    pub(crate) fn about(self, block: &Bytes) -> Bytes {
        let mut block = ToyBlock::decode(&mut block.as_ref()).unwrap();
        match self {
            Self::Body => block.payload.push(Bytes::from_static(b"more")),
            Self::Header => block.header.timestamp_ms = UNSEEN,
        }
        alloy_rlp::encode(&block).into()
    }
}

/// The same block, some milliseconds later.
pub(crate) fn later(block: &Bytes, ms: u64) -> Bytes {
    let mut block = ToyBlock::decode(&mut block.as_ref()).unwrap();
    block.header.timestamp_ms += ms;
    alloy_rlp::encode(&block).into()
}

fn root(payload: &[Bytes]) -> B256 {
    keccak256(payload.concat())
}

#[async_trait]
impl Application for ToyChain {
    fn head(&self) -> Height {
        Height(self.blocks.lock().unwrap().len() as u64)
    }

    fn head_timestamp_ms(&self) -> u64 {
        self.blocks.lock().unwrap().last().map_or(0, |last| last.header.timestamp_ms)
    }

    fn leadership(&self, height: Height) -> Result<Leadership, AppError> {
        let blocks = self.blocks.lock().unwrap();
        assert_eq!(height.0, blocks.len() as u64 + 1, "asked for another height than the head's successor");
        let members = self.set.members();
        let turn = (height.0 - 1) / self.turn_blocks;
        let scheduled = members[turn as usize % members.len()].signer;
        let starts = (height.0 - 1).is_multiple_of(self.turn_blocks);
        let base = if starts { scheduled } else { blocks.last().unwrap().header.leader };
        let mut leaders: Vec<Address> = members.iter().map(|member| member.signer).collect();
        let at = leaders.iter().position(|leader| *leader == base).unwrap();
        leaders.rotate_left(at);
        Ok(Leadership { height, set: self.set.clone(), leaders })
    }

    async fn ready(&self, _: Height) {}

    async fn propose(&self, turn: Turn) -> Result<Built, AppError> {
        let (header, parent_ms) = {
            let blocks = self.blocks.lock().unwrap();
            assert_eq!(turn.height.0, blocks.len() as u64 + 1);
            let parent = blocks.last().map_or(B256::ZERO, |last| last.hash);
            let parent_ms = blocks.last().map_or(0, |last| last.header.timestamp_ms);
            let due = now_ms().max(parent_ms + self.interval_ms);
            let root = root(&[vec![7; self.payload_bytes].into()]);
            (ToyHeader { height: turn.height.0, parent, leader: self.own, timestamp_ms: due, root }, parent_ms)
        };
        // Two pieces, with the rest of the interval between them.
        let mut stream = header.timestamp_ms.to_be_bytes().to_vec();
        Bytes::from(vec![7; self.payload_bytes]).encode(&mut stream);
        let (first, second) = stream.split_at(stream.len() / 2);
        turn.stream.send(Bytes::copy_from_slice(first)).await.unwrap();
        if *self.stall_at.lock().unwrap() == Some(turn.height.0) {
            std::future::pending::<()>().await;
        }
        if turn.round.0 == 0 && parent_ms > 0 {
            tokio::time::sleep(Duration::from_millis(header.timestamp_ms.saturating_sub(now_ms()))).await;
        }
        turn.stream.send(Bytes::copy_from_slice(second)).await.unwrap();
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        Ok(Built { hash: keccak256(&bytes), header: bytes.into() })
    }

    fn slice(&self, slice: &Slice) {
        let mut slices = self.slices.lock().unwrap();
        assert!(slice.height.0 <= self.head().0 + 1, "a slice of a height that has not begun");
        let place = (slice.height.0, slice.round.0, slice.index);
        assert!(slices.insert(place), "slice {place:?} came twice");
    }

    fn sent(&self, slice: &Slice) {
        self.sent.lock().unwrap().push(slice.clone());
    }

    fn is_whole(&self, block: &Bytes) -> bool {
        ToyBlock::decode(&mut block.as_ref()).is_ok_and(|block| block.header.root == root(&block.payload))
    }

    async fn validate(&self, candidate: Candidate) -> Result<(), Refusal> {
        let place = (candidate.height.0, candidate.hash);
        let verdict = self.judge(candidate);
        self.checked.lock().unwrap().push((place.0, place.1, verdict.is_ok()));
        verdict
    }

    async fn commit(&self, certificate: CommitCertificate, block: Bytes) -> Result<(), AppError> {
        certificate.verify(&self.domain, &self.set).map_err(|error| AppError::Halt(error.to_string()))?;
        let decoded = ToyBlock::decode(&mut block.as_ref()).map_err(|error| AppError::Halt(error.to_string()))?;
        let hash = slices::block_hash(&block).unwrap();
        if *self.hang_at.lock().unwrap() == Some(certificate.height.0) {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        let mut blocks = self.blocks.lock().unwrap();
        if certificate.height.0 != blocks.len() as u64 + 1 || certificate.block_hash != hash {
            return Err(AppError::Halt(format!("commit of {} out of order", certificate.height)));
        }
        let height = certificate.height.0;
        blocks.push(Committed { header: decoded.header, hash, block, certificate, at: Instant::now() });
        drop(blocks);
        self.head.send_replace(height);
        Ok(())
    }

    async fn decided(&self, height: Height) -> Option<(Bytes, CommitCertificate)> {
        let at = usize::try_from(height.0.checked_sub(1)?).ok()?;
        let lie = *self.lie.lock().unwrap();
        let blocks = self.blocks.lock().unwrap();
        let found = blocks.get(at)?;
        let block = lie.map(|lie| {
            self.lies.fetch_add(1, Ordering::Relaxed);
            lie.about(&found.block)
        });
        Some((block.unwrap_or_else(|| found.block.clone()), found.certificate.clone()))
    }

    async fn evidence(&self, evidence: Vec<Evidence>) -> Result<(), AppError> {
        self.evidence.lock().unwrap().extend(evidence);
        Ok(())
    }
}
