//! Prices.

use alloy_primitives::U128;
use alloy_rpc_types_eth::FeeHistory;

use crate::{
    args::{Args, LenientQuantity, NumberOrTag},
    context::{Context, Work},
    error::{RpcError, RpcResult},
    fees,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.brief("eth_gasPrice", 0, gas_price, Work::Heavy);
    registry.brief("eth_maxPriorityFeePerGas", 0, max_priority_fee, Work::Heavy);
    registry.light("eth_baseFee", 0, base_fee);
    registry.light("eth_blobBaseFee", 0, blob_base_fee);
    registry.heavy("eth_feeHistory", 3, fee_history);
}

/// The suggested tip; a brief answer does not read blocks for it.
fn tip(context: &Context, args: &Args) -> RpcResult<u128> {
    if args.brief() {
        return fees::known_tip(context).ok_or(RpcError::Timeout);
    }
    fees::suggest_tip(context)
}

fn gas_price(context: &Context, args: &Args) -> RpcResult<U128> {
    let base_fee = u128::from(context.backend.next_base_fee());
    Ok(U128::from(tip(context, args)?.saturating_add(base_fee)))
}

fn max_priority_fee(context: &Context, args: &Args) -> RpcResult<U128> {
    Ok(U128::from(tip(context, args)?))
}

fn base_fee(context: &Context, _: &Args) -> RpcResult<U128> {
    Ok(U128::from(context.backend.next_base_fee()))
}

/// L2 takes no blobs; one wei is the protocol's minimum, as on other OP-compatible chains.
fn blob_base_fee(_: &Context, _: &Args) -> RpcResult<U128> {
    Ok(U128::from(1))
}

fn fee_history(context: &Context, args: &Args) -> RpcResult<FeeHistory> {
    let count = args.required::<LenientQuantity>(0)?.0;
    let newest = args.required::<NumberOrTag>(1)?.0;
    let percentiles = args.optional::<Vec<f64>>(2)?.unwrap_or_default();
    fees::history(context, count, newest, &percentiles, args.deadline())
}
