//! WebSockets beneath a client library: ids, what nobody reads, the end.

use std::time::Duration;

use rpc::RpcConfig;
use serde_json::{Value, json};
use soketto::handshake::{Client, ServerResponse};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::client::{Served, config, serve, serve_with};

/// A WebSocket on which any text can be sent.
struct Socket {
    sender: soketto::Sender<Compat<TcpStream>>,
    receiver: soketto::Receiver<Compat<TcpStream>>,
}

async fn connect(served: &Served) -> Socket {
    let host = served.address().to_string();
    let stream = TcpStream::connect(served.address()).await.unwrap();
    let mut handshake = Client::new(stream.compat(), &host, "/");
    assert!(matches!(handshake.handshake().await.unwrap(), ServerResponse::Accepted { .. }));
    let (sender, receiver) = handshake.into_builder().finish();
    Socket { sender, receiver }
}

impl Socket {
    async fn send(&mut self, text: &str) {
        self.sender.send_text(text).await.unwrap();
        self.sender.flush().await.unwrap();
    }

    async fn next(&mut self) -> String {
        let mut message = Vec::new();
        let received = tokio::time::timeout(Duration::from_secs(20), self.receiver.receive_data(&mut message));
        received.await.expect("no message").unwrap();
        String::from_utf8(message).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_as_they_were_written() {
    let served = serve().await;
    let mut socket = connect(&served).await;
    for id in ["7", "-1", "1.5", "1e3", "true", "false", "18446744073709551616", "\"x\"", "\"\"", "null"] {
        let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["newHeads"]}}"#);
        socket.send(&call("eth_nothing")).await;
        assert!(socket.next().await.contains(&format!("\"id\":{id},")), "{id}");
        socket.send(&format!("[{}]", call("eth_nothing"))).await;
        assert!(socket.next().await.contains(&format!("\"id\":{id},")), "{id}");
        socket.send(&call("eth_subscribe")).await;
        let answer = socket.next().await;
        assert!(answer.contains(&format!("\"id\":{id},")) && answer.contains("\"result\":\"0x"), "{id}: {answer}");
    }
    for (message, code) in [("{", -32700), ("7", -32700), (r#"{"id":[1]}"#, -32600), ("[]", -32600)] {
        socket.send(message).await;
        assert_eq!(serde_json::from_str::<Value>(&socket.next().await).unwrap()["error"]["code"], code, "{message}");
    }
    // A notification has no answer: the next one is that of the call behind it.
    socket.send(r#"{"jsonrpc":"2.0","method":"eth_chainId","params":[]}"#).await;
    socket.send(r#"{"jsonrpc":"2.0","id":9,"method":"net_listening","params":[]}"#).await;
    assert!(socket.next().await.contains("\"id\":9,"));
    served.assert_alive().await;
}

/// What a client does not take is not made without end: it is not listened to any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_not_read_from() {
    const REQUESTS: usize = 200_000;
    let served = serve().await;
    let mut socket = connect(&served).await;
    let call =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x1", true] }).to_string();
    let mut sent = 0;
    let flood = async {
        while sent < REQUESTS {
            socket.send(&call).await;
            sent += 1;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(10), flood).await;
    assert!(all.is_err(), "{REQUESTS} requests were taken, and none of their answers");
    served.assert_alive().await;
    // The flood broke off within a frame, so that this end cannot send any more; but it can read.
    for _ in 0..sent / 2 {
        assert!(socket.next().await.contains("\"result\":{"));
    }
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_places_for_sockets_are_counted() {
    let served = serve_with(RpcConfig { max_connections: 1, ..config() }).await;
    let first = connect(&served).await;
    let address = served.address();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    assert_eq!(served.status_of(&upgrade).await, 429);
    drop(first);
    let again = async {
        while served.status_of(&upgrade).await != 101 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.expect("the place stays taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_limit_ends_the_socket() {
    let served = serve().await;
    let mut stream = TcpStream::connect(served.address()).await.unwrap();
    let address = served.address();
    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    // A text frame that announces 6 MiB.
    let head = [&[0x81, 0xff][..], &(6_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    stream.write_all(&head).await.unwrap();
    let _reset = stream.write_all(&vec![b' '; 6 << 20]).await;
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    // Closed or reset, but not open.
    assert!(ended.is_ok(), "the socket stays open");
    served.assert_alive().await;
}
