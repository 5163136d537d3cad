//! Why a node ends: the first part that fails closes its channels, and the parts behind them end too.

use std::time::Duration;

use eyre::Report;
use tokio::task::{JoinError, JoinSet};

/// Time in which a part that failed says why, when one that depends on it was quicker.
const GRACE: Duration = Duration::from_secs(1);

/// A part ended without a reason of its own: another one did before it.
#[derive(Debug, thiserror::Error)]
#[error("{0} ended")]
pub(super) struct PartEnded(pub(super) &'static str);

/// Waits until a part ends, and says why the node ends with it.
pub(super) async fn reason(tasks: &mut JoinSet<eyre::Result<()>>) -> Report {
    let first = of(tasks.join_next().await);
    if !first.is::<PartEnded>() {
        return first;
    }
    let own = async {
        loop {
            let next = of(tasks.join_next().await);
            if !next.is::<PartEnded>() || tasks.is_empty() {
                return next;
            }
        }
    };
    match tokio::time::timeout(GRACE, own).await {
        Ok(own) if !own.is::<PartEnded>() => own,
        _ => first,
    }
}

fn of(ended: Option<Result<eyre::Result<()>, JoinError>>) -> Report {
    match ended {
        Some(Ok(Ok(()))) | None => PartEnded("a part of the node").into(),
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_part_that_failed_first_has_the_word() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { Err(PartEnded("the watcher").into()) });
        tasks.spawn(async { Ok(()) });
        tasks.spawn(async {
            tokio::time::sleep(GRACE / 100).await;
            Err(eyre::eyre!("the disk is full"))
        });
        tasks.spawn(std::future::pending());
        assert_eq!(reason(&mut tasks).await.to_string(), "the disk is full");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_without_end() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { Err(PartEnded("the watcher").into()) });
        tasks.spawn(std::future::pending());
        assert_eq!(reason(&mut tasks).await.to_string(), "the watcher ended");
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        tasks.spawn(async { Ok(()) });
        assert_eq!(reason(&mut tasks).await.to_string(), "a part of the node ended");
    }
}
