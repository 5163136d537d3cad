//! The state transition: transactions and L1 attributes in, block, receipts and state changes out.
//!
//! ```text
//!  bytes ──recover──► RecoveredTx ──push──┐
//!  parent header, attributes ──new──► BlockBuilder ──finish(StateCommitment)──► ExecutedBlock
//!                                         ▲                                        (block, receipts, diff)
//!  block bytes ──decode_block──► verify_block ──► BlockVerifier: the same builder, then every header field compared
//!  slices ──decode_item──► BlockVerifier;  an open block's diff ──► PendingState
//!  StateReader ──► call, estimate_gas, create_access_list, simulate, Replay (traces): the same EVM, nothing kept
//! ```
//!
//! Invariant: pure and total. A block's content is a function of its parent header, its attributes, its
//! transactions and the state below it; hostile input is answered with an error, never a panic; a
//! transaction that is refused leaves no trace. Building and verifying are one code path.
//!
//! Rules: revm at op-revm's `KARST` (Osaka) with mainnet's precompiles, so that a contract sees what it sees on
//! Ethereum; deposits, L1 fee and fee vaults as on OP chains. EIP-2935 is kept (its contract is part of genesis);
//! EIP-4788 is not: an L2 header's parent beacon root is always zero, and a zero root is skipped.
//! Deliberately absent: disks, tries, clocks, threads, the mempool's policy and the choice of attributes.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod attributes;
mod build;
mod call;
mod code;
mod collision;
mod env;
mod epoch;
mod frames;
mod genesis;
mod geth;
mod guard;
mod header;
pub mod memory;
mod overlay;
mod pending;
mod precompiles;
mod recover;
mod session;
mod simulate;
mod steps;
mod trace;
mod verify;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use attributes::{ATTRIBUTES_GAS, L1Attributes, data_size, l1_data_fee, l1_data_gas};
pub use build::{BlockBuilder, ExecutedBlock, FullReason, OpenError, PushError, TxOutcome};
pub use call::{AccountOverride, CallEnvironment, CallError, CallOutcome, CallRequest, Estimate, Failure, Overrides};
pub use call::{CALL_GAS_CAP, call, create_access_list, estimate_gas};
pub use code::CodeCache;
pub use env::{ChainConfig, ExecutionError};
pub use epoch::{SeededSet, epoch_deposit};
pub use genesis::{genesis_block, genesis_diff};
pub use guard::Interrupt;
pub use header::{HeaderField, check_header, next_base_fee};
pub use pending::PendingState;
pub use recover::{RecoverError, deposit, recover, recover_envelope, recover_with_deposits};
pub use revm::context_interface::result::InvalidTransaction;
pub use simulate::{
    MAX_SIMULATED_BLOCKS, SimulateError, SimulateOptions, SimulatedBlock, SimulatedBlockRequest, simulate,
};
pub use trace::{MAX_RECORDED_BYTES, Recorded, Recording, Replay};
pub use verify::{BlockVerifier, DecodedBlock, InvalidBlock, VerifyError, decode_block, decode_item, verify_block};
