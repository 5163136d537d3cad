//! Signed transactions on their way to the pool.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use futures::future::BoxFuture;
use tokio::sync::broadcast;

use super::chain::{TaggedReceipt, tagged_receipt};
use crate::{
    args::{Args, BytesArg, LenientQuantity},
    config::{SYNC_SEND_DEFAULT, SYNC_SEND_MAX},
    context::Context,
    error::{RpcError, RpcResult},
    model::ChainEvent,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.slow("eth_sendRawTransaction", 1, send_raw);
    registry.slow("eth_sendRawTransactionSync", 2, send_raw_sync);
}

fn send_raw(context: Arc<Context>, args: Args) -> BoxFuture<'static, RpcResult<B256>> {
    Box::pin(async move {
        let raw = args.required::<BytesArg>(0)?.0;
        Ok(context.backend.submit(raw).await?)
    })
}

/// EIP-7966: answers with the receipt as soon as the transaction was executed in a slice, or with code 4 and the hash when there is none in time.
fn send_raw_sync(context: Arc<Context>, args: Args) -> BoxFuture<'static, RpcResult<TaggedReceipt>> {
    Box::pin(async move {
        let raw = args.required::<BytesArg>(0)?.0;
        let wait = match args.optional::<LenientQuantity>(1)? {
            Some(LenientQuantity(0)) | None => SYNC_SEND_DEFAULT,
            Some(LenientQuantity(millis)) => Duration::from_millis(millis).min(SYNC_SEND_MAX),
        };
        // Listen before submitting: the block may be decided before this task runs again.
        let events = context.backend.events();
        let hash = context.backend.submit(raw).await?;
        let timeout = RpcError::SyncTimeout { hash, millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) };
        match tokio::time::timeout(wait, receipt(&context, &args, hash, events)).await {
            Ok(answer) => answer,
            Err(_) => Err(stuck(&context, hash).unwrap_or(timeout)),
        }
    })
}

/// Why a pooled transaction cannot be executed, if it cannot.
fn stuck(context: &Context, hash: B256) -> Option<RpcError> {
    let pooled = context.backend.pooled(hash)?;
    let latest = context.backend.heads().latest.number;
    let mined = context.backend.account(pooled.sender, latest).ok().flatten().unwrap_or_default().nonce;
    let expected = context.backend.pooled_nonce(pooled.sender).unwrap_or(mined).max(mined);
    if alloy_consensus::Transaction::nonce(&pooled.envelope) > expected {
        return Some(RpcError::SyncNonceGap(expected));
    }
    let queued = context.backend.pool_content(Some(pooled.sender)).queued;
    queued.iter().any(|entry| entry.hash == hash).then_some(RpcError::SyncQueued(hash))
}

async fn receipt(
    context: &Context,
    args: &Args,
    hash: B256,
    mut events: broadcast::Receiver<ChainEvent>,
) -> RpcResult<TaggedReceipt> {
    loop {
        if let Some(receipt) = tagged_receipt(context, args, hash, true)? {
            return Ok(receipt);
        }
        // Only a new block or slice can change the answer; missed events are made up for by asking again.
        loop {
            match events.recv().await {
                Ok(ChainEvent::Head(_) | ChainEvent::PendingBlock) | Err(broadcast::error::RecvError::Lagged(_)) => {
                    break;
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => {
                    return Err(RpcError::Refused("the node is shutting down".to_owned()));
                }
            }
        }
    }
}
