//! Simulation: `eth_call`, `eth_estimateGas`, `eth_createAccessList`. The same EVM on a throw-away state.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::Header;
use alloy_eips::{BlockNumHash, eip2930::AccessList, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Log, Sealed, U256};
use op_revm::OpHaltReason;
use protocol::{
    BlockAttributes, L1Origin,
    limits::MAX_TRANSACTION_GAS,
    state::{StateError, StateReader},
};
use revm::{
    Inspector,
    context::result::ExecutionResult,
    context_interface::result::{HaltReason, InvalidTransaction},
    inspector::NoOpInspector,
};
use revm_inspectors::access_list::AccessListInspector;

use crate::{
    env::{ChainConfig, Ctx, ExecutionError},
    guard::{Guard, Guarded, Interrupt, RecordingCost},
    header,
    session::Session,
    words,
};

/// Most gas one simulated call may use, whatever it asks for (as geth's `--rpc.gascap`).
pub const CALL_GAS_CAP: u64 = 50_000_000;
/// Gas of a plain transfer, the least a transaction can cost.
const TRANSFER_GAS: u64 = 21_000;
/// Gas a callee gets free with a value transfer; an estimate must leave room for it.
pub(crate) const CALL_STIPEND: u64 = 2_300;
/// An estimate is good enough within this fraction of itself (as geth: 1.5 %).
const ESTIMATE_TOLERANCE_PER_MILLE: u64 = 15;
/// Most executions of one estimate; bisection from the gas cap needs fewer.
const MAX_ESTIMATE_RUNS: usize = 40;
/// Most executions of one access list before the last answer is taken.
const MAX_ACCESS_LIST_RUNS: usize = 8;

/// A call as JSON-RPC describes it; what is absent takes the default a node gives it.
#[derive(Clone, Debug, Default)]
pub struct CallRequest {
    /// Caller; the zero address by default.
    pub from: Address,
    /// Callee, `None` to create a contract.
    pub to: Option<Address>,
    /// Gas limit; [`CALL_GAS_CAP`] by default and at most.
    pub gas: Option<u64>,
    /// `gasPrice` or `maxFeePerGas`, in wei. Zero (the default) switches off the base fee check.
    pub max_fee_per_gas: u128,
    /// `maxPriorityFeePerGas`, in wei; absent for legacy pricing.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Value, in wei.
    pub value: U256,
    /// Input.
    pub data: Bytes,
    /// Nonce; never checked, but it decides the address of a created contract. The account's by default.
    pub nonce: Option<u64>,
    /// Access list.
    pub access_list: AccessList,
    /// EIP-7702 authorizations.
    pub authorizations: Vec<SignedAuthorization>,
}

/// Changes of one account for the time of a call.
#[derive(Clone, Debug, Default)]
pub struct AccountOverride {
    /// Balance, in wei.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code.
    pub code: Option<Bytes>,
    /// All of its storage.
    pub state: Option<BTreeMap<B256, B256>>,
    /// Some of its storage.
    pub state_diff: BTreeMap<B256, B256>,
    /// Where the precompile that is here answers instead.
    pub move_precompile_to: Option<Address>,
}

/// State overrides by account.
pub type Overrides = BTreeMap<Address, AccountOverride>;

/// Where a call runs: rules, block environment, state. Block overrides are edits of `header`.
#[derive(Clone)]
pub struct CallEnvironment {
    /// The network's rules.
    pub config: ChainConfig,
    /// The block the call believes to be in.
    pub header: Header,
    /// The block below that one, for `BLOCKHASH`: an override of the height does not move it.
    pub parent: BlockNumHash,
    /// The state it runs on.
    pub state: Arc<dyn StateReader>,
    /// State overrides.
    pub overrides: Overrides,
    /// What `BLOBBASEFEE` gives instead of the floor, in wei.
    pub blob_base_fee: Option<u128>,
    /// What ends the call early, with [`CallError::Interrupted`].
    pub interrupt: Option<Interrupt>,
}

impl core::fmt::Debug for CallEnvironment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CallEnvironment").field("number", &self.header.number).finish_non_exhaustive()
    }
}

impl CallEnvironment {
    /// In `block`, on the state after it (`eth_call` with a block number, as geth).
    #[must_use]
    pub fn at(config: &ChainConfig, block: &Header, state: Arc<dyn StateReader>) -> Self {
        Self::new(config, block.clone(), state)
    }

    /// In the block that would follow `parent` at `timestamp_ms`, on the state after `parent` (estimates, `pending`).
    #[must_use]
    pub fn next(config: &ChainConfig, parent: &Sealed<Header>, timestamp_ms: u64, state: Arc<dyn StateReader>) -> Self {
        let attributes = BlockAttributes {
            timestamp_ms: timestamp_ms.max(protocol::block::timestamp_ms(parent)),
            leader: protocol::block::leader(parent),
            origin: L1Origin { randao: parent.mix_hash, ..L1Origin::default() },
            sequence_number: 0,
            deposits: Vec::new(),
        };
        let header = header::open_header(parent, &attributes, &config.params).unwrap_or_else(|| parent.inner().clone());
        Self::new(config, header, state)
    }

