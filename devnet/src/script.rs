//! Scripts in other languages that judge a running network: each a child process with a log, a deadline and a count of its
//! tests.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::json;
use tokio::process::Command;

use crate::{
    fact::Facts,
    manifest::FILE,
    network::Network,
    process::{Process, last_lines},
};

/// Lines of a failed script's log that are shown.
const LAST_LINES: usize = 40;
/// Compiled test contracts, beside the manifest.
const PROBE_FILE: &str = "probe.json";

/// A language's way to run one of `devnet/js`'s or `devnet/py`'s files.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// Node's own test runner; the files are relative to `devnet/js`.
    Node(&'static [&'static str]),
    /// A Hardhat project, `devnet/js/hardhat`.
    Hardhat,
    /// Python's unittest; the file is relative to `devnet/py`.
    Python(&'static str),
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The Python with the pinned packages: `$DEVNET_PYTHON`, or where `./x setup` puts it.
fn python() -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    let found = named("DEVNET_PYTHON").or_else(|| cache().map(|cache| cache.join("horae/tools/python/bin/python")));
    found
        .filter(|path| path.is_file())
        .ok_or_else(|| eyre!("Python with web3.py is missing: run `./x setup`, or name it in $DEVNET_PYTHON"))
}

impl Script {
    fn command(self) -> Result<Command> {
        let js = folder("js");
        ensure!(js.join("node_modules").is_dir(), "node packages are missing: run `./x setup`");
        let mut command = match self {
            Self::Node(files) => {
                let mut command = Command::new("node");
                command.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]).args(files);
                command
            }
            Self::Hardhat => {
                let mut command = Command::new("node");
                command.arg(js.join("node_modules/hardhat/internal/cli/bootstrap.js"));
                command.args(["--config", "hardhat/hardhat.config.cjs", "test", "hardhat/probe.test.cjs"]);
                command.env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true");
                command
            }
            Self::Python(file) => {
                let mut command = Command::new(python()?);
                command.arg(folder("py").join(file)).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
        };
        command.current_dir(js).env("NO_COLOR", "1").env("CI", "1").env_remove("NODE_OPTIONS");
        Ok(command)
    }
}

/// Writes what scripts read: `devnet.json`, and the contracts they deploy. Returns the latter's file.
///
/// # Errors
/// Node or its packages are missing, or a process of the network does not run.
pub async fn prepare(network: &Network) -> Result<PathBuf> {
    network.manifest()?.write(&network.plan.folder)?;
    let compiled = Command::new("node").arg(folder("js/lib/compile.mjs")).kill_on_drop(true).output().await;
    let compiled = compiled.wrap_err("node is missing: install Node.js 20 or newer")?;
    let words = String::from_utf8_lossy(&compiled.stderr).into_owned();
    ensure!(compiled.status.success(), "devnet/js/lib/compile.mjs failed (is `./x setup` done?): {words}");
    let file = network.plan.folder.join(PROBE_FILE);
    std::fs::write(&file, compiled.stdout).wrap_err("probe.json")?;
    Ok(file)
}

/// Runs one script against the network and notes whether all of its tests passed, `least` of them at the least.
///
/// # Errors
/// It cannot be started at all.
pub async fn run(
    network: &Network,
    facts: &mut Facts,
    name: &str,
    script: Script,
    least: u64,
    deadline: Duration,
) -> Result<()> {
    let root = &network.plan.folder;
    let mut command = script.command()?;
    command.env("DEVNET_JSON", root.join(FILE)).env("PROBE_JSON", root.join(PROBE_FILE)).env("HARDHAT_WORK", root);
    let log = network.plan.log_file(name);
    let begin = Instant::now();
    let mut process = Process::spawn(name, command, &log)?;
    let status = tokio::time::timeout(deadline, process.wait()).await;
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let passed = passed(&text);
    let ok = matches!(status, Ok(Ok(status)) if status.success()) && passed >= least;
    if status.is_err() {
        process.kill().await;
    }
    if !ok {
        eprintln!("{name}:\n{}", last_lines(&log, LAST_LINES));
    }
    let seconds = (begin.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    facts.holds(name, json!({ "passed": passed, "least": least, "seconds": seconds }), ok);
    Ok(())
}

/// Tests that a runner says have passed: node's `pass 12`, mocha's `12 passing`, unittest's `Ran 12 tests`.
fn passed(text: &str) -> u64 {
    let number = |words: &mut dyn Iterator<Item = &str>, at: usize| words.nth(at).and_then(|word| word.parse().ok());
    let count = |line: &str| -> Option<u64> {
        let line = line.trim();
        if line.starts_with("Ran ") && line.contains(" tests in ") {
            number(&mut line.split(' '), 1)
        } else if line.contains(" passing") {
            number(&mut line.split(' '), 0)
        } else if line.starts_with("ℹ pass ") {
            number(&mut line.split(' '), 2)
        } else {
            None
        }
    };
    text.lines().rev().find_map(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runner_is_understood() {
        assert_eq!(passed("ℹ tests 12\nℹ pass 11\nℹ fail 1\n"), 11);
        assert_eq!(passed("\n  9 passing (777ms)\n  1 failing\n"), 9);
        assert_eq!(passed("-----\nRan 14 tests in 0.422s\n\nOK\n"), 14);
        assert_eq!(passed("nothing of the kind"), 0);
    }
}
