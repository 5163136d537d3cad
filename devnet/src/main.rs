//! A whole Horae network on one machine: an L1, the contracts, sequencers and followers as real processes, and scenarios
//! that break things on purpose.
//!
//! ```text
//!  devnet up ──► supervise ──► network ──► anvil (L1), one process a node (this binary again: `devnet node`)
//!     │             └─► view (live table or plain lines), pages (dapp/ in a browser), devnet.json
//!  devnet check ──► scenarios ──► network in a temporary folder, facts on standard output
//! ```
//!
//! Invariant: nothing listens outside 127.0.0.1, and every process ends with the one that started it, however that ends.
//! Deliberately absent: any knowledge of the protocol's rules. Facts are read from RPC, metrics and L1 as any operator would.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod anvil;
mod bench;
mod bench_floor;
mod bench_http;
mod client;
mod fact;
mod faulty;
mod foundation;
mod keys;
mod load;
mod manifest;
mod metrics;
mod network;
mod pages;
mod plan;
mod process;
mod registry;
mod scenarios;
mod script;
mod stake;
mod status;
mod supervise;
mod transactions;
mod view;
mod wait;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};
use eyre::{Result, WrapErr, eyre};
use node::config::{Config, Da};

use crate::plan::Shape;

/// A seventh of what a JSON-RPC call cost was the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about = "A whole Horae network on one machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a network; Ctrl-C stops it, the next `up` goes on where it stopped.
    Up(UpArgs),
    /// Stops a network started with `up`.
    Down(FolderArgs),
    /// Shows a running network.
    Status(StatusArgs),
    /// Runs a scenario on its own fresh network; one JSON line a fact, exit code 0 if all hold.
    Check {
        /// Which one.
        scenario: scenarios::Scenario,
        /// Keeps the data folder (with logs) and says where it is.
        #[arg(long)]
        keep: bool,
    },
    /// Measures a network of its own; one JSON line a figure.
    Bench {
        /// What.
        #[command(subcommand)]
        what: BenchWhat,
    },
    /// Runs one node (used by `up`).
    #[command(hide = true)]
    Node(NodeArgs),
}

#[derive(Subcommand)]
enum BenchWhat {
    /// CPU time and latency of the ten most used JSON-RPC calls, beside anvil.
    Rpc {
        /// Connections that ask at the same time.
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Milliseconds for each call and server; a short run checks the bench itself, not the figures.
        #[arg(long, default_value_t = 4_000)]
        milliseconds: u64,
    },
}

#[derive(Args, Clone)]
struct FolderArgs {
    /// Data folder [default: $XDG_CACHE_HOME/horae/devnet]
    #[arg(long)]
    data: Option<PathBuf>,
}

#[derive(Args, Clone)]
struct UpArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Staked sequencers.
    #[arg(long, default_value_t = 4)]
    sequencers: usize,
    /// Followers: the first by peers and certificates, the second from L1 alone, and so on in turns.
    #[arg(long, default_value_t = 2)]
    followers: usize,
    /// Where batches put their data.
    #[arg(long, value_enum, default_value = "blobs")]
    da: DaArg,
    /// Forgets the network that lives in the data folder.
    #[arg(long)]
    fresh: bool,
    /// Returns when the network is ready and leaves it running.
    #[arg(long)]
    detach: bool,
    /// Prints what devnet.json says on standard output when ready.
    #[arg(long)]
    json: bool,
    /// Set by `--detach` for the process that stays.
    #[arg(long, hide = true)]
    stay: bool,
}

#[derive(Args, Clone)]
struct StatusArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Machine readable.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct NodeArgs {
    #[arg(long)]
    config: PathBuf,
    #[arg(long)]
    faulty: Option<faulty::Fault>,
    /// Posts the deposit queue as a batch without signatures, and ends.
    #[arg(long)]
    force_batch: bool,
    #[arg(long)]
    parent: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DaArg {
    Blobs,
    Calldata,
}

impl UpArgs {
    fn shape(&self) -> Shape {
        let da = match self.da {
            DaArg::Blobs => Da::Blobs,
            DaArg::Calldata => Da::Calldata,
        };
        Shape { sequencers: self.sequencers, followers: self.followers, da }
    }
}

fn data_folder(given: &FolderArgs) -> Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    let folder = given.data.clone().or_else(|| cache().map(|cache| cache.join("horae/devnet")));
    let folder = folder.ok_or_else(|| eyre!("no data folder: give --data, or set HOME"))?;
    std::path::absolute(folder).wrap_err("data folder")
}

fn run_node(args: &NodeArgs) -> Result<()> {
    if let Some(parent) = args.parent {
        process::die_with_parent(parent)?;
    }
    let config = Config::load(Some(&args.config), &[])?;
    node::telemetry::start_logs(&config.log)?;
    let faults =
        args.faulty.map_or_else(|| Ok(node::Faults::default()), |fault| fault.prepare(&args.config, &config))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        node::telemetry::start_metrics(&config.metrics)?;
        if args.force_batch {
            let node::Forced { header, items, transaction } = node::force_batch(config).await?;
            let (index, first, last) = (header.index, header.firstHeight, header.lastHeight);
            println!("batch {index}: heights {first} to {last}, {items} queue items, L1 transaction {transaction}");
            return Ok(());
        }
        node::run(config, faults).await
    })
}

/// One thread: children ask to die with the thread that started them, so it must be the main thread.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn execute(command: Command) -> Result<ExitCode> {
    match command {
        Command::Node(args) => run_node(&args)?,
        Command::Up(args) => {
            let folder = data_folder(&args.folder)?;
            let options =
                supervise::Options { shape: args.shape(), fresh: args.fresh, json: args.json, stay: args.stay };
            if args.detach {
                supervise::detach(&folder, &options)?;
            } else {
                block_on(supervise::up(folder, options))?;
            }
        }
        Command::Down(args) => status::down(&data_folder(&args)?)?,
        Command::Status(args) => block_on(status::show(&data_folder(&args.folder)?, args.json))?,
        Command::Bench { what: BenchWhat::Rpc { connections, milliseconds } } => {
            block_on(bench::rpc(connections, std::time::Duration::from_millis(milliseconds)))?;
        }
        Command::Check { scenario, keep } => {
            return Ok(if block_on(scenarios::check(scenario, keep))? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("devnet: {error:#}");
            ExitCode::FAILURE
        }
    }
}