    fn new(config: &ChainConfig, header: Header, state: Arc<dyn StateReader>) -> Self {
        let parent = BlockNumHash::new(header.number.saturating_sub(1), header.parent_hash);
        let (config, overrides) = (config.clone(), Overrides::new());
        Self { config, header, parent, state, overrides, blob_base_fee: None, interrupt: None }
    }
}

/// How a call ended when it did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `REVERT` with its data.
    #[error("execution reverted")]
    Revert(Bytes),
    /// Out of gas, invalid opcode and the like; with geth's words for it.
    #[error("{1}")]
    Halt(OpHaltReason, String),
}

/// What a call did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// Return data, or how it failed.
    pub result: Result<Bytes, Failure>,
    /// Gas used, refund deducted.
    pub gas_used: u64,
    /// Logs.
    pub logs: Vec<Log>,
    /// Gas refunded at the end.
    pub refund: u64,
}

/// Gas that suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Gas limit under which the call succeeds.
    pub gas: u64,
}

/// A call could not be run, or an estimate could not be given.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request itself is invalid (funds, fees, intrinsic gas); with geth's words for it.
    #[error("{1}")]
    Invalid(InvalidTransaction, String),
    /// State overrides that contradict themselves.
    #[error("{0}")]
    Override(String),
    /// The call fails with any amount of gas.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The sender names a price and has nothing left to pay it with.
    #[error("insufficient funds for transfer")]
    Funds,
    /// The request may have, or its sender can pay, no more than this much gas, and that is not enough.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// See [`Interrupt`].
    #[error("execution aborted (timeout)")]
    Interrupted,
    /// More would be recorded than a trace may hold.
    #[error("trace is too large: limit the steps or record less of each")]
    TraceTooLarge,
    /// The tracer does not exist or its configuration is wrong.
    #[error("{0}")]
    Tracer(String),
    /// Our own failure.
    #[error(transparent)]
    Fatal(#[from] ExecutionError),
}

impl From<StateError> for CallError {
    fn from(error: StateError) -> Self {
        Self::Fatal(error.into())
    }
}

/// Runs a call. Nonce, sender code and, without a price, fees are not checked; the balance must cover the value.
///
/// # Errors
/// [`CallError::Invalid`], [`CallError::Interrupted`] or [`CallError::Fatal`]; a revert is not an error here.
pub fn call(environment: &CallEnvironment, request: &CallRequest) -> Result<CallOutcome, CallError> {
    let gas = request.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
    Simulation::new(environment)?.run(request, gas)
}

/// The least gas limit, within 1.5 %, under which a call succeeds.
///
/// # Errors
/// [`CallError::Failed`] carries the revert data of a call that fails with all the gas it may have.
pub fn estimate_gas(environment: &CallEnvironment, request: &CallRequest) -> Result<Estimate, CallError> {
    let mut simulation = Simulation::new(environment)?;
    let most = request.gas.filter(|gas| *gas >= TRANSFER_GAS).unwrap_or(CALL_GAS_CAP);
    let most = most.min(CALL_GAS_CAP).min(MAX_TRANSACTION_GAS).min(environment.header.gas_limit);
    let allowance = simulation.affordable_gas(request)?;
    let mut high = most.min(allowance);
    // What is wrong with a transfer is told by the run with all the gas it may have.
    if simulation.is_plain_transfer(request)? && matches!(simulation.succeeds(request, TRANSFER_GAS), Ok(Some(_))) {
        return Ok(Estimate { gas: TRANSFER_GAS });
    }
    let outcome = match simulation.run(request, high) {
        Err(error) if wants_gas(&error) => return Err(CallError::Allowance(high)),
        outcome => outcome?,
    };
    if let Err(failure) = outcome.result {
        let starved = matches!(failure, Failure::Halt(OpHaltReason::Base(HaltReason::OutOfGas(_)), _));
        return Err(if starved { CallError::Allowance(high) } else { failure.into() });
    }
    let spent = outcome.gas_used.saturating_add(outcome.refund);
    if let Some(least) = simulation.least_for_writes.map(|least| least.max(spent)).filter(|least| *least < high)
        && simulation.succeeds(request, least)?.is_some()
    {
        return Ok(Estimate { gas: least });
    }
    // Less than was used cannot do; and most calls do with what was used, what is refunded only at the end, the
    // stipend, and the 64th part that a caller must hold back (EIP-150).
    let mut low = outcome.gas_used.saturating_sub(1);
    let likely = spent.saturating_add(CALL_STIPEND);
    let mut probe = likely.saturating_mul(64).checked_div(63).unwrap_or(likely);
    for _ in 0..MAX_ESTIMATE_RUNS {
        let gap = high.saturating_sub(low);
        if gap <= 1 || gap.saturating_mul(1_000) < high.saturating_mul(ESTIMATE_TOLERANCE_PER_MILLE) {
            break;
        }
        if probe <= low || probe >= high {
            // Most transactions need little more than they use: lean towards the lower bound (as geth).
            let middle = low.midpoint(high);
            probe = middle.min(low.saturating_mul(2).max(low.saturating_add(1)));
        }
        if simulation.succeeds(request, probe)?.is_some() {
            high = probe;
        } else {
            low = probe;
        }
        probe = low;
    }
    Ok(Estimate { gas: high })
}

