//! `horae_`: who sequences, who leads when, what was certified, what is on L1.

use alloy_eips::BlockNumHash;
use alloy_primitives::Address;
use protocol::{BatchIndex, Epoch, Genesis, Height, Schedule};

use crate::{
    args::{Args, NumberOrTag, Quantity},
    config::MAX_BATCHES,
    context::Context,
    error::{RpcError, RpcResult},
    model::EpochRecord,
    registry::Registry,
    views::{
        self, BatchView, CertificateView, CurrentTurnView, HeadView, LeaderView, ScheduleView, SequencerSetView,
        SyncStatusView,
    },
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("horae_version", 0, version);
    registry.heavy("horae_sequencerSet", 1, sequencer_set);
    registry.heavy("horae_schedule", 1, schedule);
    registry.heavy("horae_leader", 1, leader);
    registry.heavy("horae_certificate", 1, certificate);
    registry.heavy("horae_batch", 1, batch);
    registry.heavy("horae_batches", 2, batches);
    registry.heavy("horae_heads", 0, sync_status);
    registry.heavy("horae_syncStatus", 0, sync_status);
    registry.light("horae_genesis", 0, genesis);
}

fn version(context: &Context, _: &Args) -> RpcResult<String> {
    Ok(context.backend.identity().client_version)
}

/// Everything a client needs to know about the network, without the genesis allocation.
fn genesis(context: &Context, _: &Args) -> RpcResult<serde_json::Value> {
    let genesis = context.backend.genesis();
    Ok(serde_json::json!({
        "chainId": genesis.chain_id,
        "timestamp": genesis.timestamp,
        "l1": genesis.l1,
        "origin": genesis.origin,
        "params": genesis.params,
    }))
}

/// An epoch, or the current one for `latest` or nothing.
fn epoch_arg(context: &Context, args: &Args) -> RpcResult<Epoch> {
    let text: Option<serde_json::Value> = args.optional(0)?;
    match text {
        None => Ok(current_epoch(context)),
        Some(value) if value == "latest" => Ok(current_epoch(context)),
        Some(_) => Ok(Epoch(args.required::<Quantity>(0)?.0)),
    }
}

/// The epoch of the next height.
fn current_epoch(context: &Context) -> Epoch {
    let next = context.backend.heads().latest.number.saturating_add(1);
    context.backend.genesis().params.epoch_of(Height(next))
}

fn draw(genesis: &Genesis, epoch: Epoch, record: &EpochRecord) -> Schedule {
    Schedule::new(&genesis.params, epoch, &record.set, record.seed)
}

fn sequencer_set(context: &Context, args: &Args) -> RpcResult<Option<SequencerSetView>> {
    let epoch = epoch_arg(context, args)?;
    let params = context.backend.genesis().params.clone();
    Ok(context.backend.epoch(epoch)?.map(|record| SequencerSetView {
        epoch: epoch.0,
        first_height: params.first_height(epoch).0,
        last_height: params.last_height(epoch).0,
        snapshot_id: record.set.snapshot.0,
        set_hash: record.set.hash(),
        total_weight: record.set.total().0,
        seed: record.seed,
        members: views::members(&record.set),
    }))
}

fn schedule(context: &Context, args: &Args) -> RpcResult<Option<ScheduleView>> {
    let epoch = epoch_arg(context, args)?;
    let Some(record) = context.backend.epoch(epoch)? else { return Ok(None) };
    let genesis = context.backend.genesis();
    Ok(Some(ScheduleView {
        epoch: epoch.0,
        seed: record.seed,
        turns: turns(&genesis, epoch, &draw(&genesis, epoch, &record)),
    }))
}

fn turns(genesis: &Genesis, epoch: Epoch, schedule: &Schedule) -> Vec<views::TurnView> {
    let params = &genesis.params;
    views::turns(schedule, params.first_height(epoch).0, params.last_height(epoch).0, params.turn_blocks)
}

/// A height; `latest` and the other tags too.
fn height_arg(context: &Context, args: &Args) -> RpcResult<u64> {
    Ok(context.number_of(args.required::<NumberOrTag>(0)?.0))
}

fn leader(context: &Context, args: &Args) -> RpcResult<Option<LeaderView>> {
    let height = height_arg(context, args)?;
    let genesis = context.backend.genesis();
    let epoch = genesis.params.epoch_of(Height(height));
    let Some(record) = context.backend.epoch(epoch)? else { return Ok(None) };
    let schedule = draw(&genesis, epoch, &record);
    let header = context.find(alloy_eips::BlockId::number(height))?;
    let header = header.map(|number| context.known_header(number)).transpose()?;
    Ok(Some(LeaderView {
        height,
        epoch: epoch.0,
        scheduled: schedule.scheduled(Height(height)),
        built_by: header.map(|header| protocol::block::leader(&header)).filter(|leader| *leader != Address::ZERO),
        by_round: next_leaders(context, &schedule, height)?,
    }))
}

