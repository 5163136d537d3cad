//! A server on a free port, and a client that can send anything.

use std::{net::SocketAddr, sync::Arc};

use rpc::{Backend, RpcConfig, RpcServer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::node::TestNode;

pub struct Served {
    pub server: RpcServer,
    pub node: Arc<TestNode>,
}

/// The raw answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("not JSON ({why}): {self:?}"))
    }
}

pub fn config() -> RpcConfig {
    RpcConfig { listen: "127.0.0.1:0".parse().unwrap(), ..RpcConfig::default() }
}

pub async fn serve() -> Served {
    serve_with(config()).await
}

pub async fn serve_with(config: RpcConfig) -> Served {
    let node = TestNode::new();
    let backend: Arc<dyn Backend> = Arc::<TestNode>::clone(&node);
    let server = RpcServer::start(&config, backend).await.unwrap();
    Served { server, node }
}

impl Served {
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub async fn raw(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may answer and close before it has read an oversized body.
        let _refused = stream.write_all(body).await;
        let mut bytes = Vec::new();
        let _reset = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_lowercase(), body: unchunk(head, body) }
    }

    /// The status of an answer after which the connection stays open.
    pub async fn status_of(&self, head: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        stream.read_exact(&mut line).await.unwrap();
        String::from_utf8_lossy(&line)[9..].parse().unwrap()
    }

    pub async fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let host = self.address();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.raw(&head, body).await
    }

    pub async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.request("POST", "/", "Content-Type: application/json\r\n", body.as_ref()).await
    }

    /// The whole response object of one call.
    pub async fn response(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let answer = self.post(body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The result of a call that must succeed.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let response = self.response(method, params.clone()).await;
        assert!(response.get("error").is_none(), "{method} {params}: {response}");
        response["result"].clone()
    }

    /// Code and message of a call that must fail.
    pub async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let response = self.response(method, params.clone()).await;
        let error = response.get("error").unwrap_or_else(|| panic!("{method} {params} succeeded: {response}"));
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    pub async fn assert_alive(&self) {
        assert_eq!(self.call("net_listening", json!([])).await, json!(true));
    }
}

fn unchunk(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let mut rest = body;
    let mut whole = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}
