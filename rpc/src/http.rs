//! In front of JSON-RPC: health endpoints, who may reach the server, and request bodies within their size and time.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use jsonrpsee::{
    core::{BoxError, middleware::RpcServiceBuilder},
    server::{
        ConnectionState, HttpBody, HttpRequest, HttpResponse,
        http::{call_with_service_builder, response},
    },
};
use tower::{
    Layer, Service,
    layer::util::{Identity, Stack},
    service_fn,
};

use crate::{
    Backend,
    clients::Place,
    config::{AdminToken, MAX_REQUEST_BYTES, REQUEST_BODY_TIMEOUT},
    door::Door,
    ids::{self, Mask},
    middleware::{Caller, GuardLayer, Silent, Transport},
};

/// Which names and web pages may reach the server.
pub(crate) struct Names {
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
}

/// Who may talk to the server.
pub(crate) struct Access {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) names: Names,
    /// What a request must show, on a port that asks for it.
    pub(crate) token: Option<AdminToken>,
}

impl Names {
    /// Whether the `Host` header names us: an address, `localhost`, or a configured name. A page that rebinds its own
    /// name to this machine sends its own name here.
    fn host_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers.get(header::HOST) else { return true };
        let Ok(host) = host.to_str() else { return false };
        let name = host_name(host);
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name))
    }

    /// Whether a page of this origin may open a WebSocket, which browsers do not submit to CORS.
    fn socket_allowed(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let name = host_name(origin.split_once("://").map_or(origin, |(_, rest)| rest));
        let local = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        local || self.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

/// A `Host` value without port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn text(status: StatusCode, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

impl Access {
    /// The answer when JSON-RPC need not be asked.
    fn answer<B: Body>(&self, request: &HttpRequest<B>, socket: bool) -> Option<HttpResponse> {
        let asks = request.method() == Method::GET || request.method() == Method::HEAD;
        match request.uri().path() {
            // Before the host check: orchestrators probe by whatever name they have.
            "/healthz" if asks => return Some(text(StatusCode::OK, "ok\n".to_owned())),
            "/readyz" if asks => {
                return Some(match self.backend.readiness() {
                    Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
                    Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
                });
            }
            _ => {}
        }
        if !self.names.host_allowed(request.headers()) {
            return Some(text(StatusCode::FORBIDDEN, "invalid host specified\n".to_owned()));
        }
        // Load balancers ask so whether somebody is there (geth answers them, too).
        if request.method() == Method::GET && !socket && request.uri().path() == "/" && request.body().is_end_stream() {
            return Some(HttpResponse::new(HttpBody::empty()));
        }
        if socket && !self.names.socket_allowed(request.headers()) {
            return Some(text(StatusCode::FORBIDDEN, "origin not allowed\n".to_owned()));
        }
        // A browser's preflight cannot carry the token and reaches nothing.
        if self
            .token
            .as_ref()
            .is_some_and(|token| request.method() != Method::OPTIONS && !shows(request.headers(), token))
        {
            let mut refusal =
                text(StatusCode::UNAUTHORIZED, "this port wants the token of rpc.admin.token_file\n".to_owned());
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return Some(refusal);
        }
        None
    }
}

/// Whether the headers carry the token (RFC 6750).
fn shows(headers: &HeaderMap, token: &AdminToken) -> bool {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split_once(' ').is_some_and(|(scheme, shown)| scheme.eq_ignore_ascii_case("bearer") && token.is(shown.trim()))
}

/// The whole body, within its limits of size and time; or the answer to one that is not.
async fn read<B: Incoming>(body: B) -> Result<Bytes, HttpResponse> {
    let most = usize::try_from(MAX_REQUEST_BYTES).unwrap_or(usize::MAX);
    match tokio::time::timeout(REQUEST_BODY_TIMEOUT, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(why)) if why.is::<LengthLimitError>() => Err(response::too_large(MAX_REQUEST_BYTES)),
        Ok(Err(_)) => Err(response::malformed()),
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time\n".to_owned())),
    }
}

/// The answer with the ids as the client wrote them.
async fn show_ids(answer: HttpResponse, mask: &Mask) -> Result<HttpResponse, BoxError> {
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    parts.headers.remove(header::CONTENT_LENGTH);
    Ok(HttpResponse::from_parts(parts, HttpBody::from(mask.show(&String::from_utf8_lossy(&body)))))
}

/// A request's body as it comes in.
pub(crate) trait Incoming: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> Incoming for B {}

