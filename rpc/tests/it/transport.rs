//! Everything before a method runs: HTTP, batches, limits, health, stopping.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use rpc::{RpcConfig, RpcServer, StartError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    client::{config, serve, serve_with},
    node::{SLOW, TestNode},
};

fn call(id: usize, method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": [] })
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness() {
    let served = serve().await;
    for (path, status) in [("/healthz", 200), ("/readyz", 200)] {
        assert_eq!(served.request("GET", path, "", b"").await.status, status);
    }
    *served.node.ready.lock() = Err("12 blocks behind".to_owned());
    let answer = served.request("GET", "/readyz", "", b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready: 12 blocks behind\n"));
    assert_eq!(served.request("GET", "/healthz", "", b"").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_rules() {
    let served = serve().await;
    let body = call(1, "eth_chainId").to_string();
    for (method, headers, status) in [
        ("GET", "", 405),
        ("PUT", "Content-Type: application/json\r\n", 405),
        ("DELETE", "", 405),
        ("POST", "", 415),
        ("POST", "Content-Type: text/plain\r\n", 415),
        ("POST", "Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("POST", "Content-Type: application/json\r\n", 200),
        ("POST", "Content-Type: application/json; charset=utf-8\r\n", 200),
    ] {
        let answer = served.request(method, "/", headers, body.as_bytes()).await;
        assert_eq!(answer.status, status, "{method} {headers}: {answer:?}");
    }
    assert_eq!(served.request("GET", "/", "", b"").await.status, 200, "somebody is there");
    assert_eq!(served.request("GET", "/?x", "", b"x").await.status, 405);
    let huge = vec![b' '; rpc::config::MAX_REQUEST_BYTES as usize + 1];
    let answer = served.post(&huge).await;
    // The server answers before it has read the body; the reset that follows may swallow the answer.
    assert!(answer.status == 413 || answer.status == 0, "{}", answer.status);
    // Announced only: nothing of the body is sent, so the answer always arrives.
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        served.address(),
        huge.len()
    );
    let answer = served.raw(&head, b"").await;
    assert_eq!(answer.status, 413);
    assert!(answer.json()["error"]["code"].is_i64());
    served.assert_alive().await;
}

/// Neither half a head nor silence after an answer keeps a connection.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed() {
    let served = serve_with(RpcConfig { idle_timeout: Duration::from_millis(200), ..config() }).await;
    let body = call(1, "eth_chainId").to_string();
    let address = served.address();
    let whole = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for sent in ["", "POST / HT", &whole] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        closed.expect("the connection stays open").unwrap();
        assert_eq!(answer.starts_with(b"HTTP/1.1 200"), sent == whole, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_has_its_metrics() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let served = serve().await;
    served.call("eth_chainId", json!([])).await;
    served.call("eth_chainId", json!([])).await;
    served.error("eth_getBalance", json!([])).await;
    served.error("eth_nothing", json!([])).await;
    let shown = metrics.render();
    for line in [
        "horae_rpc_requests_total{method=\"eth_chainId\",result=\"ok\"} 2",
        "horae_rpc_requests_total{method=\"eth_getBalance\",result=\"error\"} 1",
        "horae_rpc_requests_total{method=\"unknown\",result=\"error\"} 1",
        "horae_rpc_request_seconds_count{method=\"eth_chainId\"} 2",
        "horae_rpc_in_flight 0",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("eth_nothing"), "a client's words are no labels");
}

#[tokio::test(flavor = "multi_thread")]
async fn batches() {
    let served = serve().await;
    let empty = served.post("[]").await.json();
    assert_eq!(empty["error"], json!({ "code": -32600, "message": "empty batch" }));
    let mixed =
        json!([call(1, "eth_chainId"), call(2, "eth_nothing"), 7, { "jsonrpc": "2.0", "method": "eth_chainId" }]);
    let answers = served.post(mixed.to_string()).await.json();
    let codes: Vec<(Value, Value)> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| (answer["id"].clone(), answer["error"]["code"].clone()))
        .collect();
    let want = vec![(json!(1), Value::Null), (json!(2), json!(-32601)), (Value::Null, json!(-32600))];
    assert_eq!(codes, want, "the notification gets no answer");
    let notifications = served.post(r#"[{"jsonrpc":"2.0","method":"eth_chainId","params":[]}]"#).await;
    assert_eq!((notifications.status, notifications.body.as_str()), (200, ""));
    let notification = served.post(r#"{"jsonrpc":"2.0","method":"eth_chainId","params":[]}"#).await;
    assert_eq!((notification.status, notification.body.as_str()), (200, ""));
    let largest: Vec<Value> = (0..1_000).map(|id| call(id, "eth_chainId")).collect();
    assert_eq!(served.post(json!(largest).to_string()).await.json().as_array().unwrap().len(), 1_000);
    for size in [1_001, 10_000, 30_000] {
        let batch: Vec<Value> = (0..size).map(|id| call(id, "eth_chainId")).collect();
        let answer = served.post(json!(batch).to_string()).await.json();
        if size <= 10_000 {
            let refusal = json!({ "code": -32600, "message": "batch too large" });
            assert_eq!(answer, json!([{ "jsonrpc": "2.0", "id": 0, "error": refusal }]));
        } else {
            assert!(answer["error"]["code"].is_i64(), "{size}: {answer}");
        }
    }
    let ones = format!("[{}1]", "1,".repeat(2_000_000));
    assert!(served.post(ones).await.json()["error"]["code"].is_i64());
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_cannot_answer_more_than_the_limit() {
    let served = serve_with(RpcConfig { max_response_bytes: 20_000, ..config() }).await;
    let blocks: Vec<Value> = (0..100)
        .map(|id| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_getBlockByNumber", "params": ["0x1", true] }))
        .collect();
    let answer = served.post(json!(blocks).to_string()).await;
    let answers: Vec<Value> = answer.json().as_array().unwrap().clone();
    assert_eq!(
        answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect::<Vec<_>>(),
        (0..100).collect::<Vec<_>>()
    );
    let fitting = answers.iter().take_while(|answer| answer["result"].is_object()).count();
    assert!(fitting > 0 && fitting < 100, "{fitting}");
    let refusal = json!({ "code": -32003, "message": "response too large" });
    assert!(answers[fitting..].iter().all(|answer| answer["error"] == refusal));
    assert!(answers[..fitting].iter().map(|answer| answer.to_string().len()).sum::<usize>() <= 20_000);
    let single = serve_with(RpcConfig { max_response_bytes: 500, ..config() }).await;
    let error = single.error("eth_getBlockByNumber", json!(["0x1", true])).await;
    assert_eq!(error, (-32003, "response too large".to_owned()));
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_calls_time_out_and_are_bounded() {
    let timeout = Duration::from_millis(300);
    let served = serve_with(RpcConfig { request_timeout: timeout, max_heavy: 2, ..config() }).await;
    let slow = || served.response("eth_call", json!([{ "to": SLOW }]));
    let late = json!({ "code": -32002, "message": "request timed out" });
    let (a, b, c, d) = tokio::join!(slow(), slow(), slow(), slow());
    for answer in [a, b, c, d] {
        assert_eq!(answer["error"], late);
    }
    // Cheap calls are served while the heavy places are taken.
    let (busy, quick) = tokio::join!(slow(), served.call("eth_chainId", json!([])));
    assert!(busy["error"] == late && quick.is_string());
    // In a batch, the calls after the one that used up the time do not begin; they are answered all the same.
    let call = |id: usize| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_call", "params": [{ "to": SLOW }] });
    let answers = served.post(json!([call(1), call(2), call(3)]).to_string()).await.json();
    assert_eq!(answers.as_array().unwrap().len(), 3);
    for answer in answers.as_array().unwrap() {
        assert_eq!(answer["error"], late);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_need_permission() {
    let allowed = RpcConfig { cors_origins: vec!["https://app.example".to_owned()], ..config() };
    let served = serve_with(allowed).await;
    let preflight = |origin: &'static str| {
        let headers = format!(
            "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
        );
        let served = &served;
        async move { served.request("OPTIONS", "/", &headers, b"").await }
    };
    assert!(preflight("https://app.example").await.head.contains("access-control-allow-origin: https://app.example"));
    assert!(!preflight("https://evil.example").await.head.contains("access-control-allow-origin"));
    let headers = "Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type, traceparent\r\n";
    let traced = served.request("OPTIONS", "/", headers, b"").await;
    assert!(traced.head.contains("access-control-allow-headers: content-type, traceparent"), "{}", traced.head);
    let body = call(1, "eth_chainId").to_string();
    let asked = |origin: &str| format!("Content-Type: application/json\r\nOrigin: {origin}\r\n");
    let answer = served.request("POST", "/", &asked("https://app.example"), body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: https://app.example"), "{}", answer.head);
    let answer = served.request("POST", "/", &asked("https://evil.example"), body.as_bytes()).await;
    assert!(!answer.head.contains("access-control-allow-origin"), "{}", answer.head);
    let upgrade = |host: &str, origin: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\n{origin}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let address = served.address().to_string();
    for (origin, status) in [
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: https://app.example\r\n", 101),
        ("Origin: http://localhost:5173\r\n", 101),
        ("", 101),
    ] {
        assert_eq!(served.status_of(&upgrade(&address, origin)).await, status, "{origin}");
    }
    assert_eq!(served.status_of(&upgrade("evil.example", "")).await, 403);
    let rebound = "POST / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(served.raw(rebound, b"").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_can_be_left_out() {
    let served = serve_with(RpcConfig { namespaces: vec!["eth".to_owned(), "net".to_owned()], ..config() }).await;
    served.assert_alive().await;
    let (code, text) = served.error("horae_version", json!([])).await;
    assert_eq!((code, text.as_str()), (-32601, "the method horae_version does not exist/is not available"));
    let node = TestNode::new();
    let unknown = RpcConfig { namespaces: vec!["admin".to_owned()], ..config() };
    let refused = RpcServer::start(&unknown, node).await.map(|_| ());
    assert!(matches!(refused, Err(StartError::Namespace(name)) if name == "admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_one_clear_line_and_stop_frees_it() {
    let served = serve().await;
    let address = served.address();
    let taken = RpcServer::start(&RpcConfig { listen: address, ..config() }, TestNode::new()).await;
    let text = taken.map(|_| ()).unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot listen on {address}")), "{text}");
    served.server.stop().await;
    let again = RpcServer::start(&RpcConfig { listen: address, ..config() }, TestNode::new()).await;
    assert!(again.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_told_so() {
    let served =
        serve_with(RpcConfig { max_connections: 1, request_timeout: Duration::from_secs(1), ..config() }).await;
    let slow = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [{ "to": SLOW }] }).to_string();
    let chain = call(1, "eth_chainId").to_string();
    let second = async {
        // Until the first request holds the only place.
        loop {
            let answer = served.post(&chain).await;
            if answer.status != 200 {
                return answer.status;
            }
        }
    };
    let first = async {
        // The quick requests may hold the place when this one comes.
        loop {
            let answer = served.post(slow.clone()).await;
            if answer.status != 429 {
                return answer;
            }
        }
    };
    let (first, second) = tokio::join!(first, tokio::time::timeout(Duration::from_secs(5), second));
    assert_eq!((first.status, second.unwrap()), (200, 429));
    served.assert_alive().await;
}