/// The access list a call would profit from, with the gas it uses under it.
///
/// # Errors
/// As [`call`].
pub fn create_access_list(
    environment: &CallEnvironment,
    request: &CallRequest,
) -> Result<(AccessList, CallOutcome), CallError> {
    let gas = request.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
    let mut request = request.clone();
    let mut runs = 0;
    loop {
        let mut inspector = AccessListInspector::new(request.access_list.clone());
        let outcome = Simulation::new(environment)?.inspect(&request, gas, &mut inspector)?;
        // A list may change which slots are reached (gas is observable): repeat until it is stable.
        let mut list = inspector.into_access_list();
        list.0.sort_by_key(|item| item.address);
        runs += 1;
        if list == request.access_list || runs >= MAX_ACCESS_LIST_RUNS {
            return Ok((list, outcome));
        }
        request.access_list = list;
    }
}

/// One request's runs, on one throw-away state; what it reads once it keeps for its further runs.
struct Simulation {
    session: Session,
    /// What the last run's storage writes needed; see [`Guard`](crate::guard::Guard).
    least_for_writes: Option<u64>,
}

impl Simulation {
    fn new(environment: &CallEnvironment) -> Result<Self, CallError> {
        Ok(Self { session: Session::of_call(environment)?, least_for_writes: None })
    }

    fn run(&mut self, request: &CallRequest, gas: u64) -> Result<CallOutcome, CallError> {
        self.inspect(request, gas, NoOpInspector)
    }

    fn inspect<I: Inspector<Ctx>>(
        &mut self,
        request: &CallRequest,
        gas: u64,
        inspector: I,
    ) -> Result<CallOutcome, CallError> {
        let tx = self.session.tx_env(request, gas)?;
        let rules = self.session.call_rules(request.max_fee_per_gas > 0);
        let mut guard = self.session.guard(usize::MAX, RecordingCost::NONE);
        let inspector = Guarded::new(&mut guard, inspector);
        let outcome = self.session.transact(rules, tx, inspector, |evm, tx| evm.inspect_one_tx(tx));
        guard.verdict()?;
        self.least_for_writes = guard.least_for_writes(gas);
        Ok(outcome_of(outcome?.result, &guard))
    }

    /// `Some` outcome when the call succeeds with this gas, `None` when it fails for want of it or otherwise.
    fn succeeds(&mut self, request: &CallRequest, gas: u64) -> Result<Option<CallOutcome>, CallError> {
        match self.run(request, gas) {
            Ok(outcome) => Ok(outcome.result.is_ok().then_some(outcome)),
            Err(error) if wants_gas(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gas the sender's balance pays for at the request's price.
    fn affordable_gas(&mut self, request: &CallRequest) -> Result<u64, CallError> {
        if request.max_fee_per_gas == 0 {
            return Ok(u64::MAX);
        }
        let balance = self.session.overlay()?.account(request.from)?.unwrap_or_default().balance;
        let left = balance.saturating_sub(request.value);
        if left.is_zero() {
            return Err(CallError::Funds);
        }
        Ok(left.checked_div(U256::from(request.max_fee_per_gas)).unwrap_or(U256::MAX).saturating_to())
    }

    fn is_plain_transfer(&mut self, request: &CallRequest) -> Result<bool, CallError> {
        let Some(to) = request.to else { return Ok(false) };
        let bare = request.data.is_empty() && request.access_list.is_empty() && request.authorizations.is_empty();
        let code_hash = self.session.overlay()?.account(to)?.unwrap_or_default().code_hash;
        Ok(bare && code_hash == alloy_primitives::KECCAK256_EMPTY)
    }
}

/// Whether a call could not even begin with the gas it had.
const fn wants_gas(error: &CallError) -> bool {
    use InvalidTransaction::{CallGasCostMoreThanGasLimit, GasFloorMoreThanGasLimit};
    matches!(error, CallError::Invalid(CallGasCostMoreThanGasLimit { .. } | GasFloorMoreThanGasLimit { .. }, ..))
}

/// What a run did that this guard has watched.
pub(crate) fn outcome_of(result: ExecutionResult<OpHaltReason>, guard: &Guard) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    let refund = result.gas().final_refunded();
    let (result, logs) = match result {
        ExecutionResult::Success { output, logs, .. } => (Ok(output.into_data()), logs),
        ExecutionResult::Revert { output, .. } => (Err(Failure::Revert(output)), Vec::new()),
        ExecutionResult::Halt { reason, .. } => {
            let text = words::halt(&reason, guard.last());
            (Err(Failure::Halt(reason, text)), Vec::new())
        }
    };
    CallOutcome { result, gas_used, logs, refund }
}
