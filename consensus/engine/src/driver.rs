//! The application loop: one task that answers the engine and owns everything known about the height under vote.
//!
//! Nothing here waits. Work of the application (building, executing, committing) runs in tasks whose results come back
//! as [`Done`]; the engine's questions are answered then, so its mailbox never stands still behind the EVM.

mod blocks;
mod height;
mod lead;
mod port;
mod tasks;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use alloy_primitives::B256;
use malachite::app::engine::host::{HeightParams, Next, SyncedValueOutcome};
use malachite::app::streaming::StreamContent;
use malachite::app::types::core::{CommitCertificate, Round, Validity};
use malachite::app::types::{PeerId, ProposedValue};
use malachite::{AppMsg, NetworkMsg, NetworkRequest, Reply};
use parking_lot::Mutex;
use protocol::Domain;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::application::{AppError, Application, Evidence, Refusal};
use crate::context::{Address, BlockId, Height, Horae, Slice, to_protocol};
use crate::engine::{Equivocate, Timing};
use crate::evidence;
use crate::proposal_log::{ProposalLog, Undecided};
use crate::signer::GuardedSigner;
use crate::slices;
use crate::witness::Witness;

use blocks::{Blocks, Taken};
use height::HeightView;
use lead::Lead;
pub(crate) use port::ConsensusPort;
use tasks::Seen;

