//! Puts the methods behind one port.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderValue, Method, header};
use jsonrpsee::{
    core::{RegisterMethodError, middleware::RpcServiceBuilder, traits::IdProvider},
    server::{BatchRequestConfig, PingConfig, ServerBuilder, ServerConfig, ServerHandle},
    types::SubscriptionId,
};
use tokio::sync::broadcast::error::RecvError;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    Backend,
    config::{
        BATCH_PARSE_LIMIT, MAX_REQUEST_BYTES, MAX_SUBSCRIPTIONS_PER_CONNECTION, NAMESPACES, RESPONSE_BYTES_CEILING,
        RpcConfig, WS_BUFFER,
    },
    context::Context,
    debug, eth, horae,
    http::{Access, FrontLayer},
    middleware::{Guarded, Shared},
    model::ChainEvent,
    modules, net, optimism, otterscan, parity,
    registry::Registry,
    txpool, web3,
};

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken or not ours to use.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The system's reason.
        why: std::io::Error,
    },
    /// A namespace that does not exist.
    #[error("unknown RPC namespace {0:?}; known are {known}", known = NAMESPACES.join(", "))]
    Namespace(String),
    /// An origin that is not one.
    #[error("CORS origin {0:?} is not valid; write it like https://app.example")]
    Origin(String),
    /// Two methods with one name: a defect of this crate.
    #[error(transparent)]
    Methods(#[from] RegisterMethodError),
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    methods: Vec<&'static str>,
    handle: ServerHandle,
    feeder: tokio::task::JoinHandle<()>,
}

impl RpcServer {
    /// Binds and serves until [`Self::stop`] or drop. Must be called within a tokio runtime; that runtime runs it.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: &RpcConfig, backend: Arc<dyn Backend>) -> Result<Self, StartError> {
        let context = Arc::new(Context::new(Arc::clone(&backend), config));
        let methods = methods(&context, config)?;
        let max_response = config.max_response_bytes.min(RESPONSE_BYTES_CEILING);
        let shared = Arc::new(Shared::new(methods.method_names(), config.request_timeout, max_response));
        let access = Access { origins: config.cors_origins.clone(), hosts: config.allowed_hosts.clone() };
        let front = tower::ServiceBuilder::new()
            .layer(cors(&config.cors_origins)?)
            .layer(FrontLayer::new(Arc::clone(&backend), access));
        let limits = ServerConfig::builder()
            .max_request_body_size(MAX_REQUEST_BYTES)
            .max_response_body_size(max_response)
            .max_connections(config.max_connections)
            .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS_PER_CONNECTION)
            .set_batch_request_config(BatchRequestConfig::Limit(BATCH_PARSE_LIMIT))
            .set_message_buffer_capacity(WS_BUFFER)
            .enable_ws_ping(PingConfig::new())
            .set_id_provider(HexIds)
            .set_tcp_no_delay(true)
            .build();
        let calls = RpcServiceBuilder::new().layer_fn(move |service| Guarded::new(service, Arc::clone(&shared)));
        let server = ServerBuilder::with_config(limits)
            .set_http_middleware(front)
            .set_rpc_middleware(calls)
            .build(config.listen)
            .await
            .map_err(|why| StartError::Listen { address: config.listen, why })?;
        let address = server.local_addr().map_err(|why| StartError::Listen { address: config.listen, why })?;
        let names = methods.method_names().collect();
        let handle = server.start(methods);
        let feeder = tokio::spawn(feed_pending(context));
        tracing::info!(%address, "JSON-RPC over HTTP and WebSocket");
        Ok(Self { address, methods: names, handle, feeder })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Names of the methods it serves.
    pub fn methods(&self) -> &[&'static str] {
        &self.methods
    }

    /// Stops accepting, lets running requests end, and waits for that.
    pub async fn stop(self) {
        self.feeder.abort();
        // An error here means that it has stopped already.
        let _already = self.handle.stop();
        self.handle.clone().stopped().await;
    }

    /// Ends when the server has stopped for whatever reason.
    pub async fn stopped(&self) {
        self.handle.clone().stopped().await;
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        self.feeder.abort();
        let _already = self.handle.stop();
    }
}

fn methods(context: &Arc<Context>, config: &RpcConfig) -> Result<jsonrpsee::Methods, StartError> {
    type Register = fn(&mut Registry);
    let known: [(&str, Register); NAMESPACES.len()] = [
        ("eth", eth::register),
        ("net", net::register),
        ("web3", web3::register),
        ("txpool", txpool::register),
        ("debug", debug::register),
        ("trace", parity::register),
        ("ots", otterscan::register),
        ("horae", horae::register),
        ("optimism", optimism::register),
        ("rpc", modules::register),
    ];
    let mut registry = Registry::new(Arc::clone(context));
    for namespace in &config.namespaces {
        let Some((_, register)) = known.iter().find(|(name, _)| name == namespace) else {
            return Err(StartError::Namespace(namespace.clone()));
        };
        register(&mut registry);
    }
    Ok(registry.finish()?.into())
}

fn cors(origins: &[String]) -> Result<CorsLayer, StartError> {
    let allow = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| HeaderValue::from_str(origin).map_err(|_| StartError::Origin(origin.clone()));
        AllowOrigin::list(origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
    };
    let layer = CorsLayer::new().allow_methods([Method::POST, Method::GET]).allow_headers([header::CONTENT_TYPE]);
    Ok(layer.allow_origin(allow))
}

/// Keeps the newest pooled transactions for `eth_newPendingTransactionFilter`.
async fn feed_pending(context: Arc<Context>) {
    let mut events = context.backend.events();
    loop {
        match events.recv().await {
            Ok(ChainEvent::Pending(transaction)) => context.pending.lock().push(transaction),
            Ok(ChainEvent::Head(_)) => {
                // Heads are the clock by which abandoned filters go away.
                let mut filters = context.filters.lock();
                filters.sweep(std::time::Instant::now());
                metrics::gauge!("horae_rpc_filters").set(u32::try_from(filters.len()).unwrap_or(u32::MAX));
            }
            Ok(ChainEvent::Sync(_) | ChainEvent::PendingBlock) => {}
            Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "pending filters missed events"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Subscription ids as geth writes them: hex, and too large to guess.
#[derive(Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        format!("{:#x}", rand::random::<u128>()).into()
    }
}
