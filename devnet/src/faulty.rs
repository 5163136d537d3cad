//! Nodes that misbehave on purpose. They exist in the devnet's binary only.

use std::{
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy::primitives::Address;
use derivation::BatchBlock;
use eyre::{Result, WrapErr, eyre};
use node::{
    Faults,
    config::{Config, Role},
    keys,
};
use protocol::{
    Domain, Genesis,
    signing::{CompactSignature, Proposal},
};

/// Which fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `bad-batch`: proposes batches in whose data one block is altered.
    BadBatch,
    /// `double-sign`: signs a second proposal when it leads, once, and sends both to all.
    DoubleSign,
    /// `censor:ADDRESS`: keeps this sender's transactions out of pool and blocks.
    Censor(Address),
    /// `withhold:ADDRESS`: does that, and neither builds nor votes for blocks that execute items of the L1 queue. With all
    /// sequencers like this the origin of L2 stands still before the first item.
    Withhold(Address),
}

impl FromStr for Fault {
    type Err = eyre::Report;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, whom) = text.split_once(':').unwrap_or((text, ""));
        let address = || whom.parse().wrap_err_with(|| format!("{kind}: whose transactions? ({kind}:0x…)"));
        match kind {
            "bad-batch" => Ok(Self::BadBatch),
            "double-sign" => Ok(Self::DoubleSign),
            "censor" => Ok(Self::Censor(address()?)),
            "withhold" => Ok(Self::Withhold(address()?)),
            _ => Err(eyre!("there is no fault {text}")),
        }
    }
}

/// Where the faulty node confesses; set once, before it starts.
static CONFESSION: OnceLock<PathBuf> = OnceLock::new();
/// Milliseconds by which the altered block's time is wrong.
const SHIFT_MS: u64 = 1;

/// File in which a faulty node writes what it did (the time of an altered block in milliseconds, the height of a double
/// signature), one number a line, beside its configuration.
#[must_use]
pub fn confession_file(config: &Path) -> PathBuf {
    config.with_file_name("confession.txt")
}

impl Fault {
    /// What the node is to do wrong.
    ///
    /// # Errors
    /// Called twice, or the node's own files cannot be read.
    pub fn prepare(self, file: &Path, config: &Config) -> Result<Faults> {
        CONFESSION.set(confession_file(file)).map_err(|_| eyre!("a node has one fault"))?;
        Ok(match self {
            Self::BadBatch => Faults { alter_proposal: Some(alter_one_block), ..Default::default() },
            Self::DoubleSign => Faults { equivocate: Some(equivocate(config)?), ..Default::default() },
            Self::Censor(sender) => Faults { censor: Some(sender), ..Default::default() },
            Self::Withhold(sender) => Faults { censor: Some(sender), withhold_deposits: true, ..Default::default() },
        })
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

/// Signs, once, a second proposal for a block that does not exist.
fn equivocate(config: &Config) -> Result<node::Equivocate> {
    eyre::ensure!(config.role == Role::Sequencer, "only sequencers propose");
    let key = keys::load(&config.signer)?;
    let genesis = Genesis::from_json(&std::fs::read_to_string(&config.genesis).wrap_err("genesis file")?)?;
    let domain: Domain = genesis.domain();
    let done = AtomicBool::new(false);
    Ok(Arc::new(move |honest: &Proposal| {
        if done.swap(true, Ordering::Relaxed) {
            return None;
        }
        let second = contradicting(honest);
        let signature = CompactSignature::sign(&key, &domain.digest(&second)).ok()?;
        confess(honest.height);
        Some((second, signature))
    }))
}

fn contradicting(honest: &Proposal) -> Proposal {
    Proposal { blockHash: !honest.blockHash, ..honest.clone() }
}

fn confess(number: u64) {
    let Some(path) = CONFESSION.get() else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    // A confession that cannot be written shows up as a scenario whose fault never happened.
    let _ = file.and_then(|mut file| writeln!(file, "{number}"));
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

    #[test]
    fn faults_have_names_and_some_a_victim() {
        let victim = Address::repeat_byte(7);
        assert_eq!("double-sign".parse::<Fault>().unwrap(), Fault::DoubleSign);
        assert_eq!(format!("censor:{victim}").parse::<Fault>().unwrap(), Fault::Censor(victim));
        assert_eq!(format!("withhold:{victim}").parse::<Fault>().unwrap(), Fault::Withhold(victim));
        for wrong in ["censor", "withhold:x", "kindness", ""] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_second_proposal_differs_in_its_block_alone() {
        let honest = Proposal { height: 3, round: 1, polRound: -1, blockHash: [7; 32].into() };
        let second = contradicting(&honest);
        assert_ne!(second.blockHash, honest.blockHash);
        assert_eq!(Proposal { blockHash: honest.blockHash, ..second }, honest);
    }
}
