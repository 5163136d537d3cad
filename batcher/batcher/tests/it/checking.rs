//! Building and checking batches.

use alloy_primitives::{B256, Bytes, U256};
use batcher::{
    BatchPipeline, BatchPlan, BuildError, DataAvailability, Mismatch, ParentBatch, build_batch, check_proposal,
};
use derivation::{BatchBlock, DerivationTip, FinalL1};
use op_alloy_consensus::TxDeposit;
use proptest::prelude::*;
use protocol::genesis::Params;
use protocol::{BatchHeader, Height, L1Origin};

use crate::fixture::{MemoryChain, keys, params, set_of};

const DA: DataAvailability = DataAvailability::Calldata;

fn plan(chain: &MemoryChain, parent: &ParentBatch) -> BatchPlan {
    build_batch(chain, &params(), parent, DA, None).unwrap()
}

fn check(
    header: &BatchHeader,
    channel: &Bytes,
    parent: &ParentBatch,
    chain: &MemoryChain,
) -> Result<Vec<B256>, Mismatch> {
    check_proposal(header, DA, channel, parent, &params(), chain)
}

#[test]
fn an_honest_batch_passes_in_both_forms() {
    let chain = MemoryChain::with_blocks(params(), set_of(&keys(4), &[1; 4]), 12);
    let parent = ParentBatch::default();
    for da in [DataAvailability::Calldata, DataAvailability::Blobs] {
        let plan = build_batch(chain.as_ref(), &params(), &parent, da, None).unwrap();
        assert_eq!((plan.header.firstHeight, plan.header.lastHeight, plan.header.depositCount), (1, 12, 4));
        assert_eq!(
            check_proposal(&plan.header, da, &plan.channel, &parent, &params(), chain.as_ref()),
            Ok(plan.hashes)
        );
    }
}

#[test]
fn every_field_of_a_header_is_checked() {
    let chain = MemoryChain::with_blocks(params(), set_of(&keys(4), &[1; 4]), 9);
    let parent = ParentBatch::default();
    let BatchPlan { header, channel, .. } = plan(&chain, &parent);
    let wrong = B256::repeat_byte(0xaa);
    let refuse = |change: &dyn Fn(&mut BatchHeader), expected: Mismatch| {
        let mut header = header.clone();
        change(&mut header);
        assert_eq!(check(&header, &channel, &parent, &chain), Err(expected));
    };
    refuse(&|h| h.index = 2, Mismatch::Parent { index: 2, parent: 0 });
    refuse(&|h| h.parentHash = wrong, Mismatch::Parent { index: 1, parent: 0 });
    refuse(&|h| h.firstHeight = 2, Mismatch::Range(Height(2), Height(9)));
    refuse(&|h| h.lastHeight = 0, Mismatch::Range(Height(1), Height(0)));
    refuse(&|h| h.lastHeight = 101, Mismatch::Range(Height(1), Height(101)));
    refuse(&|h| h.lastHeight = u64::MAX, Mismatch::Range(Height(1), Height(u64::MAX)));
    refuse(&|h| h.lastHeight = 10, Mismatch::NotDecided(Height(10)));
    refuse(&|h| h.lastHeight = 8, Mismatch::Count(9));
    let field = |change: &dyn Fn(&mut BatchHeader), name| refuse(change, Mismatch::Field(name));
    field(&|h| h.lastBlockHash = wrong, "lastBlockHash");
    field(&|h| h.stateRoot = wrong, "stateRoot");
    field(&|h| h.withdrawalsRoot = wrong, "withdrawalsRoot");
    field(&|h| h.blocksRoot = wrong, "blocksRoot");
    field(&|h| h.dataHash = wrong, "dataHash");
    field(&|h| h.snapshotId = 2, "snapshotId");
    field(&|h| h.l1OriginNumber += 1, "l1OriginNumber");
    field(&|h| h.l1OriginHash = wrong, "l1OriginHash");
    field(&|h| h.depositCount += 1, "depositCount");
    field(&|h| h.turns = U256::from(1), "turns");
}

#[test]
fn altered_data_is_found_at_its_block() {
    let chain = MemoryChain::with_blocks(params(), set_of(&keys(4), &[1; 4]), 9);
    let parent = ParentBatch::default();
    let alter: fn(&mut Vec<BatchBlock>) = |blocks| {
        blocks[4].transactions.pop();
    };
    let faulty = build_batch(chain.as_ref(), &params(), &parent, DA, Some(alter)).unwrap();
    assert_eq!(check(&faulty.header, &faulty.channel, &parent, &chain), Err(Mismatch::Block(Height(5))));
    let honest = plan(&chain, &parent);
    assert_eq!(check(&honest.header, &Bytes::from_static(&[1, 2, 3]), &parent, &chain), Err(Mismatch::Data));
    assert!(!Mismatch::Block(Height(5)).is_temporary() && Mismatch::NotDecided(Height(5)).is_temporary());
}

