//! Load for the benches: many connections that each ask, wait for the answer, and ask again. A few lines of HTTP/1.1, so that
//! the client costs little beside the server it shares the machine with.

use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest head of an answer in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Longest answer in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Calls before the clock starts, per connection: caches and connections are warm then.
const WARM_CALLS: usize = 20;

/// What a load run found.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// Time of every call, sorted.
    sorted: Vec<Duration>,
    /// From the first to the last.
    pub elapsed: Duration,
}

impl Latencies {
    /// Calls made.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The time that this part (per mille) of the calls did not exceed, in microseconds.
    #[must_use]
    pub fn quantile_us(&self, per_mille: usize) -> u64 {
        let index = self.sorted.len().saturating_mul(per_mille) / 1_000;
        let found = self.sorted.get(index.min(self.sorted.len().saturating_sub(1)));
        found.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }
}

/// One keep-alive connection.
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16, body: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.wrap_err("connecting")?;
        stream.set_nodelay(true)?;
        let request = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(Self { stream, request: request.into_bytes(), buffer: vec![0; MAX_HEAD] })
    }

    /// One call; the body of the answer.
    async fn call(&mut self) -> Result<&[u8]> {
        self.stream.write_all(&self.request).await.wrap_err("sending")?;
        let mut filled = 0;
        loop {
            let free = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(free).await.wrap_err("reading")?;
            ensure!(read > 0, "the server closed the connection");
            filled = filled.saturating_add(read);
            let seen = self.buffer.get(..filled).unwrap_or_default();
            let Some(head) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
                ensure!(filled < self.buffer.len(), "an answer without end of head");
                continue;
            };
            let begin = head.saturating_add(4);
            let length = content_length(seen.get(..head).unwrap_or_default())?;
            let end = begin.saturating_add(length);
            if end > self.buffer.len() {
                self.buffer.resize(end, 0);
            }
            if filled < end {
                let rest = self.buffer.get_mut(filled..end).unwrap_or_default();
                self.stream.read_exact(rest).await.wrap_err("reading the body")?;
            }
            return self.buffer.get(begin..end).ok_or_else(|| eyre!("a body outside its buffer"));
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head).wrap_err("head of the answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{}", head.lines().next().unwrap_or_default());
    let length = length_in(head).ok_or_else(|| eyre!("an answer without Content-Length"))?;
    ensure!(length <= MAX_BODY, "an answer of {length} bytes");
    Ok(length)
}

fn length_in(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// Bytes of a message's head, with the empty line at its end, and of its body; `None` while the head is not whole.
pub fn head_and_length(message: &[u8]) -> Option<(usize, usize)> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(message.get(..end)?).ok()?;
    Some((end.saturating_add(4), length_in(head)?))
}

/// Asks `body` over `connections` connections for as long as told.
///
/// # Errors
/// A connection fails, or the first answer on it is no result.
pub async fn load(port: u16, body: &str, connections: usize, duration: Duration) -> Result<Latencies> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let body = body.to_owned();
        tasks.spawn(async move {
            let mut connection = Connection::open(port, &body).await?;
            let answer: Value = serde_json::from_slice(connection.call().await?).wrap_err("answer")?;
            ensure!(answer.get("result").is_some_and(|result| !result.is_null()), "{body}: {answer}");
            let mut times = Vec::new();
            while begun.elapsed() < duration {
                let sent = Instant::now();
                connection.call().await?;
                times.push(sent.elapsed());
            }
            Ok::<_, eyre::Report>(times)
        });
    }
    let mut sorted = Vec::new();
    while let Some(times) = tasks.join_next().await {
        sorted.extend(times.wrap_err("load")??);
    }
    sorted.sort_unstable();
    Ok(Latencies { sorted, elapsed: begun.elapsed() })
}

/// Calls that only warm the server up.
///
/// # Errors
/// As [`load`].
pub async fn warm(port: u16, body: &str) -> Result<()> {
    let mut connection = Connection::open(port, body).await?;
    for _ in 0..WARM_CALLS {
        connection.call().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_errors_noticed() {
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\ncontent-length: 42\r\nx: y").unwrap(), 42);
        assert_eq!(head_and_length(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"), Some((38, 2)));
        assert_eq!(head_and_length(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n"), None);
        for bad in [
            &b"HTTP/1.1 500 Oops\r\nContent-Length: 1"[..],
            b"HTTP/1.1 200 OK\r\nx: y",
            b"HTTP/1.1 200 OK\r\nContent-Length: x",
        ] {
            assert!(content_length(bad).is_err());
        }
    }

    #[test]
    fn quantiles_of_few_and_of_none() {
        let of = |micros: &[u64]| Latencies {
            sorted: micros.iter().map(|time| Duration::from_micros(*time)).collect(),
            elapsed: Duration::ZERO,
        };
        let times = of(&[1, 2, 3, 4]);
        assert_eq!((times.quantile_us(0), times.quantile_us(500), times.quantile_us(990)), (1, 3, 4));
        assert_eq!(of(&[]).quantile_us(500), 0);
    }
}
