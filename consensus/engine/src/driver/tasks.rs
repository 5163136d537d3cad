//! Everything that waits: the application's work, the disk, the network, the clock.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, Bytes};
use bytes::Bytes as WireBytes;
use malachite::app::streaming::{StreamContent, StreamId, StreamMessage};
use malachite::app::types::sync::RawDecidedValue;
use malachite::{NetworkMsg, NetworkRequest, Reply};
use parking_lot::Mutex;
use protocol::{CommitCertificate, SequencerSet, Weight};
use tokio::sync::{mpsc, watch};

use super::{Done, DriverError};
use crate::application::{AppError, Application, Candidate, Evidence, Refusal};
use crate::codec::{MAX_SYNC_BATCH, MAX_SYNC_BYTES};
use crate::context::{Height, Horae, Slice, from_protocol};
use crate::proposal_log::{ProposalLog, Undecided};

/// How long to wait for a quorum of connected signers before starting anyway: peers may be down for good.
const PEER_WAIT: Duration = Duration::from_secs(5);
/// Between two looks at the connections.
const PEER_POLL: Duration = Duration::from_millis(20);
/// Between two checks of a decided block that this node cannot check yet.
const CHECK_POLL: Duration = Duration::from_millis(200);
/// Overhead of a decided value besides its block.
const CERTIFICATE_BYTES: usize = 8 * 1024;

/// Milliseconds since the epoch.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until a quorum is connected, ourselves included, so that the first rounds are not lost to an empty network.
///
/// By proven weight; or by head count, because a peer's proof that crosses with a second connection to it is dropped.
pub(super) async fn peers(requests: &mpsc::Sender<NetworkRequest>, set: &SequencerSet, own: Address) {
    let deadline = Instant::now() + PEER_WAIT;
    let mut connected = 0;
    while Instant::now() < deadline {
        let Ok(Some(dump)) = NetworkRequest::dump_state(requests).await else { return };
        let proven: BTreeSet<Address> = dump
            .peers
            .values()
            .filter_map(|peer| <[u8; 20]>::try_from(peer.consensus_public_key.as_deref()?).ok())
            .map(Address::from)
            .chain([own])
            .collect();
        let weights = proven.iter().filter_map(|signer| set.weight_of(*signer));
        let weight = weights.fold(0u64, |sum, weight| sum.saturating_add(weight.0));
        connected = dump.peers.len();
        let heads = connected.saturating_add(1);
        if set.is_quorum(Weight(weight)) || heads.saturating_mul(3) > set.members().len().saturating_mul(2) {
            return;
        }
        tokio::time::sleep(PEER_POLL).await;
    }
    tracing::warn!(connected, "starting without a quorum of connected peers");
}

/// Executes a block while it is written to the proposal log.
pub(super) async fn check(
    application: Arc<dyn Application>,
    store: Option<Arc<Mutex<ProposalLog>>>,
    undecided: Undecided,
    leader: Option<Address>,
) -> Result<(Undecided, Result<(), Refusal>), DriverError> {
    let candidate = Candidate {
        height: protocol::Height(undecided.height),
        leader,
        hash: undecided.hash,
        block: undecided.block.clone(),
    };
    let stored = tokio::task::spawn_blocking(move || {
        let result = store.map_or(Ok(()), |proposals| proposals.lock().append(&undecided));
        result.map(|()| undecided)
    });
    let verdict = application.validate(candidate).await;
    let undecided = stored.await.map_err(|error| DriverError::Task(error.to_string()))??;
    if verdict.is_err() && !is_whole(application, &undecided.block).await? {
        return Ok((undecided, Err(Refusal::Foreign)));
    }
    Ok((undecided, verdict))
}

/// Executes a decided block from a peer's history. Its hash is certified; the rest is the peer's word.
pub(super) async fn check_synced(
    application: Arc<dyn Application>,
    store: Arc<Mutex<ProposalLog>>,
    undecided: Undecided,
) -> Result<(Undecided, Result<(), Refusal>), DriverError> {
    if !is_whole(Arc::clone(&application), &undecided.block).await? {
        return Ok((undecided, Err(Refusal::Foreign)));
    }
    let (undecided, verdict) = check(application, Some(store), undecided, None).await?;
    if matches!(verdict, Err(Refusal::Unable(_))) {
        // The engine asks for it again at once.
        tokio::time::sleep(CHECK_POLL).await;
    }
    Ok((undecided, verdict))
}

async fn is_whole(application: Arc<dyn Application>, block: &Bytes) -> Result<bool, DriverError> {
    let block = block.clone();
    let work = tokio::task::spawn_blocking(move || application.is_whole(&block));
    work.await.map_err(|error| DriverError::Task(error.to_string()))
}

