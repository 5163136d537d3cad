//! Nodes that misbehave on purpose. They exist in the devnet's binary only.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use clap::ValueEnum;
use derivation::BatchBlock;
use eyre::{Result, eyre};
use node::Faults;

/// Which fault.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Fault {
    /// Proposes batches in whose data one block is altered.
    BadBatch,
}

/// Where the faulty node confesses; set once, before it starts.
static CONFESSION: OnceLock<PathBuf> = OnceLock::new();
/// Milliseconds by which the altered block's time is wrong.
const SHIFT_MS: u64 = 1;

/// File in which a faulty node writes what it altered, beside its configuration.
#[must_use]
pub fn confession_file(config: &Path) -> PathBuf {
    config.with_file_name("altered.txt")
}

impl Fault {
    /// What the node is to do wrong.
    ///
    /// # Errors
    /// Called twice.
    pub fn prepare(self, config: &Path) -> Result<Faults> {
        CONFESSION.set(confession_file(config)).map_err(|_| eyre!("a node has one fault"))?;
        match self {
            Self::BadBatch => Ok(Faults { alter_proposal: Some(alter_one_block) }),
        }
    }
}

/// The last block claims another time: the smallest lie a batch can hold.
#[expect(clippy::ptr_arg, reason = "the batcher's port names this type")]
fn alter_one_block(blocks: &mut Vec<BatchBlock>) {
    if let Some(last) = blocks.last_mut() {
        last.timestamp_ms = last.timestamp_ms.saturating_add(SHIFT_MS);
        confess(last.timestamp_ms);
    }
}

fn confess(timestamp_ms: u64) {
    let Some(path) = CONFESSION.get() else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // A confession that cannot be written shows up as a scenario whose fault never happened.
    let _ = file.and_then(|mut file| writeln!(file, "{timestamp_ms}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_is_altered_and_only_one() {
        let block =
            |timestamp_ms| BatchBlock { timestamp_ms, leader: Default::default(), l1_origin: 1, transactions: vec![] };
        let honest = vec![block(1_000), block(1_500)];
        let mut altered = honest.clone();
        alter_one_block(&mut altered);
        assert_eq!(altered[0], honest[0]);
        assert_ne!(altered[1], honest[1]);
        assert_eq!(altered.len(), 2);
    }
}
