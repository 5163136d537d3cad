//! What is due, as L1 and our own chain say.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolCall;
use l1::{
    L1Error, L1View,
    contracts::{DevnetMetis, OutputRegistry, Rewards, SequencerSet, Slashing, bound},
};
use protocol::{Epoch, Height, SequencerSet as Set};
use store::{BatchInclusion, BatchRecord};

use super::{Due, Duty, Keeper, KeeperError};
use crate::epochs::attributes_of;

/// Open cases looked at in one round.
const MAX_CASES: usize = 32;
/// Batches settled in one call, half of what the contract takes.
const MAX_SETTLED: usize = 32;
/// Least refund that is collected, METIS wei: many times what collecting costs.
const MIN_REFUND: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
/// Batches looked at for one that can be published.
const MAX_LOOKED_AT: u64 = 64;

fn key(duty: Duty, what: U256) -> B256 {
    keccak256([duty.name().as_bytes(), &what.to_be_bytes::<32>()].concat())
}

fn due(duty: Duty, key: B256, to: Address, call: &impl SolCall) -> Due {
    Due { duty, key, to, input: call.abi_encode().into() }
}

impl Keeper {
    /// A snapshot is due when the set has changed, or when the newest is from before this epoch.
    pub(super) async fn snapshot(&self, view: L1View) -> Result<Option<Due>, KeeperError> {
        let contract = self.contracts().sequencer_set;
        let id = self.l1.read(contract, &SequencerSet::latestIdCall {}).await?;
        let newest = self.l1.read(contract, &SequencerSet::snapshotAtCall { id }).await?;
        let interval = self.l1.read(contract, &SequencerSet::minIntervalCall {}).await?;
        // The call would be in the next block at the earliest.
        if view.latest.number.saturating_add(1) < newest.blockNumber.saturating_add(interval) {
            return Ok(None);
        }
        let words = self.l1.read(contract, &SequencerSet::previewCall {}).await?.members;
        let hash = keccak256(words.iter().flat_map(|word| word.0).collect::<Vec<u8>>());
        let is_due = !words.is_empty() && (hash != newest.setHash || self.is_of_an_old_epoch(newest.blockNumber)?);
        let key = key(Duty::Snapshot, U256::from(id));
        Ok(is_due.then(|| due(Duty::Snapshot, key, contract, &SequencerSet::snapshotCall {})))
    }

    /// Whether an L1 block was an origin, or before one, of the last epoch.
    fn is_of_an_old_epoch(&self, l1_number: u64) -> Result<bool, KeeperError> {
        let params = &self.chain.genesis().params;
        let epoch = params.epoch_of(Height(self.chain.head().header.number));
        let Some(last) = epoch.0.checked_sub(1) else { return Ok(false) };
        let block = self.chain.store().block(params.last_height(Epoch(last)).0)?;
        let origin = block.and_then(|block| attributes_of(&block)).map(|attributes| attributes.origin.number);
        Ok(origin.is_some_and(|origin| l1_number <= origin))
    }

    /// An output is due when the newest certified batch has withdrawals that no published one has.
    pub(super) async fn output(&self) -> Result<Option<Due>, KeeperError> {
        let contract = self.contracts().output_registry;
        let published = self.l1.read(contract, &OutputRegistry::latestBatchCall {}).await?;
        let store = self.chain.store();
        let root = match published {
            0 => store.block(0)?.and_then(|block| block.header.withdrawals_root),
            index => store.batch(index)?.map(|batch| batch.header.withdrawalsRoot),
        };
        let Some(root) = root else { return Ok(None) };
        let Some((batch, inclusion)) = self.newest_certified(published)? else { return Ok(None) };
        if batch.header.withdrawalsRoot == root {
            return Ok(None);
        }
        let call = OutputRegistry::publishCall {
            header: bound(&batch.header),
            acceptedAt: self.accepted_at(&inclusion).await?,
            bitmap: inclusion.bitmap,
        };
        Ok(Some(due(Duty::Publish, key(Duty::Publish, U256::from(published)), contract, &call)))
    }

    fn newest_certified(&self, above: u64) -> Result<Option<(BatchRecord, BatchInclusion)>, KeeperError> {
        let Some(last) = self.chain.store().last_batch()? else { return Ok(None) };
        let last = last.header.index;
        let first = above.saturating_add(1).max(last.saturating_sub(MAX_LOOKED_AT));
        for index in (first..=last).rev() {
            let Some(batch) = self.chain.store().batch(index)? else { continue };
            // Nobody has signed a batch of queue items alone: nothing is paid out on it.
            if let Some(inclusion) = batch.inclusion.filter(|inclusion| !inclusion.bitmap.is_zero()) {
                return Ok(Some((batch, inclusion)));
            }
        }
        Ok(None)
    }

