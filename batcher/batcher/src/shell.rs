//! The batcher's task: one loop that owns all state and performs what the pure parts decide.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use derivation::limits::MAX_BLOCKS;
use futures::future::BoxFuture;
use k256::ecdsa::SigningKey;
use protocol::{
    BatchHeader, BatchIndex, CompactSignature, Height, block,
    signing::{address_of, member_key},
};
use tokio::sync::{mpsc, watch};

use crate::config::{BatcherConfig, BatcherError, BatcherPorts, BatcherStatus};
use crate::gatherer::proposer_of;
use crate::ports::{BatchL1, BatchMessage, BatchNetwork, ChainReader, Incoming, L1BatchEvent, SubmitError, Verdict};
use crate::state::{Deferred, L1Batches, LastProposal};
use crate::witness::Witness;
use crate::{
    BatchProposal, BatchSignature, BatchSignerRecord, BuildError, CertifiedBatch, ConflictingHeaders, Gatherer,
    Mismatch, Outbox, ParentBatch, PolicyParams, RecordError, SignatureVerdict, Situation, build_batch, check_proposal,
    contradiction, proposes_at, rank_of,
};

/// Time between looks at what is due.
const TICK: Duration = Duration::from_millis(200);
/// Time after which a proposer sends an incomplete proposal again. The network drops repetitions within half a minute.
const REBROADCAST_MS: u64 = 35_000;
/// Least time between two proposals of one member for one index that are checked.
const MIN_REPEAT_MS: u64 = 1_000;
/// Own proposals remembered. Those L1 never takes leave when there are too many.
const MAX_MINE: usize = 256;

/// Posting under way or failed, reported back to the loop.
type Posted = (BatchHeader, Result<(), SubmitError>);

/// The batcher of one sequencer.
pub struct Batcher {
    config: BatcherConfig,
    /// The signer's keys, the present one first; the set of a batch's epoch says which one signs it.
    keys: Vec<SigningKey>,
    chain: Arc<dyn ChainReader>,
    network: Arc<dyn BatchNetwork>,
    l1: Option<Arc<dyn BatchL1>>,
    batches: L1Batches,
    gatherer: Gatherer,
    witness: Witness,
    evidence: mpsc::Sender<ConflictingHeaders>,
    record: BatchSignerRecord,
    outbox: Outbox,
    deferred: Deferred,
    last_proposal: LastProposal,
    /// Hashes of batches this node proposed: it posts them without waiting for its turn.
    mine: HashSet<B256>,
    /// Own proposal that lacks signatures, and when it was sent.
    open: Option<(BatchProposal, u64)>,
    posting: bool,
    retry_post_ms: u64,
    waiting_bytes: WaitingBytes,
    /// Index and time of the last checked proposal of each member.
    checked_ms: BTreeMap<Address, (u64, u64)>,
    status: watch::Sender<BatcherStatus>,
    posted: mpsc::Sender<Posted>,
}

/// Transaction bytes above a height, counted once.
#[derive(Clone, Copy, Debug, Default)]
struct WaitingBytes {
    above: u64,
    through: u64,
    bytes: usize,
}