/// Why the loop ended.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The application stopped us.
    #[error("application: {0}")]
    Application(#[from] AppError),
    /// The engine's actors are gone; its log says why (most often: a refused signature or a failing disk).
    #[error("the consensus engine stopped")]
    EngineGone,
    /// The engine decided a block this node does not hold.
    #[error("block {1} was decided at height {0}, but this node does not hold it")]
    UnknownBlock(u64, B256),
    /// A decided block fails here: this node's software or disk disagrees with two thirds of the weight.
    #[error("decided block {1} at height {0} is refused here: {2}")]
    DecidedRefused(u64, B256, Refusal),
    /// The application's leadership cannot be used.
    #[error("leadership of height {0}: {1}")]
    Leadership(u64, crate::context::LeadershipError),
    /// The proposal log failed.
    #[error("proposal log: {0}")]
    ProposalLog(#[from] std::io::Error),
    /// A task panicked.
    #[error("consensus task: {0}")]
    Task(String),
}

/// What the loop works with.
pub(crate) struct Parts {
    pub(crate) application: Arc<dyn Application>,
    pub(crate) signer: GuardedSigner,
    pub(crate) proposals: ProposalLog,
    pub(crate) domain: Domain,
    pub(crate) timing: Timing,
    pub(crate) witness: Witness,
    pub(crate) equivocate: Option<Equivocate>,
}

/// Result of a task.
enum Done {
    /// A task without a result.
    Nothing,
    /// A slice could not be handed to the network.
    NetworkGone,
    /// Our block is built, signed and on disk; or not.
    Proposed { height: u64, round: u32, built: Result<Undecided, AppError> },
    /// A block under vote was executed and stored.
    Checked { undecided: Box<Undecided>, verdict: Result<(), Refusal> },
    /// A decided block from a peer's history was executed and stored.
    Synced { undecided: Box<Undecided>, verdict: Result<(), Refusal>, reply: Reply<SyncedValueOutcome<Horae>> },
    /// The decided block is durable.
    Committed { height: u64, result: Result<(), DriverError>, reply: Reply<()> },
    /// It is time for the next height.
    Paced { result: Result<(), AppError>, reply: Reply<Next<Horae>> },
    /// Storing failed.
    Failed(DriverError),
}

/// The loop's state.
pub(crate) struct Driver {
    application: Arc<dyn Application>,
    signer: GuardedSigner,
    proposals: Arc<Mutex<ProposalLog>>,
    domain: Domain,
    timing: Timing,
    /// Proposals as the verifier saw them.
    witness: Witness,
    equivocate: Option<Equivocate>,
    consensus: ConsensusPort,
    network: mpsc::Sender<NetworkMsg<Horae>>,
    net_requests: mpsc::Sender<NetworkRequest>,
    /// Blocks a former run left; taken up when the engine starts.
    recovered: Vec<Undecided>,
    tasks: JoinSet<Done>,
    view: Option<HeightView>,
    blocks: Blocks,
    /// The engine's request for the next height, until the decided block is committed.
    finalized: Option<(Vec<Evidence>, Reply<Next<Horae>>)>,
    /// A decided block is on its way to disk.
    deciding: bool,
    /// Our turn, if one is under way.
    lead: Option<Lead>,
    /// Cuts the pause between heights short.
    seen: watch::Sender<Seen>,
    /// The last height came from a peer's history.
    caught_up: bool,
    round: u32,
    height_started: Instant,
}

impl Driver {
    pub(crate) fn new(
        parts: Parts,
        consensus: ConsensusPort,
        network: mpsc::Sender<NetworkMsg<Horae>>,
        net_requests: mpsc::Sender<NetworkRequest>,
        recovered: Vec<Undecided>,
    ) -> Self {
        let Parts { application, signer, proposals, domain, timing, witness, equivocate } = parts;
        Self {
            application,
            signer,
            proposals: Arc::new(Mutex::new(proposals)),
            domain,
            timing,
            witness,
            equivocate,
            consensus,
            network,
            net_requests,
            recovered,
            tasks: JoinSet::new(),
            view: None,
            blocks: Blocks::default(),
            finalized: None,
            deciding: false,
            lead: None,
            seen: watch::Sender::new(Seen::Nothing),
            caught_up: false,
            round: 0,
            height_started: Instant::now(),
        }
    }

    /// Runs until something fails.
    pub(crate) async fn run(mut self, mut messages: mpsc::Receiver<AppMsg<Horae>>) -> Result<Infallible, DriverError> {
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.handle(message)?,
                    None => return Err(DriverError::EngineGone),
                },
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => match done {
                    Ok(done) => self.finish(done)?,
                    // A turn that is over.
                    Err(error) if error.is_cancelled() => {}
                    Err(error) => return Err(DriverError::Task(error.to_string())),
                },
            }
        }
    }

    fn handle(&mut self, message: AppMsg<Horae>) -> Result<(), DriverError> {
        match message {
            AppMsg::ConsensusReady { reply } => self.consensus_ready(reply),
            AppMsg::StartedRound { height, round, proposer, reply_value, .. } => {
                self.started_round(height, round, proposer, reply_value);
                Ok(())
            }
            AppMsg::GetValue { height, round, reply, .. } => {
                self.get_value(height, round, reply);
                Ok(())
            }
            AppMsg::ReceivedProposalPart { from, part, reply, .. } => {
                // The value goes to the engine when it has been executed, see `ConsensusPort`.
                let _ = reply.send(None);
                let is_relayed = tasks::is_relayed(&part);
                let StreamContent::Data(slice) = part.content else { return Ok(()) };
                let relayed = is_relayed.then(|| slice.clone());
                self.received_slice(slice)?;
                relayed.into_iter().for_each(|slice| self.received_relay(from, slice));
                Ok(())
            }
            AppMsg::RestreamProposal { height, round, value_id, .. } => self.restream(height, round, &value_id),
            AppMsg::Decided { certificate, reply, .. } => self.decided(&certificate, reply),
            AppMsg::Finalized { evidence, reply, .. } => {
                // What both have found is the same evidence, and is stored once.
                let evidence = [evidence::from_engine(&evidence), self.witness.take()].concat();
                self.finalized = Some((evidence, reply));
                self.pace_if_committed();
                Ok(())
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                let _ = reply.send(self.application.earliest().into());
                Ok(())
            }
            AppMsg::GetDecidedValues { range, reply } => {
                self.tasks.spawn(tasks::history(Arc::clone(&self.application), range, reply));
                Ok(())
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                self.synced_value(height, round, proposer, value_bytes.into(), reply);
                Ok(())
            }
            // Horae has no vote extensions; an answer keeps the engine's mailbox moving.
            AppMsg::ExtendVote { reply, .. } => {
                let _ = reply.send(None);
                Ok(())
            }
            AppMsg::VerifyVoteExtensions { reply, .. } => {
                let _ = reply.send(Vec::new());
                Ok(())
            }
        }
    }

    fn consensus_ready(&mut self, reply: Reply<(Height, HeightParams<Horae>)>) -> Result<(), DriverError> {
        let view = self.enter_next_height()?;
        let start = (Height(view.height), HeightParams::new(view.set, self.timing.timeouts(), None));
        let (requests, own) = (self.net_requests.clone(), self.signer.address());
        let set = view.leadership.set;
        tracing::info!(height = view.height, "consensus is ready");
        for undecided in std::mem::take(&mut self.recovered) {
            // What was written while it was checked may have been refused for its body since.
            if undecided.height == start.0.0 && self.application.is_whole(&undecided.block) {
                self.blocks.recover(undecided);
            }
        }
        self.tasks.spawn(async move {
            tasks::peers(&requests, &set, own).await;
            let _ = reply.send(start);
            Done::Nothing
        });
        Ok(())
    }

    /// Reads the leadership of the head's successor and forgets the height before.
    fn enter_next_height(&mut self) -> Result<HeightView, DriverError> {
        let head = self.application.head();
        let view = HeightView::new(self.application.leadership(head.next())?)?;
        self.blocks.start(view.height);
        self.witness.enter(view.height);
        self.end_turn();
        self.round = 0;
        self.height_started = Instant::now();
        self.view = Some(view.clone());
        Ok(view)
    }

    fn started_round(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        reply: Reply<Vec<ProposedValue<Horae>>>,
    ) {
        let before = std::mem::replace(&mut self.round, round.as_u32().unwrap_or_default());
        if self.round == 0 {
            self.height_started = Instant::now();
        }
        if self.round > before && proposer.0 != self.signer.address() {
            // They came before their round did.
            self.blocks.slices_of(self.round).for_each(|slice| self.application.slice(slice));
        }
        metrics::gauge!("horae_consensus_height").set(height.0 as f64);
        metrics::gauge!("horae_consensus_round").set(f64::from(self.round));
        tracing::debug!(%height, %round, leader = %proposer, "round started");
        if self.lead.as_ref().is_some_and(|lead| lead.round < self.round) {
            self.end_turn();
        }
        let known = self.blocks.valid_in(self.round).map(|undecided| proposed_value(undecided, Validity::Valid));
        let _ = reply.send(known.collect());
        for undecided in self.blocks.take_recovered() {
            self.check(undecided, false);
        }
    }

    fn received_slice(&mut self, slice: Slice) -> Result<(), DriverError> {
        let Some(view) = &self.view else { return Ok(()) };
        match self.blocks.take(view, &self.domain, self.round, slice) {
            Taken::Nothing => {}
            Taken::Progress(slice) => self.stream_goes_on(&slice, Seen::Slices),
            Taken::Complete(slice, undecided) => {
                self.stream_goes_on(&slice, Seen::Block);
                self.check(*undecided, true);
            }
            Taken::Conflict(signer, pair) => {
                tracing::warn!(%signer, height = %pair.0.height, round = %pair.0.round, "two slices at one place");
                let evidence = evidence::from_slices(signer, &pair.0, &pair.1);
                let application = Arc::clone(&self.application);
                self.tasks.spawn(async move {
                    match application.evidence(vec![evidence]).await {
                        Ok(()) => Done::Nothing,
                        Err(error) => Done::Failed(error.into()),
                    }
                });
            }
        }
        Ok(())
    }

    fn received_relay(&mut self, peer: PeerId, slice: Slice) {
        let Some(view) = &self.view else { return };
        if let Some(undecided) = self.blocks.relayed(view, &self.domain, self.round, peer, slice) {
            self.check(undecided, true);
        }
    }

    /// A leader streams. Only the one whose round has come is listened to: any member leads some later round.
    fn stream_goes_on(&self, slice: &Slice, seen: Seen) {
        if slice.round.0 <= self.round {
            self.application.slice(slice);
            self.seen.send_if_modified(|before| {
                let is_more = *before < seen;
                *before = seen.max(*before);
                is_more
            });
        }
    }

    /// Executes a block of the current height off the loop; `store` unless it came from the log.
    fn check(&mut self, undecided: Undecided, store: bool) {
        let (application, proposals) = (Arc::clone(&self.application), Arc::clone(&self.proposals));
        let leader = Some(undecided.leader);
        self.tasks.spawn(async move {
            let stored = store.then_some(proposals);
            match tasks::check(application, stored, undecided, leader).await {
                Ok((undecided, verdict)) => Done::Checked { undecided: Box::new(undecided), verdict },
                Err(error) => Done::Failed(error),
            }
        });
    }

    fn publish(&mut self, slices: Vec<Slice>, relay_round: u32) {
        let network = self.network.clone();
        self.tasks.spawn(tasks::publish(network, slices, relay_round));
    }

    /// A block of this height, from the log if it had to make room for those of dozens of rounds.
    fn held(&self, height: u64, hash: &B256) -> Result<Option<Undecided>, DriverError> {
        if let Some(held) = self.blocks.get(hash) {
            return Ok(Some(held.clone()));
        }
        let found = self.proposals.lock().find(hash, |block| self.application.is_whole(block))?;
        Ok(found.filter(|found| found.height == height))
    }

    fn restream(&mut self, height: Height, round: Round, hash: &B256) -> Result<(), DriverError> {
        let slices = self.held(height.0, hash)?.map(|undecided| undecided.slices).unwrap_or_default();
        if slices.is_empty() {
            tracing::warn!(%hash, "asked to relay a block whose slices are not here");
        } else {
            self.publish(slices, round.as_u32().unwrap_or_default());
        }
        Ok(())
    }

    fn synced_value(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        block: alloy_primitives::Bytes,
        reply: Reply<SyncedValueOutcome<Horae>>,
    ) {
        let Some(view) = self.view.as_ref().filter(|view| view.height == height.0) else {
            let _ = reply.send(SyncedValueOutcome::LocalTransientError);
            return;
        };
        // The certificate was verified just now, for another block if not for this one.
        let certified = |hash: &B256| self.witness.is_certified(*hash, &view.leadership.set);
        let Some(hash) = slices::block_hash(&block).filter(certified) else {
            tracing::warn!(%height, "a peer's history has a block that is not the certified one");
            let _ = reply.send(SyncedValueOutcome::PeerFault);
            return;
        };
        let round = round.as_u32().unwrap_or_default();
        let undecided = Undecided { height: height.0, round, leader: proposer.0, hash, block, slices: Vec::new() };
        let (application, proposals) = (Arc::clone(&self.application), Arc::clone(&self.proposals));
        self.tasks.spawn(async move {
            match tasks::check_synced(application, proposals, undecided).await {
                Ok((undecided, verdict)) => Done::Synced { undecided: Box::new(undecided), verdict, reply },
                Err(error) => Done::Failed(error),
            }
        });
    }

    fn decided(&mut self, certificate: &CommitCertificate<Horae>, reply: Reply<()>) -> Result<(), DriverError> {
        let (height, hash) = (certificate.height.0, certificate.value_id);
        let undecided = self.held(height, &hash)?.ok_or(DriverError::UnknownBlock(height, hash))?;
        let is_checked = self.blocks.is_valid(&hash);
        self.caught_up = self.blocks.is_synced(&hash);
        self.deciding = true;
        metrics::histogram!("horae_consensus_rounds").record(f64::from(self.round.saturating_add(1)));
        if self.round > 0 {
            metrics::counter!("horae_consensus_failovers_total").increment(u64::from(self.round));
        }
        let certificate = to_protocol(certificate);
        let application = Arc::clone(&self.application);
        self.tasks.spawn(async move {
            let result = tasks::commit(application, undecided, is_checked, certificate).await;
            Done::Committed { height, result, reply }
        });
        Ok(())
    }

    fn finish(&mut self, done: Done) -> Result<(), DriverError> {
        match done {
            Done::Nothing => Ok(()),
            Done::NetworkGone => Err(DriverError::EngineGone),
            Done::Failed(error) => Err(error),
            Done::Proposed { height, round, built } => self.proposed(height, round, built),
            Done::Checked { undecided, verdict } => self.checked(*undecided, verdict),
            Done::Synced { undecided, verdict, reply } => {
                let _ = reply.send(match verdict {
                    Ok(()) => {
                        let value = proposed_value(&undecided, Validity::Valid);
                        self.blocks.insert_synced(*undecided);
                        SyncedValueOutcome::Verdict(value)
                    }
                    Err(Refusal::Invalid(why)) => {
                        tracing::error!(height = undecided.height, hash = %undecided.hash, why, "certified block refused");
                        SyncedValueOutcome::Verdict(proposed_value(&undecided, Validity::Invalid))
                    }
                    Err(Refusal::Unable(why)) => {
                        tracing::warn!(height = undecided.height, why, "cannot check a synced block now");
                        SyncedValueOutcome::LocalTransientError
                    }
                    Err(Refusal::Foreign) => {
                        tracing::warn!(height = undecided.height, hash = %undecided.hash, "a peer's history has another body");
                        SyncedValueOutcome::PeerFault
                    }
                });
                Ok(())
            }
            Done::Committed { height, result, reply } => {
                result?;
                let _ = reply.send(());
                self.committed(height)
            }
            Done::Paced { result, reply } => {
                result?;
                let Some(view) = &self.view else { return Ok(()) };
                let params = HeightParams::new(view.set.clone(), self.timing.timeouts(), None);
                let _ = reply.send(Next::Start(Height(view.height), params));
                Ok(())
            }
        }
    }

    fn checked(&mut self, undecided: Undecided, verdict: Result<(), Refusal>) -> Result<(), DriverError> {
        if self.view.as_ref().is_none_or(|view| view.height != undecided.height) {
            return Ok(());
        }
        let validity = match verdict {
            Ok(()) => Validity::Valid,
            Err(Refusal::Invalid(why)) => {
                tracing::warn!(height = undecided.height, hash = %undecided.hash, leader = %undecided.leader, why, "block refused");
                metrics::counter!("horae_consensus_refused_blocks_total").increment(1);
                Validity::Invalid
            }
            Err(Refusal::Unable(why)) => {
                tracing::warn!(height = undecided.height, hash = %undecided.hash, why, "abstaining");
                if !self.blocks.is_valid(&undecided.hash) {
                    // It may be proposed again, or decided by others: the next round checks it once more.
                    self.blocks.recover(undecided);
                }
                return Ok(());
            }
            Err(Refusal::Foreign) => {
                // The leader's doing, who may have sent others the body that belongs there: a relay or a peer's history brings it.
                let Undecided { height, hash, leader, .. } = &undecided;
                tracing::warn!(height, %hash, %leader, "a leader sent another body under its header");
                metrics::counter!("horae_consensus_foreign_bodies_total").increment(1);
                return Ok(());
            }
        };
        let value = proposed_value(&undecided, validity);
        if validity.is_valid() {
            self.blocks.insert_valid(undecided);
        }
        self.consensus.received(value)
    }

    fn committed(&mut self, height: u64) -> Result<(), DriverError> {
        metrics::histogram!("horae_consensus_commit_seconds").record(self.height_started.elapsed().as_secs_f64());
        metrics::counter!("horae_consensus_committed_total").increment(1);
        tracing::debug!(height, round = self.round, "committed");
        self.seen.send_replace(Seen::Nothing);
        self.deciding = false;
        self.proposals.lock().clear()?;
        self.enter_next_height()?;
        for slice in self.blocks.take_early() {
            self.received_slice(slice)?;
        }
        self.pace_if_committed();
        Ok(())
    }

    /// Starts the pause before the next height once the engine is done with this one and the chain has it.
    fn pace_if_committed(&mut self) {
        if self.deciding {
            return;
        }
        let Some((evidence, reply)) = self.finalized.take() else { return };
        let (application, seen) = (Arc::clone(&self.application), self.seen.subscribe());
        let interval = self.timing.block_interval;
        self.tasks.spawn(async move {
            let result = tasks::pace(application, evidence, interval, seen).await;
            Done::Paced { result, reply }
        });
        self.lead_early();
    }
}

fn proposed_value(undecided: &Undecided, validity: Validity) -> ProposedValue<Horae> {
    ProposedValue {
        height: Height(undecided.height),
        round: Round::new(undecided.round),
        valid_round: Round::Nil,
        proposer: Address(undecided.leader),
        value: BlockId(undecided.hash),
        validity,
    }
}
