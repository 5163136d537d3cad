//! Traces and simulations: the states and transactions that `execution` needs, and its answers as RPC shows them.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{Header, Sealed, transaction::Recovered};
use alloy_eips::Encodable2718;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rpc_types_eth::{
    Log,
    simulate::{SimBlock, SimCallResult, SimulateError as SimError},
};
use execution::{
    CallEnvironment, CallError as ExecCallError, CallOutcome, Failure, Interrupt, Recorded, Recording, Replay,
    SimulateError as ExecSimulateError, SimulateOptions, SimulatedBlock as ExecBlock, SimulatedBlockRequest, recover,
    recover_envelope, simulate,
};
use protocol::{
    RecoveredTx,
    state::{Roots, StateCommitment, StateDiff, StateError},
};
use rpc::{
    Backend, BackendError, BlockRecord, CallError, CallState, RecoveredTransaction, SimulateError, SimulateRequest,
    SimulatedBlock, StorageRange, StorageRangeRequest, Trace, TraceRequest, TraceTarget, Tracer, error::revert_message,
};
use store::StateView;

use crate::backend::{NodeBackend, blob_base_fee, call_error, exec_request, override_block, overrides, store_error};

/// JSON-RPC code of a reverted call within a simulation.
const REVERTED: i32 = 3;

pub(crate) fn recovered(tx: &RecoveredTransaction) -> RecoveredTx {
    let envelope = tx.inner().clone();
    let encoded = Bytes::from(envelope.encoded_2718());
    RecoveredTx { hash: envelope.tx_hash(), sender: tx.signer(), envelope, encoded }
}

fn recording(tracer: Tracer) -> Recording {
    match tracer {
        Tracer::Geth(options) => Recording::Geth(options),
        Tracer::Parity(types) => Recording::Parity(types),
    }
}

fn shown(recorded: Recorded) -> Trace {
    match recorded {
        Recorded::Geth(trace) => Trace::Geth(trace),
        Recorded::Parity(results) => Trace::Parity(results),
    }
}

fn rejected(why: impl std::fmt::Display) -> CallError {
    CallError::Rejected(why.to_string())
}

/// Geth's words around what cannot even begin.
fn trace_error(error: ExecCallError) -> CallError {
    match error {
        ExecCallError::Invalid(..) => rejected(format!("tracing failed: {error}")),
        other => call_error(other),
    }
}

impl NodeBackend {
    /// See [`Backend::trace`].
    pub(crate) fn replay(&self, request: TraceRequest) -> Result<Vec<Trace>, CallError> {
        let interrupt = Some(self.watchdog.interrupt_at(request.deadline));
        let recording = recording(request.tracer);
        let traces = match request.target {
            TraceTarget::Block { number, index } => {
                let (mut replay, block) = self.reopen(number, interrupt)?;
                let mut traces = Vec::new();
                for (at, tx) in block.transactions.iter().enumerate() {
                    match index {
                        Some(wanted) if at < wanted => replay.skip(&recovered(tx)).map_err(call_error)?,
                        Some(wanted) if at > wanted => break,
                        _ => traces.push(replay.trace(&recovered(tx), &recording).map_err(call_error)?),
                    }
                }
                traces
            }
            TraceTarget::Body(block) => {
                let parent = block.header.parent_hash;
                let known = self.store().height_of(&parent).map_err(store_error)?;
                let known = known.ok_or_else(|| rejected(format!("parent {parent} not found")))?;
                let state = self.state(known)?;
                let rules = self.chain.rules();
                let hash = block.header.hash_slow();
                let replay = Replay::of_block(rules, &block.header, hash, state, interrupt);
                let mut replay = replay.map_err(call_error)?;
                let mut traces = Vec::new();
                for envelope in block.body.transactions {
                    let tx = recover_envelope(envelope, rules.chain_id).map_err(rejected)?;
                    traces.push(replay.trace(&tx, &recording).map_err(trace_error)?);
                }
                traces
            }
            TraceTarget::Calls { calls, on } => {
                let mut replay = self.call_state(&on, interrupt)?;
                let trace = |call| replay.trace_call(&exec_request(call), &recording).map_err(trace_error);
                calls.iter().map(trace).collect::<Result<_, _>>()?
            }
            TraceTarget::Signed { raw, at } => {
                let tx = recover(&raw, self.chain.rules().chain_id).map_err(rejected)?;
                let on = CallState { at, ..CallState::default() };
                let mut replay = self.call_state(&on, interrupt)?;
                vec![replay.trace(&tx, &recording).map_err(trace_error)?]
            }
        };
        Ok(traces.into_iter().map(shown).collect())
    }

