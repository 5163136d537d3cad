//! Whole engines in one process, over loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod toy;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use consensus::{Config, EngineError, Handle, RecordError, Stopped, Timing, start};
use k256::ecdsa::SigningKey;
use protocol::signing::address_of;
use protocol::{Domain, Member, SequencerSet, SnapshotId, Weight};
use toy::{Lie, ToyChain};

/// Longest wait for anything; a healthy run is far below.
const LIMIT: Duration = Duration::from_secs(20);

struct Node {
    config: Config,
    chain: Arc<ToyChain>,
    handle: Option<Handle>,
}

impl Node {
    fn signer(&self) -> Address {
        address_of(&self.config.key)
    }

    async fn start(&mut self) {
        self.chain.slices.lock().unwrap().clear();
        self.handle = Some(start(self.config.clone(), self.chain.clone()).await.unwrap());
    }

    async fn stop(&mut self) {
        let stopped = self.handle.take().unwrap().stop().await;
        assert!(matches!(stopped, Stopped::Requested), "{stopped:?}");
    }
}

struct Cluster {
    nodes: Vec<Node>,
    _folder: tempfile::TempDir,
}

struct Shape {
    weights: Vec<u64>,
    turn_blocks: u64,
    payload_bytes: usize,
    timing: Timing,
}

/// Timeouts with room for two busy cores.
const TIMING: Timing = Timing {
    block_interval: Duration::ZERO,
    propose_timeout: Duration::from_millis(400),
    vote_timeout: Duration::from_millis(150),
};