impl Batcher {
    /// Opens the durable parts and runs until a port closes or fails. Boxed, so that it is compiled in this crate alone
    /// (docs/decisions/0009).
    ///
    /// # Errors
    /// See [`BatcherError`].
    pub fn run(
        config: BatcherConfig,
        keys: Vec<SigningKey>,
        ports: BatcherPorts,
        status: watch::Sender<BatcherStatus>,
    ) -> BoxFuture<'static, Result<(), BatcherError>> {
        Box::pin(Self::serve(config, keys, ports, status))
    }

    async fn serve(
        config: BatcherConfig,
        keys: Vec<SigningKey>,
        ports: BatcherPorts,
        status: watch::Sender<BatcherStatus>,
    ) -> Result<(), BatcherError> {
        let outbox = Outbox::open(config.folder.join("outbox"))?;
        let record = BatchSignerRecord::open(config.folder.join("signed-batches"))?;
        let BatcherPorts { chain, network, l1, mut incoming, mut l1_events, mut head, evidence } = ports;
        let (posted, mut posts) = mpsc::channel(1);
        let mut batcher = Self {
            keys,
            chain,
            network,
            l1,
            batches: L1Batches::new(config.parent),
            gatherer: Gatherer::new(config.domain.clone()),
            witness: Witness::default(),
            evidence,
            record,
            outbox,
            deferred: Deferred::default(),
            last_proposal: LastProposal::default(),
            mine: HashSet::new(),
            open: None,
            posting: false,
            retry_post_ms: 0,
            waiting_bytes: WaitingBytes::default(),
            checked_ms: BTreeMap::new(),
            status,
            posted,
            config,
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => batcher.on_tick(now_ms()).await?,
                Some((header, result)) = posts.recv() => batcher.on_posted(&header, result)?,
                event = l1_events.recv() => {
                    batcher.on_l1(&event.ok_or(BatcherError::Closed("L1 events"))?).await?;
                }
                message = incoming.recv() => {
                    batcher.on_message(message.ok_or(BatcherError::Closed("network"))?).await?;
                }
                changed = head.changed() => {
                    changed.map_err(|_| BatcherError::Closed("chain head"))?;
                    batcher.retry_deferred().await?;
                }
            }
        }
    }

    async fn on_tick(&mut self, now: u64) -> Result<(), BatcherError> {
        self.rebroadcast(now);
        if self.posting {
            return Ok(());
        }
        let tip = self.batches.tip();
        let posters = self.posters(&tip)?;
        let Some(rank) = self.keys.iter().filter_map(|key| rank_of(&posters, address_of(key))).min() else {
            return Ok(());
        };
        let index = tip.index.saturating_add(1);
        let proposed_ms = self.last_proposal.time_of(index);
        let policy = PolicyParams {
            interval_ms: self.config.params.batch_interval_ms,
            post_timeout_ms: self.config.post_timeout_ms,
        };
        let Some((oldest_ms, complete)) = self.waiting(&tip)? else {
            return Ok(());
        };
        if let Some(batch) = self.outbox.following(&tip) {
            // Certified already. Its author posts; the others give the author, and each other, their time.
            let mine = self.mine.contains(&batch.header.hash());
            let due = proposes_at(&policy, &Situation { oldest_ms, complete: true, proposed_ms }, rank);
            if now >= self.retry_post_ms && (mine || now >= due) {
                let batch = batch.clone();
                self.post(batch, now);
            }
            return Ok(());
        }
        if now >= proposes_at(&policy, &Situation { oldest_ms, complete, proposed_ms }, rank) {
            self.propose(tip, now).await?;
        }
        Ok(())
    }

    /// Who takes the batch after `tip` to L1: the leaders to come, then those of its own set who lead no more. Without them a set
    /// that was replaced as a whole would leave its last batch to members who cannot propose it.
    fn posters(&self, tip: &ParentBatch) -> Result<Vec<Address>, BatcherError> {
        let mut posters = self.chain.next_leaders()?;
        let own = self.chain.set_of(self.config.params.epoch_of(Height(tip.last_height).next()))?;
        let own = own.iter().flat_map(|set| set.members()).map(|member| member.signer);
        let left: Vec<Address> = own.filter(|member| !posters.contains(member)).collect();
        posters.extend(left);
        Ok(posters)
    }

    /// Timestamp of the oldest waiting block, and whether waiting longer gains nothing. `None` when no block waits.
    fn waiting(&mut self, tip: &ParentBatch) -> Result<Option<(u64, bool)>, BatcherError> {
        let first = Height(tip.last_height).next();
        let head = self.chain.head()?;
        if head < first {
            return Ok(None);
        }
        let Some(oldest) = self.chain.block(first)? else {
            return Ok(None);
        };
        let params = &self.config.params;
        let last = params.last_height(params.epoch_of(first)).min(head);
        if self.waiting_bytes.above != tip.last_height {
            self.waiting_bytes = WaitingBytes { above: tip.last_height, through: tip.last_height, bytes: 0 };
        }
        while self.waiting_bytes.through < last.0 {
            let height = Height(self.waiting_bytes.through).next();
            let Some(block) = self.chain.block(height)? else { break };
            let bytes: usize = block.transactions.iter().map(|tx| tx.len()).sum();
            self.waiting_bytes.bytes = self.waiting_bytes.bytes.saturating_add(bytes);
            self.waiting_bytes.through = height.0;
        }
        let epoch_over = head >= params.last_height(params.epoch_of(first));
        let full = self.waiting_bytes.bytes >= self.config.da.capacity();
        Ok(Some((block::timestamp_ms(&oldest.header), epoch_over || full)))
    }

    async fn propose(&mut self, tip: ParentBatch, now: u64) -> Result<(), BatcherError> {
        let (chain, params) = (self.chain.clone(), self.config.params.clone());
        let (da, alter) = (self.config.da, self.config.alter_proposal);
        let built = blocking(move || build_batch(chain.as_ref(), &params, &tip, da, alter)).await?;
        let plan = match built {
            Ok(plan) => plan,
            Err(BuildError::Nothing) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "no batch built");
                // Not at once again: the cause does not pass in a tick.
                self.last_proposal.saw(tip.index.saturating_add(1), now);
                return Ok(());
            }
        };
        let epoch = self.config.params.epoch_of(Height(plan.header.firstHeight));
        let Some(set) = self.chain.set_of(epoch)? else { return Ok(()) };
        let Some((me, key)) = member_key(&self.keys, &set).map(|(me, key)| (me, key.clone())) else {
            return Ok(());
        };
        if !self.promise(&plan.header, &plan.hashes)? {
            return Ok(());
        }
        let batch = plan.header.hash();
        let signature = CompactSignature::sign(&key, &self.config.domain.digest(&plan.header))?;
        tracing::info!(
            batch = plan.header.index,
            first = plan.header.firstHeight,
            last = plan.header.lastHeight,
            bytes = plan.channel.len(),
            "batch proposed"
        );
        self.last_proposal.saw(plan.header.index, now);
        if self.mine.len() >= MAX_MINE {
            self.mine.clear();
        }
        self.mine.insert(batch);
        let proposal = BatchProposal { header: plan.header, da, channel: plan.channel, signature };
        self.network.broadcast(BatchMessage::Proposal(Box::new(proposal.clone())));
        self.gatherer.open(proposal.header.clone(), da, proposal.channel.clone(), set);
        let own = proposal.own_signature(me);
        self.open = Some((proposal, now));
        self.count(&own)?;
        if let Some(certified) = self.gatherer.complete(batch) {
            // Certified before, when L1 did not take it: the header is the same because no block came since.
            self.keep(certified)?;
        } else if alter.is_some()
            && let Some(partial) = self.gatherer.partial(batch)
        {
            // The faulty leader tries its luck on L1 with its own signature.
            self.post(partial, now);
        }
        Ok(())
    }

    fn rebroadcast(&mut self, now: u64) {
        let tip = self.batches.tip().index;
        match &mut self.open {
            Some((proposal, _)) if proposal.header.index <= tip => self.open = None,
            Some((proposal, sent)) if now.saturating_sub(*sent) >= REBROADCAST_MS => {
                *sent = now;
                self.network.broadcast(BatchMessage::Proposal(Box::new(proposal.clone())));
            }
            _ => {}
        }
    }

    async fn on_message(&mut self, Incoming { message, judge }: Incoming) -> Result<(), BatcherError> {
        let verdict = match message {
            BatchMessage::Proposal(proposal) => self.on_proposal(*proposal, false).await?,
            BatchMessage::Signature(signature) => {
                let verdict = self.count(&signature)?;
                if verdict == Verdict::Good && self.recent_members()?.contains(&signature.signer) {
                    self.see(signature.signer, signature.batch, signature.signature).await?;
                }
                verdict
            }
        };
        judge(verdict);
        Ok(())
    }

    async fn on_proposal(&mut self, proposal: BatchProposal, retried: bool) -> Result<Verdict, BatcherError> {
        let epoch = self.config.params.epoch_of(Height(proposal.header.firstHeight));
        let Some(set) = self.chain.set_of(epoch)? else {
            return Ok(Verdict::Ignored);
        };
        let Some(proposer) = proposer_of(&self.config.domain, &proposal.header, &proposal.signature, &set) else {
            return Ok(Verdict::Bad);
        };
        self.hear(&proposal.header, proposer, proposal.signature).await?;
        let tip = self.batches.tip();
        if proposal.header.index <= tip.index {
            return Ok(Verdict::Ignored);
        }
        let now = now_ms();
        let index = proposal.header.index;
        // Bounded by the members of recent sets: only they get here.
        self.checked_ms.retain(|_, (_, last)| now.saturating_sub(*last) < MIN_REPEAT_MS);
        if !retried && self.checked_ms.insert(proposer, (index, now)).is_some_and(|(last, _)| last == index) {
            return Ok(Verdict::Ignored);
        }
        let batch = proposal.header.hash();
        let theirs = proposal.own_signature(proposer);
        if self.gatherer.knows(batch) {
            self.count(&theirs)?;
            if self.record.has_promised(&proposal.header) {
                self.sign(&proposal.header, batch)?;
            }
            return Ok(Verdict::Ignored);
        }
        let (chain, params) = (self.chain.clone(), self.config.params.clone());
        let (header, channel, da) = (proposal.header.clone(), proposal.channel.clone(), proposal.da);
        let checked = blocking(move || check_proposal(&header, da, &channel, &tip, &params, chain.as_ref())).await?;
        let hashes = match checked {
            Ok(hashes) => hashes,
            Err(error) if error.is_temporary() => {
                tracing::debug!(batch = proposal.header.index, %proposer, %error, "batch proposal put aside");
                self.deferred.put(proposal);
                return Ok(Verdict::Ignored);
            }
            Err(error) => {
                self.refuse(&proposal.header, proposer, &error);
                return Ok(Verdict::Bad);
            }
        };
        self.last_proposal.saw(proposal.header.index, now_ms());
        let header = proposal.header;
        let complete = self.gatherer.open(header.clone(), da, proposal.channel, set.clone());
        complete.map_or(Ok(()), |batch| self.keep(*batch))?;
        self.count(&theirs)?;
        if member_key(&self.keys, &set).is_some() && self.promise(&header, &hashes)? {
            self.sign(&header, batch)?;
        }
        Ok(Verdict::Good)
    }

    /// Members of the sets from the first height without a batch on L1 on: the only ones whose statements are kept.
    fn recent_members(&self) -> Result<BTreeSet<Address>, BatcherError> {
        let safe = Height(self.batches.tip().last_height);
        let mut members = BTreeSet::new();
        for epoch in self.config.params.speaking_epochs(safe, self.chain.head()?) {
            let set = self.chain.set_of(epoch)?;
            members.extend(set.iter().flat_map(|set| set.members()).map(|member| member.signer));
        }
        Ok(members)
    }

    /// A member's header, with its signature; signatures of others under it may have come before.
    async fn hear(
        &mut self,
        header: &BatchHeader,
        signer: Address,
        signature: CompactSignature,
    ) -> Result<(), BatcherError> {
        self.witness.heard(header);
        let batch = header.hash();
        for (signer, signature) in [(signer, signature)].into_iter().chain(self.witness.signers_of(batch)) {
            self.see(signer, batch, signature).await?;
        }
        Ok(())
    }

    /// A signature under a batch's hash, whoever's: evidence if its member contradicts itself.
    async fn see(&mut self, signer: Address, batch: B256, signature: CompactSignature) -> Result<(), BatcherError> {
        let chain = self.chain.clone();
        let own = |first: u64, last: u64| {
            let blocks = (first..=last).take(MAX_BLOCKS).map(|height| chain.block(Height(height)).ok().flatten());
            blocks.map(|block| block.map(|block| block.hash)).collect()
        };
        let Some(found) = self.witness.saw(signer, batch, signature, own) else { return Ok(()) };
        tracing::warn!(%signer, height = found.first.0.lastHeight, "two batch headers contradict each other");
        self.evidence.send(found).await.map_err(|_| BatcherError::Closed("evidence"))
    }

    /// Makes a header's blocks durable in the signer record. `false` when L1 has not been final for so long that
    /// nothing more may be signed; a conflict ends the node, since its own chain must have changed.
    fn promise(&mut self, header: &BatchHeader, hashes: &[B256]) -> Result<bool, BatcherError> {
        match self.record.promise(header, hashes) {
            Ok(()) => Ok(true),
            Err(error @ RecordError::Full) => {
                tracing::error!(batch = header.index, %error, "batch not signed");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refuse(&mut self, header: &BatchHeader, proposer: Address, error: &Mismatch) {
        tracing::warn!(batch = header.index, %proposer, %error, "batch proposal refused");
        metrics::counter!("horae_batch_proposals_refused_total").increment(1);
        self.status.send_modify(|status| {
            status.refused_proposals = status.refused_proposals.saturating_add(1);
            status.last_refusal = Some(format!("{proposer}: {error}"));
        });
    }

    /// Signs a header that is checked and promised, counts and sends the signature.
    fn sign(&mut self, header: &BatchHeader, batch: B256) -> Result<(), BatcherError> {
        let set = self.chain.set_of(self.config.params.epoch_of(Height(header.firstHeight)))?;
        let Some((signer, key)) = set.as_ref().and_then(|set| member_key(&self.keys, set)) else { return Ok(()) };
        let signature = CompactSignature::sign(key, &self.config.domain.digest(header))?;
        let message = BatchSignature { index: BatchIndex(header.index), batch, signer, signature };
        self.network.broadcast(BatchMessage::Signature(message));
        self.count(&message)?;
        Ok(())
    }

    fn count(&mut self, message: &BatchSignature) -> Result<Verdict, BatcherError> {
        Ok(match self.gatherer.add(message) {
            SignatureVerdict::Complete(batch) => {
                self.keep(*batch)?;
                Verdict::Good
            }
            // Early ones are worth forwarding: their signer was checked, and others may have the proposal.
            SignatureVerdict::Counted(_) | SignatureVerdict::Early => Verdict::Good,
            SignatureVerdict::Known => Verdict::Ignored,
            SignatureVerdict::Stranger | SignatureVerdict::Invalid => Verdict::Bad,
        })
    }

    /// A certificate is complete: durable first, posted by the next tick.
    fn keep(&mut self, batch: CertifiedBatch) -> Result<(), BatcherError> {
        tracing::info!(batch = batch.header.index, signers = batch.certificate.bitmap.count_ones(), "batch certified");
        self.open = self.open.take().filter(|(proposal, _)| proposal.header != batch.header);
        self.outbox.put(batch)?;
        Ok(())
    }

    fn post(&mut self, batch: CertifiedBatch, now: u64) {
        let Some(l1) = self.l1.clone() else { return };
        self.posting = true;
        self.last_proposal.saw(batch.header.index, now);
        let posted = self.posted.clone();
        tokio::spawn(async move {
            let result = l1.submit(&batch).await;
            // The loop may have ended meanwhile.
            let _ = posted.send((batch.header, result)).await;
        });
    }

    fn on_posted(&mut self, header: &BatchHeader, result: Result<(), SubmitError>) -> Result<(), BatcherError> {
        self.posting = false;
        // Even after success: the watcher needs a moment to see the batch, and posting again meanwhile would only fail.
        self.retry_post_ms = now_ms().saturating_add(self.config.post_timeout_ms);
        match result {
            Ok(()) => metrics::counter!("horae_batches_posted_total").increment(1),
            Err(SubmitError::Temporary(error)) => {
                tracing::warn!(batch = header.index, error, "batch will be posted again")
            }
            Err(SubmitError::Refused(error)) => {
                tracing::warn!(batch = header.index, error, "L1 refuses the batch");
                metrics::counter!("horae_batches_refused_by_l1_total").increment(1);
                self.status.send_modify(|status| status.last_l1_refusal = Some(error));
                // A batch that does not follow the tip right now was refused for that; it may follow again.
                let tip = self.batches.tip();
                if header.parentHash == tip.hash || header.index <= tip.index {
                    self.outbox.forget(header)?;
                }
            }
        }
        Ok(())
    }

    async fn on_l1(&mut self, event: &L1BatchEvent) -> Result<(), BatcherError> {
        match event {
            L1BatchEvent::Included(header) => {
                // Seen: what follows it need not wait for it any more.
                self.retry_post_ms = 0;
                let parent = self.batches.tip();
                self.batches.included(header)?;
                self.gatherer.close_through(self.batches.tip().index);
                let members = self.recent_members()?;
                self.witness.keep_members(|signer| members.contains(signer));
                if header.index > parent.index {
                    self.compare(header, parent).await?;
                }
                tracing::info!(batch = header.index, last = header.lastHeight, "batch on L1");
            }
            L1BatchEvent::Dropped(header) => {
                self.batches.dropped(header);
                // The same batch is posted at once, by whoever posted it.
                self.retry_post_ms = 0;
                tracing::warn!(batch = header.index, "batch dropped by an L1 reorg");
            }
            L1BatchEvent::Final(header) => {
                self.batches.finalized(header);
                self.outbox.forget_through(header.index)?;
                self.record.forget_through(Height(header.lastHeight))?;
                self.mine.remove(&header.hash());
            }
        }
        let tip = self.batches.tip();
        metrics::gauge!("horae_batch_tip").set(tip.index as f64);
        self.status.send_modify(|status| status.tip = tip);
        self.retry_deferred().await
    }

    /// A certified batch that differs from our chain is the worst that can happen: say so loudly. People must act on it; no
    /// program does yet.
    async fn compare(&self, header: &BatchHeader, parent: ParentBatch) -> Result<(), BatcherError> {
        let (header, params, chain) = (header.clone(), self.config.params.clone(), self.chain.clone());
        let index = header.index;
        let found = blocking(move || contradiction(&header, &parent, &params, chain.as_ref())).await??;
        if let Some(field) = found {
            tracing::error!(batch = index, field, "batch on L1 contradicts the decided chain");
            metrics::counter!("horae_batch_contradictions_total").increment(1);
        }
        Ok(())
    }

    async fn retry_deferred(&mut self) -> Result<(), BatcherError> {
        for proposal in self.deferred.take(&self.batches.tip()) {
            self.on_proposal(proposal, true).await?;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BatcherError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| BatcherError::Worker)
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
