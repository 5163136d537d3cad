//! Whole batchers on an in-memory network, with a registry in memory that follows the contract's rules.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Address;
use batcher::ports::{BatchL1, BatchMessage, BatchNetwork, ChainReader, Incoming, L1BatchEvent, SubmitError, Verdict};
use batcher::{
    AlterProposal, Batcher, BatcherConfig, BatcherPorts, BatcherStatus, CertifiedBatch, DataAvailability, ParentBatch,
};
use parking_lot::Mutex;
use protocol::signing::address_of;
use protocol::{Domain, L1Origin, SequencerSet};
use tokio::sync::{mpsc, watch};

use crate::fixture::{MemoryChain, domain, eventually, keys, now_ms, params, set_of};

type Mailboxes = Arc<Mutex<Vec<(Address, mpsc::Sender<Incoming>)>>>;

/// Delivers every broadcast to all others.
struct Wires {
    me: Address,
    all: Mailboxes,
    /// Who judged whose message to be bad.
    bad: Arc<Mutex<Vec<(Address, Address)>>>,
}

impl BatchNetwork for Wires {
    fn broadcast(&self, message: BatchMessage) {
        for (peer, mailbox) in self.all.lock().iter().filter(|(address, _)| *address != self.me) {
            let (judge, author, bad) = (*peer, self.me, self.bad.clone());
            let judge = Box::new(move |verdict| {
                if verdict == Verdict::Bad {
                    bad.lock().push((judge, author));
                }
            });
            // A full queue drops, as on a real network.
            let _ = mailbox.try_send(Incoming { message: message.clone(), judge });
        }
    }
}

/// Accepts what the contract accepts, tells everyone.
struct Registry {
    domain: Domain,
    set: SequencerSet,
    accepted: Mutex<Vec<CertifiedBatch>>,
    refused: Mutex<Vec<String>>,
    listeners: Mutex<Vec<mpsc::Sender<L1BatchEvent>>>,
}

impl Registry {
    async fn tell(&self, event: L1BatchEvent) {
        let listeners = self.listeners.lock().clone();
        for listener in listeners {
            let _ = listener.send(event.clone()).await;
        }
    }

    fn accept(&self, batch: &CertifiedBatch) -> Result<(), String> {
        let mut accepted = self.accepted.lock();
        let tip = accepted.last().map_or(ParentBatch::default(), |last| ParentBatch::from(&last.header));
        if (batch.header.index, batch.header.parentHash) != (tip.index + 1, tip.hash) {
            return Err("wrong parent".into());
        }
        batch.certificate.verify(&self.domain, &batch.header, &self.set).map_err(|error| error.to_string())?;
        accepted.push(batch.clone());
        Ok(())
    }

    async fn reorg(&self) -> CertifiedBatch {
        let dropped = self.accepted.lock().pop().unwrap();
        self.tell(L1BatchEvent::Dropped(dropped.header.clone())).await;
        dropped
    }

    fn ranges(&self) -> Vec<(u64, u64)> {
        self.accepted.lock().iter().map(|batch| (batch.header.firstHeight, batch.header.lastHeight)).collect()
    }
}

#[async_trait::async_trait]
impl BatchL1 for Registry {
    async fn submit(&self, batch: &CertifiedBatch) -> Result<(), SubmitError> {
        match self.accept(batch) {
            Ok(()) => {
                self.tell(L1BatchEvent::Included(batch.header.clone())).await;
                Ok(())
            }
            Err(error) => {
                self.refused.lock().push(error.clone());
                Err(SubmitError::Refused(error))
            }
        }
    }
}

struct Net {
    chain: Arc<MemoryChain>,
    registry: Arc<Registry>,
    bad: Arc<Mutex<Vec<(Address, Address)>>>,
    members: Vec<Address>,
    statuses: Vec<watch::Receiver<BatcherStatus>>,
    _folders: Vec<tempfile::TempDir>,
}