impl Cluster {
    fn new(shape: &Shape) -> Self {
        // RUST_LOG shows what the engines do; without it they are silent.
        let _ = tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).try_init();
        let folder = tempfile::tempdir().unwrap();
        let domain = Domain::new(900, Address::repeat_byte(0x55));
        let mut keys: Vec<SigningKey> =
            (1..=shape.weights.len()).map(|byte| SigningKey::from_slice(&[byte as u8; 32]).unwrap()).collect();
        keys.sort_by_key(address_of);
        let members = keys.iter().zip(&shape.weights);
        let members =
            members.map(|(key, weight)| Member { signer: address_of(key), weight: Weight(*weight) }).collect();
        let set = SequencerSet::new(SnapshotId(1), members).unwrap();
        // All are bound at once so that no two get the same port.
        let sockets: Vec<_> = keys.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<String> =
            sockets.iter().map(|s| format!("/ip4/127.0.0.1/tcp/{}", s.local_addr().unwrap().port())).collect();
        drop(sockets);
        let nodes = keys.into_iter().enumerate().map(|(at, key)| {
            let own = address_of(&key);
            let others = addresses.iter().enumerate().filter(|(other, _)| *other != at);
            let config = Config {
                data_folder: folder.path().join(at.to_string()),
                listen: addresses[at].parse().unwrap(),
                peers: others.map(|(_, address)| address.parse().unwrap()).collect(),
                moniker: format!("node{at}"),
                key,
                domain: domain.clone(),
                timing: shape.timing,
                equivocate: None,
            };
            let chain = ToyChain::new(
                own,
                set.clone(),
                domain.clone(),
                shape.turn_blocks,
                shape.payload_bytes,
                shape.timing.block_interval,
            );
            Node { config, chain, handle: None }
        });
        Self { nodes: nodes.collect(), _folder: folder }
    }

    async fn started(shape: &Shape) -> Self {
        let mut cluster = Self::new(shape);
        for node in &mut cluster.nodes {
            node.start().await;
        }
        cluster
    }

    async fn reach(&self, height: u64) {
        for node in self.nodes.iter().filter(|node| node.handle.is_some()) {
            node.chain.reaches(height, LIMIT).await;
        }
    }

    /// All nodes have the same blocks as far as each goes.
    fn assert_equal(&self, height: u64) {
        let reference = self.nodes.iter().map(|node| node.chain.blocks()).max_by_key(Vec::len).unwrap();
        for node in &self.nodes {
            let blocks = node.chain.blocks();
            assert!(blocks.len() as u64 >= height, "{} has {} blocks", node.config.moniker, blocks.len());
            for (ours, theirs) in blocks.iter().zip(&reference) {
                assert_eq!(ours.hash, theirs.hash, "two blocks at height {}", ours.header.height);
            }
        }
    }

    async fn stop(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.handle.is_some()) {
            node.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_engines_decide_the_same_blocks() {
    let shape = Shape { weights: vec![1; 4], turn_blocks: 5, payload_bytes: 100, timing: TIMING };
    let mut cluster = Cluster::started(&shape).await;
    cluster.reach(5).await;
    let begin = Instant::now();
    cluster.reach(45).await;
    let rate = 40.0 / begin.elapsed().as_secs_f64();
    cluster.stop().await;
    cluster.assert_equal(45);
    let blocks = cluster.nodes[0].chain.blocks();
    let late = blocks.iter().filter(|block| block.certificate.round.0 > 0).count();
    println!("heights/s: {rate:.1}, heights with a second round: {late}");
    let leaders: std::collections::BTreeSet<_> = blocks.iter().map(|block| block.header.leader).collect();
    assert_eq!(leaders.len(), 4, "everybody has had a turn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_blocks_travel_in_slices() {
    let shape = Shape { weights: vec![1; 4], turn_blocks: 5, payload_bytes: 1 << 20, timing: TIMING };
    let mut cluster = Cluster::started(&shape).await;
    cluster.reach(2).await;
    let begin = Instant::now();
    cluster.reach(12).await;
    println!("1 MiB blocks: {:.0} ms a height", begin.elapsed().as_millis() as f64 / 10.0);
    cluster.stop().await;
    cluster.assert_equal(12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_costs_one_timeout_a_turn_and_returns() {
    let timing = Timing { block_interval: Duration::from_millis(50), ..TIMING };
    let shape = Shape { weights: vec![1; 4], turn_blocks: 10, payload_bytes: 100, timing };
    let mut cluster = Cluster::started(&shape).await;
    cluster.reach(3).await;
    let leader = cluster.nodes[0].chain.next_leader();
    let dead = cluster.nodes.iter().position(|node| node.signer() == leader).unwrap();
    cluster.nodes[dead].stop().await;
    let killed_at = cluster.nodes[dead].chain.blocks().len() as u64;

    // A whole rotation: the rest of this turn, and the dead node's own next turn.
    let end = killed_at + 45;
    cluster.reach(end).await;
    let alive = (dead + 1) % 4;
    let blocks = cluster.nodes[alive].chain.blocks();
    let late: Vec<u64> = blocks
        .iter()
        .filter(|block| block.header.height > killed_at && block.certificate.round.0 > 0)
        .map(|block| block.header.height)
        .collect();
    let gaps = blocks.windows(2).skip(3).map(|pair| pair[1].at.duration_since(pair[0].at));
    println!("failover gap: {:?}, heights with a second round: {late:?}", gaps.max().unwrap());
    assert!((1..=4).contains(&late.len()), "one timeout per dead turn, not per height: {late:?}");

    cluster.nodes[dead].start().await;
    let tip = cluster.nodes[alive].chain.blocks().len() as u64;
    let begin = Instant::now();
    cluster.nodes[dead].chain.reaches(tip, LIMIT).await;
    println!("caught up {} blocks in {:?}", tip - killed_at, begin.elapsed());
    let from = cluster.nodes[alive].chain.blocks().len();
    let mut height = from;
    while !cluster.nodes[alive].chain.blocks()[from..].iter().any(|block| block.header.leader == leader) {
        assert!(height < from + 120, "the returned node has not led in three rotations");
        height += 1;
        cluster.nodes[alive].chain.reaches(height as u64, LIMIT).await;
    }
    cluster.stop().await;
    cluster.assert_equal(tip);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weight_decides_not_heads() {
    let shape = Shape { weights: vec![5, 10, 20, 100], turn_blocks: 3, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::started(&shape).await;
    cluster.reach(3).await;
    // 105 of 135 is enough without the two in the middle.
    cluster.nodes[1].stop().await;
    cluster.nodes[2].stop().await;
    let height = cluster.nodes[3].chain.blocks().len() as u64 + 6;
    cluster.reach(height).await;
    // 35 of 135 are three heads and not enough: nothing moves until the heavy one is back.
    cluster.nodes[1].start().await;
    cluster.nodes[2].start().await;
    cluster.nodes[1].chain.reaches(height, LIMIT).await;
    cluster.nodes[2].chain.reaches(height, LIMIT).await;
    cluster.nodes[3].stop().await;
    let stuck = cluster.nodes[0].chain.blocks().len() as u64;
    let moved =
        tokio::time::timeout(TIMING.propose_timeout * 3, cluster.nodes[0].chain.reaches(stuck + 2, LIMIT)).await;
    assert!(moved.is_err(), "decided without a quorum");
    cluster.nodes[3].start().await;
    cluster.reach(stuck + 5).await;
    cluster.stop().await;
    cluster.assert_equal(stuck + 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_stops_and_starts_again() {
    let shape = Shape { weights: vec![1; 4], turn_blocks: 5, payload_bytes: 100, timing: TIMING };
    let mut cluster = Cluster::started(&shape).await;
    let mut height = 0;
    for _ in 0..3 {
        height += 7;
        cluster.reach(height).await;
        cluster.stop().await;
        height = cluster.nodes.iter().map(|node| node.chain.blocks().len() as u64).max().unwrap();
        for node in &mut cluster.nodes {
            node.start().await;
        }
    }
    cluster.reach(height + 7).await;
    cluster.stop().await;
    cluster.assert_equal(height + 7);
}

/// Slices left, the block was never finished: after a restart that place is never used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stopped_in_mid_block_leaves_the_round() {
    let shape = Shape { weights: vec![1], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::new(&shape);
    let node = &mut cluster.nodes[0];
    *node.chain.stall_at.lock().unwrap() = Some(3);
    node.start().await;
    node.chain.reaches(2, LIMIT).await;
    let begin = Instant::now();
    while !node.chain.sent.lock().unwrap().iter().any(|slice| slice.height.0 == 3) {
        assert!(begin.elapsed() < LIMIT, "nothing was streamed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    node.stop().await;
    *node.chain.stall_at.lock().unwrap() = None;
    node.start().await;
    node.chain.reaches(5, LIMIT).await;
    node.stop().await;
    assert!(node.chain.blocks()[2].certificate.round.0 > 0, "the round with half a block was used again");
    let mut places = std::collections::BTreeMap::new();
    for slice in node.chain.sent.lock().unwrap().iter() {
        let before = places.insert((slice.height, slice.round, slice.index), slice.body.clone());
        assert!(before.is_none_or(|before| before == slice.body), "two slices at one place");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_could_not_be_checked_is_checked_again_in_the_next_round() {
    let shape = Shape { weights: vec![1; 2], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::new(&shape);
    for node in &mut cluster.nodes {
        *node.chain.blind.lock().unwrap() = (3, 1);
        node.start().await;
    }
    cluster.reach(4).await;
    cluster.stop().await;
    let is_found_valid_later = cluster.nodes.iter().any(|node| {
        let checked = node.chain.checked.lock().unwrap();
        let unable = checked.iter().find(|(height, _, valid)| *height == 3 && !valid);
        unable.is_some_and(|(_, hash, _)| checked.contains(&(3, *hash, true)))
    });
    assert!(is_found_valid_later);
}

/// The log decides a block at once after a start, when the application may not see what the block needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decided_block_is_waited_for_until_it_can_be_checked() {
    let shape = Shape { weights: vec![1], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::new(&shape);
    let node = &mut cluster.nodes[0];
    *node.chain.hang_at.lock().unwrap() = Some(3);
    node.start().await;
    node.chain.hangs(LIMIT).await;
    node.stop().await;
    *node.chain.hang_at.lock().unwrap() = None;
    *node.chain.blind.lock().unwrap() = (3, 4);
    node.start().await;
    node.chain.reaches(4, LIMIT).await;
    node.stop().await;
    assert_eq!(
        node.chain.checked.lock().unwrap().iter().filter(|(height, _, valid)| *height == 3 && !valid).count(),
        4
    );
}

/// An entry of the proposal log.
#[derive(RlpEncodable, RlpDecodable)]
struct Logged {
    height: u64,
    round: u32,
    leader: Address,
    hash: B256,
    block: Bytes,
    slices: Vec<Bytes>,
}

/// A node alone that stopped with block 3 decided but not committed, its block and the log's entry.
async fn stopped_while_deciding(cluster: &mut Cluster) -> (Bytes, Logged) {
    let node = &mut cluster.nodes[0];
    *node.chain.hang_at.lock().unwrap() = Some(3);
    node.start().await;
    node.chain.hangs(LIMIT).await;
    node.stop().await;
    *node.chain.hang_at.lock().unwrap() = None;
    let log = std::fs::read(node.config.data_folder.join("proposals.log")).unwrap();
    let logged = Logged::decode(&mut &log[36..]).unwrap();
    let block = node.chain.sent_block(3);
    assert_eq!((logged.height, Some(logged.hash)), (3, consensus::slices::block_hash(&block)));
    (block, logged)
}

fn log_more(node: &Node, entries: impl IntoIterator<Item = Logged>) {
    let path = node.config.data_folder.join("proposals.log");
    let mut log = std::fs::read(&path).unwrap();
    for entry in entries {
        let entry = alloy_rlp::encode(&entry);
        log.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        log.extend_from_slice(keccak256(&entry).as_slice());
        log.extend_from_slice(&entry);
    }
    std::fs::write(&path, log).unwrap();
}

/// What came last under the header of the block that was voted for is another body: it was written while it was being refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_body_in_the_log_takes_no_block_s_place() {
    let shape = Shape { weights: vec![1], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::new(&shape);
    let (block, logged) = stopped_while_deciding(&mut cluster).await;
    let node = &mut cluster.nodes[0];
    log_more(node, [Logged { block: Lie::Body.about(&block), slices: Vec::new(), ..logged }]);
    node.start().await;
    node.chain.reaches(4, LIMIT).await;
    node.stop().await;
}

/// Dozens of rounds failed after the one whose block is decided in the end, as in a partition that heals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_made_room_for_others_can_still_be_decided() {
    let shape = Shape { weights: vec![1], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::new(&shape);
    let (block, logged) = stopped_while_deciding(&mut cluster).await;
    let Logged { height, leader, hash, .. } = logged;
    let node = &mut cluster.nodes[0];
    let others = (1..40).map(|round| {
        let block = toy::later(&block, u64::from(round));
        let hash = consensus::slices::block_hash(&block).unwrap();
        Logged { height, round, leader, hash, block, slices: Vec::new() }
    });
    log_more(node, others);
    node.start().await;
    node.chain.reaches(4, LIMIT).await;
    node.stop().await;
    assert_eq!(node.chain.blocks()[2].hash, hash);
}

/// Two of three peers tell a false history: it costs them their standing, and the node nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_history_is_held_against_its_teller() {
    for lie in [Lie::Body, Lie::Header] {
        let shape = Shape { weights: vec![1; 4], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
        let mut cluster = Cluster::started(&shape).await;
        cluster.reach(3).await;
        cluster.nodes[3].stop().await;
        let tip = cluster.nodes[0].chain.blocks().len() as u64 + 40;
        cluster.reach(tip).await;
        for liar in &cluster.nodes[..2] {
            *liar.chain.lie.lock().unwrap() = Some(lie);
        }
        cluster.nodes[3].start().await;
        cluster.nodes[3].chain.reaches(tip, LIMIT).await;
        // At the head a block may be checked that is just being committed.
        let checked = cluster.nodes[3].chain.checked.lock().unwrap().clone();
        let refused = checked.iter().filter(|(height, _, valid)| *height < tip && !valid).count();
        let told: usize = cluster.nodes[..2].iter().map(|node| node.chain.lies.load(Ordering::Relaxed)).sum();
        println!("{lie:?}: {told} blocks told falsely, {refused} executed in vain");
        assert_eq!(refused, 0, "a false block was executed");
        cluster.stop().await;
        cluster.assert_equal(tip);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_and_a_lost_log_are_refused() {
    let shape = Shape { weights: vec![1], turn_blocks: 5, payload_bytes: 10, timing: TIMING };
    let mut cluster = Cluster::started(&shape).await;
    cluster.reach(3).await;
    let node = &mut cluster.nodes[0];
    let second = start(node.config.clone(), node.chain.clone()).await;
    assert!(matches!(second, Err(EngineError::Lock(_))), "{second:?}");
    node.stop().await;

    // The same folder, but a chain that was restored from an older copy.
    let older = ToyChain::new(
        node.signer(),
        node.chain.set().clone(),
        node.config.domain.clone(),
        5,
        10,
        TIMING.block_interval,
    );
    let ahead = start(node.config.clone(), older).await;
    assert!(matches!(ahead, Err(EngineError::Record(RecordError::AheadOfLog { head: 0, .. }))), "{ahead:?}");
    // With its own chain it goes on.
    node.start().await;
    cluster.reach(6).await;
    cluster.stop().await;
}
