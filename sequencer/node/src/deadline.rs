//! Stops executions whose time is up: one thread for all calls, however many.

use std::{
    cmp::Ordering as By,
    collections::BinaryHeap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use execution::Interrupt;
use parking_lot::{Condvar, Mutex};

/// Least sleep between two looks, and so the most by which a flag rises late: thousands of calls a second must not wake the thread
/// each.
const TICK: Duration = Duration::from_millis(10);
/// Least number of entries before those of calls that have ended are thrown out.
const LEAST_PURGE: usize = 1_024;

/// A handle to the thread, which ends with the last handle.
#[derive(Clone)]
pub struct Watchdog(Arc<Handle>);

struct Handle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    deadlines: Mutex<Deadlines>,
    earlier: Condvar,
}

#[derive(Default)]
struct Deadlines {
    waiting: BinaryHeap<Entry>,
    /// Length at which the heap is purged: twice what was alive the last time.
    purge_at: usize,
    ended: bool,
}

/// A call that is to end; the greatest is the one that is due first.
struct Entry {
    due: Instant,
    flag: Weak<AtomicBool>,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let watched = shared.clone();
        thread::Builder::new().name("call-deadlines".to_owned()).spawn(move || watch(&watched))?;
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Ends an execution at `deadline`.
    #[must_use]
    pub fn interrupt_at(&self, deadline: Instant) -> Interrupt {
        Interrupt::Flag(self.flag_at(deadline))
    }

    /// A flag that is raised at `deadline`, unless it was dropped before.
    fn flag_at(&self, deadline: Instant) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        let shared = &self.0.0;
        let mut deadlines = shared.deadlines.lock();
        if deadlines.waiting.len() >= deadlines.purge_at {
            deadlines.waiting.retain(|entry| entry.flag.strong_count() > 0);
            deadlines.purge_at = LEAST_PURGE.max(deadlines.waiting.len().saturating_mul(2));
        }
        let earliest = deadlines.waiting.peek().is_none_or(|first| deadline < first.due);
        deadlines.waiting.push(Entry { due: deadline, flag: Arc::downgrade(&flag) });
        drop(deadlines);
        // Nearly every call is due after those that run already; then the thread need not know.
        if earliest {
            shared.earlier.notify_one();
        }
        flag
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.deadlines.lock().ended = true;
        self.0.earlier.notify_one();
    }
}

fn watch(shared: &Shared) {
    let mut deadlines = shared.deadlines.lock();
    while !deadlines.ended {
        let now = Instant::now();
        while deadlines.waiting.peek().is_some_and(|first| first.due <= now) {
            if let Some(flag) = deadlines.waiting.pop().and_then(|entry| entry.flag.upgrade()) {
                flag.store(true, Ordering::Relaxed);
            }
        }
        match deadlines.waiting.peek().map(|first| first.due.saturating_duration_since(now).max(TICK)) {
            Some(sleep) => drop(shared.earlier.wait_for(&mut deadlines, sleep)),
            None => shared.earlier.wait(&mut deadlines),
        }
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> By {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<By> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_rise_in_the_order_of_their_deadlines() {
        let watchdog = Watchdog::start().unwrap();
        let now = Instant::now();
        let late = watchdog.flag_at(now + Duration::from_secs(600));
        let early = watchdog.flag_at(now);
        let patience = Instant::now() + Duration::from_secs(10);
        while !early.load(Ordering::Relaxed) {
            assert!(Instant::now() < patience, "the flag never rose");
            thread::yield_now();
        }
        assert!(!late.load(Ordering::Relaxed));
    }

    #[test]
    fn calls_that_have_ended_leave_nothing_behind() {
        let watchdog = Watchdog::start().unwrap();
        let later = Instant::now() + Duration::from_secs(600);
        let running = watchdog.flag_at(later);
        for _ in 0..10 * LEAST_PURGE {
            drop(watchdog.flag_at(later));
        }
        assert!(watchdog.0.0.deadlines.lock().waiting.len() <= LEAST_PURGE);
        assert!(!running.load(Ordering::Relaxed));
        let shared = Arc::downgrade(&watchdog.0.0);
        drop(watchdog);
        let patience = Instant::now() + Duration::from_secs(10);
        while shared.strong_count() > 0 {
            assert!(Instant::now() < patience, "the thread outlived its last handle");
            thread::yield_now();
        }
    }
}