    /// Timestamp of the L1 block that holds a batch.
    pub(super) async fn accepted_at(&self, inclusion: &BatchInclusion) -> Result<u64, KeeperError> {
        let origin = self.l1.header_by_number(inclusion.l1_number).await?.origin;
        if origin.hash != inclusion.l1_hash {
            // A reorg is on its way to us.
            return Err(L1Error::Missing("block", inclusion.l1_hash.to_string()).into());
        }
        Ok(origin.timestamp)
    }

    /// A settlement is due when there is something to share out and the last one was long ago, or many batches wait.
    pub(super) async fn settlement(&self, view: L1View) -> Result<Option<Due>, KeeperError> {
        let contract = self.contracts().rewards;
        let funds = self.l1.read(self.contracts().metis, &DevnetMetis::balanceOfCall { account: contract }).await?;
        if funds.is_zero() {
            return Ok(None);
        }
        let next = self.l1.read(contract, &Rewards::nextIndexCall {}).await?;
        let Some(last) = self.chain.store().last_batch()? else { return Ok(None) };
        let waiting = last.header.index.saturating_add(1).saturating_sub(next);
        let settled_at = self.l1.read(contract, &Rewards::settledAtCall {}).await?;
        let is_time = view.latest.timestamp >= settled_at.saturating_add(self.config.settle_every_s);
        if waiting == 0 || !(is_time || waiting >= MAX_SETTLED as u64) {
            return Ok(None);
        }
        let Some(call) = self.settle_call(next).await? else { return Ok(None) };
        Ok(Some(due(Duty::Settle, key(Duty::Settle, U256::from(next)), contract, &call)))
    }

    /// A refund is due when the fees owe us enough for the batches we posted.
    pub(super) async fn refund(&self) -> Result<Option<Due>, KeeperError> {
        let contract = self.contracts().rewards;
        let poster = self.sender.address();
        let owed = self.l1.read(contract, &Rewards::refundOfCall { poster }).await?;
        let key = key(Duty::Refund, U256::from_be_slice(poster.as_slice()));
        Ok((owed >= MIN_REFUND).then(|| due(Duty::Refund, key, contract, &Rewards::refundCall { poster })))
    }

    /// The next batches of one snapshot.
    async fn settle_call(&self, next: u64) -> Result<Option<Rewards::settleCall>, KeeperError> {
        let mut call = Rewards::settleCall {
            headers: Vec::new(),
            acceptedAts: Vec::new(),
            bitmaps: Vec::new(),
            members: Vec::new(),
        };
        let mut set: Option<Set> = None;
        for index in (next..).take(MAX_SETTLED) {
            let Some(batch) = self.chain.store().batch(index)? else { break };
            let Some(inclusion) = batch.inclusion else { break };
            let epoch = self.chain.genesis().params.epoch_of(Height(batch.header.firstHeight));
            let Ok(info) = self.chain.epochs().get(epoch) else { break };
            let of_one = set.get_or_insert_with(|| info.set.clone());
            if of_one.snapshot.0 != batch.header.snapshotId {
                break;
            }
            call.headers.push(bound(&batch.header));
            call.acceptedAts.push(self.accepted_at(&inclusion).await?);
            call.bitmaps.push(inclusion.bitmap);
        }
        call.members = set.map(|set| set.words()).unwrap_or_default();
        Ok((!call.headers.is_empty()).then_some(call))
    }

    /// Cases whose appeal window is over, and what L1 owes us for cases we opened.
    pub(super) async fn cases(&self, view: L1View) -> Result<Vec<Due>, KeeperError> {
        let contract = self.contracts().slashing;
        let mut found = Vec::new();
        for id in self.l1.read(contract, &Slashing::openCasesCall {}).await?.into_iter().take(MAX_CASES) {
            let from = self.l1.read(contract, &Slashing::executableAtCall { caseId: id }).await?;
            if from <= U256::from(view.latest.timestamp) {
                found.push(due(Duty::Execute, key(Duty::Execute, id), contract, &Slashing::executeCall { caseId: id }));
            }
        }
        let submitter = self.sender.address();
        if !self.l1.read(contract, &Slashing::owedCall { submitter }).await?.is_zero() {
            let key = key(Duty::Bounty, U256::from_be_slice(submitter.as_slice()));
            found.push(due(Duty::Bounty, key, contract, &Slashing::payBountyCall { submitter }));
        }
        Ok(found)
    }
}
