//! Collects signatures of competing proposals until one has more than two thirds of the weight.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{Address, B256, Bytes};
use protocol::{BatchCertificate, BatchHeader, CompactSignature, Domain, SequencerSet, Weight};

use crate::message::batch_digest;
use crate::{BatchSignature, CertifiedBatch, DataAvailability};

/// Proposals open at once. A member proposes once in a timeout, so honest ones are few.
const MAX_OPEN: usize = 8;
/// Signatures held for proposals that have not arrived.
const MAX_EARLY: usize = 128;
/// Of these, by one signer.
const MAX_EARLY_PER_SIGNER: usize = 4;

/// What became of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// Counted; more is needed.
    Counted(Weight),
    /// Counted, and the certificate is complete.
    Complete(Box<CertifiedBatch>),
    /// Counted before, or the certificate is complete already.
    Known,
    /// Its proposal is not known; held for a while.
    Early,
    /// The signer is no member of the batch's set.
    Stranger,
    /// The signature is not the signer's.
    Invalid,
}

#[derive(Debug)]
struct Open {
    header: BatchHeader,
    da: DataAvailability,
    channel: Bytes,
    set: SequencerSet,
    signatures: BTreeMap<usize, CompactSignature>,
    signed: u64,
    complete: bool,
}

/// Open proposals by batch hash, in order of arrival.
#[derive(Debug)]
pub struct Gatherer {
    domain: Domain,
    open: VecDeque<(B256, Open)>,
    early: VecDeque<BatchSignature>,
}

impl Gatherer {
    /// An empty gatherer for one network.
    #[must_use]
    pub const fn new(domain: Domain) -> Self {
        Self { domain, open: VecDeque::new(), early: VecDeque::new() }
    }

    /// Whether a proposal is open here.
    #[must_use]
    pub fn knows(&self, batch: B256) -> bool {
        self.open.iter().any(|(hash, _)| *hash == batch)
    }

    /// Opens a proposal that this node has checked; counts signatures that arrived before it. The oldest proposal
    /// leaves when there are too many.
    pub fn open(
        &mut self,
        header: BatchHeader,
        da: DataAvailability,
        channel: Bytes,
        set: SequencerSet,
    ) -> Option<Box<CertifiedBatch>> {
        let batch = header.hash();
        if self.knows(batch) {
            return None;
        }
        if self.open.len() >= MAX_OPEN {
            self.open.pop_front();
        }
        let signatures = BTreeMap::new();
        let open = Open { header, da, channel, set, signatures, signed: 0, complete: false };
        self.open.push_back((batch, open));
        let (due, early): (Vec<_>, VecDeque<_>) = split(std::mem::take(&mut self.early), batch);
        self.early = early;
        let mut complete = None;
        for signature in due {
            if let SignatureVerdict::Complete(batch) = self.add(&signature) {
                complete = Some(batch);
            }
        }
        complete
    }

    /// Counts a signature from anyone.
    pub fn add(&mut self, message: &BatchSignature) -> SignatureVerdict {
        let digest = batch_digest(&self.domain, message.batch);
        let Some((_, open)) = self.open.iter_mut().find(|(hash, _)| *hash == message.batch) else {
            return self.hold(message, &digest);
        };
        let Some(index) = open.set.index_of(message.signer) else {
            return SignatureVerdict::Stranger;
        };
        if open.complete || open.signatures.contains_key(&index) {
            return SignatureVerdict::Known;
        }
        if message.signature.recover(&digest) != Ok(message.signer) {
            return SignatureVerdict::Invalid;
        }
        open.signatures.insert(index, message.signature);
        let weight = open.set.weight_of(message.signer).unwrap_or_default();
        // Cannot overflow: signers are distinct members and the set's total fits.
        open.signed = open.signed.saturating_add(weight.0);
        if !open.set.is_quorum(Weight(open.signed)) {
            return SignatureVerdict::Counted(Weight(open.signed));
        }
        open.complete = true;
        SignatureVerdict::Complete(Box::new(open.certified()))
    }

    /// A certificate of what is there, enough or not: only the faulty devnet leader asks.
    #[must_use]
    pub fn partial(&self, batch: B256) -> Option<CertifiedBatch> {
        self.open.iter().find(|(hash, _)| *hash == batch).map(|(_, open)| open.certified())
    }

    /// The certificate of a proposal, if it is complete.
    #[must_use]
    pub fn complete(&self, batch: B256) -> Option<CertifiedBatch> {
        let mut open = self.open.iter().filter(|(hash, open)| *hash == batch && open.complete);
        open.next().map(|(_, open)| open.certified())
    }

    /// Forgets proposals up to an index that is on L1.
    pub fn close_through(&mut self, index: u64) {
        self.open.retain(|(_, open)| open.header.index > index);
    }

    fn hold(&mut self, message: &BatchSignature, digest: &B256) -> SignatureVerdict {
        if message.signature.recover(digest) != Ok(message.signer) {
            return SignatureVerdict::Invalid;
        }
        if self.early.contains(message) {
            return SignatureVerdict::Known;
        }
        if self.early.iter().filter(|held| held.signer == message.signer).count() >= MAX_EARLY_PER_SIGNER {
            forget_first(&mut self.early, |held| held.signer == message.signer);
        }
        if self.early.len() >= MAX_EARLY {
            self.early.pop_front();
        }
        self.early.push_back(*message);
        SignatureVerdict::Early
    }
}

fn forget_first(held: &mut VecDeque<BatchSignature>, matches: impl Fn(&BatchSignature) -> bool) {
    if let Some(at) = held.iter().position(matches) {
        held.remove(at);
    }
}

impl Open {
    fn certified(&self) -> CertifiedBatch {
        let signatures: Vec<_> = self.signatures.iter().map(|(index, signature)| (*index, *signature)).collect();
        CertifiedBatch {
            header: self.header.clone(),
            da: self.da,
            channel: self.channel.clone(),
            certificate: BatchCertificate::assemble(&self.set, &signatures),
        }
    }
}

/// Address of the member a proposal's own signature belongs to, if it is one of the set.
#[must_use]
pub(crate) fn proposer_of(
    domain: &Domain,
    header: &BatchHeader,
    signature: &CompactSignature,
    set: &SequencerSet,
) -> Option<Address> {
    let signer = signature.recover(&domain.digest(header)).ok()?;
    set.index_of(signer).map(|_| signer)
}

/// Held signatures of one batch, and the others.
fn split(held: VecDeque<BatchSignature>, batch: B256) -> (Vec<BatchSignature>, VecDeque<BatchSignature>) {
    let (due, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|early| early.batch == batch);
    (due, others.into())
}
