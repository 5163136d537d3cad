//! The other ways in: the Unix socket, the operators' port, and what one address may use of the public one.

use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use rpc::{AdminConfig, AdminToken, ClientLimits, RpcConfig, RpcServer, StartError};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpSocket, TcpStream, UnixStream},
};

use crate::{
    client::{Served, config, serve_with},
    node::TestNode,
};

/// A client of the Unix socket: one answer a line.
struct Ipc {
    answers: Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    requests: tokio::net::unix::OwnedWriteHalf,
}

impl Ipc {
    async fn connect(path: &Path) -> Self {
        let (reading, requests) = UnixStream::connect(path).await.unwrap().into_split();
        Self { answers: BufReader::new(reading).lines(), requests }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.requests.write_all(bytes.as_ref()).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.answers.next_line().await.unwrap().expect("closed")).unwrap()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()).await;
        self.next().await
    }
}

async fn with_socket() -> (Served, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("horae.ipc");
    let served = serve_with(RpcConfig { ipc: Some(path.clone()), ..config() }).await;
    (served, folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_speaks_json_in_a_stream() {
    let (served, _folder, path) = with_socket().await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut ipc = Ipc::connect(&path).await;
    assert_eq!(ipc.call("net_listening", json!([])).await["result"], true);
    // Several values at once, in pieces, without line ends between them.
    let call = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId","params":[]}}"#);
    let stream = format!("{}  {}[{},{}]", call("7"), call("-1"), call("8"), call("1.5"));
    let (first, second) = stream.split_at(30);
    ipc.send(first).await;
    ipc.send(second).await;
    let mut ids = vec![];
    for _ in 0..3 {
        let answer = ipc.next().await;
        let list = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
        ids.push(list.iter().map(|one| one["id"].to_string()).collect::<Vec<_>>().join(","));
    }
    // Calls of one connection run beside each other.
    ids.sort();
    assert_eq!(ids, ["-1", "7", "8,1.5"]);
    assert_eq!(ipc.call("eth_nothing", json!([])).await["error"]["code"], -32601);
    let modules = ipc.call("rpc_modules", json!([])).await;
    assert_eq!(modules["result"]["admin"], "1.0");
    assert_eq!(ipc.call("admin_nodeInfo", json!([])).await["result"]["role"], "follower");
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_carries_subscriptions() {
    let (served, _folder, path) = with_socket().await;
    let mut ipc = Ipc::connect(&path).await;
    let id = ipc.call("eth_subscribe", json!(["newHeads"])).await["result"].clone();
    let (block, _) = served.node.append(vec![]);
    let note = ipc.next().await;
    assert_eq!((&note["method"], &note["params"]["subscription"]), (&json!("eth_subscription"), &id));
    assert_eq!(note["params"]["result"]["hash"], json!(block.hash()));
    assert_eq!(ipc.call("eth_unsubscribe", json!([id])).await["result"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_json_ends_the_connection_and_nothing_else() {
    let (served, _folder, path) = with_socket().await;
    for wrong in ["null", "}", "hello"] {
        let mut ipc = Ipc::connect(&path).await;
        ipc.send(wrong).await;
        assert_eq!(ipc.next().await["error"]["code"], -32700, "{wrong}");
        assert!(ipc.answers.next_line().await.unwrap().is_none(), "{wrong}");
    }
    let mut ipc = Ipc::connect(&path).await;
    ipc.send("{\"a\":}").await;
    assert!(ipc.next().await["error"]["code"].is_i64());
    assert_eq!(ipc.call("net_listening", json!([])).await["result"], true);
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let (served, folder, path) = with_socket().await;
    let again = RpcServer::start(&RpcConfig { ipc: Some(path.clone()), ..config() }, TestNode::new()).await;
    let text = again.map(drop).unwrap_err().to_string();
    assert!(text.contains("another process serves it"), "{text}");
    served.server.stop().await;
    assert!(!path.exists(), "removed with its server");
    // As after a kill: a file that nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let replaced = serve_with(RpcConfig { ipc: Some(path.clone()), ..config() }).await;
    assert_eq!(Ipc::connect(&path).await.call("net_listening", json!([])).await["result"], true);
    replaced.server.stop().await;
    let nowhere = RpcConfig { ipc: Some(folder.path().join("no/such/folder")), ..config() };
    let refused = RpcServer::start(&nowhere, TestNode::new()).await.map(drop);
    assert!(matches!(refused, Err(StartError::Ipc { .. })));
}

async fn status(address: SocketAddr, headers: &str) -> (u16, String) {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"admin_peers","params":[]}"#;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_show_a_token() {
    let admin = AdminConfig { listen: "127.0.0.1:0".parse().unwrap(), token: AdminToken([0xab; 32]) };
    assert_eq!(format!("{admin:?}").matches("171").count(), 0, "no secret in Debug");
    let served = serve_with(RpcConfig { admin: Some(admin), ..config() }).await;
    let address = served.server.admin_address().unwrap();
    let token = "ab".repeat(32);
    for (headers, want) in [
        (String::new(), 401),
        (format!("Authorization: Bearer {}\r\n", "ac".repeat(32)), 401),
        (format!("Authorization: Bearer {}\r\n", &token[1..]), 401),
        (format!("Authorization: Basic {token}\r\n"), 401),
        (format!("Authorization: {token}\r\n"), 401),
        (format!("Authorization: Bearer {token}\r\n"), 200),
        (format!("authorization: bearer {}\r\n", token.to_uppercase()), 200),
    ] {
        let (status, answer) = status(address, &headers).await;
        assert_eq!(status, want, "{headers}: {answer}");
        assert_eq!(answer.contains("\"result\":[]"), want == 200, "{answer}");
    }
    // The public port has none of it, token or not.
    assert_eq!(served.error("admin_peers", json!([])).await.0, -32601);
    for (method, params, code) in
        [("admin_addPeer", json!(["nowhere"]), -32000), ("admin_setLogFilter", json!(["x".repeat(5_000)]), -32602)]
    {
        let mut socket = jsonrpsee::http_client::HeaderMap::new();
        socket.insert("authorization", format!("Bearer {token}").parse().unwrap());
        let client = jsonrpsee::http_client::HttpClientBuilder::default().set_headers(socket);
        let client = client.build(format!("http://{address}")).unwrap();
        let mut list = jsonrpsee::core::params::ArrayParams::new();
        for param in params.as_array().unwrap() {
            list.insert(param).unwrap();
        }
        use jsonrpsee::core::client::{ClientT, Error};
        match client.request::<Value, _>(method, list).await {
            Err(Error::Call(error)) => assert_eq!(error.code(), code, "{method}: {error}"),
            other => panic!("{method}: {other:?}"),
        }
    }
}

/// Sends one request from another loopback address than the exempt one; `None` when the server closes at once.
async fn from(source: &str, served: &Served, body: &str) -> Option<String> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(served.address()).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        served.address(),
        body.len()
    );
    let _refused = stream.write_all(request.as_bytes()).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok().filter(|length| *length > 0)?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_use_up_the_server() {
    let client_limits = ClientLimits {
        connections: 2,
        credits_per_second: 1,
        method_calls_per_second: [("eth_getLogs".to_owned(), 1)].into(),
        ..ClientLimits::default()
    };
    let served = serve_with(RpcConfig { client_limits, ..config() }).await;
    let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":[{{}}]}}"#);
    // A budget of 100: a trace takes it all, and leaves others theirs.
    let greedy = from("127.0.0.2", &served, &call("debug_traceCall")).await.unwrap();
    assert!(!greedy.contains("-32005"), "{greedy}");
    let refused = from("127.0.0.2", &served, &call("eth_chainId")).await.unwrap();
    assert!(refused.contains(r#""code":-32005,"message":"too many requests from your address""#), "{refused}");
    let batch = format!("[{},{}]", call("eth_getLogs"), call("eth_getLogs"));
    let answers = from("127.0.0.3", &served, &batch).await.unwrap();
    assert_eq!(answers.matches("-32005").count(), 1, "one a second: {answers}");
    // Connections that are open, idle or not, count.
    let mut open = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.4:0".parse().unwrap()).unwrap();
        open.push(socket.connect(served.address()).await.unwrap());
    }
    assert!(from("127.0.0.4", &served, &call("eth_chainId")).await.is_none());
    assert!(from("127.0.0.5", &served, &call("eth_chainId")).await.is_some());
    for _ in 0..200 {
        served.assert_alive().await;
    }
    drop(open);
    // The places are free once the server has seen the connections close.
    let again = async { while from("127.0.0.4", &served, &call("eth_chainId")).await.is_none() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), again).await.unwrap();
    // So do WebSockets, which outlive the requests that they came in as.
    let sockets = [socket_from("127.0.0.6", &served).await, socket_from("127.0.0.6", &served).await];
    assert!(from("127.0.0.6", &served, &call("eth_chainId")).await.is_none());
    drop(sockets);
    let again = async { while from("127.0.0.6", &served, &call("eth_chainId")).await.is_none() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), again).await.unwrap();
}

/// An open WebSocket from another loopback address.
async fn socket_from(source: &str, served: &Served) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(served.address()).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        served.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 101");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_as_they_were_sent() {
    let served = serve_with(config()).await;
    for id in ["-1", "1.5", "true", "18446744073709551616", "\"-1\"", "0", "null"] {
        let answer = served.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)).await;
        assert!(answer.body.contains(&format!("\"id\":{id}")), "{id}: {answer:?}");
        assert!(answer.json()["result"].is_string(), "{id}: {answer:?}");
    }
    let failed = served.post(r#"{"jsonrpc":"2.0","id":-7,"method":"eth_nothing"}"#).await.json();
    assert_eq!((&failed["id"], &failed["error"]["code"]), (&json!(-7), &json!(-32601)));
    let batch = served.post(r#"[{"jsonrpc":"2.0","id":-7,"method":"eth_chainId"},{"id":2.5}]"#).await.json();
    assert_eq!((&batch[0]["id"], &batch[1]["id"]), (&json!(-7), &json!(2.5)));
}