/// Leaders by round of the next height; `None` for any other.
fn next_leaders(context: &Context, schedule: &Schedule, height: u64) -> RpcResult<Option<Vec<Address>>> {
    let latest = context.backend.heads().latest.number;
    if height != latest.saturating_add(1) {
        return Ok(None);
    }
    let parent = protocol::block::leader(&*context.known_header(latest)?);
    Ok(schedule.leaders(Height(height), parent))
}

fn certificate(context: &Context, args: &Args) -> RpcResult<Option<CertificateView>> {
    let height = Height(height_arg(context, args)?);
    let Some(certificate) = context.backend.certificate(height)? else { return Ok(None) };
    let genesis = context.backend.genesis();
    let epoch = genesis.params.epoch_of(height);
    let Some(record) = context.backend.epoch(epoch)? else { return Ok(None) };
    let digest = certificate.digest(&genesis.domain());
    Ok(Some(views::certificate(&certificate, epoch.0, &record, digest)))
}

/// A batch index; the newest for `latest` or nothing.
fn batch(context: &Context, args: &Args) -> RpcResult<Option<BatchView>> {
    let value: Option<serde_json::Value> = args.optional(0)?;
    let index = match value {
        None => context.backend.latest_batch(),
        Some(value) if value == "latest" => context.backend.latest_batch(),
        Some(_) => Some(BatchIndex(args.required::<Quantity>(0)?.0)),
    };
    let Some(index) = index else { return Ok(None) };
    Ok(context.backend.batch(index)?.as_ref().map(views::batch))
}

/// Batches `from..=to`; without bounds, the newest ones. Indexes that are not known are left out.
fn batches(context: &Context, args: &Args) -> RpcResult<Vec<BatchView>> {
    let from = args.optional::<Quantity>(0)?.map(|from| from.0);
    let to = args.optional::<Quantity>(1)?.map(|to| to.0);
    let latest = context.backend.latest_batch().map_or(0, |index| index.0);
    let to = to.unwrap_or(latest);
    let from = from.unwrap_or_else(|| to.saturating_sub(DEFAULT_BATCHES.saturating_sub(1)));
    if from > to && args.optional::<Quantity>(1)?.is_some() {
        return Err(RpcError::InvalidParams("invalid batch range params".to_owned()));
    }
    let (from, to) = (from.max(1), to.min(latest));
    if to.saturating_sub(from) >= MAX_BATCHES {
        return Err(RpcError::Limit(format!("query exceeds max batch range {MAX_BATCHES}")));
    }
    let mut found = Vec::new();
    for index in from..=to {
        found.extend(context.backend.batch(BatchIndex(index))?.as_ref().map(views::batch));
    }
    Ok(found)
}

/// Batches answered when no range is given.
const DEFAULT_BATCHES: u64 = 20;

fn head(context: &Context, head: BlockNumHash) -> RpcResult<HeadView> {
    let header = context.backend.header(head.number)?;
    let timestamp_ms = header.map_or(0, |header| protocol::block::timestamp_ms(&header));
    Ok(HeadView { number: head.number, hash: head.hash, timestamp_ms })
}

fn sync_status(context: &Context, _: &Args) -> RpcResult<SyncStatusView> {
    let heads = context.backend.heads();
    let l1 = context.backend.l1_heads();
    let epoch = current_epoch(context);
    Ok(SyncStatusView {
        latest: head(context, heads.latest)?,
        safe: head(context, heads.safe)?,
        finalized: head(context, heads.finalized)?,
        l1_head: l1.head.into(),
        l1_safe: l1.safe.into(),
        l1_finalized: l1.finalized.into(),
        l1_derived: l1.derived.into(),
        epoch: epoch.0,
        turn: current_turn(context, epoch, heads.latest.number.saturating_add(1))?,
        latest_batch: context.backend.latest_batch().map(|index| index.0),
        syncing: context.backend.sync_progress().is_some(),
        peers: u64::try_from(context.backend.peer_count()).unwrap_or(u64::MAX),
        signer: context.backend.identity().signer,
    })
}

fn current_turn(context: &Context, epoch: Epoch, next: u64) -> RpcResult<Option<CurrentTurnView>> {
    let Some(record) = context.backend.epoch(epoch)? else { return Ok(None) };
    let genesis = context.backend.genesis();
    let schedule = draw(&genesis, epoch, &record);
    let Some((index, _)) = schedule.turn_at(Height(next)) else { return Ok(None) };
    let leads_now = next_leaders(context, &schedule, next)?.and_then(|leaders| leaders.first().copied());
    let turn = turns(&genesis, epoch, &schedule).into_iter().nth(index);
    Ok(turn.map(|turn| CurrentTurnView { turn, leads_now }))
}
