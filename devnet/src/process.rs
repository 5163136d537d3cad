//! One child process with a log file: started in its own process group, stopped politely, killed when it does not listen.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use eyre::{Context, Result, eyre};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Time a process has to end after SIGTERM.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    /// Where its output goes.
    pub log: PathBuf,
    child: Child,
    pid: u32,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    ///
    /// # Errors
    /// The log file cannot be opened or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = append(log)?;
        let errors = output.try_clone().wrap_err("log file")?;
        // Its own group: a Ctrl-C at the terminal reaches only us, and we stop the children in order.
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.spawn().wrap_err_with(|| format!("cannot start {name} ({program})"))?;
        let pid = child.id().ok_or_else(|| eyre!("{name} ended at once, see {}", log.display()))?;
        Ok(Self { log: log.to_owned(), child, pid })
    }

    /// Process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The system cannot tell.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.wrap_err("waiting for a process")
    }

    /// Asks it to end, and kills it when [`STOP_PATIENCE`] is over. False: it had to be killed.
    pub async fn stop(mut self) -> bool {
        if self.ended().is_some() {
            return true;
        }
        // A process that ended in between needs no signal.
        let _ = signal(self.pid, Signal::TERM);
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_ok() {
            return true;
        }
        self.kill().await;
        false
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(mut self) {
        let _ = self.child.kill().await;
    }

    /// Last lines of the log, for messages.
    #[must_use]
    pub fn last_words(&self) -> String {
        last_lines(&self.log, 3)
    }
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).wrap_err_with(|| format!("cannot write {}", log.display()))
}

/// Last lines of a text file, joined; empty when it cannot be read.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

/// Sends a signal to a process by number.
///
/// # Errors
/// There is no such process, or it is not ours.
pub fn signal(pid: u32, what: Signal) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| eyre!("{pid} is no process id"))?;
    kill_process(pid, what).wrap_err("signal")
}

/// Ties this process' life to the process that started it: when that ends, this one is killed.
///
/// # Errors
/// The parent has ended already, or the system refuses.
pub fn die_with_parent(parent: u32) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).wrap_err("parent-death signal")?;
    // The parent may have ended before the signal was set.
    let current = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if current.and_then(|pid| u32::try_from(pid).ok()) == Some(parent) {
        Ok(())
    } else {
        Err(eyre!("the parent has ended"))
    }
}

/// Resident memory of a process in MiB.
#[must_use]
pub fn resident_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Unit of times in `/proc`; fixed on Linux, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time a process has used, in seconds.
#[must_use]
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th fields after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_logs_stops_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("sh.log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready; exec sleep 1000"]);
        let mut process = Process::spawn("sh", command, &log).unwrap();
        assert!(process.ended().is_none());
        assert!(resident_mib(process.pid()).unwrap() > 0.0);
        assert!(cpu_seconds(process.pid()).unwrap() < 10.0);
        let pid = process.pid();
        assert!(process.stop().await, "sleep ends on SIGTERM");
        assert!(signal(pid, Signal::TERM).is_err(), "the process is gone");
    }

    #[test]
    fn last_lines_of_a_missing_file_are_empty() {
        assert_eq!(last_lines(Path::new("nowhere.log"), 3), "");
    }
}
