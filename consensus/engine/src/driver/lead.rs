//! Our own turn: the application's stream leaves in signed slices while the block is built.

use std::sync::Arc;

use alloy_primitives::Bytes;
use malachite::app::types::LocallyProposedValue;
use malachite::app::types::core::Round;
use malachite::{NetworkMsg, Reply};
use parking_lot::Mutex;
use protocol::limits::{MAX_SLICE_BYTES, MAX_SLICES};
use protocol::signing;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::tasks::{self, Seen, stream_message};
use super::{Done, Driver, DriverError, HeightView};
use crate::application::{AppError, Application, Built, Turn};
use crate::context::{Address, BlockId, Height, Horae, SliceBody};
use crate::proposal_log::{ProposalLog, Undecided};
use crate::record::RecordError;
use crate::signer::{GuardedSigner, SignerError, SliceSigner};
use crate::slices::{Assembly, Step};

/// Blocks older than this many intervals make a node that caught up leave the lead to others.
const STALE_INTERVALS: u32 = 4;
/// Pieces of the stream that wait to be signed.
const MAX_PIECES: usize = 16;

/// The turn under way, as the loop sees it.
pub(super) struct Lead {
    pub(super) height: u64,
    pub(super) round: u32,
    /// Tells the application that voters wait.
    pub(super) asked: watch::Sender<bool>,
    /// The engine's question, once it came.
    pub(super) reply: Option<Reply<LocallyProposedValue<Horae>>>,
    pub(super) task: AbortHandle,
}

impl Driver {
    /// Our turn to lead.
    pub(super) fn get_value(&mut self, height: Height, round: Round, reply: Reply<LocallyProposedValue<Horae>>) {
        let round = round.as_u32().unwrap_or_default();
        let Some(view) = self.view.as_ref().filter(|view| view.height == height.0) else { return };
        if let Some(lead) = self.lead.as_mut().filter(|lead| lead.round == round) {
            lead.asked.send_replace(true);
            lead.reply = Some(reply);
            self.answer();
            return;
        }
        // Dropping the reply means no proposal: voters time out and the next leader steps in.
        if self.is_stale(view, round) {
            tracing::warn!(%height, round, "not leading: this node has just caught up from behind");
            return;
        }
        if self.signer.has_slices(height.0, round) {
            // Streamed before a restart: the same block or none.
            if let Some(undecided) = self.blocks.by_leader(round, self.signer.address()) {
                let value = BlockId(undecided.hash);
                let slices = undecided.slices.clone();
                let _ = reply.send(LocallyProposedValue::new(height, Round::new(round), value));
                self.publish(slices, round);
            } else {
                tracing::warn!(%height, round, "not leading: slices of a lost block were signed for this round");
            }
            return;
        }
        self.start_turn(height.0, round, true);
        if let Some(lead) = &mut self.lead {
            lead.reply = Some(reply);
        }
    }

    /// The first leader of the next height begins to build at once; the engine asks for the block when it is due.
    pub(super) fn lead_early(&mut self) {
        let Some(view) = &self.view else { return };
        let height = view.height;
        let leads = view.leadership.leader(0) == Some(self.signer.address());
        if leads && !self.is_stale(view, 0) && !self.signer.has_slices(height, 0) {
            self.start_turn(height, 0, false);
        }
    }

    fn start_turn(&mut self, height: u64, round: u32, asked: bool) {
        self.end_turn();
        let (asked, listener) = watch::channel(asked);
        let leader = Leader {
            application: Arc::clone(&self.application),
            signer: self.signer.clone(),
            proposals: Arc::clone(&self.proposals),
            network: self.network.clone(),
        };
        let task = self.tasks.spawn(async move {
            let built = leader.lead(height, round, listener).await;
            Done::Proposed { height, round, built }
        });
        self.lead = Some(Lead { height, round, asked, reply: None, task });
    }

    pub(super) fn end_turn(&mut self) {
        if let Some(lead) = self.lead.take() {
            lead.task.abort();
        }
    }

    /// Answers the engine once it has asked and our block is there.
    fn answer(&mut self) {
        let Some(lead) = &mut self.lead else { return };
        let own = self.blocks.by_leader(lead.round, self.signer.address());
        if let Some(undecided) = own.filter(|own| self.blocks.is_valid(&own.hash))
            && let Some(reply) = lead.reply.take()
        {
            let value = BlockId(undecided.hash);
            let _ = reply.send(LocallyProposedValue::new(Height(lead.height), Round::new(lead.round), value));
        }
    }

    /// A node that came from behind may still be behind, so it leaves the lead to others for a height. Only once around:
    /// if everybody else declines too, somebody has to.
    fn is_stale(&self, view: &HeightView, round: u32) -> bool {
        let members = u32::try_from(view.leadership.leaders.len()).unwrap_or(u32::MAX);
        let age = tasks::now_ms().saturating_sub(self.application.head_timestamp_ms());
        let limit = self.timing.block_interval.saturating_mul(STALE_INTERVALS).as_millis();
        self.caught_up && round < members && u128::from(age) > limit
    }

