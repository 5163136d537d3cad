//! Around every call: metrics, time limit, batch limit, and the error texts clients know from geth.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use jsonrpsee::{
    core::{
        middleware::{Batch, BatchEntry, Notification, RpcServiceT},
        server::{BatchResponseBuilder, MethodResponse},
    },
    types::{ErrorObjectOwned, Id, Request, error::OVERSIZED_RESPONSE_CODE},
};
use metrics::{Counter, Gauge, Histogram};

use crate::{
    clients::{LIGHT, Place},
    config::MAX_BATCH_ITEMS,
    context::Deadline,
    error::{INVALID_REQUEST, LIMIT_EXCEEDED, METHOD_NOT_FOUND, RESPONSE_TOO_LARGE, TIMEOUT},
    registry::Costs,
};

/// How a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    WebSocket,
}

/// Who makes a call, and how.
#[derive(Clone)]
pub(crate) struct Caller {
    /// Counts as long as somebody may still call: a WebSocket outlives the connection it came in by.
    pub(crate) place: Arc<Place>,
    pub(crate) transport: Transport,
}

/// What is known of one method. Its metrics are made once: making one takes a lock and hashes labels.
struct Method {
    cost: NonZeroU32,
    metrics: MethodMetrics,
}

struct MethodMetrics {
    ok: Counter,
    failed: Counter,
    seconds: Histogram,
}

impl MethodMetrics {
    fn new(method: &'static str) -> Self {
        Self {
            ok: metrics::counter!("horae_rpc_requests_total", "method" => method, "result" => "ok"),
            failed: metrics::counter!("horae_rpc_requests_total", "method" => method, "result" => "error"),
            seconds: metrics::histogram!("horae_rpc_request_seconds", "method" => method),
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    methods: HashMap<&'static str, Method>,
    /// For names that do not exist, so that clients cannot create label values.
    unknown: MethodMetrics,
    in_flight: Gauge,
    batches: Counter,
    timeouts: Counter,
    limited: Counter,
    timeout: Duration,
    max_response_bytes: usize,
}

impl Shared {
    pub(crate) fn new(costs: &Costs, timeout: Duration, max_response_bytes: usize) -> Self {
        let method = |(name, cost): (&&'static str, &NonZeroU32)| {
            (*name, Method { cost: *cost, metrics: MethodMetrics::new(name) })
        };
        Self {
            methods: costs.iter().map(method).collect(),
            unknown: MethodMetrics::new("unknown"),
            in_flight: metrics::gauge!("horae_rpc_in_flight"),
            batches: metrics::counter!("horae_rpc_batches_total"),
            timeouts: metrics::counter!("horae_rpc_timeouts_total"),
            limited: metrics::counter!("horae_rpc_limited_total"),
            timeout,
            max_response_bytes,
        }
    }

    /// Errors that jsonrpsee would word in its own way, and calls beyond what the client may make.
    fn refuse(&self, name: &str, method: Option<&Method>, caller: &Caller) -> Option<ErrorObjectOwned> {
        /// Longest method name echoed back.
        const MAX_ECHO: usize = 64;
        if !caller.place.admits(name, method.map_or(LIGHT, |method| method.cost)) {
            self.limited.increment(1);
            return Some(ErrorObjectOwned::owned(LIMIT_EXCEEDED, "too many requests from your address", None::<()>));
        }
        if method.is_none() {
            let name: String = name.chars().take(MAX_ECHO).collect();
            let text = format!("the method {name} does not exist/is not available");
            return Some(ErrorObjectOwned::owned(METHOD_NOT_FOUND, text, None::<()>));
        }
        if caller.transport == Transport::Http && matches!(name, "eth_subscribe" | "eth_unsubscribe") {
            return Some(ErrorObjectOwned::owned(METHOD_NOT_FOUND, "notifications not supported", None::<()>));
        }
        None
    }
}

/// Counts a call as running for as long as it lives, also when its caller goes away.
struct InFlight<'a>(&'a Gauge);

impl<'a> InFlight<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The service of one caller, with all that stands around it.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    shared: Arc<Shared>,
    caller: Caller,
}

/// What is not answered.
pub(crate) fn silent() -> MethodResponse {
    MethodResponse::notification()
}

fn error(id: Id<'_>, code: i32, text: impl Into<String>) -> MethodResponse {
    MethodResponse::error(id, ErrorObjectOwned::owned(code, text, None::<()>))
}

impl<S> Guarded<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>, caller: Caller) -> Self {
        Self { inner, shared, caller }
    }
}

impl<S> Guarded<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Send + Sync,
{
    /// One call within the time of a request.
    pub(crate) async fn run(&self, request: Request<'_>) -> MethodResponse {
        self.run_within(request, self.shared.timeout, Instant::now()).await
    }

    /// One call that begins now, within a time limit.
    async fn run_within(&self, request: Request<'_>, limit: Duration, started: Instant) -> MethodResponse {
        let Self { shared, caller, .. } = self;
        let _running = InFlight::new(&shared.in_flight);
        let method = shared.methods.get(request.method_name());
        let metrics = method.map_or(&shared.unknown, |method| &method.metrics);
        let response = match shared.refuse(request.method_name(), method, caller) {
            Some(refusal) => MethodResponse::error(request.id, refusal),
            None => self.execute(request, limit, started).await,
        };
        metrics.seconds.record(started.elapsed());
        if response.is_success() {
            metrics.ok.increment(1)
        } else {
            metrics.failed.increment(1)
        }
        response
    }

