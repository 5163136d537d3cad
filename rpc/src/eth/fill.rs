//! `eth_fillTransaction`: a transaction with everything a signature needs.

use alloy_consensus::TxEnvelope;
use alloy_eips::{Encodable2718, Typed2718};
use alloy_primitives::{Bytes, Signature, U256};
use alloy_rpc_types_eth::TransactionRequest;
use serde::Serialize;

use crate::{
    args::Args,
    context::Context,
    error::{RpcError, RpcResult},
    eth, fees,
    model::CallRequest,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.call("eth_fillTransaction", 1, fill);
}

/// The filled transaction, and its bytes with an empty signature (geth's form). One with a dynamic fee has no `gasPrice`, although
/// the official schema wants it: viem would send both kinds of fee on, which every node refuses.
#[derive(Debug, Serialize)]
struct Filled {
    raw: Bytes,
    tx: TxEnvelope,
}

fn fill(context: &Context, args: &Args) -> RpcResult<Filled> {
    let mut request: TransactionRequest = eth::transaction(context, args)?;
    let latest = context.backend.heads().latest.number;
    let sender = request.from.unwrap_or_default();
    if request.to.is_none() {
        if request.input.input().is_none_or(|input| input.is_empty()) {
            return Err(RpcError::Refused("contract creation without any data provided".to_owned()));
        }
        request.to = Some(alloy_primitives::TxKind::Create);
    }
    if request.nonce.is_none() {
        let mined = context.backend.account(sender, latest)?.unwrap_or_default().nonce;
        request.nonce = Some(context.backend.pooled_nonce(sender).unwrap_or(mined).max(mined));
    }
    if request.gas_price.is_none() {
        let base_fee = u128::from(context.backend.next_base_fee());
        let tip = match request.max_priority_fee_per_gas {
            Some(tip) => tip,
            None => {
                let suggested = fees::suggest_tip(context)?;
                request.max_fee_per_gas.map_or(suggested, |most| suggested.min(most))
            }
        };
        // Twice the base fee, so that the transaction stays valid while blocks are full.
        let most = request.max_fee_per_gas.unwrap_or_else(|| base_fee.saturating_mul(2).saturating_add(tip));
        if most < tip {
            return Err(RpcError::Refused(format!("maxFeePerGas ({most}) < maxPriorityFeePerGas ({tip})")));
        }
        (request.max_priority_fee_per_gas, request.max_fee_per_gas) = (Some(tip), Some(most));
    }
    request.chain_id = Some(context.backend.genesis().chain_id);
    request.value = Some(request.value.unwrap_or_default());
    if request.gas.is_none() {
        // The estimate must not fail for want of funds that the signer may still bring.
        let mut priceless = request.clone();
        (priceless.gas_price, priceless.max_fee_per_gas, priceless.max_priority_fee_per_gas) = (None, None, None);
        let estimate = CallRequest {
            transaction: priceless,
            at: latest,
            state_overrides: None,
            block_overrides: None,
            deadline: args.deadline(),
            brief: args.brief(),
        };
        request.gas = Some(context.backend.estimate_gas(estimate)?);
    }
    let typed = request
        .build_consensus_tx()
        .map_err(|why| RpcError::InvalidParams(format!("transaction cannot be built: {}", why.error)))?;
    if typed.is_eip4844() {
        return Err(RpcError::Refused("transaction type not supported".to_owned()));
    }
    let tx = TxEnvelope::from(typed.into_envelope(Signature::new(U256::ZERO, U256::ZERO, false)));
    Ok(Filled { raw: tx.encoded_2718().into(), tx })
}
