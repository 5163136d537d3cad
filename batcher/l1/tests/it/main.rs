//! The L1 edge against a real anvil.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod anvil;
mod sender;
mod watcher;

use std::future::Future;
use std::time::Duration;

/// Waits for a condition, for at most half a minute.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}
