//! What a call costs at the least on this machine: a server that reads a request and writes always the same answer, over the same
//! sockets and runtime as ours, and does nothing else.

use std::{fs, path::PathBuf};

use eyre::{Result, WrapErr, eyre};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::bench_http::head_and_length;

/// Longest request.
const MAX_REQUEST: usize = 16 * 1024;
/// An answer like that to `eth_chainId`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 42\r\n\r\n\
    {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0xe9fe\"}";

/// A running server; it ends with the process.
pub struct Floor {
    /// Where it listens.
    pub port: u16,
    /// Where its thread's CPU time is.
    pub stat: PathBuf,
}

/// Starts it on a thread of its own.
///
/// # Errors
/// No thread, no port, no `/proc`.
pub fn start() -> Result<Floor> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("bench-floor".to_owned()).spawn(move || {
        let told = tell.clone();
        if let Err(why) = serve(&tell) {
            // Whoever waits for the port learns why there is none.
            let _gone = told.send(Err(why));
        }
    })?;
    told.recv().wrap_err("the floor's thread ended")?
}

fn serve(tell: &std::sync::mpsc::Sender<Result<Floor>>) -> Result<()> {
    let thread = fs::read_link("/proc/thread-self").wrap_err("the thread's place in /proc")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let floor = Floor { port, stat: PathBuf::from("/proc").join(thread).join("stat") };
        tell.send(Ok(floor)).map_err(|_| eyre!("nobody waits for the floor"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream));
        }
    })
}

/// Answers until the client goes or sends what is no request.
async fn answer(mut stream: TcpStream) {
    let _closed = stream.set_nodelay(true);
    let mut buffer = vec![0; MAX_REQUEST];
    let mut filled = 0;
    while let Ok(read) = stream.read(buffer.get_mut(filled..).unwrap_or_default()).await {
        if read == 0 {
            return;
        }
        filled = filled.saturating_add(read);
        let seen = buffer.get(..filled).unwrap_or_default();
        let Some((head, length)) = head_and_length(seen) else { continue };
        if filled < head.saturating_add(length) {
            continue;
        }
        filled = 0;
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let (head, length) = head_and_length(ANSWER).unwrap();
        assert_eq!(ANSWER.len(), head + length);
    }
}
