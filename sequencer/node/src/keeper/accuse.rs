//! Evidence this node holds, as calls of the slashing contract, until L1 has judged it for good.

use std::collections::BTreeMap;

use alloy::primitives::{B256, Bytes};
use alloy_sol_types::{SolCall, SolInterface};
use l1::{
    L1View,
    contracts::{
        BatchRegistry, ISlashing,
        Slashing::{self, SlashingErrors},
        bound,
    },
};
use protocol::{BatchHeader, CompactSignature};

use super::{Due, Duty, Keeper, KeeperError, MAX_EVIDENCE};
use crate::evidence::Evidence;

/// What L1 said about evidence.
#[derive(Debug, Default)]
pub(super) struct Accuser {
    /// Evidence that L1 needs no more, and the L1 block that said so: it is forgotten when that block is final.
    judged: BTreeMap<B256, u64>,
}

fn bytes(signature: &CompactSignature) -> Bytes {
    signature.0.to_vec().into()
}

impl Keeper {
    /// Evidence that L1 does not know yet.
    pub(super) async fn accusations(&mut self, view: L1View) -> Result<Vec<Due>, KeeperError> {
        // What waits for a final verdict takes no place from the rest.
        let limit = MAX_EVIDENCE.saturating_add(self.accuser.judged.len());
        let stored = self.chain.store().evidence(limit)?;
        let (judged, open): (Vec<_>, Vec<_>) =
            stored.into_iter().partition(|(id, _)| self.accuser.judged.contains_key(id));
        for (id, _) in judged {
            if self.accuser.judged.get(&id).is_some_and(|block| *block <= view.finalized.number) {
                self.chain.store().remove_evidence(&id)?;
                self.accuser.judged.remove(&id);
            }
        }
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let posted = self.l1.read(self.contracts().batch_registry, &BatchRegistry::headCall {}).await?.height.to();
        let mut found = Vec::new();
        for (id, stored) in open.into_iter().take(MAX_EVIDENCE) {
            let Some(evidence) = Evidence::decode(&stored) else {
                tracing::error!(%id, "stored evidence is unreadable");
                self.chain.store().remove_evidence(&id)?;
                continue;
            };
            if self.signers.contains(&evidence.signer()) {
                tracing::error!(signer = %evidence.signer(), height = evidence.height(), "evidence against ourselves");
                self.accuser.judged.insert(id, view.latest.number);
                continue;
            }
            tracing::debug!(kind = evidence.kind(), signer = %evidence.signer(), "evidence to show to L1");
            if let Some(inclusion) = self.inclusion(evidence.height(), posted).await? {
                let input = prove(&evidence, inclusion);
                found.push(Due { duty: Duty::Accuse, key: id, to: self.contracts().slashing, input });
            }
        }
        Ok(found)
    }

    /// The batch that shows how old a height is, empty above what L1 knows. `None` while we do not have it.
    async fn inclusion(&self, height: u64, posted: u64) -> Result<Option<ISlashing::Inclusion>, KeeperError> {
        if height > posted {
            let header = BatchHeader::default();
            return Ok(Some(ISlashing::Inclusion { header, acceptedAt: 0, bitmap: Default::default() }));
        }
        let Some(batch) = self.chain.store().batch_of_height(height)? else { return Ok(None) };
        let Some(inclusion) = batch.inclusion else { return Ok(None) };
        let accepted_at = self.accepted_at(&inclusion).await?;
        Ok(Some(ISlashing::Inclusion { header: batch.header, acceptedAt: accepted_at, bitmap: inclusion.bitmap }))
    }

    /// L1 would refuse an accusation: whether it is worth keeping.
    pub(super) async fn refused(&mut self, id: B256, data: Option<&Bytes>) -> Result<(), KeeperError> {
        let Some(Ok(reason)) = data.map(|data| SlashingErrors::abi_decode(data)) else { return Ok(()) };
        let latest = self.view.borrow().map_or(u64::MAX, |view| view.latest.number);
        match reason {
            // The registry moved on meanwhile: the next round shows another batch.
            SlashingErrors::WrongInclusion(_) => return Ok(()),
            SlashingErrors::OffenceKnown(_) | SlashingErrors::OffenceSettled(_) => {
                tracing::info!(%id, "L1 knows of this evidence")
            }
            other => tracing::warn!(%id, reason = ?other, "L1 has no use for this evidence"),
        }
        self.accuser.judged.insert(id, latest);
        Ok(())
    }
}

fn prove(evidence: &Evidence, inclusion: ISlashing::Inclusion) -> Bytes {
    match evidence {
        Evidence::Votes(_, (a, first), (b, second)) => Slashing::proveVotesCall {
            a: bound(a),
            signatureA: bytes(first),
            b: bound(b),
            signatureB: bytes(second),
            inclusion,
        }
        .abi_encode(),
        Evidence::Proposals(_, (a, first), (b, second)) => Slashing::proveProposalsCall {
            a: bound(a),
            signatureA: bytes(first),
            b: bound(b),
            signatureB: bytes(second),
            inclusion,
        }
        .abi_encode(),
        Evidence::Slices(_, (a, first), (b, second)) => Slashing::proveSlicesCall {
            a: bound(a),
            signatureA: bytes(first),
            b: bound(b),
            signatureB: bytes(second),
            inclusion,
        }
        .abi_encode(),
        Evidence::Headers(found) => Slashing::proveBatchHeadersCall {
            a: bound(&found.first.0),
            signatureA: bytes(&found.first.1),
            b: bound(&found.second.0),
            signatureB: bytes(&found.second.1),
            blockHashes: found.block_hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>().into(),
            inclusion,
        }
        .abi_encode(),
    }
    .into()
}
