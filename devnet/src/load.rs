//! A steady stream of transfers in the background, so that blocks follow each other at the block interval.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::primitives::{B256, U256};
use eyre::Result;
use tokio::task::JoinHandle;

use crate::{client::Rpc, keys, transactions::Wallet};

/// Time between two transfers: several a block.
const PERIOD: Duration = Duration::from_millis(120);
/// Hashes remembered: more than any scenario can send.
const MAX_REMEMBERED: usize = 10_000;

/// The stream. Dropping it ends it.
#[derive(Debug)]
pub struct Load {
    sent: Arc<Mutex<Vec<B256>>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts sending through all of these nodes: one that is down hides nothing.
    ///
    /// # Errors
    /// Never: the keys are valid.
    pub fn start(rpcs: Vec<Rpc>) -> Result<Self> {
        Self::from(rpcs, Wallet::all()?)
    }

    /// The same without one account, which somebody else sends from.
    ///
    /// # Errors
    /// As [`Load::start`].
    pub fn sparing(rpcs: Vec<Rpc>, account: usize) -> Result<Self> {
        let others = Wallet::all()?.into_iter().enumerate().filter(|(index, _)| *index != account);
        Self::from(rpcs, others.map(|(_, wallet)| wallet).collect())
    }

    fn from(rpcs: Vec<Rpc>, wallets: Vec<Wallet>) -> Result<Self> {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(stream(rpcs, wallets, sent.clone()));
        Ok(Self { sent, task })
    }

    /// Hashes of what some node took so far.
    #[must_use]
    pub fn sent(&self) -> Vec<B256> {
        self.sent.lock().map(|sent| sent.clone()).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn stream(rpcs: Vec<Rpc>, mut wallets: Vec<Wallet>, sent: Arc<Mutex<Vec<B256>>>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let Ok(target) = keys::derived("load").map(|key| key.address()) else { return };
    let mut stale = vec![true; wallets.len()];
    loop {
        for (wallet, stale) in wallets.iter_mut().zip(&mut stale) {
            ticks.tick().await;
            if *stale {
                let Some(nonce) = pending_nonce(&rpcs, wallet).await else { continue };
                wallet.nonce = nonce;
            }
            let Ok(ready) = wallet.transfer(target, U256::ONE) else { continue };
            *stale = !offer(&rpcs, &ready.raw).await;
            let full = sent.lock().map_or(true, |sent| sent.len() >= MAX_REMEMBERED);
            if let (false, false, Ok(mut sent)) = (*stale, full, sent.lock()) {
                sent.push(ready.hash);
            }
        }
    }
}

/// The highest view among the nodes: a node that was down may lag.
async fn pending_nonce(rpcs: &[Rpc], wallet: &Wallet) -> Option<u64> {
    let mut best = None;
    for rpc in rpcs {
        if let Ok(nonce) = rpc.nonce(wallet.address()).await {
            best = best.max(Some(nonce));
        }
    }
    best
}

/// True when at least one node has it.
async fn offer(rpcs: &[Rpc], raw: &alloy::primitives::Bytes) -> bool {
    let mut taken = false;
    for rpc in rpcs {
        let answer = rpc.send(raw).await;
        taken |= match answer {
            Ok(_) => true,
            // Another node's gossip was faster.
            Err(error) => format!("{error:#}").contains("already known"),
        };
    }
    taken
}
