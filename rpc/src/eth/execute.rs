//! Calls that change nothing.

use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride};

use crate::{
    args::Args,
    context::{Context, Work},
    error::{RpcError, RpcResult},
    model::CallRequest,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.brief("eth_call", 4, call, Work::Call);
    registry.brief("eth_estimateGas", 4, estimate_gas, Work::Call);
    registry.brief("eth_createAccessList", 4, create_access_list, Work::Call);
}

/// The transaction object in the first parameter.
pub(crate) fn transaction(context: &Context, args: &Args) -> RpcResult<TransactionRequest> {
    if !args.is_object(0) {
        args.required::<serde_json::Value>(0)?;
        return Err(RpcError::argument(0, "transaction must be an object"));
    }
    let transaction: TransactionRequest = args.required(0)?;
    check(context, &transaction)?;
    Ok(transaction)
}

/// State overrides, as geth takes them.
pub(crate) fn state_overrides(overrides: Option<StateOverride>) -> RpcResult<Option<StateOverride>> {
    for (address, change) in overrides.iter().flatten() {
        if change.state.is_some() && change.state_diff.is_some() {
            return Err(RpcError::Refused(format!("account {address} has both 'state' and 'stateDiff'")));
        }
    }
    Ok(overrides)
}

/// Block overrides of a call, as geth takes them.
pub(crate) fn block_overrides(overrides: Option<BlockOverrides>) -> RpcResult<Option<Box<BlockOverrides>>> {
    if overrides.as_ref().is_some_and(|overrides| overrides.beacon_root.is_some()) {
        let text = "block override \"beaconRoot\" is not supported for this RPC method";
        return Err(RpcError::Refused(text.to_owned()));
    }
    Ok(overrides.map(Box::new))
}

fn request(context: &Context, args: &Args) -> RpcResult<CallRequest> {
    Ok(CallRequest {
        transaction: transaction(context, args)?,
        at: context.state_at(args.block_or_latest(1)?)?,
        state_overrides: state_overrides(args.optional::<StateOverride>(2)?)?,
        block_overrides: block_overrides(args.optional::<BlockOverrides>(3)?)?,
        deadline: args.deadline(),
        brief: args.brief(),
    })
}

/// What geth refuses before it executes anything.
pub(crate) fn check(context: &Context, transaction: &TransactionRequest) -> RpcResult<()> {
    let invalid = |why: &str| Err(RpcError::Refused(why.to_owned()));
    let dynamic = transaction.max_fee_per_gas.is_some() || transaction.max_priority_fee_per_gas.is_some();
    if transaction.gas_price.is_some() && dynamic {
        return invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified");
    }
    if let (Some(input), Some(data)) = (&transaction.input.input, &transaction.input.data)
        && input != data
    {
        return invalid(
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data",
        );
    }
    if let (Some(tip), Some(max)) = (transaction.max_priority_fee_per_gas, transaction.max_fee_per_gas)
        && tip > max
    {
        return Err(RpcError::Refused(format!(
            "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {max}"
        )));
    }
    let ours = context.backend.genesis().chain_id;
    match transaction.chain_id {
        Some(chain_id) if chain_id != ours => {
            Err(RpcError::Refused(format!("chainId does not match node's (have={chain_id}, want={ours})")))
        }
        _ => Ok(()),
    }
}

fn call(context: &Context, args: &Args) -> RpcResult<Bytes> {
    let request = request(context, args)?;
    Ok(context.backend.call(request)?)
}

fn estimate_gas(context: &Context, args: &Args) -> RpcResult<U64> {
    let request = request(context, args)?;
    Ok(U64::from(context.backend.estimate_gas(request)?))
}

fn create_access_list(context: &Context, args: &Args) -> RpcResult<AccessListResult> {
    let request = request(context, args)?;
    Ok(context.backend.create_access_list(request)?)
}
