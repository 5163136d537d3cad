//! `eth_subscribe` over WebSocket.
//!
//! Each subscription follows heads by number. When it lags behind the event channel (a slow client), it re-reads what it
//! missed from the store, so that no head and no log is lost; when it lags too far it is closed with a reason.

use std::{collections::HashSet, sync::Arc, time::Instant};

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionCloseResponse, SubscriptionSink,
    core::SubscriptionError,
    types::{ErrorObjectOwned, Params},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::to_raw_value};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    args::{Args, HashArg},
    config::{MAX_HEAD_BACKFILL, MAX_RECEIPT_HASHES},
    context::{Context, Work},
    convert,
    error::{METHOD_NOT_FOUND, RpcError, RpcResult},
    logs::{self, Standing},
    model::{ChainEvent, NewHead},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    let added = registry.module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, _| subscribe(params, pending, context),
    );
    let outcome = added.map(|_| ());
    registry.note(outcome);
}

/// What a client subscribed to.
enum Topic {
    Heads,
    Logs(Box<Standing>),
    Pending {
        full: bool,
    },
    /// Of these transactions, or of all.
    Receipts(Option<HashSet<B256>>),
    Syncing,
}

/// Which receipts a client wants.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReceiptFilter {
    transaction_hashes: Option<HashSet<HashArg>>,
}

impl ReceiptFilter {
    /// The hashes, unless they are too many; none and an empty list ask for all.
    fn wanted(self) -> RpcResult<Option<HashSet<B256>>> {
        let hashes = self.transaction_hashes.unwrap_or_default();
        if hashes.len() > MAX_RECEIPT_HASHES {
            return Err(RpcError::InvalidParams(format!(
                "exceed max number of transaction hashes allowed per transactionReceipts subscription ({MAX_RECEIPT_HASHES})"
            )));
        }
        Ok((!hashes.is_empty()).then(|| hashes.into_iter().map(|hash| hash.0).collect()))
    }
}

/// The geth wording for a kind that does not exist; libraries fall back to polling on this code.
enum Refusal {
    Unknown(String),
    Params(RpcError),
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        Self::Params(error)
    }
}

impl From<Refusal> for ErrorObjectOwned {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(kind) => {
                let kind: String = kind.chars().take(64).collect();
                Self::owned(METHOD_NOT_FOUND, format!("no {kind:?} subscription in eth namespace"), None::<()>)
            }
            Refusal::Params(error) => error.into(),
        }
    }
}

fn parse(context: &Context, params: &Params<'_>) -> Result<Topic, Refusal> {
    let args = Args::parse(params, 2, Instant::now())?;
    let kind: String = args.required(0)?;
    match kind.as_str() {
        "newHeads" => Ok(Topic::Heads),
        "logs" => {
            let filter = if args.has(1) { args.filter(1)? } else { Filter::default() };
            Ok(Topic::Logs(Box::new(Standing::new(context, filter)?)))
        }
        "newPendingTransactions" => Ok(Topic::Pending { full: args.optional(1)?.unwrap_or(false) }),
        "transactionReceipts" => Ok(Topic::Receipts(args.optional::<ReceiptFilter>(1)?.unwrap_or_default().wanted()?)),
        "syncing" => Ok(Topic::Syncing),
        _ => Err(Refusal::Unknown(kind)),
    }
}

/// Why a subscription ended.
enum End {
    /// The client left or unsubscribed, or the node stops.
    Quiet,
    /// We end it, with a reason for the client.
    Because(String),
}

async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    context: Arc<Context>,
) -> SubscriptionCloseResponse {
    let topic = match parse(&context, &params) {
        Ok(topic) => topic,
        Err(refusal) => {
            pending.reject(ErrorObjectOwned::from(refusal)).await;
            return SubscriptionCloseResponse::None;
        }
    };
    // Before accepting, so that nothing that happens after the client knows its id is missed.
    let events = context.backend.events();
    let next = context.backend.heads().latest.number.saturating_add(1);
    let Ok(sink) = pending.accept().await else { return SubscriptionCloseResponse::None };
    let mut feed = Feed { context, sink, events, next };
    let end = match topic {
        Topic::Heads => feed.heads().await,
        Topic::Logs(filter) => feed.logs(&filter).await,
        Topic::Pending { full } => feed.pending(full).await,
        Topic::Receipts(wanted) => feed.receipts(wanted).await,
        Topic::Syncing => feed.syncing().await,
    };
    match end {
        Err(End::Because(why)) => SubscriptionCloseResponse::NotifErr(SubscriptionError::from(why)),
        Ok(()) | Err(End::Quiet) => SubscriptionCloseResponse::None,
    }
}

