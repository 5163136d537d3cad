//! What keeps the L1 side of the network going. Anyone may do it; every node with an account on L1 offers to.
//!
//! ```text
//!  evidence found here ──▶ accuse ──▶ case ──▶ execute, bounty
//!  preview of the set ──▶ snapshot        batches with withdrawals ──▶ publish        batches ──▶ settle rewards
//! ```
//!
//! All nodes see the same duties. Each waits for its turn, by its place among the members, so that normally one of them pays. What
//! is sent was tried first at L1's newest block, costs at most what the hourly budget has left, and is tried again later
//! when it fails. Nothing here has to succeed for this node to be right: a duty that stays undone is everybody's.

mod accuse;
mod agenda;
mod duties;

use std::{sync::Arc, time::Duration};

use alloy::{
    primitives::{Address, B256, Bytes},
    rpc::types::TransactionRequest,
};
use l1::{L1Call, L1Client, L1Error, L1View, SendError, Severity, TransactionSender};
use protocol::{Height, genesis::L1Contracts, signing::address_of};
use store::StoreError;
use tokio::sync::watch;

use crate::{chain::Chain, config::KeeperConfig, transactions::now_ms};
use accuse::Accuser;
use agenda::{Agenda, Budget};

/// Gas added to an estimate, as a share of it: state may move before inclusion.
const MARGIN: u64 = 5;
/// Pieces of evidence looked at in one round, besides those that L1 has judged.
const MAX_EVIDENCE: usize = 32;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duty {
    /// Shows evidence to L1.
    Accuse,
    /// Executes a case whose appeal window is over.
    Execute,
    /// Collects our bounties.
    Bounty,
    /// Freezes the set of the moment.
    Snapshot,
    /// Publishes an output that has new withdrawals.
    Publish,
    /// Shares out rewards.
    Settle,
    /// Collects what our batches have cost on L1.
    Refund,
}

impl Duty {
    const fn name(self) -> &'static str {
        match self {
            Self::Accuse => "accuse",
            Self::Execute => "execute",
            Self::Bounty => "bounty",
            Self::Snapshot => "snapshot",
            Self::Publish => "publish",
            Self::Settle => "settle",
            Self::Refund => "refund",
        }
    }
}

/// A call that is due, under a name that all nodes give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    duty: Duty,
    key: B256,
    to: Address,
    input: Bytes,
}

/// Why a round was cut short.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    /// L1 does not answer, or refuses to.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The call was not delivered.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// The task.
pub struct Keeper {
    config: KeeperConfig,
    chain: Arc<Chain>,
    l1: L1Client,
    sender: TransactionSender,
    /// Our signers: they say when our turn is.
    signers: Vec<Address>,
    view: watch::Receiver<Option<L1View>>,
    agenda: Agenda,
    budget: Budget,
    accuser: Accuser,
}

impl Keeper {
    /// A keeper that pays with `sender`.
    #[must_use]
    pub fn new(
        config: KeeperConfig,
        chain: Arc<Chain>,
        l1: L1Client,
        sender: TransactionSender,
        keys: &[k256::ecdsa::SigningKey],
        view: watch::Receiver<Option<L1View>>,
    ) -> Self {
        let signers = keys.iter().map(address_of).collect();
        let budget = Budget::new(config.gas_per_hour, now_ms());
        let (agenda, accuser) = (Agenda::new(config.interval_ms), Accuser::default());
        Self { config, chain, l1, sender, signers, view, agenda, budget, accuser }
    }

    /// Looks and acts until the node ends.
    ///
    /// # Errors
    /// Our own database failed.
    pub async fn run(mut self) -> eyre::Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.interval_ms));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let Some(view) = *self.view.borrow() else { continue };
            match self.round(view).await {
                Ok(()) => {}
                Err(KeeperError::Store(error)) => return Err(error.into()),
                Err(error) => tracing::warn!(%error, "L1 duties wait"),
            }
        }
    }

    async fn round(&mut self, view: L1View) -> Result<(), KeeperError> {
        let mut due = Vec::new();
        if self.config.evidence {
            due.extend(self.accusations(view).await?);
            due.extend(self.cases(view).await?);
        }
        if self.config.snapshots {
            due.extend(self.snapshot(view).await?);
        }
        if self.config.outputs {
            due.extend(self.output().await?);
        }
        if self.config.rewards {
            due.extend(self.settlement(view).await?);
            due.extend(self.refund().await?);
        }
        self.agenda.keep(due.iter().map(|due| (due.duty, due.key)));
        for due in due {
            let wait = self.config.stagger_ms.saturating_mul(self.place(due.key));
            if self.agenda.is_ready(due.duty, due.key, now_ms(), wait) {
                self.attempt(due).await?;
            }
        }
        Ok(())
    }

    /// How many others come before us for a duty: members in an order that the duty's name gives, then everyone else.
    fn place(&self, key: B256) -> u64 {
        let next = Height(self.chain.head().header.number).next();
        let epoch = self.chain.genesis().params.epoch_of(next);
        let Ok(info) = self.chain.epochs().get(epoch) else { return 0 };
        let members = info.set.members();
        let mut order: Vec<(B256, Address)> = members
            .iter()
            .map(|member| {
                (alloy::primitives::keccak256([key.as_slice(), member.signer.as_slice()].concat()), member.signer)
            })
            .collect();
        order.sort_unstable();
        let place = order.iter().position(|(_, signer)| self.signers.contains(signer)).unwrap_or(order.len());
        u64::try_from(place).unwrap_or(u64::MAX)
    }

    async fn attempt(&mut self, due: Due) -> Result<(), KeeperError> {
        let Due { duty, key, to, input } = due;
        let name = duty.name();
        let request = TransactionRequest::default().from(self.sender.address()).to(to).input(input.clone().into());
        let gas = match self.l1.estimate_gas(&request).await {
            Ok(gas) => gas.saturating_add(gas / MARGIN).min(protocol::limits::MAX_TRANSACTION_GAS),
            Err(L1Error::Refused { message, data, .. }) => {
                // Somebody else was faster, or it is not due on the newest block: the next round looks again.
                tracing::debug!(duty = name, message, "L1 would refuse this");
                if duty == Duty::Accuse {
                    self.refused(key, data.as_ref()).await?;
                }
                self.agenda.failed(duty, key, now_ms());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if !self.budget.take(gas, now_ms()) {
            tracing::warn!(duty = name, gas, "the hourly gas budget is used up");
            metrics::counter!("horae_keeper_over_budget_total", "duty" => name).increment(1);
            self.agenda.failed(duty, key, now_ms());
            return Ok(());
        }
        let call = L1Call { to: Some(to), input, gas_limit: Some(gas), ..Default::default() };
        match self.sender.send(call).await {
            Ok(receipt) => {
                let used = receipt.gas_used;
                tracing::info!(duty = name, l1_block = receipt.block_number, gas = used, "duty done on L1");
                metrics::counter!("horae_keeper_transactions_total", "duty" => name).increment(1);
                metrics::counter!("horae_keeper_gas_total", "duty" => name).increment(used);
                self.agenda.failed(duty, key, now_ms());
                Ok(())
            }
            Err(error) if error.severity() == Severity::Halt => Err(error.into()),
            Err(error) => {
                tracing::warn!(duty = name, %error, "duty not done on L1");
                metrics::counter!("horae_keeper_failures_total", "duty" => name).increment(1);
                self.agenda.failed(duty, key, now_ms());
                Ok(())
            }
        }
    }

    fn contracts(&self) -> &L1Contracts {
        &self.chain.genesis().l1
    }
}
