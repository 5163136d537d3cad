//! The whole path on a real L1: deployment, certified batches in blobs and calldata, a reorg, and the chain derived back.

use std::time::Duration;

use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::anvil::ReorgOptions;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;
use batcher::ports::{BatchL1, L1BatchEvent, SubmitError};
use batcher::{
    BatchPipeline, BatchSignature, CertifiedBatch, DataAvailability, DerivedBatch, Gatherer, L1Follower, ParentBatch,
    RegistryPoster, build_batch,
};
use derivation::DerivationTip;
use k256::ecdsa::SigningKey;
use l1::contracts::{DevnetMetis, Portal};
use l1::deploy::{DeployConfig, Deployment, OperatorConfig, deploy};
use l1::{
    BeaconBlobs, FinalBlocks, L1Call, L1Client, L1Event, L1Reader, L1Watcher, SenderConfig, SlotClock,
    TransactionSender, WatchConfig,
};
use protocol::genesis::Params;
use protocol::signing::address_of;
use protocol::{BatchIndex, Domain, Height};
use tokio::sync::mpsc;

use crate::anvil::{Anvil, RICH_KEY};
use crate::fixture::{MemoryChain, keys, params, sign};

struct Network {
    anvil: Anvil,
    client: L1Client,
    deployment: Deployment,
    keys: Vec<SigningKey>,
    domain: Domain,
    sender: TransactionSender,
}

impl Network {
    async fn start() -> Self {
        let anvil = Anvil::start(&[]);
        let client = anvil.client();
        let rich: PrivateKeySigner = RICH_KEY.parse().unwrap();
        let keys = keys(4);
        let operator = |key: &SigningKey| OperatorConfig {
            owner: PrivateKeySigner::random(),
            signer: address_of(key),
            recipient: Address::repeat_byte(9),
            stake: 20_000,
        };
        let config = DeployConfig::devnet(keys.iter().map(operator).collect(), rich.address());
        let deployment = deploy(&client, &rich, &config).await.unwrap();
        let domain = Domain::new(deployment.contracts.chain_id, deployment.contracts.staking);
        let config = SenderConfig { poll_interval: Duration::from_millis(20), ..SenderConfig::default() };
        let sender = TransactionSender::spawn(client.clone(), rich, config);
        Self { anvil, client, deployment, keys, domain, sender }
    }

    fn poster(&self) -> RegistryPoster {
        RegistryPoster::new(self.sender.clone(), self.deployment.contracts.batch_registry)
    }

    fn reader(&self) -> L1Reader {
        L1Reader::new(self.client.clone(), self.deployment.contracts.clone())
    }

    fn watch(&self) -> (mpsc::Receiver<L1Event>, FinalBlocks) {
        self.watch_into(FinalBlocks::default())
    }

    fn watch_into(&self, finals: FinalBlocks) -> (mpsc::Receiver<L1Event>, FinalBlocks) {
        let origin = self.deployment.origin;
        let poll_interval = Duration::from_millis(30);
        let config = WatchConfig { start: origin.number + 1, parent: Some(origin.hash), poll_interval, needed: None };
        let (watcher, _view, events) = L1Watcher::new(self.reader(), config, finals.clone());
        tokio::spawn(watcher.run());
        (events, finals)
    }

    async fn mine(&self, blocks: u64) {
        self.client.provider().anvil_mine(Some(blocks), None).await.unwrap();
    }

    /// A METIS deposit; returns the number of its L1 block.
    async fn deposit(&self) -> u64 {
        let contracts = &self.deployment.contracts;
        let amount = U256::from(1_000_000_000_000_000_000u128);
        let owner = self.sender.address();
        let send =
            |to, input: Vec<u8>| self.sender.send(L1Call { to: Some(to), input: input.into(), ..Default::default() });
        send(contracts.metis, DevnetMetis::mintCall { to: owner, amount }.abi_encode()).await.unwrap();
        let approve = DevnetMetis::approveCall { spender: contracts.portal, value: amount };
        send(contracts.metis, approve.abi_encode()).await.unwrap();
        let deposit = Portal::depositERC20TransactionCall {
            to: Address::repeat_byte(0x42),
            mint: amount,
            value: amount,
            gasLimit: 100_000,
            isCreation: false,
            data: Bytes::new(),
        };
        send(contracts.portal, deposit.abi_encode()).await.unwrap().block_number.unwrap()
    }

