//! `devnet down` and `devnet status`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use eyre::{Result, bail};
use rustix::process::Signal;
use serde_json::json;

use crate::{client::Rpc, manifest::Manifest, process, supervise::lock};

/// Time the supervisor has to stop everything: more than it gives to its children.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops the network of a folder.
///
/// # Errors
/// It does not stop.
pub fn down(folder: &Path) -> Result<()> {
    if lock(folder)?.is_some() {
        println!("no network runs in {}", folder.display());
        return Ok(());
    }
    let Some(manifest) = Manifest::read(folder)? else {
        bail!("the network in {} is starting or stopping: try again", folder.display());
    };
    process::signal(manifest.supervisor_pid, Signal::TERM)?;
    let deadline = Instant::now() + PATIENCE;
    let (_beat, beats) = std::sync::mpsc::channel::<()>();
    while lock(folder)?.is_none() {
        if Instant::now() > deadline {
            // Its children die with it.
            process::signal(manifest.supervisor_pid, Signal::KILL)?;
            bail!("the supervisor (process {}) did not stop and was killed", manifest.supervisor_pid);
        }
        // Nobody sends: this is a pause that needs no runtime.
        let _ = beats.recv_timeout(Duration::from_millis(50));
    }
    println!("stopped");
    Ok(())
}

/// Shows every node of a running network.
///
/// # Errors
/// No network runs.
pub async fn show(folder: &Path, as_json: bool) -> Result<()> {
    let manifest = match (lock(folder)?, Manifest::read(folder)?) {
        (None, Some(manifest)) => manifest,
        (None, None) => bail!("the network in {} is starting or stopping", folder.display()),
        (Some(_), _) => bail!("no network runs in {}: start one with `devnet up`", folder.display()),
    };
    let mut rows = Vec::new();
    for node in &manifest.nodes {
        let status = Rpc::new(&node.rpc)?.status().await.ok();
        let heads = status.map(|status| {
            json!({
                "latest": status.latest.number(),
                "safe": status.safe.number(),
                "finalized": status.finalized.number(),
                "peers": status.peers(),
            })
        });
        rows.push(json!({ "name": node.name, "rpc": node.rpc, "pid": node.pid, "heads": heads, "residentMib": process::resident_mib(node.pid) }));
    }
    if as_json {
        println!("{}", json!({ "l1": manifest.l1.url, "nodes": rows }));
        return Ok(());
    }
    println!("L1 {}   data {}", manifest.l1.url, manifest.data_dir);
    for row in rows {
        println!("{}", row_text(&row));
    }
    Ok(())
}

fn row_text(row: &serde_json::Value) -> String {
    let text = |value: Option<&serde_json::Value>| match value {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let name = text(row.get("name"));
    let rpc = text(row.get("rpc"));
    match row.get("heads").filter(|heads| !heads.is_null()) {
        Some(heads) => {
            let part = |key: &str| text(heads.get(key));
            let memory = row.get("residentMib").and_then(serde_json::Value::as_f64).unwrap_or_default();
            format!(
                "{name:<14} {rpc}  latest {} safe {} finalized {}  peers {}  {memory:.0} MiB",
                part("latest"),
                part("safe"),
                part("finalized"),
                part("peers")
            )
        }
        None => format!("{name:<14} {rpc}  does not answer"),
    }
}
