//! The staking contracts against a plain model: the same random calls to both, compared after each.
//!
//! ```text
//! proptest ──▶ Step ──(what there is)──▶ Call ──▶ Model           reasons against it, state
//!                                          └────▶ Chain (revm)    error or not, every view ── compare
//! ```
//!
//! At the end everyone leaves and claims; what Staking then holds is roundings alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod chain;
mod compare;
mod model;
mod steps;

use alloy_primitives::U256;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::model::{ALL, Call};
use crate::steps::{World, step};

const SEQUENCES: u32 = 240;
const CALLS: usize = 60;
const SEED: [u8; 32] = *b"what leaves, leaves by a request";

#[test]
fn contracts_do_what_the_model_says() {
    let config = Config { cases: SEQUENCES, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let mut done = std::collections::BTreeMap::<&str, u32>::new();
    let tally = std::cell::RefCell::new(&mut done);
    runner
        .run(&vec(step(), CALLS), |steps| {
            let mut world = World::new();
            let run = steps.iter().try_for_each(|step| world.take(step)).and_then(|()| world.everyone_leaves());
            for name in &world.done {
                *tally.borrow_mut().entry(name).or_default() += 1;
            }
            run.map_err(|difference| TestCaseError::fail(format!("{difference}\nafter {:#?}", world.calls)))
        })
        .unwrap();
    // Every kind of call has succeeded often: a sequence that is refused throughout compares nothing.
    for kind in steps::KINDS {
        let times = done.get(kind.0).copied().unwrap_or_default();
        assert!(times >= SEQUENCES / 10, "{} succeeded {times} times of {done:?}", kind.0);
    }
}

/// Rare in random calls: a redelegation that has paid for one slash of its old pool pays for the next one, and only for that.
#[test]
fn redelegation_pays_for_each_slash() {
    let mut world = World::new();
    let (by, id, half) = (steps::delegator(0), 1, ALL / U256::from(2));
    let shares = world.model.of(id, by).shares / U256::from(3);
    world.must(Call::Redelegate { by, id, to: 2, shares }).unwrap();
    for _ in 0..2 {
        world.must(Call::Wait(1)).unwrap();
        let at = world.model.now;
        world.must(Call::Freeze { id }).unwrap();
        world.must(Call::Slash { id, fraction: half, at }).unwrap();
        world.must(Call::Enforce { by, request: 1 }).unwrap();
        assert!(world.must(Call::Enforce { by, request: 1 }).is_err());
    }
    world.everyone_leaves().unwrap();
}
