//! A real L1 for tests: anvil in its own process, stopped with the test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use l1::{ClientConfig, L1Client};

/// Anvil's well-known first development key.
pub(crate) const RICH_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A running anvil.
pub(crate) struct Anvil {
    process: Child,
    /// Its JSON-RPC and beacon URL.
    pub(crate) url: String,
}

impl Anvil {
    /// Starts anvil on a free port and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["--host", "127.0.0.1", "--port", "0", "--hardfork", "osaka", "--slots-in-an-epoch", "2"]);
        command.args(["--gas-limit", "60000000", "--no-request-size-limit"]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("anvil starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut lines = output.lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // Keep reading, or a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://{}", address.trim()) }
    }

    /// A client with short waits.
    pub(crate) fn client(&self) -> L1Client {
        let config = ClientConfig { url: self.url.clone(), request_timeout: Duration::from_secs(20) };
        L1Client::new(&config).expect("anvil's URL")
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `$ANVIL`, then `PATH`, then the contracts' own dependency.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ANVIL") {
        return path.into();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&folders).map(|folder| folder.join("anvil")).find(|path| path.is_file());
    on_path.unwrap_or_else(|| {
        let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/node_modules");
        let path = PathBuf::from(modules).join(".bin/anvil");
        assert!(path.is_file(), "anvil not found: run `npm ci` in contracts/, or set ANVIL");
        path
    })
}