    async fn execute(&self, mut request: Request<'_>, limit: Duration, started: Instant) -> MethodResponse {
        let id = request.id.clone().into_owned();
        if limit < self.shared.timeout {
            request.extensions_mut().insert(Deadline(started.checked_add(limit).unwrap_or(started)));
        }
        let mut call = pin!(self.inner.call(request));
        // Most calls are answered at once and need no timer.
        let answered = match futures::poll!(call.as_mut()) {
            Poll::Ready(response) => Ok(response),
            Poll::Pending => tokio::time::timeout(limit.saturating_sub(started.elapsed()), call).await,
        };
        match answered {
            Ok(response) if response.as_error_code() == Some(OVERSIZED_RESPONSE_CODE) => {
                error(id, RESPONSE_TOO_LARGE, "response too large")
            }
            Ok(response) => response,
            Err(_) => {
                self.shared.timeouts.increment(1);
                error(id, TIMEOUT, "request timed out")
            }
        }
    }
}

impl<S> RpcServiceT for Guarded<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            NotificationResponse = MethodResponse,
            BatchResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move { service.run(request).await }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move {
            let shared = &service.shared;
            shared.batches.increment(1);
            if batch.is_empty() {
                return error(Id::Null, INVALID_REQUEST, "empty batch");
            }
            // The answers' own sizes are counted below.
            let mut answers = BatchResponseBuilder::new_with_limit(usize::MAX);
            if batch.len() > MAX_BATCH_ITEMS {
                // Nothing in the protocol speaks of a whole batch: its first call is told (as geth does).
                let call = batch.into_iter().find_map(|entry| match entry {
                    Ok(BatchEntry::Call(request)) => Some(request.id.into_owned()),
                    _ => None,
                });
                let refusal = error(call.unwrap_or(Id::Null), INVALID_REQUEST, "batch too large");
                return answers
                    .append(refusal)
                    .map_or_else(|why| why, |()| MethodResponse::from_batch(answers.finish()));
            }
            let started = Instant::now();
            let mut room = Some(shared.max_response_bytes);
            let mut notified = false;
            for entry in batch {
                let (id, mut answer) = match entry {
                    Ok(BatchEntry::Call(request)) => {
                        let id = request.id.clone().into_owned();
                        // The whole batch has one time limit; what is left of it when a call begins is that call's.
                        let left = shared.timeout.saturating_sub(started.elapsed());
                        let answer = match room {
                            Some(_) => service.run_within(request, left, Instant::now()).await,
                            None => MethodResponse::notification(),
                        };
                        (id, answer)
                    }
                    Ok(BatchEntry::Notification(_)) => {
                        notified = true;
                        continue;
                    }
                    Err(malformed) => {
                        let (refusal, id) = malformed.into_parts();
                        let id = id.into_owned();
                        (id.clone(), MethodResponse::error(id, refusal))
                    }
                };
                // The first answer without room, and all calls after it, are refused (as geth does).
                room = room.and_then(|room| room.checked_sub(answer.as_json().get().len()));
                if room.is_none() {
                    answer = error(id, RESPONSE_TOO_LARGE, "response too large");
                }
                if let Err(refusal) = answers.append(answer) {
                    return refusal;
                }
                // Calls that never wait would keep the thread, and the clock, for the whole batch.
                tokio::task::yield_now().await;
            }
            if answers.is_empty() && notified {
                return silent();
            }
            MethodResponse::from_batch(answers.finish())
        }
    }

    /// Notifications are not executed: no method here has an effect that a client would want without its answer.
    fn notification<'a>(&self, _: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        std::future::ready(silent())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use jsonrpsee::types::ErrorCode;

    use super::*;
    use crate::clients::Place;

    /// Counts calls and answers each at once.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl RpcServiceT for Counting {
        type MethodResponse = MethodResponse;
        type NotificationResponse = MethodResponse;
        type BatchResponse = MethodResponse;

        fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::ready(MethodResponse::error(request.id, ErrorObjectOwned::from(ErrorCode::InternalError)))
        }

        fn batch<'a>(&self, _: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
            std::future::ready(silent())
        }

        fn notification<'a>(&self, _: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
            std::future::ready(silent())
        }
    }

    fn guarded(inner: Counting) -> Guarded<Counting> {
        let costs = [("eth_chainId", LIGHT)].into();
        let shared = Arc::new(Shared::new(&costs, Duration::from_secs(1), 1_000_000));
        let caller = Caller { place: Arc::new(Place::unlimited()), transport: Transport::Http };
        Guarded::new(inner, shared, caller)
    }

    #[tokio::test]
    async fn a_batch_lets_others_run_between_its_calls() {
        let made = Counting::default();
        let calls = (0..5).map(|id| Ok(BatchEntry::Call(Request::borrowed("eth_chainId", None, Id::Number(id)))));
        let mut batch = pin!(guarded(made.clone()).batch(Batch::from(calls.collect())));
        for answered in 1..=5 {
            assert!(futures::poll!(batch.as_mut()).is_pending());
            assert_eq!(made.0.load(Ordering::Relaxed), answered, "one call each time");
        }
        let Poll::Ready(answers) = futures::poll!(batch) else { panic!("nothing is left to do") };
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(answers.as_ref()).unwrap().len(), 5);
    }
}