/// Starts batchers for those of four members that are not `down`; `faulty` alters its proposals.
fn start(down: &[usize], faulty: Option<(usize, AlterProposal)>) -> Net {
    let keys = keys(4);
    let set = set_of(&keys, &[1; 4]);
    let chain = MemoryChain::new(params(), set.clone());
    let registry = Arc::new(Registry {
        domain: domain(),
        set,
        accepted: Mutex::default(),
        refused: Mutex::default(),
        listeners: Mutex::default(),
    });
    let (all, bad) = (Mailboxes::default(), Arc::new(Mutex::new(Vec::new())));
    let mut statuses = Vec::new();
    let mut folders = Vec::new();
    for (at, key) in keys.iter().enumerate().filter(|(at, _)| !down.contains(at)) {
        let (sender, incoming) = mpsc::channel(64);
        let (listener, l1_events) = mpsc::channel(64);
        let me = address_of(key);
        all.lock().push((me, sender));
        registry.listeners.lock().push(listener);
        let folder = tempfile::tempdir().unwrap();
        let config = BatcherConfig {
            params: params(),
            domain: domain(),
            da: DataAvailability::Calldata,
            post_timeout_ms: 600,
            folder: folder.path().into(),
            parent: ParentBatch::default(),
            alter_proposal: faulty.and_then(|(index, alter)| (index == at).then_some(alter)),
        };
        let ports = BatcherPorts {
            chain: chain.clone(),
            network: Arc::new(Wires { me, all: all.clone(), bad: bad.clone() }),
            l1: Some(registry.clone()),
            incoming,
            l1_events,
            head: chain.head_changes(),
            evidence: mpsc::channel(64).0,
        };
        let (status, receiver) = watch::channel(BatcherStatus::default());
        let key = key.clone();
        tokio::spawn(async move {
            let ended = Batcher::run(config, vec![key], ports, status).await;
            eprintln!("batcher {at} ended: {ended:?}");
        });
        statuses.push(receiver);
        folders.push(folder);
    }
    let members = keys.iter().map(address_of).collect();
    Net { chain, registry, bad, members, statuses, _folders: folders }
}

impl Net {
    fn grow(&self, blocks: u64) {
        for _ in 0..blocks {
            self.chain.push(now_ms(), L1Origin::default(), vec![], 1);
        }
    }

    async fn posted_through(&self, height: u64) {
        let done = || async { self.registry.ranges().last().is_some_and(|range| range.1 >= height).then_some(()) };
        eventually("blocks posted", done).await;
    }
}

fn check_consecutive(ranges: &[(u64, u64)]) {
    let mut next = 1;
    for (first, last) in ranges {
        assert_eq!(*first, next);
        next = last + 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_batchers_post_the_chain() {
    let net = start(&[], None);
    for _ in 0..3 {
        let height = net.chain.head().unwrap().0 + 3;
        net.grow(3);
        net.posted_through(height).await;
        net.chain.set_leader(net.members[(height % 4) as usize]);
    }
    check_consecutive(&net.registry.ranges());
    assert_eq!(*net.bad.lock(), []);
    for status in &net.statuses {
        eventually("status", || async { (status.borrow().tip.last_height == 9).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_in_rotation_posts_when_the_leader_is_down() {
    let net = start(&[0], None);
    net.grow(4);
    net.posted_through(4).await;
    check_consecutive(&net.registry.ranges());
}

/// The set of the next epoch has nobody of theirs, and cannot propose what is left of this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_lead_no_more_post_their_last_batch() {
    let net = start(&[], None);
    net.chain.replace_leaders(vec![Address::repeat_byte(0xaa)]);
    net.grow(3);
    net.posted_through(3).await;
    check_consecutive(&net.registry.ranges());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_four_are_not_enough() {
    let net = start(&[0, 1], None);
    net.grow(2);
    tokio::time::timeout(Duration::from_secs(2), net.posted_through(2)).await.unwrap_err();
    assert_eq!(net.registry.refused.lock().len(), 0, "nothing is posted without a certificate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_batch_gets_no_honest_signature() {
    let alter: AlterProposal = |blocks| {
        if let Some(block) = blocks.first_mut() {
            block.timestamp_ms = block.timestamp_ms.saturating_sub(1);
        }
    };
    let net = start(&[], Some((0, alter)));
    net.grow(3);
    net.posted_through(3).await;
    let refused = net.registry.refused.lock().clone();
    assert!(refused.iter().any(|error| error.contains("not more than two thirds")), "{refused:?}");
    let (faulty, accepted) = (net.members[0], net.registry.accepted.lock().clone());
    let bad = net.bad.lock().clone();
    assert!(bad.iter().all(|(_, author)| *author == faulty));
    let judges: std::collections::BTreeSet<_> = bad.iter().map(|(judge, _)| *judge).collect();
    assert_eq!(judges.len(), 3, "all honest members saw it");
    assert!(net.statuses[1].borrow().last_refusal.as_ref().is_some_and(|text| text.contains("block 1 differs")));
    check_consecutive(&accepted.iter().map(|b| (b.header.firstHeight, b.header.lastHeight)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_batch_is_posted_again_unchanged() {
    let net = start(&[], None);
    net.grow(3);
    net.posted_through(3).await;
    let dropped = net.registry.reorg().await;
    net.grow(2);
    net.posted_through(5).await;
    check_consecutive(&net.registry.ranges());
    let again = net.registry.accepted.lock()[dropped.header.index as usize - 1].clone();
    assert_eq!((again.header, again.certificate.bitmap), (dropped.header, dropped.certificate.bitmap));
}
