//! `txpool_`: what waits to be included.

use std::collections::BTreeMap;

use alloy_consensus::Transaction as _;
use alloy_primitives::U64;
use serde::Serialize;

use crate::{
    args::{AddressArg, Args},
    context::Context,
    convert::{self, PooledView},
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
/// By address with checksum, as geth writes it.
type BySender<T> = BTreeMap<String, ByNonce<T>>;

fn status(context: &Context, _: &Args) -> RpcResult<Halves<U64>> {
    let status = context.backend.pool_status();
    Ok(Halves { pending: U64::from(status.pending), queued: U64::from(status.queued) })
}

fn by_nonce<T>(entries: &[PooledTransaction], view: fn(&protocol::RecoveredTx) -> T) -> ByNonce<T> {
    entries.iter().map(|entry| (entry.envelope.nonce().to_string(), view(entry))).collect()
}

fn by_sender<T>(entries: &[PooledTransaction], view: fn(&protocol::RecoveredTx) -> T) -> BySender<T> {
    let mut senders: BySender<T> = BTreeMap::new();
    for entry in entries {
        senders.entry(entry.sender.to_string()).or_default().insert(entry.envelope.nonce().to_string(), view(entry));
    }
    senders
}

fn content(context: &Context, _: &Args) -> RpcResult<Halves<BySender<PooledView>>> {
    let content = context.backend.pool_content(None);
    Ok(Halves {
        pending: by_sender(&content.pending, convert::pooled),
        queued: by_sender(&content.queued, convert::pooled),
    })
}

fn content_from(context: &Context, args: &Args) -> RpcResult<Halves<ByNonce<PooledView>>> {
    let content = context.backend.pool_content(Some(args.required::<AddressArg>(0)?.0));
    Ok(Halves {
        pending: by_nonce(&content.pending, convert::pooled),
        queued: by_nonce(&content.queued, convert::pooled),
    })
}

fn inspect(context: &Context, _: &Args) -> RpcResult<Halves<BySender<String>>> {
    let content = context.backend.pool_content(None);
    Ok(Halves {
        pending: by_sender(&content.pending, convert::summary),
        queued: by_sender(&content.queued, convert::summary),
    })
}
