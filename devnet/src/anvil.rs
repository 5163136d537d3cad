//! The L1 of a development network: anvil in its own process, its state in a file that survives any end.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use eyre::{Result, WrapErr, eyre};
use tokio::process::Command;

use crate::{process::Process, wait::until};

/// L1 chain id.
pub const L1_CHAIN_ID: u64 = 900;
/// Seconds between dumps of the state. Less than L1's finality (four blocks of one second), so that a killed L1 never
/// forgets a final block.
const DUMP_SECONDS: &str = "1";
/// Time anvil has to answer.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Finds anvil: `$ANVIL`, then `PATH`, then the contracts' node packages.
///
/// # Errors
/// It is nowhere; the message says what installs it.
pub fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ANVIL") {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(eyre!("$ANVIL names {}, which does not exist", path.display()))
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&folders).map(|folder| folder.join("anvil"));
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/node_modules");
    let installed = [modules.join("@foundry-rs/anvil-linux-amd64/bin/anvil"), modules.join(".bin/anvil")];
    let found = on_path.chain(installed).find(|path| path.is_file());
    found.ok_or_else(|| eyre!("anvil (the development L1) is missing: run `./x setup`, or name it in $ANVIL"))
}

/// Starts anvil on `port` with its state in `folder`, and waits until it answers.
///
/// # Errors
/// Anvil is missing or does not answer; the message carries its last words.
pub async fn start(folder: &Path, port: u16, log: &Path) -> Result<Process> {
    let program = find()?;
    let state = folder.join("l1.json");
    restore(&state)?;
    let mut command = tied(&program);
    let port_text = port.to_string();
    command.args(["--host", "127.0.0.1", "--port", &port_text, "--chain-id", &L1_CHAIN_ID.to_string()]);
    command.args(["--hardfork", "osaka", "--block-time", "1", "--mixed-mining", "--slots-in-an-epoch", "2"]);
    command.args(["--gas-limit", "60000000", "--enable-tx-gas-limit", "--no-request-size-limit", "--quiet"]);
    command.arg("--state").arg(&state).args(["--state-interval", DUMP_SECONDS]);
    let mut process = Process::spawn("l1", command, log)?;
    let up = until(START_PATIENCE, Duration::from_millis(20), async || {
        let answers = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        answers.then_some(())
    });
    let answered = up.await.is_some();
    match (process.ended(), answered) {
        (None, true) => Ok(process),
        (Some(status), _) => Err(eyre!("anvil ended ({status}): {}", process.last_words())),
        (None, false) => Err(eyre!("anvil does not answer on port {port}, see {}", process.log.display())),
    }
}

/// The command, under `setpriv` where that exists: anvil itself cannot ask to die with its parent.
#[must_use]
pub fn tied(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.is_file() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

fn previous(state: &Path) -> PathBuf {
    state.with_extension("previous.json")
}

fn is_whole(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Anvil writes its state in place: a kill in the middle leaves half a file. Then the last whole copy takes its place.
fn restore(state: &Path) -> Result<()> {
    let Ok(bytes) = fs::read(state) else { return Ok(()) };
    if is_whole(&bytes) {
        return Ok(());
    }
    fs::copy(previous(state), state).wrap_err("the L1's state file is damaged and there is no copy: use --fresh")?;
    Ok(())
}

/// Keeps a copy of the newest whole state file. Called every second or so.
pub fn keep_copy(folder: &Path) {
    let state = folder.join("l1.json");
    let copy = previous(&state);
    let changed = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    if changed(&state) <= changed(&copy) {
        return;
    }
    let Ok(bytes) = fs::read(&state) else { return };
    if is_whole(&bytes) {
        let fresh = copy.with_extension("new");
        // Best effort: without a copy, only a kill in the middle of a dump is lost.
        let _ = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, &copy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_state_file_is_replaced_by_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("l1.json");
        restore(&state).unwrap();
        fs::write(&state, "{\"whole\":true}").unwrap();
        keep_copy(folder.path());
        fs::write(&state, "{\"who").unwrap();
        keep_copy(folder.path());
        restore(&state).unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "{\"whole\":true}");
    }
}