    pub(super) fn proposed(
        &mut self,
        height: u64,
        round: u32,
        built: Result<Undecided, AppError>,
    ) -> Result<(), DriverError> {
        if self.lead.as_ref().is_none_or(|lead| (lead.height, lead.round) != (height, round)) {
            return Ok(());
        }
        match built {
            Ok(undecided) => {
                let honest = signing::Proposal { height, round, polRound: -1, blockHash: undecided.hash };
                if let Some(lie) = self.equivocate.as_ref().and_then(|equivocate| equivocate(&honest)) {
                    self.consensus.contradict(lie, Address(self.signer.address()));
                }
                self.blocks.insert_valid(undecided);
                // Others have seen it begin; our own height must not wait for anything else.
                self.seen.send_replace(Seen::Block);
                self.answer();
                Ok(())
            }
            Err(AppError::Retry(why)) => {
                tracing::warn!(height, round, why, "no proposal");
                self.lead = None;
                Ok(())
            }
            Err(halt) => Err(halt.into()),
        }
    }
}

/// What a turn works with.
pub(super) struct Leader {
    pub(super) application: Arc<dyn Application>,
    pub(super) signer: GuardedSigner,
    pub(super) proposals: Arc<Mutex<ProposalLog>>,
    pub(super) network: mpsc::Sender<NetworkMsg<Horae>>,
}

impl Leader {
    /// Lets the application build and sends what it streams; the last slice leaves when the block is on disk.
    pub(super) async fn lead(
        self,
        height: u64,
        round: u32,
        asked: watch::Receiver<bool>,
    ) -> Result<Undecided, AppError> {
        let (stream, mut pieces) = mpsc::channel(MAX_PIECES);
        let (height, round) = (protocol::Height(height), protocol::Round(round));
        let application = Arc::clone(&self.application);
        let mut out = Outgoing { leader: self, height, round, signer: None, assembly: Assembly::default() };
        let mut building = std::pin::pin!(application.propose(Turn { height, round, asked, stream }));
        let built = loop {
            tokio::select! {
                Some(piece) = pieces.recv() => out = out.send(piece).await?,
                built = &mut building => break built?,
            }
        };
        while let Ok(piece) = pieces.try_recv() {
            out = out.send(piece).await?;
        }
        out.finish(built).await
    }
}

/// The slices of one turn on their way out.
struct Outgoing {
    leader: Leader,
    height: protocol::Height,
    round: protocol::Round,
    /// Present once the place is reserved, which the first slice does.
    signer: Option<SliceSigner>,
    assembly: Assembly,
}

impl Outgoing {
    /// Signs and sends a piece of the stream.
    async fn send(self, piece: Bytes) -> Result<Self, AppError> {
        let length = piece.len();
        let bodies = (0..length)
            .step_by(MAX_SLICE_BYTES)
            .map(|from| SliceBody::Data(piece.slice(from..from.saturating_add(MAX_SLICE_BYTES).min(length))))
            .collect();
        self.sign(bodies).await.map(|(out, _)| out)
    }

    /// Closes the block, keeps it and sends the end.
    async fn finish(self, built: Built) -> Result<Undecided, AppError> {
        let (_, whole) = self.sign(vec![SliceBody::Last(built.header)]).await?;
        match whole {
            Some(undecided) if undecided.hash == built.hash => Ok(undecided),
            _ => Err(AppError::Halt("the streamed slices do not make the block that was built".to_owned())),
        }
    }

    /// Signs the next slices off the loop, then hands them out. A whole block is on disk first.
    async fn sign(mut self, bodies: Vec<SliceBody>) -> Result<(Self, Option<Undecided>), AppError> {
        let signed = tokio::task::spawn_blocking(move || {
            let mut signer = match self.signer.take() {
                Some(signer) => signer,
                None => self.leader.signer.reserve_slices(self.height, self.round).map_err(signer_error)?,
            };
            let (mut slices, mut whole) = (Vec::with_capacity(bodies.len()), None);
            for body in bodies {
                if signer.count() >= MAX_SLICES {
                    return Err(AppError::Halt("the block has more slices than allowed".to_owned()));
                }
                let slice = signer.sign(body).map_err(signer_error)?;
                if let Step::Complete(done) = self.assembly.add(slice.clone()) {
                    let (height, round) = (self.height.0, self.round.0);
                    let leader = self.leader.signer.address();
                    let undecided =
                        Undecided { height, round, leader, hash: done.hash, block: done.block, slices: done.slices };
                    let kept = self.leader.proposals.lock().append(&undecided);
                    kept.map_err(|error| AppError::Halt(format!("proposal log: {error}")))?;
                    whole = Some(undecided);
                }
                slices.push(slice);
            }
            self.signer = Some(signer);
            Ok((self, slices, whole))
        });
        let (out, slices, whole) = signed.await.map_err(|error| AppError::Halt(error.to_string()))??;
        for slice in slices {
            out.leader.application.sent(&slice);
            let message = NetworkMsg::PublishProposalPart(stream_message(slice, out.round.0));
            out.leader.network.send(message).await.map_err(|_| AppError::Halt("the network is gone".to_owned()))?;
        }
        Ok((out, whole))
    }
}

fn signer_error(error: SignerError) -> AppError {
    match error {
        // A place that is past is no reason to stop; a failing disk or key is.
        SignerError::Record(RecordError::Conflict { .. } | RecordError::Behind { .. }) => {
            AppError::Retry(error.to_string())
        }
        other => AppError::Halt(other.to_string()),
    }
}
