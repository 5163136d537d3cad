//! A way into the server: who comes in, with which methods, within which limits.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonrpsee::{ConnectionId, Methods, server::StopHandle};
use metrics::{Counter, counter};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use tower_http::cors::CorsLayer;

use crate::{
    calls::{Calls, Subscriber},
    clients::{Clients, Place},
    http::{Access, Front, Running},
    middleware::Shared,
};

/// Pause after a failed `accept`, most likely for want of file descriptors: it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often an idle connection is looked at within its time.
const IDLE_LOOKS: u32 = 2;

/// What all connections through one door share.
pub(crate) struct Door {
    /// HTTP requests that run.
    pub(crate) running: Running,
    pub(crate) max_response_bytes: usize,
    /// Places for WebSockets.
    pub(crate) sockets: Arc<Semaphore>,
    /// Connections on which somebody could subscribe so far.
    pub(crate) lines: AtomicUsize,
    pub(crate) methods: Methods,
    pub(crate) cors: CorsLayer,
    pub(crate) access: Arc<Access>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) idle_timeout: Duration,
    pub(crate) stop: StopHandle,
}

impl Door {
    /// The methods for one connection.
    pub(crate) fn calls(&self, subscriber: Option<Subscriber>) -> Calls {
        Calls { methods: self.methods.clone(), max_response_bytes: self.max_response_bytes, subscriber }
    }

    /// A name for one more connection on which somebody may subscribe.
    pub(crate) fn next_line(&self) -> ConnectionId {
        ConnectionId(self.lines.fetch_add(1, Ordering::Relaxed))
    }

    /// Serves one connection until it ends, or until the server stops and what runs has been answered.
    pub(crate) async fn serve<I>(self: Arc<Self>, io: I, place: Place)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (stopped, idle_timeout) = (self.stop.clone().shutdown(), self.idle_timeout);
        let front = Arc::new(Front::new(self, Arc::new(place)));
        let way_in = Arc::clone(&front);
        let service = service_fn(move |request| Arc::clone(&way_in).enter(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service).with_upgrades();
        tokio::pin!(stopped, connection);
        // Looked at now and then: a timer for each request would cost each request.
        let mut look = tokio::time::interval(idle_timeout / IDLE_LOOKS);
        let (mut quiet, mut stopping) = (0, false);
        let served = loop {
            tokio::select! {
                served = &mut connection => break served,
                () = &mut stopped, if !stopping => {
                    connection.as_mut().graceful_shutdown();
                    stopping = true;
                }
                _ = look.tick() => {
                    quiet = if front.was_used() { 0 } else { quiet + 1 };
                    if quiet > IDLE_LOOKS {
                        return;
                    }
                }
            }
        };
        if let Err(why) = served {
            tracing::debug!(%why, "connection failed");
        }
    }

    /// Takes connections until the server stops.
    pub(crate) async fn listen(self: Arc<Self>, listener: TcpListener, clients: Arc<Clients>) {
        let refused = counter!("horae_rpc_refused_connections_total");
        let stopped = self.stop.clone().shutdown();
        tokio::pin!(stopped);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stopped => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &clients, &refused),
                Err(why) => {
                    tracing::debug!(%why, "no connection accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: tokio::net::TcpStream, peer: SocketAddr, clients: &Clients, refused: &Counter) {
        let client = clients.at(peer.ip());
        let Some(place) = client.connect() else {
            refused.increment(1);
            return;
        };
        // Without it small answers wait for acknowledgements; a socket that refuses it is closed already.
        let _closed = stream.set_nodelay(true);
        tokio::spawn(Arc::clone(self).serve(stream, place));
    }
}
