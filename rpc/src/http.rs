//! In front of JSON-RPC: health endpoints, and which web pages and host names may reach the server.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use http::{HeaderMap, Method, StatusCode, header};
use jsonrpsee::server::{HttpBody, HttpRequest, HttpResponse};
use tower::{Layer, Service};

use crate::{
    Backend,
    middleware::{Silent, Transport},
};

/// Who may talk to the server.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
}

impl Access {
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

#[derive(Clone)]
pub(crate) struct FrontLayer {
    backend: Arc<dyn Backend>,
    access: Arc<Access>,
}

impl FrontLayer {
    pub(crate) fn new(backend: Arc<dyn Backend>, access: Access) -> Self {
        Self { backend, access: Arc::new(access) }
    }
}

impl<S> Layer<S> for FrontLayer {
    type Service = Front<S>;
    fn layer(&self, inner: S) -> Front<S> {
        Front { inner, front: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Front<S> {
    inner: S,
    front: FrontLayer,
}

fn text(status: StatusCode, body: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

impl FrontLayer {
    /// The answer when JSON-RPC need not be asked.
    fn answer<B>(&self, request: &HttpRequest<B>, socket: bool) -> Option<HttpResponse> {
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
        if !self.access.host_allowed(request.headers()) {
            return Some(text(StatusCode::FORBIDDEN, "invalid host specified\n".to_owned()));
        }
        if socket && !self.access.socket_allowed(request.headers()) {
            return Some(text(StatusCode::FORBIDDEN, "origin not allowed\n".to_owned()));
        }
        None
    }
}

impl<S, B> Service<HttpRequest<B>> for Front<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        let socket = request.headers().contains_key(header::UPGRADE);
        if let Some(response) = self.front.answer(&request, socket) {
            return Box::pin(std::future::ready(Ok(response)));
        }
        request.extensions_mut().insert(if socket { Transport::WebSocket } else { Transport::Http });
        let inner = self.inner.call(request);
        Box::pin(async move {
            let mut response = inner.await?;
            if response.extensions().get::<Silent>().is_some() {
                *response.body_mut() = HttpBody::empty();
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        let access = Access { origins: vec!["https://app.example".to_owned()], hosts: vec!["node.example".to_owned()] };
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
