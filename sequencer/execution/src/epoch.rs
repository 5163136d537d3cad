//! The deposit that tells L2 its sequencer sets, in the first block of every epoch.

use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, sol};
use op_alloy_consensus::TxDeposit;
use protocol::{
    Epoch, SequencerSet,
    block::{DEPOSITOR, L2_SEQUENCER_SET},
    genesis::Params,
};

/// Gas of the deposit: enough for two sets of 32 new members.
const GAS_LIMIT: u64 = 4_000_000;
/// Domain of these deposits within source hashes: "H", far from OP's, which count up from 0.
const SOURCE_DOMAIN: u8 = b'H';

sol! {
    /// Of the predeploy `L2SequencerSet`.
    function setEpoch(
        uint64 epoch,
        uint64 firstHeight,
        uint64 epochBlocks,
        uint64 turnBlocks,
        uint64 snapshotId,
        bytes32 seed,
        bytes32[] members,
        uint64 nextSnapshotId,
        bytes32 nextSeed,
        bytes32[] nextMembers
    ) external;
}

/// A set with the seed of its epoch's schedule.
#[derive(Clone, Copy, Debug)]
pub struct SeededSet<'a> {
    /// Who votes and leads.
    pub set: &'a SequencerSet,
    /// What the turns are drawn from.
    pub seed: B256,
}

/// The deposit after the L1 attributes in the first block of `epoch`, which begins with `current` and is followed by
/// `next` (specification, 3.4).
#[must_use]
pub fn epoch_deposit(params: &Params, epoch: Epoch, current: SeededSet<'_>, next: SeededSet<'_>) -> TxDeposit {
    let call = setEpochCall {
        epoch: epoch.0,
        firstHeight: params.first_height(epoch).0,
        epochBlocks: params.epoch_blocks,
        turnBlocks: params.turn_blocks,
        snapshotId: current.set.snapshot.0,
        seed: current.seed,
        members: current.set.words(),
        nextSnapshotId: next.set.snapshot.0,
        nextSeed: next.seed,
        nextMembers: next.set.words(),
    };
    TxDeposit {
        source_hash: source_hash(epoch),
        from: DEPOSITOR,
        to: TxKind::Call(L2_SEQUENCER_SET),
        mint: 0,
        value: U256::ZERO,
        gas_limit: GAS_LIMIT,
        is_system_transaction: false,
        input: Bytes::from(call.abi_encode()),
    }
}

fn source_hash(epoch: Epoch) -> B256 {
    keccak256([B256::with_last_byte(SOURCE_DOMAIN), B256::from(U256::from(epoch.0))].concat())
}
