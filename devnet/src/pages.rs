//! The staking page and the network page: the files that `npm run build` made of `dapp/`, and a configuration that names this
//! network, on a port of 127.0.0.1.
//!
//! All files are read at the start and looked up by name, so that no request reaches the disk.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use eyre::{Result, WrapErr};
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Bytes, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

use crate::{anvil, network::Network};

/// Most connections at a time; a browser opens six.
const MAX_CONNECTIONS: usize = 64;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Pages {
    /// Where it is.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is served, by path.
type Files = BTreeMap<String, (&'static str, Bytes)>;

struct Site {
    files: Files,
    /// The browser itself refuses requests to anywhere but this network.
    policy: String,
}

/// Where the build is.
fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dapp/dist")
}

/// Serves the pages of a network; `None` when they were never built.
///
/// # Errors
/// The files cannot be read, or the port is taken.
pub async fn serve(network: &Network) -> Result<Option<Pages>> {
    let mut files = Files::new();
    read(&built(), "", &mut files).wrap_err("dapp/dist")?;
    let Some(index) = files.get("/index.html").cloned() else { return Ok(None) };
    files.insert("/".to_owned(), index);
    files.insert("/config.json".to_owned(), ("application/json", serde_json::to_vec(&config(network))?.into()));
    let site = Arc::new(Site { files, policy: policy(network) });
    let address = ("127.0.0.1", network.plan.pages);
    let listener = TcpListener::bind(address).await.wrap_err_with(|| format!("port {} for the pages", address.1))?;
    let task = tokio::spawn(accept(listener, site));
    Ok(Some(Pages { url: format!("http://{}:{}", address.0, address.1), task }))
}

/// What the pages ask for first. `startBlock` is where they begin to look for events.
fn config(network: &Network) -> Value {
    let nodes: Vec<Value> = network
        .plan
        .nodes
        .iter()
        .map(|node| json!({ "name": node.name, "role": node.role, "url": node.rpc_url() }))
        .collect();
    json!({
        "name": "Horae devnet",
        "l1": { "name": "Devnet L1", "url": network.plan.l1_url(), "chainId": anvil::L1_CHAIN_ID, "startBlock": 0 },
        "l2": { "name": "Horae devnet", "chainId": network.genesis.chain_id, "nodes": nodes },
        "contracts": network.genesis.l1,
    })
}

fn policy(network: &Network) -> String {
    let nodes: Vec<String> = network.plan.nodes.iter().map(crate::plan::NodePlan::rpc_url).collect();
    format!(
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         connect-src 'self' {} {}",
        network.plan.l1_url(),
        nodes.join(" ")
    )
}

fn read(folder: &Path, path: &str, files: &mut Files) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &name, files)?;
        } else {
            files.insert(name.clone(), (content_type(&name), fs::read(entry.path())?.into()));
        }
    }
    Ok(())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        // A connection that breaks before it is taken concerns nobody else.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&site, &request))));
            let mut http = hyper::server::conn::http1::Builder::new();
            // A browser that leaves in the middle is no error of ours.
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn answer<B>(site: &Site, request: &Request<B>) -> Response<Full<Bytes>> {
    let (status, (kind, body)) = match (request.method(), site.files.get(request.uri().path())) {
        (&Method::GET | &Method::HEAD, Some(file)) => (StatusCode::OK, file.clone()),
        (&Method::GET | &Method::HEAD, None) => (StatusCode::NOT_FOUND, ("text/plain", "not found".into())),
        _ => (StatusCode::METHOD_NOT_ALLOWED, ("text/plain", "read only".into())),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    // The next build has the same name for its first file.
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    if let Ok(policy) = header::HeaderValue::from_str(&site.policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_built_is_served() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        fs::write(folder.path().join("index.html"), "page").unwrap();
        fs::write(folder.path().join("assets/main.js"), "script").unwrap();
        let mut files = Files::new();
        read(folder.path(), "", &mut files).unwrap();
        let site = Site { files, policy: "default-src 'self'".to_owned() };
        for (method, path, status, kind) in [
            ("GET", "/index.html", 200, "text/html; charset=utf-8"),
            ("HEAD", "/assets/main.js", 200, "text/javascript; charset=utf-8"),
            ("GET", "/assets", 404, "text/plain"),
            ("GET", "/assets/../../Cargo.toml", 404, "text/plain"),
            ("POST", "/index.html", 405, "text/plain"),
        ] {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let response = answer(&site, &request);
            let found = (response.status().as_u16(), response.headers()[header::CONTENT_TYPE].to_str().unwrap());
            assert_eq!(found, (status, kind), "{method} {path}");
            assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        }
    }

    #[test]
    fn a_folder_that_was_never_built_is_empty() {
        let mut files = Files::new();
        read(Path::new("nowhere"), "", &mut files).unwrap();
        assert!(files.is_empty());
    }
}
