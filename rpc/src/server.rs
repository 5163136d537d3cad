//! Puts the methods behind one port.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderValue, Method};
use jsonrpsee::{
    core::RegisterMethodError,
    server::{ServerHandle, StopHandle, stop_channel},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, broadcast::error::RecvError},
};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::{
    Backend, admin,
    clients::Clients,
    config::{ADMIN, AdminToken, ClientLimits, NAMESPACES, RpcConfig},
    context::Context,
    debug,
    door::Door,
    eth, horae,
    http::{Access, Names, Running},
    ipc,
    middleware::Shared,
    model::ChainEvent,
    modules, net, optimism, otterscan, parity,
    registry::Registry,
    txpool, web3,
};

/// How long a browser may remember what it is allowed (geth's figure).
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

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
    /// The Unix socket cannot be made.
    #[error("cannot serve the Unix socket {path}: {why} (rpc.ipc names it; empty switches it off)", path = path.display())]
    Ipc {
        /// Where.
        path: PathBuf,
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
    admin: Option<SocketAddr>,
    methods: Vec<&'static str>,
    handle: ServerHandle,
    feeder: tokio::task::JoinHandle<()>,
    _socket: Option<ipc::SocketFile>,
}

impl RpcServer {
    /// Binds and serves until [`Self::stop`] or drop. Must be called within a tokio runtime; that runtime runs it. Boxed, so that
    /// the server is compiled in this crate alone (docs/decisions/0009).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: &RpcConfig, backend: Arc<dyn Backend>) -> BoxFuture<'_, Result<Self, StartError>> {
        Box::pin(Self::launch(config, backend))
    }

    async fn launch(config: &RpcConfig, backend: Arc<dyn Backend>) -> Result<Self, StartError> {
        let context = Arc::new(Context::new(backend, config));
        let (stop, handle) = stop_channel();
        let builder = Builder { config, context: &context, stop };
        // What operators may do is not for everybody, whatever the configuration says.
        if let Some(unknown) = config.namespaces.iter().find(|name| !NAMESPACES.contains(&name.as_str())) {
            return Err(StartError::Namespace(unknown.clone()));
        }
        let public = builder.door(&config.namespaces, &config.cors_origins, None)?;
        let names = public.methods.method_names().collect();
        let private: Vec<String> = NAMESPACES.iter().chain([&ADMIN]).map(|name| (*name).to_owned()).collect();
        // Everything is bound before anything is served: a server starts whole or not at all.
        let (listener, address) = bind(config.listen).await?;
        let admin = match &config.admin {
            Some(admin) => {
                let (listener, address) = bind(admin.listen).await?;
                Some((builder.door(&private, &[], Some(admin.token.clone()))?, listener, address))
            }
            None => None,
        };
        let socket = match &config.ipc {
            Some(path) => {
                let bound = ipc::bind(path).map_err(|why| StartError::Ipc { path: path.clone(), why })?;
                Some((builder.door(&private, &[], None)?, bound))
            }
            None => None,
        };
        tracing::info!(%address, "JSON-RPC over HTTP and WebSocket");
        tokio::spawn(public.listen(listener, Arc::new(Clients::new(config.client_limits.clone()))));
        let admin = admin.map(|(door, listener, address)| {
            tracing::info!(%address, "JSON-RPC for operators");
            let unlimited = ClientLimits { connections: 0, ..ClientLimits::default() };
            tokio::spawn(door.listen(listener, Arc::new(Clients::new(unlimited))));
            address
        });
        let socket = socket.map(|(door, (listener, file))| {
            tokio::spawn(ipc::listen(door, listener));
            file
        });
        let feeder = tokio::spawn(feed_pending(context));
        Ok(Self { address, admin, methods: names, handle, feeder, _socket: socket })
    }

    /// The methods without a server around them, for measuring what they cost.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn methods_of(config: &RpcConfig, backend: Arc<dyn Backend>) -> Result<jsonrpsee::Methods, StartError> {
        let (methods, _costs) = methods(&Arc::new(Context::new(backend, config)), &config.namespaces)?.finish()?;
        Ok(methods.into())
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators reach it.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
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

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |why| StartError::Listen { address: listen, why };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Makes the doors of one server.
struct Builder<'a> {
    config: &'a RpcConfig,
    context: &'a Arc<Context>,
    stop: StopHandle,
}

impl Builder<'_> {
    fn door(
        &self,
        namespaces: &[String],
        origins: &[String],
        token: Option<AdminToken>,
    ) -> Result<Arc<Door>, StartError> {
        let (methods, costs) = methods(self.context, namespaces)?.finish()?;
        let names = Names { origins: origins.to_vec(), hosts: self.config.allowed_hosts.clone() };
        Ok(Arc::new(Door {
            running: Running::new(usize::try_from(self.config.max_connections).unwrap_or(usize::MAX)),
            max_response_bytes: self.config.max_response(),
            sockets: Arc::new(Semaphore::new(usize::try_from(self.config.max_connections).unwrap_or(usize::MAX))),
            lines: AtomicUsize::new(0),
            methods: methods.into(),
            cors: cors(origins)?,
            access: Arc::new(Access { backend: Arc::clone(&self.context.backend), names, token }),
            shared: Arc::new(Shared::new(&costs, self.config.request_timeout, self.config.max_response())),
            idle_timeout: self.config.idle_timeout,
            stop: self.stop.clone(),
        }))
    }
}

fn methods(context: &Arc<Context>, namespaces: &[String]) -> Result<Registry, StartError> {
    type Register = fn(&mut Registry);
    let known: [(&str, Register); NAMESPACES.len() + 1] = [
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
        (ADMIN, admin::register),
    ];
    let mut registry = Registry::new(Arc::clone(context), namespaces.to_vec());
    for namespace in namespaces {
        let Some((_, register)) = known.iter().find(|(name, _)| name == namespace) else {
            return Err(StartError::Namespace(namespace.clone()));
        };
        register(&mut registry);
    }
    Ok(registry)
}

fn cors(origins: &[String]) -> Result<CorsLayer, StartError> {
    let allow = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let parse = |origin: &String| HeaderValue::from_str(origin).map_err(|_| StartError::Origin(origin.clone()));
        AllowOrigin::list(origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?)
    };
    // Tools that trace requests add headers of their own; a page that may call may send them.
    let layer =
        CorsLayer::new().allow_methods([Method::POST, Method::GET]).allow_headers(AllowHeaders::mirror_request());
    Ok(layer.allow_origin(allow).max_age(PREFLIGHT_AGE))
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
