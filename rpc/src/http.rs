//! In front of JSON-RPC: health endpoints, who may reach the server, and request bodies within their size and time.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jsonrpsee::{
    core::BoxError,
    server::{
        HttpBody, HttpRequest, HttpResponse,
        http::{content_type_is_json, response},
    },
};
use tower::{Layer, Service, service_fn};

use crate::{
    Backend,
    calls::{self, Calls},
    clients::Place,
    config::{AdminToken, MAX_REQUEST_BYTES, REQUEST_BODY_TIMEOUT},
    door::Door,
    ids::{self, Mask},
    middleware::{Caller, Guarded, Transport},
    websocket,
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

/// A request's body as it comes in.
pub(crate) trait Incoming: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static> Incoming for B {}

/// Requests that run, of which there is a most.
pub(crate) struct Running {
    count: AtomicUsize,
    most: usize,
}

/// Counts a request as running for as long as it lives.
struct Run<'a>(&'a AtomicUsize);

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    pub(crate) const fn new(most: usize) -> Self {
        Self { count: AtomicUsize::new(0), most }
    }

    /// One more, if there is a place.
    fn begin(&self) -> Option<Run<'_>> {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let run = Run(&self.count);
        (before < self.most).then_some(run)
    }

    fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }
}

/// One connection's way in.
pub(crate) struct Front {
    door: Arc<Door>,
    place: Arc<Place>,
    calls: Guarded<Calls>,
    /// A request came since somebody looked.
    used: AtomicBool,
    running: Running,
}

impl Front {
    pub(crate) fn new(door: Arc<Door>, place: Arc<Place>) -> Self {
        let caller = Caller { place: Arc::clone(&place), transport: Transport::Http };
        let calls = Guarded::new(door.calls(None), Arc::clone(&door.shared), caller);
        Self { door, place, calls, used: AtomicBool::new(false), running: Running::new(usize::MAX) }
    }

    /// Whether a request runs, or one came since this was last asked.
    pub(crate) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed) || self.running.any()
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
        let _running = self.running.begin();
        let socket = request.headers().contains_key(header::UPGRADE);
        if let Some(response) = self.door.access.answer(&request, socket) {
            return Ok(response);
        }
        if websocket::is_asked_for(&request) {
            return Ok(websocket::upgrade(&self.door, &self.place, request));
        }
        let Some(_place) = self.door.running.begin() else { return Ok(response::too_many_requests()) };
        // Refused by what it announces, without reading it.
        if request.body().size_hint().lower() > u64::from(MAX_REQUEST_BYTES) {
            return Ok(response::too_large(MAX_REQUEST_BYTES));
        }
        if request.method() != Method::POST {
            return Ok(response::method_not_allowed());
        }
        if !content_type_is_json(&request) {
            return Ok(response::unsupported_content_type());
        }
        let body = match read(request.into_body()).await {
            Ok(body) => body,
            Err(refusal) => return Ok(refusal),
        };
        let mask = ids::may_be_odd(&body).then(Mask::new);
        let body = mask.as_ref().and_then(|mask| mask.hide(&body)).map_or(body, Bytes::from);
        let Some(answer) = calls::answer(&self.calls, &body).await else { return Ok(response::malformed()) };
        // The answer has no body; the library would write `null`.
        if answer.is_notification() {
            return Ok(response::ok_response(HttpBody::empty()));
        }
        Ok(match mask {
            Some(mask) => response::ok_response(mask.show(answer.as_ref())),
            None => response::from_method_response(answer),
        })
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
