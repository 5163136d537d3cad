//! Stops executions whose time is up: one thread for all calls, however many.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Deadlines on their way to the thread; a sender beyond waits.
const QUEUE: usize = 1_024;
/// Longest sleep without a deadline.
const IDLE: Duration = Duration::from_secs(3_600);

type Entry = Reverse<(Instant, u64)>;
type Job = (Instant, Weak<AtomicBool>);

/// A handle to the thread, which ends with the last handle.
#[derive(Clone, Debug)]
pub struct Watchdog {
    jobs: SyncSender<Job>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        thread::Builder::new().name("call-deadlines".to_owned()).spawn(move || watch(&queue))?;
        Ok(Self { jobs })
    }

    /// A flag that is raised at `deadline`, unless it was dropped before.
    #[must_use]
    pub fn interrupt_at(&self, deadline: Instant) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        if self.jobs.send((deadline, Arc::downgrade(&flag))).is_err() {
            // Without the thread nothing could stop the call, so it does not start.
            flag.store(true, Ordering::Relaxed);
        }
        flag
    }
}

fn watch(queue: &Receiver<Job>) {
    let next_id = AtomicU64::new(0);
    let mut heap: BinaryHeap<Entry> = BinaryHeap::new();
    let mut flags = std::collections::HashMap::<u64, Weak<AtomicBool>>::new();
    loop {
        let now = Instant::now();
        while heap.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            if let Some(Reverse((_, id))) = heap.pop()
                && let Some(flag) = flags.remove(&id).and_then(|flag| flag.upgrade())
            {
                flag.store(true, Ordering::Relaxed);
            }
        }
        let sleep = heap.peek().map_or(IDLE, |Reverse((due, _))| due.saturating_duration_since(now));
        match queue.recv_timeout(sleep) {
            Ok((due, flag)) => {
                let id = next_id.fetch_add(1, Ordering::Relaxed);
                heap.push(Reverse((due, id)));
                flags.insert(id, flag);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_rise_in_the_order_of_their_deadlines() {
        let watchdog = Watchdog::start().unwrap();
        let now = Instant::now();
        let late = watchdog.interrupt_at(now + Duration::from_secs(600));
        let early = watchdog.interrupt_at(now);
        let patience = Instant::now() + Duration::from_secs(10);
        while !early.load(Ordering::Relaxed) {
            assert!(Instant::now() < patience, "the flag never rose");
            thread::yield_now();
        }
        assert!(!late.load(Ordering::Relaxed));
    }
}
