//! Consensus with the key that the epoch's set names.
//!
//! An operator that changes its signer gives the node both keys. The old one votes as long as the set names it; between the
//! last height of that epoch and the first of the next, the engine is started again with the other. Each key has its own
//! record of what it has signed.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use alloy_primitives::Address;
use consensus::Stopped;
use eyre::eyre;
use k256::ecdsa::SigningKey;
use l1::L1View;
use network::{NetworkHandle, PeerBinding};
use parking_lot::Mutex;
use protocol::{
    Height, Round,
    signing::{address_of, member_key},
};
use tokio::sync::{mpsc, watch};

use crate::{
    application::Sequencing,
    chain::Chain,
    committer::Committer,
    open::{OpenBlocks, Suspicion},
    transactions::{Transactions, now_ms},
};

/// Validity of a peer binding; renewed at every start, with every change of keys, and when a third of it is over.
const BINDING_SECONDS: u64 = 30 * 24 * 3_600;

/// What an engine needs, whichever key it signs with.
pub struct Voting {
    /// The signer's keys, the present one first.
    pub keys: Vec<SigningKey>,
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub transactions: Arc<Transactions>,
    /// Commits and tells everyone.
    pub committer: Arc<Committer>,
    /// Blocks under construction.
    pub open_blocks: Arc<OpenBlocks>,
    /// Our view of L1.
    pub l1: watch::Receiver<Option<L1View>>,
    /// Told who we are.
    pub network: NetworkHandle,
    /// Folder of the engine's files.
    pub data_folder: PathBuf,
    /// Where the engine listens.
    pub listen: String,
    /// Other sequencers' engines.
    pub peers: Vec<String>,
    /// Only in the devnet's faulty binary.
    pub equivocate: Option<consensus::Equivocate>,
}

impl Voting {
    /// Votes until something fails.
    ///
    /// # Errors
    /// The engine does not start or ends by itself.
    pub async fn run(self) -> eyre::Result<()> {
        let mut head = self.chain.watch_head();
        let mut key = self.key_after(head.borrow_and_update().header.number).or_else(|| self.keys.first().cloned());
        while let Some(current) = key.take() {
            self.bind(&current)?;
            let (fatal, mut failures) = mpsc::channel(1);
            let open = Arc::new(Mutex::new(true));
            let application = Sequencing {
                chain: self.chain.clone(),
                transactions: self.transactions.clone(),
                committer: self.committer.clone(),
                open_blocks: self.open_blocks.clone(),
                network: self.network.clone(),
                l1: self.l1.clone(),
                signer: address_of(&current),
                fatal,
                open: open.clone(),
            };
            let suspicions = self.open_blocks.suspicions(address_of(&current));
            let mut engine = consensus::start(self.config(&current)?, Arc::new(application)).await?;
            let excluded = engine.excluded_slices();
            let next = tokio::select! {
                stopped = engine.stopped() => return match stopped {
                    Stopped::Requested => Ok(()),
                    Stopped::Failed(error) => Err(error.into()),
                },
                reason = failures.recv() => return Err(eyre!("consensus: {}", reason.unwrap_or_default())),
                next = self.another(&current, &mut head) => next?,
                never = self.keep_bound(&current) => match never? {},
                Suspicion { height, round, .. } = twin(suspicions, excluded) => {
                    return Err(eyre!("another machine signs with this key: it sent slices of height {height} round {round}"));
                }
            };
            tracing::info!(from = %address_of(&current), to = %address_of(&next), "the set names our other signer");
            engine.stop().await;
            // A commit that is under way ends first, and none may follow: the next engine starts from the head.
            *open.lock() = false;
            key = Some(next);
        }
        Err(eyre!("a sequencer needs a signer"))
    }

    /// Resolves when the next height is another of our keys' to vote on.
    async fn another(
        &self,
        current: &SigningKey,
        head: &mut watch::Receiver<crate::chain::Head>,
    ) -> eyre::Result<SigningKey> {
        loop {
            let height = head.borrow_and_update().header.number;
            if let Some(next) = self.key_after(height).filter(|next| address_of(next) != address_of(current)) {
                return Ok(next);
            }
            head.changed().await?;
        }
    }

    /// The key that the set of the height after `head` names, if it names one.
    fn key_after(&self, head: u64) -> Option<SigningKey> {
        let epoch = self.chain.genesis().params.epoch_of(Height(head).next());
        let info = self.chain.epochs().get(epoch).ok()?;
        member_key(&self.keys, &info.set).map(|(_, key)| key.clone())
    }

    async fn keep_bound(&self, key: &SigningKey) -> eyre::Result<Infallible> {
        loop {
            tokio::time::sleep(Duration::from_secs(BINDING_SECONDS / 3)).await;
            self.bind(key)?;
        }
    }

    fn bind(&self, key: &SigningKey) -> eyre::Result<()> {
        let expires = (now_ms() / 1_000).saturating_add(BINDING_SECONDS);
        let domain = self.chain.genesis().domain();
        let binding = PeerBinding::sign(&domain, key, &self.network.local_peer_id(), expires)?;
        self.network.set_binding(Some(binding));
        Ok(())
    }

    fn config(&self, key: &SigningKey) -> eyre::Result<consensus::Config> {
        let signer: Address = address_of(key);
        let parse = |address: &String| address.parse().map_err(|_| eyre!("{address} is no multiaddress"));
        Ok(consensus::Config {
            data_folder: self.data_folder.clone(),
            listen: parse(&self.listen)?,
            peers: self.peers.iter().map(parse).collect::<Result<_, _>>()?,
            moniker: signer.to_string(),
            key: key.clone(),
            domain: self.chain.genesis().domain(),
            timing: (&self.chain.genesis().params).into(),
            equivocate: self.equivocate.clone(),
        })
    }
}

/// Resolves with a slice that our key signed on another machine.
async fn twin(
    mut suspicions: watch::Receiver<Option<Suspicion>>,
    excluded: impl Fn(Height, Round) -> bool,
) -> Suspicion {
    let is_foreign = |one: &Suspicion| one.is_certain || excluded(one.height, one.round);
    match suspicions.wait_for(|seen| seen.as_ref().is_some_and(&is_foreign)).await.map(|seen| *seen) {
        Ok(Some(found)) => found,
        // The open blocks have ended, which ends the node.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