    /// See [`Backend::storage_range`].
    pub(crate) fn storage_within(&self, request: StorageRangeRequest) -> Result<StorageRange, CallError> {
        let StorageRangeRequest { number, before, address, from, most, deadline } = request;
        let (mut replay, block) = self.reopen(number, Some(self.watchdog.interrupt_at(deadline)))?;
        for tx in block.transactions.iter().take(before) {
            replay.skip(&recovered(tx)).map_err(call_error)?;
        }
        let (wiped, changes) = replay.storage_changes(&address).map_err(call_error)?;
        // Each changed slot may take one away from what the parent's state has; one more tells where to go on.
        let limit = most.saturating_add(changes.len()).saturating_add(1);
        let mut slots = BTreeMap::new();
        if !wiped {
            let parent = self.store().state_at(number.saturating_sub(1)).map_err(store_error)?;
            let stored = parent.storage_from(&address, &from, limit).map_err(store_error)?;
            slots.extend(stored.into_iter().map(|(hash, value)| (hash, (None, value))));
        }
        slots.extend(changes.into_iter().map(|(slot, value)| {
            let key = B256::from(slot);
            (keccak256(key), (Some(key), value))
        }));
        slots.retain(|hash, (_, value)| *hash >= from && !value.is_zero());
        let next = slots.keys().nth(most).copied();
        if let Some(next) = &next {
            slots.split_off(next);
        }
        Ok(StorageRange { slots, next })
    }

    /// A decided block, on the state before its first transaction.
    fn reopen(&self, number: u64, interrupt: Option<Interrupt>) -> Result<(Replay, Arc<BlockRecord>), CallError> {
        let block = self.block(number)?.ok_or_else(|| BackendError::Internal(format!("no block at {number}")))?;
        let state = self.state(number.saturating_sub(1))?;
        let replay = Replay::of_block(self.chain.rules(), &block.header, block.hash(), state, interrupt);
        Ok((replay.map_err(call_error)?, block))
    }

    fn call_state(&self, on: &CallState, interrupt: Option<Interrupt>) -> Result<Replay, CallError> {
        let header = match self.header(on.at)? {
            Some(header) => header,
            // A pending block that is no longer there: the head, whose state it leaves.
            None => self.chain.head().header,
        };
        let mut open: Header = header.inner().clone();
        let changes = on.block_overrides.as_deref();
        if let Some(changes) = changes {
            override_block(&mut open, changes);
        }
        let blob_base_fee = changes.and_then(blob_base_fee);
        let accounts = on.state_overrides.as_ref().map(overrides).unwrap_or_default();
        let Some(before) = on.before.filter(|_| on.at > 0) else {
            let mut environment = CallEnvironment::at(self.chain.rules(), &header, self.state(on.at)?);
            environment.header = open;
            environment.overrides = accounts;
            environment.blob_base_fee = blob_base_fee;
            environment.interrupt = interrupt;
            return Replay::of_calls(&environment).map_err(call_error);
        };
        let (mut replay, block) = self.reopen(on.at, interrupt)?;
        if before >= block.transactions.len().max(1) {
            return Err(rejected(format!("transaction index {before} out of range for block {}", block.hash())));
        }
        for tx in block.transactions.iter().take(before) {
            replay.skip(&recovered(tx)).map_err(call_error)?;
        }
        replay.turn_to_calls(open, blob_base_fee, &accounts).map_err(call_error)?;
        Ok(replay)
    }