struct Feed {
    context: Arc<Context>,
    sink: SubscriptionSink,
    events: Receiver<ChainEvent>,
    /// Next height to report.
    next: u64,
}

impl Feed {
    async fn send<T: Serialize>(&self, value: &T) -> Result<(), End> {
        let message = to_raw_value(value).map_err(|why| End::Because(why.to_string()))?;
        self.sink.send(message).await.map_err(|_| End::Quiet)
    }

    /// The next event; `None` when some were missed.
    async fn event(&mut self) -> Result<Option<ChainEvent>, End> {
        tokio::select! {
            () = self.sink.closed() => Err(End::Quiet),
            event = self.events.recv() => match event {
                Ok(event) => Ok(Some(event)),
                Err(RecvError::Lagged(_)) => Ok(None),
                Err(RecvError::Closed) => Err(End::Quiet),
            },
        }
    }

    /// The next heads in order of height, without gaps.
    async fn next_heads(&mut self) -> Result<Vec<NewHead>, End> {
        loop {
            let last = match self.event().await? {
                Some(ChainEvent::Head(head)) if head.block.number() == self.next => {
                    self.next = self.next.saturating_add(1);
                    return Ok(vec![head]);
                }
                Some(ChainEvent::Head(head)) if head.block.number() > self.next => head.block.number(),
                Some(_) => continue,
                None => self.context.backend.heads().latest.number,
            };
            if last >= self.next {
                return self.backfill(last).await;
            }
        }
    }

    async fn backfill(&mut self, last: u64) -> Result<Vec<NewHead>, End> {
        let first = self.next;
        if last.saturating_sub(first) >= MAX_HEAD_BACKFILL {
            return Err(End::Because(format!("subscriber too slow: {} heads behind", last.saturating_sub(first))));
        }
        let read = move |context: &Context| -> RpcResult<Vec<NewHead>> {
            let mut heads = Vec::new();
            for number in first..=last {
                let found = context.backend.executed(number)?;
                heads.extend(found.map(|(block, receipts)| NewHead { block, receipts }));
            }
            Ok(heads)
        };
        let heads = self.context.run(Work::Heavy, read).await.map_err(|why| End::Because(why.to_string()))?;
        self.next = last.saturating_add(1);
        Ok(heads)
    }

    async fn heads(&mut self) -> Result<(), End> {
        loop {
            for head in self.next_heads().await? {
                self.send(&convert::header(&head.block.header)).await?;
            }
        }
    }

    async fn logs(&mut self, standing: &Standing) -> Result<(), End> {
        loop {
            for head in self.next_heads().await? {
                if !standing.may_match(head.block.header.logs_bloom) {
                    continue;
                }
                for log in convert::block_logs(&head.block, &head.receipts, |log| logs::matches(&standing.filter, log))
                {
                    self.send(&log).await?;
                }
            }
        }
    }

    async fn pending(&mut self, full: bool) -> Result<(), End> {
        loop {
            // Missed pooled transactions are gone: the pool keeps no history, and geth drops them too.
            let Some(ChainEvent::Pending(transaction)) = self.event().await? else { continue };
            if full {
                self.send(&convert::pooled(&transaction)).await?;
            } else {
                self.send(&transaction.hash).await?;
            }
        }
    }

    /// All wanted receipts of a block in one message.
    async fn receipts(&mut self, wanted: Option<HashSet<B256>>) -> Result<(), End> {
        loop {
            for head in self.next_heads().await? {
                let mut receipts = convert::block_receipts(&head.block, &head.receipts);
                receipts.retain(|receipt| {
                    wanted.as_ref().is_none_or(|wanted| wanted.contains(&receipt.inner.transaction_hash))
                });
                if !receipts.is_empty() {
                    self.send(&receipts).await?;
                }
            }
        }
    }

    async fn syncing(&mut self) -> Result<(), End> {
        let mut last = self.context.backend.sync_progress().is_some();
        self.send_sync(super::sync_status(&self.context)).await?;
        loop {
            let now = match self.event().await? {
                Some(ChainEvent::Sync(progress)) => progress.is_some(),
                Some(_) => continue,
                None => self.context.backend.sync_progress().is_some(),
            };
            if now != last {
                last = now;
                self.send_sync(super::sync_status(&self.context)).await?;
            }
        }
    }

    /// Geth's form: `false`, or an object with the status.
    async fn send_sync(&self, status: Value) -> Result<(), End> {
        let message = if status.is_object() { json!({ "syncing": true, "status": status }) } else { status };
        self.send(&message).await
    }
}
