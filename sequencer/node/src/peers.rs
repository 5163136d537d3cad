//! What peers tell us and what we tell them: transactions, decided blocks, batch messages.

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::{Address, Bytes};
use alloy_rlp::Decodable;
use batcher::ports::{self, BatchMessage, Incoming};
use network::{BlocksReply, DecidedBlock, HeadStatus, MessageToken, NetworkEvent, NetworkHandle, Verdict};
use protocol::{CommitCertificate, Height};
use rpc::SubmitError;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    batches,
    chain::Chain,
    claims::Claims,
    committer::Announcement,
    follower::{self, Sync},
    open::OpenBlocks,
    transactions::Transactions,
    vitals::Vitals,
};

/// Gossiped messages whose transactions are judged or wait for it.
const MAX_JUDGING: usize = 64;
/// Blocks read for one answer to a peer.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The node's side of the network.
pub struct Peers {
    /// The network.
    pub network: NetworkHandle,
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub transactions: Arc<Transactions>,
    /// Takes leaders' slices.
    pub open: Arc<OpenBlocks>,
    /// Peer counts for RPC.
    pub vitals: Arc<Vitals>,
    /// Where batch messages go; none on a follower.
    pub batches: Option<mpsc::Sender<Incoming>>,
    /// Takes decided blocks; none on a sequencer, whose blocks come from consensus.
    pub sync: Option<Arc<Sync>>,
}

impl Peers {
    /// Serves until the network ends.
    pub async fn run(
        self,
        mut events: mpsc::Receiver<NetworkEvent>,
        mut outgoing: mpsc::Receiver<Bytes>,
        mut announcements: mpsc::Receiver<Announcement>,
    ) -> eyre::Result<()> {
        let mut head = self.chain.watch_head();
        let judging = Arc::new(Semaphore::new(MAX_JUDGING));
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
        let claims = Arc::new(Claims::default());
        // Waits for peers, which nobody else here should.
        let mut syncing = JoinSet::new();
        match &self.sync {
            Some(sync) => syncing.spawn(sync.clone().run(self.network.clone(), claims.clone())),
            None => syncing.spawn(follower::audit(self.chain.clone(), self.network.clone(), claims.clone())),
        };
        self.tell();
        loop {
            tokio::select! {
                event = events.recv() => {
                    let event = event.ok_or_else(|| eyre::eyre!("the network task ended"))?;
                    self.on_event(event, &judging, &claims).await?;
                }
                Some(ended) = syncing.join_next() => ended??,
                Some(transaction) = outgoing.recv() => {
                    // Overload drops: the transaction stays in our pool and is announced by our own blocks.
                    let _ = self.network.publish_transactions(vec![transaction]);
                }
                Some(announcement) = announcements.recv() => self.announce(&announcement),
                changed = head.changed() => {
                    changed?;
                    self.tell();
                }
                _ = tick.tick() => self.look_around(&claims),
            }
        }
    }

    /// What peers say about how far the network is.
    fn look_around(&self, claims: &Claims) {
        let peers = self.network.peers();
        self.vitals.look_around(peers.len(), claims.highest(&peers), self.chain.head().header.number);
    }

    /// Tells peers our heads, and the network who the members are.
    fn tell(&self) {
        let heads = self.chain.store().heads();
        let status = HeadStatus {
            height: Height(heads.latest.height),
            hash: heads.latest.hash,
            safe: Height(heads.safe.height),
        };
        self.network.set_status(status);
        let epochs = self.chain.genesis().params.speaking_epochs(status.safe, status.height);
        let sets = epochs.filter_map(|epoch| self.chain.epochs().get(epoch).ok());
        let members: BTreeSet<Address> =
            sets.flat_map(|info| info.set.members().iter().map(|member| member.signer).collect::<Vec<_>>()).collect();
        self.network.set_members(members);
    }

    fn announce(&self, announcement: &Announcement) {
        let certificate = alloy_rlp::encode(&announcement.certificate).into();
        let decided = DecidedBlock { block: announcement.block.clone(), certificate };
        if let Err(error) = self.network.publish_block(decided) {
            tracing::debug!(%error, "decided block not announced");
        }
    }

