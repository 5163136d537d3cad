//! Counters that nodes publish for operators (Prometheus text over HTTP).

use std::time::Duration;

use eyre::{Result, WrapErr, eyre};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Longest wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MAX_BYTES: u64 = 1024 * 1024;

/// A counter without labels; zero while the node has not touched it.
///
/// # Errors
/// The endpoint does not answer.
pub async fn counter(port: u16, name: &str) -> Result<f64> {
    let text = tokio::time::timeout(TIMEOUT, scrape(port)).await.map_err(|_| eyre!("no metrics on port {port}"))??;
    Ok(find(&text, name).unwrap_or_default())
}

async fn scrape(port: u16) -> Result<String> {
    let mut stream =
        TcpStream::connect(("127.0.0.1", port)).await.wrap_err_with(|| format!("metrics on port {port}"))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.take(MAX_BYTES).read_to_string(&mut text).await?;
    Ok(text)
}

fn find(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "# TYPE refused_total counter\nrefused_total_seconds 9\nrefused_total 3\n";
        assert_eq!(find(text, "refused_total"), Some(3.0));
        assert_eq!(find(text, "refused"), None);
    }
}
