//! A member that leaves the set: the last batch of its last epoch needs its signature after it has left.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use batcher::{
    Batcher, BatcherConfig, BatcherPorts, BatcherStatus, CertifiedBatch, DataAvailability, ParentBatch,
    ports::{BatchL1, SubmitError},
};
use l1::{FinalBlock, Snapshot};
use network::{BatchSignature, HeadStatus, Network, NetworkConfig, NetworkEvent, PeerLimits, Verdict};
use protocol::{
    BatchIndex, CompactSignature, Genesis, Height, L1Origin, Member, SequencerSet, SnapshotId, Weight, genesis::Params,
};
use rpc::RpcConfig;
use store::StoreConfig;
use tokio::sync::{mpsc, watch};

use super::chain::{account, genesis, key, start_with};
use crate::{
    batches::{BatchGossip, ChainView},
    peers::Peers,
};

/// The L1 block of the snapshot that names one member less.
const CHANGE: u64 = 77;

struct Posted(mpsc::Sender<CertifiedBatch>);

#[async_trait::async_trait]
impl BatchL1 for Posted {
    async fn submit(&self, batch: &CertifiedBatch) -> Result<(), SubmitError> {
        self.0.send(batch.clone()).await.map_err(|_| SubmitError::Temporary("the test is over".to_owned()))
    }
}

fn set(snapshot: u64, members: &[u8]) -> SequencerSet {
    let member = |index: &u8| Member { signer: account(*index), weight: Weight(20_000) };
    let mut members: Vec<Member> = members.iter().map(member).collect();
    members.sort_by_key(|member| member.signer);
    SequencerSet::new(SnapshotId(snapshot), members).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_batch_of_an_epoch_is_certified_by_those_who_leave_with_it() {
    let params = Params { epoch_blocks: 4, turn_blocks: 2, batch_interval_ms: 100, ..Params::default() };
    let own_set = set(1, &[1, 2, 3]);
    let genesis = Genesis { set: own_set.clone(), params: params.clone(), ..genesis() };
    let (domain, left) = (genesis.domain(), account(3));
    let node = start_with(RpcConfig::default(), genesis, StoreConfig::default()).await;
    let chain = node.chain.clone();
    let snapshot = Snapshot { set: set(2, &[1, 2]), seed: B256::ZERO, operators: Vec::new(), l1_number: CHANGE };
    chain.finals().insert(Arc::new(FinalBlock {
        origin: L1Origin { number: CHANGE, ..chain.genesis().origin },
        parent: chain.genesis().origin.hash,
        deposits: Vec::new(),
        snapshots: vec![snapshot.clone()],
        batches: Vec::new(),
    }));
    chain.epochs().on_final([snapshot], CHANGE);
    // Epochs 0 and 1; the set of epoch 2 follows from the last block of epoch 0.
    for _ in 1..=8 {
        node.mine(&[]).await;
    }
    chain.store().set_safe(4).unwrap();
    let next = chain.epochs().leadership(&chain.head().header).unwrap();
    assert!(!next.leaders.contains(&left), "height 9 is the smaller set's");

    let config = |seed, bootnodes| NetworkConfig {
        listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
        bootnodes,
        keypair: network::keypair([seed; 32]).unwrap(),
        binding: None,
        chain: B256::repeat_byte(0xc0),
        domain: domain.clone(),
        heads: HeadStatus { height: Height(8), hash: B256::ZERO, safe: Height(4) },
        members: [account(1)].into(),
        limits: PeerLimits::default(),
    };
    let (ours, events) = Network::start(config(1, Vec::new())).await.unwrap();
    let (theirs, mut heard) = Network::start(config(2, ours.listen_addresses().to_vec())).await.unwrap();
    let (batches, incoming) = mpsc::channel(16);
    let peers = Peers {
        network: ours.clone(),
        chain: chain.clone(),
        transactions: node.transactions.clone(),
        open: node.open.clone(),
        vitals: node.vitals.clone(),
        batches: Some(batches),
        sync: None,
    };
    let ((_outgoing, outgoing), (_announcements, announcements)) = (mpsc::channel(1), mpsc::channel(1));
    tokio::spawn(peers.run(events, outgoing, announcements));

    let folder = tempfile::tempdir().unwrap();
    let config = BatcherConfig {
        params,
        domain: domain.clone(),
        da: DataAvailability::Calldata,
        post_timeout_ms: 200,
        folder: folder.path().into(),
        parent: ParentBatch { index: 1, hash: B256::repeat_byte(1), last_height: 4, deposit_count: 0 },
        alter_proposal: None,
    };
    let (posted, mut posts) = mpsc::channel(1);
    let (_l1, l1_events) = mpsc::channel(1);
    let (_head, head) = watch::channel(Height(8));
    let ports = BatcherPorts {
        chain: Arc::new(ChainView(chain)),
        network: Arc::new(BatchGossip::new(ours)),
        l1: Some(Arc::new(Posted(posted))),
        incoming,
        l1_events,
        head,
        evidence: mpsc::channel(1).0,
    };
    tokio::spawn(Batcher::run(config, vec![key(1)], ports, watch::channel(BatcherStatus::default()).0));

    // The two others sign what they are asked to; of three equal members none may be missing.
    let digest = domain.clone();
    tokio::spawn(async move {
        while let Some(event) = heard.recv().await {
            let NetworkEvent::BatchProposal { token, proposal, .. } = event else { continue };
            theirs.report(token, Verdict::Accept).unwrap();
            let (index, hash) = (BatchIndex(proposal.header.index), proposal.header.hash());
            for signer in [2, 3] {
                let signature = CompactSignature::sign(&key(signer), &digest.digest(&proposal.header)).unwrap();
                theirs.publish_signature(BatchSignature { index, hash, signature }).unwrap();
            }
        }
    });
    let batch = tokio::time::timeout(Duration::from_secs(20), posts.recv()).await.expect("nothing is posted").unwrap();
    assert_eq!((batch.header.firstHeight, batch.header.lastHeight), (5, 8));
    batch.certificate.verify(&domain, &batch.header, &own_set).unwrap();
}