#[test]
fn batches_follow_each_other_and_stop_at_the_epoch() {
    let params = Params { epoch_blocks: 10, turn_blocks: 5, ..params() };
    let chain = MemoryChain::with_blocks(params.clone(), set_of(&keys(4), &[1; 4]), 25);
    let mut parent = ParentBatch::default();
    let mut ranges = Vec::new();
    let error = loop {
        match build_batch(chain.as_ref(), &params, &parent, DA, None) {
            Ok(plan) => {
                check_proposal(&plan.header, DA, &plan.channel, &parent, &params, chain.as_ref()).unwrap();
                ranges.push((plan.header.firstHeight, plan.header.lastHeight, plan.header.depositCount));
                parent = ParentBatch::from(&plan.header);
            }
            Err(error) => break error,
        }
    };
    assert_eq!(ranges, [(1, 10, 3), (11, 20, 6), (21, 25, 8)]);
    assert_eq!(error, BuildError::Nothing);
}

#[test]
fn a_batch_takes_no_more_blocks_than_fit() {
    let chain = MemoryChain::new(params(), set_of(&keys(4), &[1; 4]));
    for number in 1..=8u64 {
        // 500 transactions are above 30 kB: eight blocks exceed a calldata channel, half of them fit.
        chain.push(1_700_000_000_000 + number, L1Origin::default(), vec![], 500);
    }
    let plan = plan(&chain, &ParentBatch::default());
    assert!(plan.channel.len() <= DA.capacity());
    assert!((1..8).contains(&plan.header.lastHeight), "{}", plan.header.lastHeight);
}

struct Chain(Vec<(L1Origin, Vec<TxDeposit>)>);

impl FinalL1 for Chain {
    fn origin(&self, number: u64) -> Option<L1Origin> {
        self.0.iter().find(|(origin, _)| origin.number == number).map(|(origin, _)| *origin)
    }
    fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>> {
        self.0.iter().find(|(origin, _)| origin.number == number).map(|(_, deposits)| deposits.clone())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// However the chain is cut into batches, and wherever L1 finality hesitates, the follower gets each block once.
    #[test]
    fn the_follower_gets_every_block_once(cuts in prop::collection::vec(1u64..8, 1..6), overlap in 0u64..3, late in any::<bool>()) {
        let total: u64 = cuts.iter().sum();
        let chain = MemoryChain::with_blocks(params(), set_of(&keys(4), &[1; 4]), total);
        let l1 = Chain((10..=10 + total).map(|number| (L1Origin { number, ..Default::default() }, vec![])).collect());
        let tip = DerivationTip::genesis(1_700_000_000, 10);
        let mut pipeline = BatchPipeline::new(params(), tip);
        let mut heights = Vec::new();
        let mut first = 1u64;
        for cut in cuts {
            let last = first + cut - 1;
            // A batch posted anew after a reorg may reach back over known heights.
            let start = first.saturating_sub(overlap).max(1);
            let content: Vec<BatchBlock> = (start..=last).map(|height| content(&chain, height)).collect();
            let header = BatchHeader { firstHeight: start, lastHeight: last, ..header() };
            if late {
                let before = *pipeline.tip();
                prop_assert!(matches!(pipeline.derive(&header, &ParentBatch::default(), &content, &Chain(vec![])), Err(Ok(error)) if error.is_temporary()));
                prop_assert_eq!(*pipeline.tip(), before);
            }
            let derived = pipeline.derive(&header, &ParentBatch::default(), &content, &l1).unwrap();
            heights.extend(derived.blocks.iter().map(|block| block.height.0));
            first = last + 1;
        }
        prop_assert_eq!(heights, (1..=total).collect::<Vec<_>>());
    }
}

fn content(chain: &MemoryChain, height: u64) -> BatchBlock {
    use batcher::ports::ChainReader;
    let block = chain.block(Height(height)).unwrap().unwrap();
    let (time, leader) = (protocol::block::timestamp_ms(&block.header), protocol::block::leader(&block.header));
    derivation::batch_block(time, leader, block.origin_number, block.transactions)
}

fn header() -> BatchHeader {
    let chain = MemoryChain::with_blocks(params(), set_of(&keys(1), &[1]), 1);
    plan(&chain, &ParentBatch::default()).header
}
