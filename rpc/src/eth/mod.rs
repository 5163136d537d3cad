//! `eth_`: what wallets and libraries use all day.
//!
//! ```text
//!  chain    blocks, transactions, receipts        state   balances, code, storage, nonces, proofs
//!  execute  call, estimate, access list, simulate submit  raw transactions, with or without waiting
//!  fee      prices and history                    filter  logs and polled filters
//!  subscribe  newHeads, logs, newPendingTransactions, syncing over WebSocket
//! ```

mod chain;
mod config;
mod execute;
mod fee;
mod fill;
mod filter;
mod simulate;
mod state;
mod submit;
mod subscribe;

pub(crate) use chain::raw_transaction;
pub(crate) use execute::{block_overrides, check as check_transaction, state_overrides, transaction};

use alloy_primitives::{Address, U64};
use serde_json::{Value, json};

use crate::{
    args::Args,
    context::Context,
    error::RpcResult,
    model::{History, Reach},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("eth_chainId", 0, chain_id);
    registry.light("eth_accounts", 0, accounts);
    registry.light("eth_coinbase", 0, coinbase);
    registry.light("eth_syncing", 0, syncing);
    registry.light("eth_capabilities", 0, capabilities);
    registry.light("eth_mining", 0, |_: &Context, _: &Args| Ok(false));
    registry.light("eth_hashrate", 0, |_: &Context, _: &Args| Ok(U64::ZERO));
    registry.light("eth_protocolVersion", 0, |_: &Context, _: &Args| Ok(U64::from(PROTOCOL_VERSION)));
    chain::register(registry);
    state::register(registry);
    execute::register(registry);
    fee::register(registry);
    fill::register(registry);
    simulate::register(registry);
    config::register(registry);
    submit::register(registry);
    filter::register(registry);
    subscribe::register(registry);
}

/// The newest eth wire protocol; some libraries ask for it, nothing here speaks it.
const PROTOCOL_VERSION: u64 = 68;

fn chain_id(context: &Context, _: &Args) -> RpcResult<U64> {
    Ok(U64::from(context.backend.genesis().chain_id))
}

/// Always empty: this node holds no user's keys.
fn accounts(_: &Context, _: &Args) -> RpcResult<Vec<Address>> {
    Ok(Vec::new())
}

fn coinbase(_: &Context, _: &Args) -> RpcResult<Address> {
    Ok(protocol::block::FEE_VAULT)
}

/// What is kept from which block on, and what only for some blocks behind the head. The genesis block always stays.
fn capabilities(context: &Context, _: &Args) -> RpcResult<Value> {
    let head = context.backend.heads().latest;
    let History { state, proofs, bodies, receipts } = context.backend.history();
    Ok(json!({
        "head": { "number": U64::from(head.number), "hash": head.hash },
        "blocks": capability(bodies),
        // A transaction is shown with what its receipt says.
        "tx": capability(receipts),
        "receipts": capability(receipts),
        "logs": capability(receipts),
        "state": capability(state),
        "stateproofs": capability(proofs),
    }))
}

fn capability(reach: Reach) -> Value {
    let oldest = U64::from(reach.from);
    match reach.window.map(U64::from) {
        None => json!({ "disabled": false, "oldestBlock": oldest }),
        Some(blocks) => {
            let strategy = json!({ "type": "window", "retentionBlocks": blocks });
            json!({ "disabled": false, "oldestBlock": oldest, "deleteStrategy": strategy })
        }
    }
}

fn syncing(context: &Context, _: &Args) -> RpcResult<Value> {
    Ok(sync_status(context))
}

/// `false`, or how far catching up has come. Not the library's type, which adds members of another client.
fn sync_status(context: &Context) -> Value {
    match context.backend.sync_progress() {
        None => Value::Bool(false),
        Some(progress) => json!({
            "startingBlock": U64::from(progress.starting),
            "currentBlock": U64::from(progress.current),
            "highestBlock": U64::from(progress.highest),
        }),
    }
}
