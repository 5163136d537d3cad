//! What people see while a network runs: a table that renews itself, or plain lines where that is not possible.

use std::time::Instant;

use alloy::primitives::Address;
use eyre::{Result, WrapErr};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    client::{Rpc, StatusView},
    manifest::Manifest,
};

/// Looks between two plain lines (ten seconds).
const LOOKS_PER_LINE: u32 = 20;
/// Blocks read per look for the transaction rate.
const MAX_BLOCKS_PER_LOOK: u64 = 32;

struct Row {
    name: String,
    signer: Option<Address>,
    rpc: Rpc,
    bar: ProgressBar,
}

/// The view.
pub struct View {
    bars: Option<MultiProgress>,
    summary: ProgressBar,
    rows: Vec<Row>,
    looks: u32,
    seen: Option<(u64, Instant)>,
}

impl View {
    /// A view of a network; `live` redraws a table on standard error.
    ///
    /// # Errors
    /// Never in practice: templates and URLs are ours.
    pub fn new(manifest: &Manifest, live: bool) -> Result<Self> {
        let bars = live.then(MultiProgress::new);
        let style = ProgressStyle::with_template("{msg}").wrap_err("template")?;
        let line = || {
            let bar = ProgressBar::hidden().with_style(style.clone());
            bars.as_ref()
                .map_or_else(|| bar.clone(), |bars| bars.add(ProgressBar::new_spinner().with_style(style.clone())))
        };
        let summary = line();
        let mut rows = Vec::new();
        for node in &manifest.nodes {
            rows.push(Row { name: node.name.clone(), signer: node.signer, rpc: Rpc::new(&node.rpc)?, bar: line() });
        }
        let view = Self { bars, summary, rows, looks: 0, seen: None };
        view.say(&format!("data   {}", manifest.data_dir));
        view.say(&format!("L1     {} (chain {})", manifest.l1.url, manifest.l1.chain_id));
        view.say(&pages_line(manifest));
        for node in &manifest.nodes {
            view.say(&format!("{:<14} {}  {}", node.name, node.rpc, node.metrics));
        }
        if let Some(account) = manifest.accounts.first() {
            view.say(&format!("funded {} key {} and nine more in devnet.json", account.address, account.private_key));
        }
        view.say(&format!(
            "first block after {:.1} s; Ctrl-C stops everything",
            f64::from(u32::try_from(manifest.startup_ms)?) / 1_000.0
        ));
        Ok(view)
    }

    /// Prints a line that stays.
    pub fn say(&self, line: &str) {
        match &self.bars {
            // A terminal that is gone takes no lines; nothing depends on them.
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }

    /// Asks every node and draws.
    pub async fn refresh(&mut self) {
        self.looks = self.looks.wrapping_add(1);
        let mut best: Option<(StatusView, Rpc)> = None;
        let mut lines = Vec::new();
        for row in &self.rows {
            let status = row.rpc.status().await.ok();
            lines.push(row_line(row, status.as_ref()));
            if let Some(status) = status
                && best.as_ref().is_none_or(|(other, _)| other.latest.number() < status.latest.number())
            {
                best = Some((status, row.rpc.clone()));
            }
        }
        let summary = match best {
            Some((status, rpc)) => self.summary_line(&status, &rpc).await,
            None => "no node answers".to_owned(),
        };
        if self.bars.is_some() {
            self.summary.set_message(summary);
            self.rows.iter().zip(lines).for_each(|(row, line)| row.bar.set_message(line));
        } else if self.looks % LOOKS_PER_LINE == 1 {
            self.say(&summary);
        }
    }

    async fn summary_line(&mut self, status: &StatusView, rpc: &Rpc) -> String {
        let rate = self.rate(status.latest.number(), rpc).await;
        let leads = status.turn.and_then(|turn| turn.leads_now.map(|leader| (self.name_of(leader), turn)));
        let turn =
            leads.map_or_else(String::new, |(name, turn)| format!("  {name} leads {}–{}", turn.first(), turn.last()));
        let batch = match rpc.newest_batch().await {
            Ok(Some(batch)) => match batch.figures() {
                (index, Some(signed), Some(total)) => format!("  batch {index} signed by {signed} of {total}"),
                (index, _, _) => format!("  batch {index}"),
            },
            _ => String::new(),
        };
        format!(
            "L1 {} (final {})  L2 {} (safe {}, final {})  epoch {}{turn}{batch}  {rate:.1} tx/s",
            status.l1_head.number(),
            status.l1_finalized.number(),
            status.latest.number(),
            status.safe.number(),
            status.finalized.number(),
            status.epoch()
        )
    }

    fn name_of(&self, signer: Address) -> String {
        let row = self.rows.iter().find(|row| row.signer == Some(signer));
        row.map_or_else(|| signer.to_string(), |row| row.name.clone())
    }

    /// User transactions per second since the last look.
    async fn rate(&mut self, latest: u64, rpc: &Rpc) -> f64 {
        let now = Instant::now();
        let Some((from, since)) = self.seen.replace((latest, now)) else { return 0.0 };
        let mut count = 0u32;
        for height in from.saturating_add(1)..=latest.min(from.saturating_add(MAX_BLOCKS_PER_LOOK)) {
            if let Ok(Some(block)) = rpc.block(height).await {
                // The first transaction of a block tells the L1 attributes.
                count =
                    count.saturating_add(u32::try_from(block.transactions.len().saturating_sub(1)).unwrap_or_default());
            }
        }
        f64::from(count) / now.duration_since(since).as_secs_f64().max(0.001)
    }

    /// Ends the view with a last line.
    pub fn close(&self, line: &str) {
        self.rows.iter().for_each(|row| row.bar.finish());
        self.summary.finish();
        self.say(line);
    }
}

/// Where the pages are, or how to get them.
#[must_use]
pub fn pages_line(manifest: &Manifest) -> String {
    match &manifest.pages {
        Some(url) => format!("pages  {url}  (staking and network)"),
        None => "pages  not built: run `./x setup`, then start again".to_owned(),
    }
}

fn row_line(row: &Row, status: Option<&StatusView>) -> String {
    match status {
        Some(status) => format!(
            "{:<14} latest {:>6}  safe {:>6}  finalized {:>6}  peers {:>2}",
            row.name,
            status.latest.number(),
            status.safe.number(),
            status.finalized.number(),
            status.peers()
        ),
        None => format!("{:<14} does not answer", row.name),
    }
}