/// One connection's way in.
pub(crate) struct Front {
    door: Arc<Door>,
    place: Arc<Place>,
    /// A request came since somebody looked.
    used: AtomicBool,
    running: AtomicU32,
}

/// Counts a request as running for as long as it lives.
struct Running<'a>(&'a AtomicU32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Front {
    pub(crate) const fn new(door: Arc<Door>, place: Arc<Place>) -> Self {
        Self { door, place, used: AtomicBool::new(false), running: AtomicU32::new(0) }
    }

    /// Whether a request runs, or one came since this was last asked.
    pub(crate) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed) || self.running.load(Ordering::Relaxed) > 0
    }

    /// Answers a request, with what browsers want to know if a web page sent it.
    pub(crate) async fn enter<B: Incoming>(self: Arc<Self>, request: HttpRequest<B>) -> Result<HttpResponse, BoxError> {
        if !request.headers().contains_key(header::ORIGIN) {
            return self.answer(request).await;
        }
        let cors = self.door.cors.clone();
        let mut page = cors.layer(service_fn(move |request| Arc::clone(&self).answer(request)));
        Box::pin(page.call(request)).await
    }

    async fn answer<B: Incoming>(self: Arc<Self>, request: HttpRequest<B>) -> Result<HttpResponse, BoxError> {
        self.used.store(true, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        let _running = Running(&self.running);
        let socket = request.headers().contains_key(header::UPGRADE);
        if let Some(response) = self.door.access.answer(&request, socket) {
            return Ok(response);
        }
        if socket {
            return Box::pin(Arc::clone(&self).upgrade(request)).await;
        }
        let Some(place) = self.door.running.try_acquire() else { return Ok(response::too_many_requests()) };
        let (parts, body) = request.into_parts();
        // Refused by what it announces, without reading it.
        if body.size_hint().lower() > u64::from(MAX_REQUEST_BYTES) {
            return Ok(response::too_large(MAX_REQUEST_BYTES));
        }
        let body = match read(body).await {
            Ok(body) => body,
            Err(refusal) => return Ok(refusal),
        };
        let mask = ids::may_be_odd(&body).then(Mask::new);
        let body = mask.as_ref().and_then(|mask| mask.hide(&body)).map_or(body, Bytes::from);
        let connection = ConnectionState::new(self.door.stop.clone(), 0, place);
        let mut response = call_with_service_builder(
            HttpRequest::from_parts(parts, Full::new(body)),
            self.door.config.clone(),
            connection,
            self.door.methods.clone(),
            self.guarded(Transport::Http),
        )
        .await;
        if response.extensions().get::<Silent>().is_some() {
            *response.body_mut() = HttpBody::empty();
        }
        match mask {
            Some(mask) => show_ids(response, &mask).await,
            None => Ok(response),
        }
    }

    /// Turns the connection into a WebSocket.
    async fn upgrade<B: Incoming>(self: Arc<Self>, request: HttpRequest<B>) -> Result<HttpResponse, BoxError> {
        let service = self.door.sockets.clone().set_rpc_middleware(self.guarded(Transport::WebSocket));
        service.build(self.door.methods.clone(), self.door.stop.clone()).call(request).await
    }

    /// What stands around every call.
    fn guarded(&self, transport: Transport) -> RpcServiceBuilder<Stack<GuardLayer, Identity>> {
        let caller = Caller { place: Arc::clone(&self.place), transport };
        RpcServiceBuilder::new().layer(GuardLayer { shared: Arc::clone(&self.door.shared), caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        let access = Names { origins: vec!["https://app.example".to_owned()], hosts: vec!["node.example".to_owned()] };
        let headers = |name: header::HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        for (host, allowed) in [
            ("127.0.0.1:8545", true),
            ("[::1]:8545", true),
            ("localhost:8545", true),
            ("LOCALHOST", true),
            ("node.example:80", true),
            ("evil.example", false),
            ("localhost.evil.example:8545", false),
            ("", false),
        ] {
            assert_eq!(access.host_allowed(&headers(header::HOST, host)), allowed, "{host}");
        }
        for (origin, allowed) in [
            ("http://localhost:5173", true),
            ("http://127.0.0.1:5173", true),
            ("https://app.example", true),
            ("https://evil.example", false),
            ("http://localhost.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(access.socket_allowed(&headers(header::ORIGIN, origin)), allowed, "{origin}");
        }
        assert!(access.host_allowed(&HeaderMap::new()));
    }
}