    /// See [`Backend::simulate`].
    pub(crate) fn run_simulation(&self, request: &SimulateRequest) -> Result<Vec<SimulatedBlock>, SimulateError> {
        let backend = |error: BackendError| SimulateError::Call(error.into());
        // Nothing can be built on a block that is not decided: on `pending`, simulations stand on the head.
        let at = request.at.min(self.store().heads().latest.height);
        let base = self.store().header(at).map_err(|error| backend(store_error(error)))?;
        let base = base.ok_or_else(|| backend(BackendError::Internal(format!("no header at {at}"))))?;
        let state = self.store().state_at(at).map_err(|error| backend(store_error(error)))?;
        let blocks: Vec<_> = request.payload.block_state_calls.iter().map(block_request).collect();
        let options = SimulateOptions {
            validation: request.payload.validation,
            trace_transfers: request.payload.trace_transfers,
        };
        let interrupt = Some(self.watchdog.interrupt_at(request.deadline));
        let roots = RootsInMemory(state.clone());
        let simulated = simulate(self.chain.rules(), &base, Arc::new(state), &roots, &blocks, options, interrupt);
        let simulated = simulated.map_err(|error| match error {
            ExecSimulateError::Invalid { code, message } => SimulateError::Invalid { code, message },
            ExecSimulateError::Call(error) => SimulateError::Call(call_error(error)),
        })?;
        Ok(simulated.into_iter().map(simulated_block).collect())
    }
}

/// Roots of what follows a state; zero when its trie is no longer in memory, since rebuilding it costs more than a
/// simulation may.
struct RootsInMemory(StateView);

impl StateCommitment for RootsInMemory {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        let unknown = Roots { state_root: B256::ZERO, withdrawals_root: B256::ZERO };
        Ok(self.0.roots_after(diff).unwrap_or(unknown))
    }
}

fn block_request(block: &SimBlock) -> SimulatedBlockRequest {
    let changes = block.block_overrides.clone().unwrap_or_default();
    SimulatedBlockRequest {
        number: changes.number.map(|number| number.saturating_to()),
        time: changes.time,
        gas_limit: changes.gas_limit,
        beneficiary: changes.coinbase,
        randao: changes.random,
        base_fee: changes.base_fee.map(|fee| fee.saturating_to()),
        blob_base_fee: blob_base_fee(&changes),
        overrides: block.state_overrides.as_ref().map(overrides).unwrap_or_default(),
        calls: block.calls.iter().map(exec_request).collect(),
    }
}

fn simulated_block(simulated: ExecBlock) -> SimulatedBlock {
    let ExecBlock { block, hash, senders, outcomes } = simulated;
    let transactions = block.body.transactions.into_iter().zip(senders);
    SimulatedBlock {
        block: BlockRecord {
            header: Sealed::new_unchecked(block.header, hash),
            transactions: transactions.map(|(tx, sender)| Recovered::new_unchecked(tx, sender)).collect(),
        },
        calls: outcomes.into_iter().map(call_result).collect(),
    }
}

fn call_result(outcome: CallOutcome) -> SimCallResult {
    let max_used_gas = Some(outcome.gas_used.saturating_add(outcome.refund));
    let logs = outcome.logs.into_iter().map(|inner| Log { inner, ..Log::default() }).collect();
    let (status, return_data, error) = match outcome.result {
        Ok(data) => (true, data, None),
        Err(Failure::Revert(data)) => {
            let message = revert_message(&data);
            (false, data.clone(), Some(SimError { code: REVERTED, message, data: Some(data) }))
        }
        Err(halt) => {
            // So the execution API has it; geth leaves the first words out.
            let message = format!("vm execution error: {halt}");
            let error = SimError { code: SimError::VM_EXECUTION_ERROR_CODE, message, data: None };
            (false, Bytes::new(), Some(error))
        }
    };
    SimCallResult { return_data, logs, gas_used: outcome.gas_used, max_used_gas, status, error }
}