/// Commits a decided block, executing it first if this run has not. What it needs may not be here yet, as our view of L1 right
/// after a start: two thirds found it valid, so it is waited for.
pub(super) async fn commit(
    application: Arc<dyn Application>,
    undecided: Undecided,
    is_checked: bool,
    certificate: CommitCertificate,
) -> Result<(), DriverError> {
    if !is_checked {
        let (height, hash) = (protocol::Height(undecided.height), undecided.hash);
        let candidate = Candidate { height, leader: None, hash, block: undecided.block.clone() };
        loop {
            match application.validate(candidate.clone()).await {
                Ok(()) => break,
                Err(Refusal::Unable(why)) => {
                    tracing::warn!(%height, %hash, why, "cannot check a decided block yet");
                    tokio::time::sleep(CHECK_POLL).await;
                }
                Err(refusal) => return Err(DriverError::DecidedRefused(height.0, hash, refusal)),
            }
        }
    }
    Ok(application.commit(certificate, undecided.block).await?)
}

/// What was seen of the next height before it starts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Seen {
    Nothing,
    /// Its leader is streaming.
    Slices,
    /// A block is whole.
    Block,
}

/// Keeps the evidence, then waits until the next height should start: one interval after the last block's timestamp and
/// then for the application, unless a leader is already streaming. A whole block ends all waiting.
pub(super) async fn pace(
    application: Arc<dyn Application>,
    evidence: Vec<Evidence>,
    interval: Duration,
    mut seen: watch::Receiver<Seen>,
) -> Result<(), AppError> {
    if !evidence.is_empty() {
        application.evidence(evidence).await?;
    }
    let height = application.head().next();
    let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
    let start_ms = application.head_timestamp_ms().saturating_add(interval_ms);
    // A timestamp from the future (clock drift) must not stall us for longer than an interval.
    let pause = Duration::from_millis(start_ms.saturating_sub(now_ms()).min(interval_ms));
    let mut streaming = seen.clone();
    let ready = async {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        tokio::select! {
            () = application.ready(height) => {}
            _ = streaming.wait_for(|seen| *seen >= Seen::Slices) => {}
        }
    };
    tokio::select! {
        () = ready => {}
        _ = seen.wait_for(|seen| *seen == Seen::Block) => {}
    }
    Ok(())
}

/// A slice in the engine's envelope. The stream's name contains the relaying round, so that a relay is not taken for a
/// duplicate, and its receiver knows that whoever sent it held the whole block.
pub(super) fn stream_message(slice: Slice, relay_round: u32) -> StreamMessage<Slice> {
    let sequence = u64::from(slice.index);
    StreamMessage::new(stream_id(&slice, relay_round), sequence, StreamContent::Data(slice))
}

fn stream_id(slice: &Slice, relay_round: u32) -> StreamId {
    let mut id = Vec::with_capacity(16);
    id.extend_from_slice(&slice.height.0.to_be_bytes());
    id.extend_from_slice(&slice.round.0.to_be_bytes());
    id.extend_from_slice(&relay_round.to_be_bytes());
    StreamId::new(WireBytes::from(id))
}

/// Whether a slice comes from a member that relays it, and not from the leader that made it.
pub(super) fn is_relayed(message: &StreamMessage<Slice>) -> bool {
    match &message.content {
        StreamContent::Data(slice) => message.stream_id != stream_id(slice, slice.round.0),
        StreamContent::Fin => false,
    }
}

/// Hands slices to the network in order.
pub(super) async fn publish(network: mpsc::Sender<NetworkMsg<Horae>>, slices: Vec<Slice>, relay_round: u32) -> Done {
    for slice in slices {
        let message = stream_message(slice, relay_round);
        if network.send(NetworkMsg::PublishProposalPart(message)).await.is_err() {
            return Done::NetworkGone;
        }
    }
    Done::Nothing
}

/// Answers a peer that catches up, within the bounds of one message.
pub(super) async fn history(
    application: Arc<dyn Application>,
    range: RangeInclusive<Height>,
    reply: Reply<Vec<RawDecidedValue<Horae>>>,
) -> Done {
    let mut values = Vec::new();
    let mut bytes = 0usize;
    for height in (range.start().0..=range.end().0).take(MAX_SYNC_BATCH) {
        let Some((block, certificate)) = application.decided(protocol::Height(height)).await else { break };
        bytes = bytes.saturating_add(block.len()).saturating_add(CERTIFICATE_BYTES);
        if bytes > MAX_SYNC_BYTES && !values.is_empty() {
            break;
        }
        values.push(RawDecidedValue::new(block.0, from_protocol(&certificate)));
    }
    let _ = reply.send(values);
    Done::Nothing
}
