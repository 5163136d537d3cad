//! Blocks across epochs: built by a leader, checked by a voter, and made again from what L1 has.

use alloy_primitives::{TxKind, U256};
use alloy_sol_types::{SolCall, SolEvent};
use derivation::batch_block;
use execution::{BlockBuilder, CallEnvironment, CallRequest, call, genesis_block};
use l1::{FinalBlock, Snapshot};
use protocol::{
    Epoch, Member, SequencerSet, SnapshotId, Weight,
    block::L2_SEQUENCER_SET as SEQUENCER_SET,
    genesis::{GenesisAccount, L1Contracts, Params},
};
use store::StoreConfig;

use super::*;

mod artifact {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    alloy::sol!(L2SequencerSet, "../../contracts/artifacts/L2SequencerSet.json");
}
use artifact::L2SequencerSet;

const FIRST_L1_BLOCK: u64 = 100;
/// L1 block in which the set changes.
const CHANGE: u64 = 103;
const BLOCKS: u64 = 17;

fn set(snapshot: u64, weights: &[u64]) -> SequencerSet {
    let member = |(weight, name): (&u64, u8)| Member { signer: Address::repeat_byte(name), weight: Weight(*weight) };
    SequencerSet::new(SnapshotId(snapshot), weights.iter().zip(1..).map(member).collect()).unwrap()
}

fn genesis() -> Arc<Genesis> {
    let address = Address::repeat_byte(0x11);
    let l1 = L1Contracts {
        chain_id: 1,
        metis: address,
        staking: address,
        sequencer_set: address,
        portal: address,
        batch_registry: address,
        output_registry: address,
        l1_bridge: address,
        ..L1Contracts::default()
    };
    let code = L2SequencerSet::DEPLOYED_BYTECODE.clone();
    let mirror = GenesisAccount { nonce: 1, code, ..GenesisAccount::default() };
    Arc::new(Genesis {
        chain_id: 59_902,
        timestamp: 1_700_000_000,
        l1,
        origin: origin(FIRST_L1_BLOCK),
        set: set(1, &[20_000, 30_000]),
        seed: B256::repeat_byte(0x5e),
        params: Params { epoch_blocks: 4, turn_blocks: 2, ..Params::default() },
        alloc: [(SEQUENCER_SET, mirror)].into(),
    })
}

fn origin(number: u64) -> L1Origin {
    let word = |tag: u64| B256::from(U256::from(tag << 32 | number));
    L1Origin { number, hash: word(1), timestamp: 1_600_000_000 + number, randao: word(2), ..L1Origin::default() }
}

/// Every third L1 block has a queue item; one has a snapshot.
fn l1_block(number: u64) -> Arc<FinalBlock> {
    let item = TxDeposit {
        source_hash: origin(number).hash,
        from: Address::repeat_byte(0xdd),
        to: TxKind::Call(Address::repeat_byte(0xee)),
        gas_limit: 50_000,
        mint: 7,
        ..TxDeposit::default()
    };
    let snapshot =
        Snapshot { set: set(2, &[25_000, 40_000, 90_000]), seed: B256::ZERO, operators: Vec::new(), l1_number: CHANGE };
    Arc::new(FinalBlock {
        origin: origin(number),
        parent: origin(number - 1).hash,
        deposits: if number.is_multiple_of(3) { vec![item] } else { Vec::new() },
        snapshots: if number == CHANGE { vec![snapshot] } else { Vec::new() },
        batches: Vec::new(),
    })
}

struct Node {
    chain: Chain,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let genesis = genesis();
        let folder = tempfile::tempdir().unwrap();
        let (block, diff) = genesis_block(&genesis, &store::EmptyState).unwrap();
        let store = Store::create(folder.path(), &block, &diff, &StoreConfig::default()).unwrap();
        let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
        let chain = Chain::open(genesis, store, FinalBlocks::default(), epochs).unwrap();
        Self { chain, _folder: folder }
    }

    /// The node sees an L1 block become final.
    fn see(&self, number: u64) {
        let block = l1_block(number);
        self.chain.finals().insert(block.clone());
        self.chain.epochs().on_final(block.snapshots.clone(), number);
    }

    fn head(&self) -> Head {
        self.chain.head()
    }

    fn build(&self) -> Arc<Candidate> {
        let head = self.head();
        let leader = self.chain.epochs().leadership(&head.header).unwrap().leaders[0];
        let builder = self.chain.open_block(&head, leader, timestamp_ms(&head.header) + 500).unwrap();
        self.chain.keep(builder.finish(self.chain.store()).unwrap())
    }

    /// Asks the mirror, in the state after the head.
    fn ask<C: SolCall>(&self, question: C) -> C::Return {
        let head = self.head();
        let state = Arc::new(self.chain.store().latest_state());
        let environment = CallEnvironment::at(self.chain.rules(), &head.header, state);
        let data = question.abi_encode().into();
        let request = CallRequest { to: Some(SEQUENCER_SET), data, ..CallRequest::default() };
        let output = call(&environment, &request).unwrap().result.unwrap();
        C::abi_decode_returns(&output).unwrap()
    }
}

