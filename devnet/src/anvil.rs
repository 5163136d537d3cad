//! The L1 of a development network: anvil in its own process, its state in a file that survives any end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::{
    consensus::TrieAccount,
    primitives::{Address, B256, Bytes, U256, keccak256},
};
use alloy_trie::{HashBuilder, Nibbles};
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

/// What of anvil's state file shows whether its parts are of one moment.
#[derive(serde::Deserialize)]
struct Dump {
    best_block_number: u64,
    blocks: Vec<DumpedBlock>,
    accounts: BTreeMap<Address, DumpedAccount>,
}

#[derive(serde::Deserialize)]
struct DumpedBlock {
    header: alloy::consensus::Header,
}

#[derive(serde::Deserialize)]
struct DumpedAccount {
    nonce: u64,
    balance: U256,
    code: Bytes,
    storage: BTreeMap<U256, U256>,
}

impl DumpedAccount {
    /// As anvil counts: slots that became zero are leaves, too.
    fn leaf(&self) -> TrieAccount {
        let slots = self.storage.iter().map(|(slot, value)| (B256::from(*slot), alloy::rlp::encode(value)));
        TrieAccount {
            nonce: self.nonce,
            balance: self.balance,
            storage_root: root_of(slots),
            code_hash: keccak256(&self.code),
        }
    }
}

fn root_of<K: AsRef<[u8]>>(leaves: impl Iterator<Item = (K, Vec<u8>)>) -> B256 {
    let sorted: BTreeMap<B256, Vec<u8>> = leaves.map(|(key, value)| (keccak256(key), value)).collect();
    let mut builder = HashBuilder::default();
    sorted.iter().for_each(|(key, value)| builder.add_leaf(Nibbles::unpack(key), value));
    builder.root()
}

/// Anvil writes its state in place, so that a kill in the middle leaves half a file; and it reads its blocks a moment before its
/// accounts, so that a block made meanwhile has changed the accounts and is not there. An L1 like that has lost the block's logs.
fn is_whole(bytes: &[u8]) -> bool {
    let Ok(dump) = serde_json::from_slice::<Dump>(bytes) else { return false };
    let accounts = dump.accounts.iter().map(|(address, account)| (address, alloy::rlp::encode(account.leaf())));
    let root = root_of(accounts);
    dump.blocks.iter().any(|block| block.header.number == dump.best_block_number && block.header.state_root == root)
}

/// When the state file is not whole, the last whole copy takes its place.
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
    use serde_json::json;

    use super::*;

    /// A state file whose accounts have the root that its block names, with one account's balance.
    fn dump(balance: u64, root_of_balance: u64) -> String {
        let address = Address::repeat_byte(7);
        let account = |balance: u64| json!({"nonce": 1, "balance": U256::from(balance), "code": "0x", "storage": {"0x1": "0x2", "0x3": "0x0"}});
        let accounts = serde_json::from_value::<DumpedAccount>(account(root_of_balance)).unwrap().leaf();
        let root = root_of([(address, alloy::rlp::encode(accounts))].into_iter());
        let header = alloy::consensus::Header { number: 5, state_root: root, ..Default::default() };
        json!({
            "best_block_number": 5,
            "blocks": [{"header": alloy::consensus::Header::default()}, {"header": header}],
            "accounts": {address.to_string(): account(balance)},
        })
        .to_string()
    }

    #[test]
    fn a_torn_state_file_is_replaced_by_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("l1.json");
        restore(&state).unwrap();
        let whole = dump(1, 1);
        fs::write(&state, &whole).unwrap();
        keep_copy(folder.path());
        for torn in [&whole[..whole.len() / 2], &dump(2, 1)] {
            fs::write(&state, torn).unwrap();
            keep_copy(folder.path());
            restore(&state).unwrap();
            assert_eq!(fs::read_to_string(&state).unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn what_anvil_writes_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let _l1 = start(folder.path(), port, &folder.path().join("l1.log")).await.unwrap();
        let state = folder.path().join("l1.json");
        let whole = until(START_PATIENCE, Duration::from_millis(100), async || {
            fs::read(&state).is_ok_and(|bytes| is_whole(&bytes)).then_some(())
        });
        assert!(whole.await.is_some(), "no file of anvil's is whole");
    }
}
