//! Waiting for conditions, always with a deadline.

use std::time::{Duration, Instant};

/// Asks `probe` every `pause` until it yields a value; `None` when the patience is over.
pub async fn until<T>(patience: Duration, pause: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe().await {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_is_met_or_given_up() {
        let mut calls = 0;
        let third = until(Duration::from_secs(60), Duration::ZERO, async || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(third.await, Some(3));
        assert_eq!(until(Duration::ZERO, Duration::ZERO, async || None::<()>).await, None);
    }
}
