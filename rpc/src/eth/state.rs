//! Balances, code, storage, nonces and proofs.

use std::collections::BTreeMap;

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;

use crate::{
    args::{AddressArg, Args, SlotArg},
    config::MAX_PROOF_SLOTS,
    context::Context,
    error::{RpcError, RpcResult},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.light("eth_getBalance", 2, balance);
    registry.light("eth_getCode", 2, code);
    registry.light("eth_getStorageAt", 3, storage);
    registry.light("eth_getTransactionCount", 2, transaction_count);
    registry.heavy("eth_getStorageValues", 2, storage_values);
    registry.heavy("eth_getProof", 3, proof);
}

fn balance(context: &Context, args: &Args) -> RpcResult<U256> {
    let address = args.required::<AddressArg>(0)?.0;
    let at = context.state_at(args.block_or_latest(1)?)?;
    Ok(context.backend.account(address, at)?.unwrap_or_default().balance)
}

fn code(context: &Context, args: &Args) -> RpcResult<Bytes> {
    let address = args.required::<AddressArg>(0)?.0;
    let at = context.state_at(args.block_or_latest(1)?)?;
    Ok(context.backend.code(address, at)?)
}

fn storage(context: &Context, args: &Args) -> RpcResult<B256> {
    let address = args.required::<AddressArg>(0)?.0;
    let slot = args.required::<SlotArg>(1)?.0.as_b256();
    let at = context.state_at(args.block_or_latest(2)?)?;
    Ok(context.backend.storage(address, slot, at)?.into())
}

/// Slots of several accounts at once.
fn storage_values(context: &Context, args: &Args) -> RpcResult<BTreeMap<Address, Vec<B256>>> {
    let wanted = args.required::<BTreeMap<Address, Vec<SlotArg>>>(0)?;
    if wanted.values().map(Vec::len).sum::<usize>() > MAX_PROOF_SLOTS {
        return Err(RpcError::InvalidParams(format!("too many slots (max {MAX_PROOF_SLOTS})")));
    }
    let at = context.state_at(args.block_or_latest(1)?)?;
    let mut values = BTreeMap::new();
    for (address, slots) in wanted {
        let read = |slot: &SlotArg| Ok(context.backend.storage(address, slot.0.as_b256(), at)?.into());
        values.insert(address, slots.iter().map(read).collect::<RpcResult<Vec<B256>>>()?);
    }
    Ok(values)
}

/// At `pending`, the nonce after the sender's pooled transactions: what a wallet must sign next.
fn transaction_count(context: &Context, args: &Args) -> RpcResult<U64> {
    let address = args.required::<AddressArg>(0)?.0;
    let id = args.block_or_latest(1)?;
    let at = context.state_at(id)?;
    let mined = context.backend.account(address, at)?.unwrap_or_default().nonce;
    let pooled = if id == BlockId::pending() { context.backend.pooled_nonce(address) } else { None };
    Ok(U64::from(pooled.map_or(mined, |pooled| pooled.max(mined))))
}

fn proof(context: &Context, args: &Args) -> RpcResult<EIP1186AccountProofResponse> {
    let address = args.required::<AddressArg>(0)?.0;
    let keys = args.optional::<Vec<SlotArg>>(1)?.unwrap_or_default();
    if keys.len() > MAX_PROOF_SLOTS {
        return Err(RpcError::InvalidParams(format!("too many keys (max {MAX_PROOF_SLOTS})")));
    }
    let at = context.state_at(args.block_or_latest(2)?)?;
    let slots: Vec<B256> = keys.iter().map(|key| key.0.as_b256()).collect();
    let mut proof = context.backend.proof(address, &slots, at)?;
    // Clients look their keys up by the text they sent.
    for (entry, key) in proof.storage_proof.iter_mut().zip(&keys) {
        entry.key = key.0;
    }
    Ok(proof)
}
