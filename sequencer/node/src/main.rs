//! `horae`: the node's command line.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use node::{Faults, Forced, config::Config, database, keys, telemetry};

/// A seventh of what a JSON-RPC call cost was the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about = "Node of an Ethereum L2 with a staked sequencer set")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a node until it is told to stop.
    Run(ConfigArgs),
    /// Prints the configuration as merged from file, environment and settings.
    Config(ConfigArgs),
    /// Looks after the database of a stopped node.
    Db {
        #[command(subcommand)]
        action: DbCommand,
    },
    /// Posts the items of the deposit queue as a batch without signatures, after sequencers have posted nothing for long
    /// enough. Follows L1 in the configured data folder, which no running node may use; `[payer]` pays gas and bond.
    ForceBatch(ConfigArgs),
    /// Carries what the configured signers have signed last to another machine, without the rest of the data folder.
    Signer {
        #[command(subcommand)]
        action: SignerCommand,
    },
    /// Makes a signing key in a new file and prints its address.
    NewKey {
        /// File to write; it must not exist.
        path: PathBuf,
    },
}

#[derive(Subcommand)]
enum DbCommand {
    /// Heads, what is kept, entries and bytes of every part.
    Stats(ConfigArgs),
    /// Drops at once what `history.*` does not keep, and gives the space back.
    Prune(ConfigArgs),
    /// Opens a log that a power cut has damaged up to the damage; what is lost comes from peers or L1.
    RecoverLog(ConfigArgs),
}

#[derive(Subcommand)]
enum SignerCommand {
    /// Writes the records of a stopped node to a new file. From then on the keys must sign nothing here.
    Export {
        /// File to write; it must not exist.
        path: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Adds such a file to the records of a stopped node.
    Import {
        /// File to read.
        path: PathBuf,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

#[derive(Args)]
struct ConfigArgs {
    /// Configuration file (TOML).
    #[arg(short, long, env = "HORAE_CONFIG_FILE")]
    config: Option<PathBuf>,
    /// Overrides one key, e.g. `--set l1.url=http://127.0.0.1:8545`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

fn execute(cli: Cli) -> eyre::Result<()> {
    match cli.command {
        Command::Run(args) => {
            let config = Config::load(args.config.as_deref(), &args.settings)?;
            telemetry::start_logs(&config.log)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(async {
                telemetry::start_metrics(&config.metrics)?;
                node::run(config, Faults::default()).await
            })
        }
        Command::Config(args) => {
            print!("{}", Config::load(args.config.as_deref(), &args.settings)?.to_toml()?);
            Ok(())
        }
        Command::Db { action } => {
            let (args, work): (_, fn(&Config) -> eyre::Result<String>) = match action {
                DbCommand::Stats(args) => (args, database::stats),
                DbCommand::Prune(args) => (args, database::prune),
                DbCommand::RecoverLog(args) => (args, database::recover_log),
            };
            print!("{}", work(&Config::load(args.config.as_deref(), &args.settings)?)?);
            Ok(())
        }
        Command::ForceBatch(args) => {
            let config = Config::load(args.config.as_deref(), &args.settings)?;
            telemetry::start_logs(&config.log)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let Forced { header, items, transaction } = runtime.block_on(node::force_batch(config))?;
            let (index, first, last) = (header.index, header.firstHeight, header.lastHeight);
            println!("batch {index}: heights {first} to {last}, {items} queue items, L1 transaction {transaction}");
            Ok(())
        }
        Command::Signer { action } => match action {
            SignerCommand::Export { path, config: ConfigArgs { config, settings } } => {
                keys::export_records(&Config::load(config.as_deref(), &settings)?, &path)
            }
            SignerCommand::Import { path, config: ConfigArgs { config, settings } } => {
                keys::import_records(&Config::load(config.as_deref(), &settings)?, &path)
            }
        },
        Command::NewKey { path } => {
            println!("{}", protocol::signing::address_of(&keys::create(&path)?));
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    match execute(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what to do; the chain of causes belongs to it.
            eprintln!("horae: {error:#}");
            ExitCode::FAILURE
        }
    }
}
