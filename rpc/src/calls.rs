//! From a message to its answer, whatever it came by. The methods are the library's; its server around them would read and copy an
//! HTTP body once more and set up a service for every request, which costs as much as a light call itself.

use std::future::ready;

use futures::future::{BoxFuture, Either, FutureExt};
use http::Extensions;
use jsonrpsee::{
    BoundedSubscriptions, ConnectionId, MethodCallback, MethodResponse, MethodSink, Methods, SubscriptionState,
    core::{
        middleware::{Batch, BatchEntry, BatchEntryErr, Notification, RpcServiceT},
        traits::IdProvider,
    },
    types::{
        ErrorCode, Id, InvalidRequest, Params, Request, SubscriptionId,
        error::{ErrorObject, reject_too_big_batch_request, reject_too_many_subscriptions},
    },
};
use serde_json::value::RawValue;

use crate::{
    config::BATCH_PARSE_LIMIT,
    middleware::{Guarded, silent},
};

/// The methods as one connection has them.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) methods: Methods,
    pub(crate) max_response_bytes: usize,
    /// What subscribes here, on a connection that stays.
    pub(crate) subscriber: Option<Subscriber>,
}

/// What subscribes on a connection.
#[derive(Clone)]
pub(crate) struct Subscriber {
    pub(crate) sink: MethodSink,
    pub(crate) subscriptions: BoundedSubscriptions,
    pub(crate) connection: ConnectionId,
}

/// Subscription ids as geth writes them: hex, and too large to guess.
#[derive(Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        format!("{:#x}", rand::random::<u128>()).into()
    }
}

impl Calls {
    /// Calls a method that has to do with subscriptions.
    fn subscribe(
        &self,
        method: Option<&MethodCallback>,
        id: Id<'_>,
        params: Params<'_>,
        extensions: Extensions,
    ) -> BoxFuture<'static, MethodResponse> {
        let refuse = |id, why| ready(MethodResponse::error(id, why)).boxed();
        let Some(Subscriber { sink, subscriptions, connection }) = &self.subscriber else {
            return refuse(id, ErrorObject::from(ErrorCode::MethodNotFound));
        };
        match method {
            Some(MethodCallback::Subscription(subscribe)) => match subscriptions.acquire() {
                Some(subscription_permit) => {
                    let state = SubscriptionState { conn_id: *connection, id_provider: &HexIds, subscription_permit };
                    subscribe(id, params, sink.clone(), state, extensions)
                }
                None => refuse(id, reject_too_many_subscriptions(subscriptions.max())),
            },
            Some(MethodCallback::Unsubscription(end)) => {
                ready(end(id, params, *connection, self.max_response_bytes, extensions)).boxed()
            }
            _ => refuse(id, ErrorObject::from(ErrorCode::MethodNotFound)),
        }
    }
}

impl RpcServiceT for Calls {
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Request { id, method, params, extensions, .. } = request;
        let params = Params::new(params.as_ref().map(|params| params.get()));
        let most = self.max_response_bytes;
        match self.methods.method(&method) {
            Some(MethodCallback::Sync(call)) => Either::Left(ready(call(id, params, most, extensions))),
            Some(MethodCallback::Async(call)) => {
                let (id, params) = (id.into_owned(), params.into_owned());
                Either::Right(call(id, params, ConnectionId::default(), most, extensions))
            }
            other => Either::Right(self.subscribe(other, id, params, extensions)),
        }
    }

    /// [`Guarded`] takes batches apart.
    fn batch<'a>(&self, _: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        ready(silent())
    }

    fn notification<'a>(&self, _: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        ready(silent())
    }
}

/// A part of a body that may have to be answered.
fn entry(call: &str) -> Result<BatchEntry<'_>, ErrorCode> {
    if let Ok(request) = serde_json::from_str(call) {
        return Ok(BatchEntry::Call(request));
    }
    serde_json::from_str(call).map(BatchEntry::Notification).map_err(|_| ErrorCode::InvalidRequest)
}

/// The id of a part that is no request.
fn id_of(call: &str) -> Option<Id<'_>> {
    serde_json::from_str(call).ok().map(|InvalidRequest { id }| id)
}

/// The answer to a message that is refused as a whole; a batch has no id.
pub(crate) fn refused(message: &[u8], why: ErrorObject<'_>) -> MethodResponse {
    let text = std::str::from_utf8(message).unwrap_or_default();
    MethodResponse::error(id_of(text).unwrap_or(Id::Null), why)
}

/// One of a batch.
fn part(call: &RawValue) -> Result<BatchEntry<'_>, BatchEntryErr<'_>> {
    let call = call.get();
    entry(call).map_err(|code| BatchEntryErr::new(id_of(call).unwrap_or(Id::Null), code.into()))
}

/// Answers a call or a batch; `None` for what is neither.
pub(crate) async fn answer(service: &Guarded<Calls>, body: &[u8]) -> Option<MethodResponse> {
    let body = body.trim_ascii_start();
    let refusal = |id, code: ErrorCode| MethodResponse::error(id, ErrorObject::from(code));
    let is_batch = match body.first() {
        Some(b'{') => false,
        Some(b'[') => true,
        _ => return None,
    };
    let Ok(text) = std::str::from_utf8(body) else { return Some(refusal(Id::Null, ErrorCode::ParseError)) };
    if !is_batch {
        return Some(match entry(text) {
            Ok(BatchEntry::Call(request)) => service.run(request).await,
            Ok(BatchEntry::Notification(_)) => silent(),
            Err(code) => id_of(text).map_or_else(|| refusal(Id::Null, ErrorCode::ParseError), |id| refusal(id, code)),
        });
    }
    let Ok(calls) = serde_json::from_str::<Vec<&RawValue>>(text) else {
        return Some(refusal(Id::Null, ErrorCode::ParseError));
    };
    let most = usize::try_from(BATCH_PARSE_LIMIT).unwrap_or(usize::MAX);
    if calls.len() > most {
        return Some(MethodResponse::error(Id::Null, reject_too_big_batch_request(most)));
    }
    let batch = Batch::from(calls.into_iter().map(part).collect());
    Some(service.batch(batch).boxed().await)
}
