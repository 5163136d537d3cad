//! `txpool_`: what waits to be included.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use op_alloy_rpc_types::Transaction;
use serde::Serialize;

use crate::{
    args::{AddressArg, Args},
    context::Context,
    convert,
    error::RpcResult,
    model::PooledTransaction,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("txpool_status", 0, status);
    registry.heavy("txpool_content", 0, content);
    registry.heavy("txpool_contentFrom", 1, content_from);
    registry.heavy("txpool_inspect", 0, inspect);
}

/// The two halves of every answer.
#[derive(Debug, Clone, Default, Serialize)]
struct Halves<T> {
    pending: T,
    queued: T,
}

/// By decimal nonce.
type ByNonce<T> = BTreeMap<String, T>;

fn status(context: &Context, _: &Args) -> RpcResult<Halves<U64>> {
    let status = context.backend.pool_status();
    Ok(Halves { pending: U64::from(status.pending), queued: U64::from(status.queued) })
}

fn by_nonce<T>(entries: &[PooledTransaction], view: fn(&protocol::RecoveredTx) -> T) -> ByNonce<T> {
    entries.iter().map(|entry| (entry.envelope.nonce().to_string(), view(entry))).collect()
}

fn by_sender<T>(
    entries: &[PooledTransaction],
    view: fn(&protocol::RecoveredTx) -> T,
) -> BTreeMap<Address, ByNonce<T>> {
    let mut senders: BTreeMap<Address, ByNonce<T>> = BTreeMap::new();
    for entry in entries {
        senders.entry(entry.sender).or_default().insert(entry.envelope.nonce().to_string(), view(entry));
    }
    senders
}

fn content(context: &Context, _: &Args) -> RpcResult<Halves<BTreeMap<Address, ByNonce<Transaction>>>> {
    let content = context.backend.pool_content(None);
    Ok(Halves {
        pending: by_sender(&content.pending, convert::pooled),
        queued: by_sender(&content.queued, convert::pooled),
    })
}

fn content_from(context: &Context, args: &Args) -> RpcResult<Halves<ByNonce<Transaction>>> {
    let content = context.backend.pool_content(Some(args.required::<AddressArg>(0)?.0));
    Ok(Halves {
        pending: by_nonce(&content.pending, convert::pooled),
        queued: by_nonce(&content.queued, convert::pooled),
    })
}

fn inspect(context: &Context, _: &Args) -> RpcResult<Halves<BTreeMap<Address, ByNonce<String>>>> {
    let content = context.backend.pool_content(None);
    Ok(Halves {
        pending: by_sender(&content.pending, convert::summary),
        queued: by_sender(&content.queued, convert::summary),
    })
}