    /// A batch of the chain after `parent`, signed by the first `signers` members.
    fn certified(
        &self,
        chain: &MemoryChain,
        params: &Params,
        parent: &ParentBatch,
        da: DataAvailability,
        signers: usize,
    ) -> CertifiedBatch {
        let plan = build_batch(chain, params, parent, da, None).unwrap();
        let mut gatherer = Gatherer::new(self.domain.clone());
        gatherer.open(plan.header.clone(), da, plan.channel, self.deployment.snapshot.set.clone());
        let batch = plan.header.hash();
        for key in &self.keys[..signers] {
            let signature = sign(key, self.domain.digest(&plan.header));
            let index = BatchIndex(plan.header.index);
            gatherer.add(&BatchSignature { index, batch, signer: address_of(key), signature });
        }
        gatherer.partial(batch).unwrap()
    }
}

/// Events up to and including the first that matches.
async fn until(events: &mut mpsc::Receiver<L1Event>, seen: &mut Vec<L1Event>, matches: impl Fn(&L1Event) -> bool) {
    let deadline = Duration::from_secs(60);
    loop {
        let event = tokio::time::timeout(deadline, events.recv()).await.expect("event in time").expect("watcher lives");
        let found = matches(&event);
        seen.push(event);
        if found {
            return;
        }
    }
}

