//! The JSON of the `horae_` methods. Numbers are hex quantities, as everywhere in the Ethereum API.

use alloy_primitives::{Address, B256, Bytes, U256};
use protocol::{BatchHeader, CommitCertificate, Schedule, SequencerSet};
use serde::Serialize;

use crate::model::{BatchRecord, BatchStatus, EpochRecord, L1BlockRef};

/// A member of a set.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// Position in the set, the member's bit in every bitmap.
    #[serde(with = "alloy_serde::quantity")]
    pub index: u64,
    /// Hot key.
    pub signer: Address,
    /// Weight in whole METIS.
    #[serde(with = "alloy_serde::quantity")]
    pub weight: u64,
}

/// `horae_sequencerSet`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SequencerSetView {
    /// Epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub epoch: u64,
    /// First height of the epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub first_height: u64,
    /// Last height of the epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub last_height: u64,
    /// Number of the L1 snapshot.
    #[serde(with = "alloy_serde::quantity")]
    pub snapshot_id: u64,
    /// Hash of the set, as L1 stores it.
    pub set_hash: B256,
    /// Sum of the weights.
    #[serde(with = "alloy_serde::quantity")]
    pub total_weight: u64,
    /// Seed of the epoch's schedule.
    pub seed: B256,
    /// The members, ascending by signer.
    pub members: Vec<MemberView>,
}

/// One turn of a schedule.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnView {
    /// Number of the turn within its epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub index: u64,
    /// First height.
    #[serde(with = "alloy_serde::quantity")]
    pub first_height: u64,
    /// Last height.
    #[serde(with = "alloy_serde::quantity")]
    pub last_height: u64,
    /// Scheduled leader.
    pub leader: Address,
}

/// `horae_schedule`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// Epoch.
    #[serde(with = "alloy_serde::quantity")]
    pub epoch: u64,
    /// Seed it was drawn from.
    pub seed: B256,
    /// The turns, in order.
    pub turns: Vec<TurnView>,
}

/// `horae_leader`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaderView {
    /// Height.
    #[serde(with = "alloy_serde::quantity")]
    pub height: u64,
    /// Epoch of the height.
    #[serde(with = "alloy_serde::quantity")]
    pub epoch: u64,
    /// Scheduled leader of the height's turn.
    pub scheduled: Option<Address>,
    /// Who built the block, when the height is decided.
    pub built_by: Option<Address>,
    /// Leaders by round, when the height is the next one (they depend on the parent's builder).
    pub by_round: Option<Vec<Address>>,
}

/// One precommit.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrecommitView {
    /// Who signed.
    pub signer: Address,
    /// Its weight; `None` when the signer is not in the epoch's set.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub weight: Option<u64>,
    /// EIP-2098 signature.
    pub signature: Bytes,
}

/// `horae_certificate`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateView {
    /// Height.
    #[serde(with = "alloy_serde::quantity")]
    pub height: u64,
    /// Round in which it was decided.
    #[serde(with = "alloy_serde::quantity")]
    pub round: u64,
    /// Decided block.
    pub block_hash: B256,
    /// Epoch whose set signed.
    #[serde(with = "alloy_serde::quantity")]
    pub epoch: u64,
    /// Weight of the signers.
    #[serde(with = "alloy_serde::quantity")]
    pub signed_weight: u64,
    /// Weight of the set.
    #[serde(with = "alloy_serde::quantity")]
    pub total_weight: u64,
    /// EIP-712 digest that was signed.
    pub digest: B256,
    /// The precommits.
    pub signatures: Vec<PrecommitView>,
}

/// The L1 side of a batch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionView {
    /// L1 transaction.
    pub transaction_hash: B256,
    /// L1 block number.
    #[serde(with = "alloy_serde::quantity")]
    pub block_number: u64,
    /// L1 block hash.
    pub block_hash: B256,
    /// `blobs` or `calldata`.
    pub data: &'static str,
}

/// `horae_batch`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchView {
    /// Index, from 1.
    #[serde(with = "alloy_serde::quantity")]
    pub index: u64,
    /// Struct hash of the header, the batch's name on L1.
    pub hash: B256,
    /// Hash of the batch before it.
    pub parent_hash: B256,
    /// First height.
    #[serde(with = "alloy_serde::quantity")]
    pub first_height: u64,
    /// Last height.
    #[serde(with = "alloy_serde::quantity")]
    pub last_height: u64,
    /// Hash of the last block.
    pub last_block_hash: B256,
    /// State root after the last block.
    pub state_root: B256,
    /// Withdrawals root after the last block.
    pub withdrawals_root: B256,
    /// Hash over the block hashes.
    pub blocks_root: B256,
    /// Hash over the posted data.
    pub data_hash: B256,
    /// Snapshot whose members sign.
    #[serde(with = "alloy_serde::quantity")]
    pub snapshot_id: u64,
    /// L1 origin of the last block.
    #[serde(with = "alloy_serde::quantity")]
    pub l1_origin_number: u64,
    /// Its hash.
    pub l1_origin_hash: B256,
    /// Queue items executed up to the last block.
    #[serde(with = "alloy_serde::quantity")]
    pub deposit_count: u64,
    /// Turns served, eight bits a member, member 0 lowest.
    pub turns: U256,
    /// How far it has come.
    pub status: BatchStatus,
    /// Members that signed, bit by bit; `None` while unknown.
    pub bitmap: Option<U256>,
    /// Weight of the signers; `None` while unknown.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub signed_weight: Option<u64>,
    /// Weight of the set, as named by the certificate.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub total_weight: Option<u64>,
    /// Addresses of the signers.
    pub signers: Vec<Address>,
    /// Where it is on L1.
    pub inclusion: Option<InclusionView>,
}

