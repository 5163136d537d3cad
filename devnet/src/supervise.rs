//! `devnet up`: founds or restarts the network, shows it, and stops everything.

use std::{
    fs::{self, File},
    io::IsTerminal,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use eyre::{Result, WrapErr, bail, eyre};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    anvil,
    manifest::Manifest,
    network::{self, Network},
    plan::{Plan, Shape},
    process::last_lines,
    view::View,
};

/// Time between two looks at the network.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time a detached network has to become ready.
const DETACH_PATIENCE: Duration = Duration::from_secs(90);
/// Held by the supervisor while it lives.
const LOCK_FILE: &str = "devnet.lock";

/// What `up` was told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes.
    pub shape: Shape,
    /// Forget the old network.
    pub fresh: bool,
    /// Print the manifest.
    pub json: bool,
    /// This process was left running by `--detach`.
    pub stay: bool,
}

/// Takes the folder; `None` while another supervisor holds it.
///
/// # Errors
/// The folder cannot be written.
pub fn lock(folder: &Path) -> Result<Option<File>> {
    fs::create_dir_all(folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
    let file = File::create(folder.join(LOCK_FILE)).wrap_err("lock file")?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error).wrap_err("lock file"),
    }
}

/// Runs the network until Ctrl-C or SIGTERM.
///
/// # Errors
/// It does not start, or the L1 ends.
pub async fn up(folder: PathBuf, options: Options) -> Result<()> {
    if options.stay {
        // A session of our own: the terminal that started us may close. Fails only when we lead one already.
        let _ = rustix::process::setsid();
    }
    let Some(_lock) = lock(&folder)? else {
        bail!("a network runs in {}: stop it with `devnet down`", folder.display())
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    if options.fresh {
        network::clear(&folder)?;
    }
    let _ = fs::remove_file(folder.join(crate::manifest::FILE));
    let plan = Plan::new(options.shape.clone(), folder.clone(), true)?;
    let mut network = tokio::select! {
        started = Network::start(plan) => started?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    network.serve_pages().await?;
    let manifest = network.manifest()?;
    manifest.write(&folder)?;
    if options.json && !options.stay {
        println!("{}", serde_json::to_string(&manifest)?);
    }
    // The view has no colours, so NO_COLOR asks nothing of it.
    let live = !options.json && std::io::stderr().is_terminal();
    let mut view = View::new(&manifest, live)?;
    let ended = tokio::select! {
        ended = watch(&mut network, &mut view) => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    view.close("stopping");
    let _ = fs::remove_file(folder.join(crate::manifest::FILE));
    let killed = network.stop().await;
    if !killed.is_empty() {
        eprintln!("devnet: had to kill {}", killed.join(", "));
    }
    ended
}

async fn watch(network: &mut Network, view: &mut View) -> Result<()> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        look.tick().await;
        anvil::keep_copy(&network.plan.folder);
        for (name, words) in network.ended() {
            if name == "l1" {
                bail!("the L1 ended: {words}");
            }
            view.say(&format!("{name} ended: {words}"));
        }
        view.refresh().await;
    }
}

/// Starts a supervisor that stays, and returns when its network is ready.
///
/// # Errors
/// The network does not become ready; the message carries the supervisor's last words.
pub fn detach(folder: &Path, options: &Options) -> Result<()> {
    if lock(folder)?.is_none() {
        bail!("a network runs in {}: stop it with `devnet down`", folder.display());
    }
    let log = folder.join("supervisor.log");
    let output = File::create(&log).wrap_err("supervisor.log")?;
    let mut command = std::process::Command::new(std::env::current_exe().wrap_err("own path")?);
    command.args(["up", "--stay", "--data"]).arg(folder);
    command.args(["--sequencers", &options.shape.sequencers.to_string()]);
    command.args(["--followers", &options.shape.followers.to_string()]);
    command.args(["--da", if options.shape.da == node::config::Da::Blobs { "blobs" } else { "calldata" }]);
    if options.fresh {
        command.arg("--fresh");
    }
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().wrap_err("supervisor")?;
    let deadline = Instant::now() + DETACH_PATIENCE;
    let (beat, beats) = std::sync::mpsc::channel::<()>();
    let manifest = loop {
        let ready = Manifest::read(folder)?.filter(|manifest| manifest.supervisor_pid == child.id());
        if let Some(manifest) = ready {
            break manifest;
        }
        if let Some(status) = child.try_wait()? {
            bail!("the network did not start ({status}): {}", last_lines(&log, 3));
        }
        if Instant::now() > deadline {
            crate::process::signal(child.id(), rustix::process::Signal::TERM)?;
            bail!("the network was not ready in {} s, see {}", DETACH_PATIENCE.as_secs(), log.display());
        }
        // Nobody sends: this is a pause that needs no runtime.
        let _ = beats.recv_timeout(Duration::from_millis(50));
    };
    drop(beat);
    if options.json {
        println!("{}", serde_json::to_string(&manifest)?);
    } else {
        let first = manifest.nodes.first().ok_or_else(|| eyre!("no nodes"))?;
        println!(
            "ready: L2 {} (chain {}), L1 {}, see {}",
            first.rpc,
            manifest.chain_id,
            manifest.l1.url,
            folder.join(crate::manifest::FILE).display()
        );
        println!("{}", crate::view::pages_line(&manifest));
        println!("stop it with `devnet down`");
    }
    Ok(())
}