fn is_final(number: u64) -> impl Fn(&L1Event) -> bool {
    move |event| matches!(event, L1Event::Final(block) if block.origin.number >= number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certified_batches_reach_l1_and_come_back() {
    let network = Network::start().await;
    assert_eq!(network.deployment.snapshot.set.members().len(), 4);
    let (mut events, finals) = network.watch();
    let deposited = network.deposit().await;
    network.mine(6).await;
    let mut seen = Vec::new();
    until(&mut events, &mut seen, is_final(deposited)).await;
    // Final L1 blocks into L2 blocks, as a leader would: the deposit goes into the block whose origin passes it.
    let params = Params { max_origin_advance: 1_000, ..params() };
    let chain = MemoryChain::new(params.clone(), network.deployment.snapshot.set.clone());
    let start = network.deployment.origin;
    let block = finals.get(deposited).unwrap();
    assert_eq!(block.deposits.len(), 1);
    chain.push(start.timestamp * 1_000, start, vec![], 2);
    chain.push(start.timestamp * 1_000 + 500, block.origin, block.deposits.clone(), 3);
    let first = network.certified(&chain, &params, &ParentBatch::default(), DataAvailability::Blobs, 3);
    network.poster().submit(&first).await.unwrap();
    chain.push(start.timestamp * 1_000 + 900, block.origin, vec![], 1);
    let second = network.certified(&chain, &params, &ParentBatch::from(&first.header), DataAvailability::Calldata, 4);
    network.poster().submit(&second).await.unwrap();
    until(&mut events, &mut seen, |event| matches!(event, L1Event::BatchIncluded(batch) if batch.header.index == 2))
        .await;
    let blobs = BeaconBlobs::new(&network.anvil.url, SlotClock::ExecutionNumber, Duration::from_secs(20)).unwrap();
    let tip = DerivationTip { height: Height(0), timestamp_ms: 0, origin: start.number, sequence_number: 0 };
    let pipeline = BatchPipeline::new(params, tip);
    let mut follower = L1Follower::new(network.reader(), blobs, finals, pipeline, ParentBatch::default());
    let mut derived: Vec<DerivedBatch> = Vec::new();
    for event in &seen {
        derived.extend(follower.on_event(event).await.unwrap());
    }
    assert_eq!(derived.iter().map(|batch| &batch.header).collect::<Vec<_>>(), [&first.header, &second.header]);
    assert_eq!(seen_batches(&seen), [(first.header.hash(), true), (second.header.hash(), false)]);
    for block in derived.iter().flat_map(|batch| &batch.blocks) {
        let own = batcher::ports::ChainReader::block(chain.as_ref(), block.height).unwrap().unwrap();
        assert_eq!(block.attributes.timestamp_ms, protocol::block::timestamp_ms(&own.header));
        assert_eq!(block.attributes.origin.hash, own.origin_hash);
        assert_eq!(block.attributes.deposits.len() as u64, own.deposits);
        assert_eq!(block.transactions, own.transactions[1 + own.deposits as usize..]);
    }
    // The same again from a restarted reader, by range.
    let head = network.client.provider().get_block_number().await.unwrap();
    let reader = network.reader();
    assert_eq!(reader.batches(1, head).await.unwrap().len(), 2);
    assert_eq!(reader.deposits(1, head).await.unwrap(), [(deposited, block.deposits[0].clone())]);
    assert_eq!(reader.snapshots(1, head).await.unwrap(), std::slice::from_ref(&network.deployment.snapshot));
}

/// Nobody posted for so long that the L1 blocks which the next batch names have left the memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_after_a_long_silence_is_derived_from_what_is_read_again() {
    let network = Network::start().await;
    let (mut events, finals) = network.watch_into(FinalBlocks::of(4));
    let deposited = network.deposit().await;
    network.mine(40).await;
    let mut seen = Vec::new();
    until(&mut events, &mut seen, is_final(deposited + 30)).await;
    assert!(finals.get(deposited).is_none());
    let block = network.reader().final_blocks(deposited, deposited).await.unwrap().remove(0);
    assert_eq!(block.deposits.len(), 1);
    let params = Params { max_origin_advance: 1_000, ..params() };
    let chain = MemoryChain::new(params.clone(), network.deployment.snapshot.set.clone());
    let start = network.deployment.origin;
    chain.push(start.timestamp * 1_000, start, vec![], 2);
    chain.push(start.timestamp * 1_000 + 500, block.origin, block.deposits.clone(), 3);
    let batch = network.certified(&chain, &params, &ParentBatch::default(), DataAvailability::Calldata, 3);
    network.poster().submit(&batch).await.unwrap();
    until(&mut events, &mut seen, |event| matches!(event, L1Event::BatchIncluded(_))).await;
    let blobs = BeaconBlobs::new(&network.anvil.url, SlotClock::ExecutionNumber, Duration::from_secs(20)).unwrap();
    let tip = DerivationTip { height: Height(0), timestamp_ms: 0, origin: start.number, sequence_number: 0 };
    let pipeline = BatchPipeline::new(params, tip);
    let mut follower = L1Follower::new(network.reader(), blobs, finals, pipeline, ParentBatch::default());
    let mut derived: Vec<DerivedBatch> = Vec::new();
    for event in &seen {
        derived.extend(follower.on_event(event).await.unwrap());
    }
    let origins = |batch: &DerivedBatch| batch.blocks.iter().map(|block| block.attributes.origin).collect::<Vec<_>>();
    assert_eq!(derived.iter().map(origins).collect::<Vec<_>>(), [[start, block.origin]]);
    assert_eq!(derived[0].blocks[1].attributes.deposits, block.deposits);
}

fn seen_batches(events: &[L1Event]) -> Vec<(alloy_primitives::B256, bool)> {
    let batch = |event: &L1Event| match event {
        L1Event::BatchIncluded(batch) => Some((batch.hash, batch.blobs)),
        _ => None,
    };
    events.iter().filter_map(batch).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_refuses_too_few_signatures() {
    let network = Network::start().await;
    let params = params();
    let chain = MemoryChain::new(params.clone(), network.deployment.snapshot.set.clone());
    chain.push(1_700_000_000_000, network.deployment.origin, vec![], 1);
    let parent = ParentBatch::default();
    for signers in [0, 1, 2] {
        let batch = network.certified(&chain, &params, &parent, DataAvailability::Calldata, signers);
        let refused = network.poster().submit(&batch).await.unwrap_err();
        assert!(matches!(&refused, SubmitError::Refused(reason) if reason.contains("NoQuorum")), "{refused}");
    }
    let batch = network.certified(&chain, &params, &parent, DataAvailability::Calldata, 3);
    network.poster().submit(&batch).await.unwrap();
    // Its place is taken now.
    assert!(matches!(network.poster().submit(&batch).await, Err(SubmitError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorg_drops_the_batch_and_it_is_accepted_again() {
    let network = Network::start().await;
    let (mut events, _finals) = network.watch();
    network.mine(5).await;
    let params = params();
    let chain = MemoryChain::new(params.clone(), network.deployment.snapshot.set.clone());
    chain.push(1_700_000_000_000, network.deployment.origin, vec![], 1);
    let batch = network.certified(&chain, &params, &ParentBatch::default(), DataAvailability::Blobs, 3);
    network.poster().submit(&batch).await.unwrap();
    let mut seen = Vec::new();
    until(&mut events, &mut seen, |event| matches!(event, L1Event::BatchIncluded(_))).await;
    network.client.provider().anvil_reorg(ReorgOptions { depth: 2, tx_block_pairs: vec![] }).await.unwrap();
    network.mine(1).await;
    until(&mut events, &mut seen, |event| matches!(event, L1Event::BatchDropped(_))).await;
    network.poster().submit(&batch).await.unwrap();
    until(&mut events, &mut seen, |event| matches!(event, L1Event::BatchIncluded(_))).await;
    network.mine(5).await;
    until(&mut events, &mut seen, |event| matches!(event, L1Event::Final(block) if !block.batches.is_empty())).await;
    let story: Vec<L1BatchEvent> = seen.iter().flat_map(L1BatchEvent::of).collect();
    let header = batch.header;
    let expected = [
        L1BatchEvent::Included(header.clone()),
        L1BatchEvent::Dropped(header.clone()),
        L1BatchEvent::Included(header.clone()),
        L1BatchEvent::Final(header),
    ];
    assert_eq!(story, expected);
}