fn epoch_deposits(block: &Block) -> Vec<TxDeposit> {
    let deposits = block.body.transactions.iter().filter_map(|tx| tx.as_deposit()).map(|tx| tx.inner().clone());
    deposits.filter(|deposit| deposit.to == TxKind::Call(SEQUENCER_SET)).collect()
}

#[test]
fn every_epoch_begins_with_its_sets_however_the_block_is_made() {
    let (leader, voter, deriver) = (Node::new(), Node::new(), Node::new());
    let params = leader.chain.genesis().params.clone();
    let mut queued = 0;
    for height in 1..=BLOCKS {
        let seen = FIRST_L1_BLOCK + height;
        [&leader, &voter, &deriver].iter().for_each(|node| node.see(seen));
        let built = leader.build();
        let block = &built.executed.block;
        let checked = voter.chain.check(&built.encoded, None, &|_| None).unwrap();
        assert_eq!(checked.executed, built.executed);
        let encode =
            |tx: &op_alloy_consensus::OpTxEnvelope| alloy_eips::eip2718::Encodable2718::encoded_2718(tx).into();
        let transactions = block.body.transactions.iter().map(encode);
        let content =
            batch_block(timestamp_ms(&block.header), protocol::block::leader(&block.header), seen, transactions);
        let derived = deriver.chain.derivation_tip().derive(content, &params, deriver.chain.finals()).unwrap();
        assert_eq!(deriver.chain.apply_derived(&derived).unwrap().executed, built.executed);

        let epoch = params.epoch_of(Height(height));
        let opens = height == params.first_height(epoch).0;
        assert_eq!(epoch_deposits(block).len(), usize::from(opens), "height {height}");
        if opens {
            assert_eq!(block.body.transactions[1].as_deposit().unwrap().inner(), &epoch_deposits(block)[0]);
            let logs = built.executed.receipts[1].logs();
            let set = L2SequencerSet::EpochSet::decode_log(&logs[0]).unwrap();
            assert_eq!((set.address, set.epoch), (SEQUENCER_SET, epoch.0));
        }
        queued += u64::from(seen.is_multiple_of(3));
        let counted = batcher::ports::ChainBlock::new(block).unwrap().deposits;
        assert_eq!(counted, u64::from(seen.is_multiple_of(3)), "height {height}");

        for node in [&leader, &voter, &deriver] {
            node.chain.commit(built.executed.hash, None).unwrap().unwrap();
        }
        check_mirror(&leader, epoch);
    }
    assert!(queued > 4, "queue items came along");
    let sets = [Epoch(1), Epoch(2)].map(|epoch| leader.chain.epochs().get(epoch).unwrap().set.clone());
    assert_ne!(sets[0], sets[1], "the set changed on the way");
}

/// What contracts read is what the node votes and leads by.
fn check_mirror(node: &Node, epoch: Epoch) {
    let epochs = node.chain.epochs();
    let [now, next] = [epoch, Epoch(epoch.0 + 1)].map(|epoch| epochs.get(epoch).unwrap());
    let told = node.ask(L2SequencerSet::currentCall {});
    assert_eq!((told.members, told.seed, told.snapshotId), (now.set.words(), now.seed, now.set.snapshot.0));
    assert_eq!(told.totalWeight, U256::from(now.set.total().0));
    let told = node.ask(L2SequencerSet::nextCall {});
    assert_eq!((told.members, told.seed, told.snapshotId), (next.set.words(), next.seed, next.set.snapshot.0));
    let params = &node.chain.genesis().params;
    for (epoch, info) in [(epoch, &now), (Epoch(epoch.0 + 1), &next)] {
        for height in params.first_height(epoch).0..=params.last_height(epoch).0 {
            let leader = node.ask(L2SequencerSet::leaderAtCall { height });
            assert_eq!(Some(leader), info.schedule.scheduled(Height(height)), "height {height}");
        }
    }
}