    async fn on_event(&self, event: NetworkEvent, judging: &Arc<Semaphore>, claims: &Claims) -> eyre::Result<()> {
        match event {
            NetworkEvent::Transactions { token, transactions } => self.on_transactions(token, transactions, judging),
            NetworkEvent::BatchProposal { token, proposal, .. } => {
                self.on_batch(token, batches::incoming_proposal(*proposal));
            }
            NetworkEvent::BatchSignature { token, signature, signer } => {
                self.on_batch(token, batches::incoming_signature(signature, signer));
            }
            NetworkEvent::Block { token, block } => self.on_block(token, &block).await?,
            NetworkEvent::Slice { token, slice, signer } => {
                let verdict = self.open.on_gossip(signer, *slice);
                let _ = self.network.report(token, verdict);
            }
            NetworkEvent::BlocksRequested { from, count, reply, .. } => self.answer(from, count, reply),
            NetworkEvent::PeerStatus { .. } => {
                self.look_around(claims);
                if let Some(sync) = &self.sync {
                    sync.wake();
                }
            }
            NetworkEvent::PeerIdentified { .. } | NetworkEvent::PeerDisconnected { .. } => {}
        }
        Ok(())
    }

    fn on_transactions(&self, token: MessageToken, raw: Vec<Bytes>, judging: &Arc<Semaphore>) {
        // Without a place the token is dropped, which ignores the message.
        let Ok(place) = Arc::clone(judging).try_acquire_owned() else { return };
        let (transactions, network) = (self.transactions.clone(), self.network.clone());
        tokio::spawn(async move {
            let mut verdict = Verdict::Ignore;
            for answer in transactions.submit_all(raw).await {
                match answer {
                    Ok(_) if verdict != Verdict::Reject => verdict = Verdict::Accept,
                    Err(SubmitError::Malformed(_) | SubmitError::InvalidSender | SubmitError::WrongChain { .. }) => {
                        verdict = Verdict::Reject;
                    }
                    Ok(_) | Err(_) => {}
                }
            }
            let _ = network.report(token, verdict);
            drop(place);
        });
    }

    fn on_batch(&self, token: MessageToken, message: BatchMessage) {
        let network = self.network.clone();
        let Some(batches) = &self.batches else {
            // A follower has no opinion but helps to spread what a member signed.
            let _ = network.report(token, Verdict::Accept);
            return;
        };
        let judge = Box::new(move |verdict| {
            let verdict = match verdict {
                ports::Verdict::Good => Verdict::Accept,
                // A member signed it, and followers forward it without an opinion: no fault of the peer that sent it.
                ports::Verdict::Ignored | ports::Verdict::Bad => Verdict::Ignore,
            };
            let _ = network.report(token, verdict);
        });
        // A full queue drops the message, and with it the token: ignored.
        drop(batches.try_send(Incoming { message, judge }));
    }

    async fn on_block(&self, token: MessageToken, decided: &DecidedBlock) -> eyre::Result<()> {
        let verdict = match &self.sync {
            Some(sync) => sync.on_announced(decided).await?,
            None => self.judge_known(decided),
        };
        let _ = self.network.report(token, verdict);
        Ok(())
    }

    /// A sequencer forwards what it decided itself, and nothing else.
    fn judge_known(&self, decided: &DecidedBlock) -> Verdict {
        let Ok(certificate) = CommitCertificate::decode(&mut decided.certificate.as_ref()) else {
            return Verdict::Reject;
        };
        match self.chain.store().block_hash(certificate.height.0) {
            Ok(Some(hash)) if hash == certificate.block_hash => Verdict::Accept,
            _ => Verdict::Ignore,
        }
    }

    fn answer(&self, from: Height, count: u64, reply: BlocksReply) {
        let store = self.chain.store().clone();
        tokio::task::spawn_blocking(move || {
            let mut blocks = Vec::new();
            let mut bytes = 0usize;
            for height in from.0..from.0.saturating_add(count) {
                let Ok(Some(block)) = store.block(height) else { break };
                let Ok(Some(certificate)) = store.certificate(Height(height)) else { break };
                let encoded: Bytes = alloy_rlp::encode(block.inner()).into();
                bytes = bytes.saturating_add(encoded.len());
                if bytes > MAX_ANSWER_BYTES {
                    break;
                }
                blocks.push(DecidedBlock { block: encoded, certificate: alloy_rlp::encode(&certificate).into() });
            }
            reply.send(blocks);
        });
    }
}