/// An L2 head.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadView {
    /// Height.
    #[serde(with = "alloy_serde::quantity")]
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Timestamp in milliseconds.
    #[serde(with = "alloy_serde::quantity")]
    pub timestamp_ms: u64,
}

/// An L1 block.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct L1BlockView {
    /// Number.
    #[serde(with = "alloy_serde::quantity")]
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// The turn that contains the next height.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CurrentTurnView {
    /// The turn.
    #[serde(flatten)]
    pub turn: TurnView,
    /// Who leads the next height in round 0 (differs from the scheduled leader after a rescue).
    pub leads_now: Option<Address>,
}

/// `horae_syncStatus`: the node at a glance.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatusView {
    /// Committed by certificate.
    pub latest: HeadView,
    /// Its batch is on L1.
    pub safe: HeadView,
    /// That L1 block is final.
    pub finalized: HeadView,
    /// Newest L1 block seen.
    pub l1_head: L1BlockView,
    /// Newest safe L1 block.
    pub l1_safe: L1BlockView,
    /// Newest final L1 block.
    pub l1_finalized: L1BlockView,
    /// L1 block up to which batches have been read.
    pub l1_derived: L1BlockView,
    /// Epoch of the next height.
    #[serde(with = "alloy_serde::quantity")]
    pub epoch: u64,
    /// The turn of the next height.
    pub turn: Option<CurrentTurnView>,
    /// Newest known batch.
    #[serde(with = "alloy_serde::quantity::opt")]
    pub latest_batch: Option<u64>,
    /// Whether the node is catching up.
    pub syncing: bool,
    /// Connected peers.
    #[serde(with = "alloy_serde::quantity")]
    pub peers: u64,
    /// This node's signer; `None` on a follower.
    pub signer: Option<Address>,
}

fn number(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

pub(crate) fn members(set: &SequencerSet) -> Vec<MemberView> {
    let member = |(index, member): (usize, &protocol::Member)| MemberView {
        index: number(index),
        signer: member.signer,
        weight: member.weight.0,
    };
    set.members().iter().enumerate().map(member).collect()
}

pub(crate) fn turns(schedule: &Schedule, first_height: u64, last_height: u64, turn_blocks: u64) -> Vec<TurnView> {
    let turn = |(index, leader): (usize, &Address)| {
        let first = first_height.saturating_add(number(index).saturating_mul(turn_blocks));
        let last = first.saturating_add(turn_blocks.saturating_sub(1)).min(last_height);
        TurnView { index: number(index), first_height: first, last_height: last, leader: *leader }
    };
    schedule.turns().iter().enumerate().map(turn).collect()
}

pub(crate) fn certificate(
    certificate: &CommitCertificate,
    epoch: u64,
    record: &EpochRecord,
    digest: B256,
) -> CertificateView {
    let precommit = |entry: &protocol::CommitSignature| PrecommitView {
        signer: entry.signer,
        weight: record.set.weight_of(entry.signer).map(|weight| weight.0),
        signature: Bytes::copy_from_slice(&entry.signature.0),
    };
    let signatures: Vec<PrecommitView> = certificate.signatures.iter().map(precommit).collect();
    CertificateView {
        height: certificate.height.0,
        round: certificate.round.0.into(),
        block_hash: certificate.block_hash,
        epoch,
        signed_weight: signatures.iter().filter_map(|entry| entry.weight).sum(),
        total_weight: record.set.total().0,
        digest,
        signatures,
    }
}

pub(crate) fn batch(record: &BatchRecord) -> BatchView {
    let header: &BatchHeader = &record.header;
    let members = record.signed_by.as_ref().map(|signed| &signed.members);
    let bitmap = record.signed_by.as_ref().map(|signed| signed.bitmap);
    let signers: Vec<protocol::Member> = match (members, bitmap) {
        (Some(members), Some(bitmap)) => {
            members.iter().enumerate().filter(|(index, _)| bitmap.bit(*index)).map(|(_, member)| *member).collect()
        }
        _ => Vec::new(),
    };
    let sum = |members: &[protocol::Member]| members.iter().map(|member| member.weight.0).sum::<u64>();
    BatchView {
        index: header.index,
        hash: header.hash(),
        parent_hash: header.parentHash,
        first_height: header.firstHeight,
        last_height: header.lastHeight,
        last_block_hash: header.lastBlockHash,
        state_root: header.stateRoot,
        withdrawals_root: header.withdrawalsRoot,
        blocks_root: header.blocksRoot,
        data_hash: header.dataHash,
        snapshot_id: header.snapshotId,
        l1_origin_number: header.l1OriginNumber,
        l1_origin_hash: header.l1OriginHash,
        deposit_count: header.depositCount,
        turns: header.turns,
        status: record.status,
        bitmap,
        signed_weight: members.is_some().then(|| sum(&signers)),
        total_weight: members.map(|members| sum(members)),
        signers: signers.iter().map(|member| member.signer).collect(),
        inclusion: record.inclusion.map(|inclusion| InclusionView {
            transaction_hash: inclusion.transaction,
            block_number: inclusion.block.number,
            block_hash: inclusion.block.hash,
            data: if inclusion.blobs { "blobs" } else { "calldata" },
        }),
    }
}

impl From<L1BlockRef> for L1BlockView {
    fn from(block: L1BlockRef) -> Self {
        Self { number: block.number, hash: block.hash }
    }
}