#[test]
fn a_wrong_epoch_deposit_is_refused() {
    let (leader, voter) = (Node::new(), Node::new());
    for height in 1..=5_u64 {
        [&leader, &voter].iter().for_each(|node| node.see(FIRST_L1_BLOCK + height));
        let head = leader.head();
        let member = leader.chain.epochs().leadership(&head.header).unwrap().leaders[0];
        let time = timestamp_ms(&head.header) + 500;
        let honest = leader.chain.attributes(&head, FIRST_L1_BLOCK + height, time, member).unwrap();
        let refuse = |change: &dyn Fn(&mut Vec<TxDeposit>)| {
            let mut attributes = honest.clone();
            change(&mut attributes.deposits);
            let state = Arc::new(leader.chain.store().latest_state());
            let builder = BlockBuilder::new(leader.chain.rules(), &head.header, &attributes, state).unwrap();
            let forged = builder.finish(leader.chain.store()).unwrap();
            let refused = voter.chain.check(&alloy_rlp::encode(&forged.block).into(), None, &|_| None);
            assert!(matches!(refused, Err(ChainError::Invalid(InvalidBlock::Deposit { .. }))), "{height}: {refused:?}");
        };
        let info = leader.chain.epochs().get(Epoch(0)).unwrap();
        let seeded = execution::SeededSet { set: &info.set, seed: info.seed };
        let of = |epoch, next| execution::epoch_deposit(&leader.chain.genesis().params, Epoch(epoch), seeded, next);
        if height == 1 || height == 5 {
            refuse(&|deposits| drop(deposits.remove(0)));
            refuse(&|deposits| deposits.push(deposits[0].clone()));
            refuse(&|deposits| deposits[0].gas_limit += 1);
            let other = set(9, &[1, 2, 3]);
            refuse(&|deposits| deposits[0] = of(height / 4, execution::SeededSet { set: &other, seed: info.seed }));
        } else {
            refuse(&|deposits| deposits.insert(0, of(0, seeded)));
        }
        let built = leader.build();
        voter.chain.check(&built.encoded, None, &|_| None).unwrap();
        for node in [&leader, &voter] {
            node.chain.commit(built.executed.hash, None).unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_node_waits_for_the_snapshots_of_the_epoch_it_opens() {
    let (leader, late) = (Node::new(), Node::new());
    for height in 1..=5_u64 {
        let seen = FIRST_L1_BLOCK + height;
        leader.see(seen);
        // The late node's watcher has the block; its snapshots are not taken in yet.
        late.chain.finals().insert(l1_block(seen));
        let built = leader.build();
        if height == 5 {
            let behind = late.chain.check(&built.encoded, None, &|_| None);
            assert!(matches!(behind, Err(ChainError::L1Behind(number)) if number == seen - 1), "{behind:?}");
            let reached = late.chain.epochs().reached(seen - 1);
            late.chain.epochs().on_final(l1_block(CHANGE).snapshots.clone(), seen - 1);
            reached.await;
        }
        late.chain.check(&built.encoded, None, &|_| None).unwrap();
        for node in [&leader, &late] {
            node.chain.commit(built.executed.hash, None).unwrap().unwrap();
        }
    }
}

/// A restart reads from L1 only what came after.
#[test]
fn what_was_read_of_l1_is_there_after_a_restart() {
    let node = Node::new();
    let changed = l1_block(CHANGE).snapshots.clone();
    node.chain.epochs().keep(&[], CHANGE - 1).unwrap();
    node.chain.epochs().keep(&changed, CHANGE).unwrap();
    node.chain.epochs().keep(&[], CHANGE + 1).unwrap();
    let restarted = Epochs::new(node.chain.genesis().clone(), node.chain.store().clone());
    assert_eq!(restarted.restore().unwrap(), CHANGE + 1);
    assert_eq!(restarted.snapshots(), changed);
    let empty = Node::new();
    assert_eq!(empty.chain.epochs().restore().unwrap(), empty.chain.genesis().origin.number);
}
