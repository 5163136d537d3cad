//! A chain small enough to read: blocks of a header and a payload, kept in memory.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use async_trait::async_trait;
use consensus::{AppError, Application, Built, Candidate, Evidence, Refusal, slices};
use protocol::{CommitCertificate, Domain, Height, Leadership, Round, SequencerSet};
use tokio::sync::watch;

#[derive(RlpEncodable, RlpDecodable, Clone, Debug, PartialEq)]
pub(crate) struct ToyHeader {
    pub(crate) height: u64,
    pub(crate) parent: B256,
    pub(crate) leader: Address,
    pub(crate) timestamp_ms: u64,
}

#[derive(RlpEncodable, RlpDecodable, Clone, Debug, PartialEq)]
pub(crate) struct ToyBlock {
    pub(crate) header: ToyHeader,
    pub(crate) payload: Bytes,
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
    blocks: Mutex<Vec<Committed>>,
    pub(crate) evidence: Mutex<Vec<Evidence>>,
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
    ) -> Arc<Self> {
        Arc::new(Self {
            own,
            set,
            domain,
            turn_blocks,
            payload_bytes,
            blocks: Mutex::new(Vec::new()),
            evidence: Mutex::new(Vec::new()),
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

    pub(crate) fn set(&self) -> &SequencerSet {
        &self.set
    }

    /// Leader of the next height's round 0.
    pub(crate) fn next_leader(&self) -> Address {
        self.leadership(self.head().next()).unwrap().leaders[0]
    }
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

    async fn propose(&self, height: Height, _: Round, _: Instant) -> Result<Built, AppError> {
        let blocks = self.blocks.lock().unwrap();
        assert_eq!(height.0, blocks.len() as u64 + 1);
        let header = ToyHeader {
            height: height.0,
            parent: blocks.last().map_or(B256::ZERO, |last| last.hash),
            leader: self.own,
            timestamp_ms: now_ms(),
        };
        let block = ToyBlock { header, payload: vec![7; self.payload_bytes].into() };
        let mut bytes = Vec::new();
        block.encode(&mut bytes);
        Ok(Built { hash: slices::block_hash(&bytes).unwrap(), block: bytes.into() })
    }

    async fn validate(&self, candidate: Candidate) -> Result<(), Refusal> {
        let block =
            ToyBlock::decode(&mut candidate.block.as_ref()).map_err(|error| Refusal::Invalid(error.to_string()))?;
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

    async fn commit(&self, certificate: CommitCertificate, block: Bytes) -> Result<(), AppError> {
        certificate.verify(&self.domain, &self.set).map_err(|error| AppError::Halt(error.to_string()))?;
        let decoded = ToyBlock::decode(&mut block.as_ref()).map_err(|error| AppError::Halt(error.to_string()))?;
        let hash = slices::block_hash(&block).unwrap();
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
        self.blocks.lock().unwrap().get(at).map(|block| (block.block.clone(), block.certificate.clone()))
    }

    async fn evidence(&self, evidence: Vec<Evidence>) -> Result<(), AppError> {
        self.evidence.lock().unwrap().extend(evidence);
        Ok(())
    }
}
