//! What is posted to L1 and what is signed for it (DESIGN §3.6).

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolStruct, sol};

use crate::{
    Height, SequencerSet, Weight,
    genesis::Params,
    limits::MAX_MEMBERS,
    signing::{CompactSignature, Domain},
};

sol! {
    /// The statement every signer of a batch answers for. Field meanings: `docs/specification/batches.md`.
    #[derive(Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BatchHeader {
        uint64 index;
        bytes32 parentHash;
        uint64 firstHeight;
        uint64 lastHeight;
        bytes32 lastBlockHash;
        bytes32 stateRoot;
        bytes32 withdrawalsRoot;
        bytes32 blocksRoot;
        bytes32 dataHash;
        uint64 snapshotId;
        uint64 l1OriginNumber;
        bytes32 l1OriginHash;
        uint64 depositCount;
        uint256 turns;
    }
}

impl BatchHeader {
    /// EIP-712 struct hash: the name of this batch on L1 and the next batch's `parentHash`.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.eip712_hash_struct()
    }
}

/// `turns` of a batch header: the turns that end among these blocks, eight bits a member, each counted for the leader that
/// the turn's last block names (4.1). The blocks are of one epoch, whose set is `set`.
#[must_use]
pub fn turns_served(params: &Params, set: &SequencerSet, blocks: impl IntoIterator<Item = (Height, Address)>) -> U256 {
    let mut counts = [0u8; 32];
    for (_, leader) in blocks.into_iter().filter(|(height, _)| params.ends_turn(*height)) {
        if let Some(count) = set.index_of(leader).and_then(|index| counts.get_mut(index)) {
            // Does not saturate: an epoch has at most 255 turns.
            *count = count.saturating_add(1);
        }
    }
    U256::from_le_bytes(counts)
}

/// `keccak256` of the concatenated block hashes of a batch, in order.
#[must_use]
pub fn blocks_root(hashes: &[B256]) -> B256 {
    keccak256(hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>())
}

/// `keccak256` of the concatenated EIP-4844 versioned hashes of a batch's blobs, in order.
#[must_use]
pub fn blobs_hash(versioned_hashes: &[B256]) -> B256 {
    blocks_root(versioned_hashes)
}

/// Signatures over a batch header with more than two thirds of the weight, in the form L1 checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCertificate {
    /// Member words of the set, ascending.
    pub members: Vec<B256>,
    /// Bit i: member i has signed.
    pub bitmap: U256,
    /// 64-byte signatures, concatenated in member order.
    pub signatures: Bytes,
}

/// Why a certificate does not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The member words are not those of the set.
    #[error("the certificate was made for another set")]
    WrongSet,
    /// Bits beyond the set, or a count that differs from the signatures.
    #[error("bitmap and signatures do not fit together")]
    Malformed,
    /// A signature does not recover to its member.
    #[error("signature of member {0} is wrong")]
    WrongSigner(usize),
    /// Two thirds or less.
    #[error("signed weight {0} is not more than two thirds of {1}")]
    NoQuorum(Weight, Weight),
}

impl BatchCertificate {
    /// Packs gathered signatures; `signatures[i]` belongs to member `i`.
    #[must_use]
    pub fn assemble(set: &SequencerSet, signatures: &[(usize, CompactSignature)]) -> Self {
        let mut sorted = signatures.to_vec();
        sorted.sort_unstable_by_key(|(index, _)| *index);
        sorted.dedup_by_key(|(index, _)| *index);
        let mut bitmap = U256::ZERO;
        let mut packed = Vec::with_capacity(sorted.len().saturating_mul(64));
        for (index, signature) in sorted {
            bitmap.set_bit(index, true);
            packed.extend_from_slice(&signature.0);
        }
        Self { members: set.words(), bitmap, signatures: packed.into() }
    }

    /// Checks the certificate as L1 does; returns the signed weight.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        domain: &Domain,
        header: &BatchHeader,
        set: &SequencerSet,
    ) -> Result<Weight, CertificateError> {
        if self.members != set.words() {
            return Err(CertificateError::WrongSet);
        }
        let count = self.bitmap.count_ones();
        if self.bitmap.bit_len() > set.members().len().min(MAX_MEMBERS)
            || self.signatures.len() != count.saturating_mul(64)
        {
            return Err(CertificateError::Malformed);
        }
        let digest = domain.digest(header);
        let mut signed: u64 = 0;
        let signers = set.members().iter().enumerate().filter(|(index, _)| self.bitmap.bit(*index));
        for ((index, member), chunk) in signers.zip(self.signatures.chunks_exact(64)) {
            let bytes: [u8; 64] = chunk.try_into().map_err(|_| CertificateError::Malformed)?;
            if CompactSignature(bytes).recover(&digest) != Ok(member.signer) {
                return Err(CertificateError::WrongSigner(index));
            }
            // Cannot overflow: the members are distinct and the set's total fits 64 bits.
            signed = signed.saturating_add(member.weight.0);
        }
        if !set.is_quorum(Weight(signed)) {
            return Err(CertificateError::NoQuorum(Weight(signed), set.total()));
        }
        Ok(Weight(signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, SnapshotId};

    #[test]
    fn turns_count_where_they_end_for_whoever_led_last() {
        let signers = [1u8, 2, 3].map(Address::repeat_byte);
        let members = signers.map(|signer| Member { signer, weight: Weight(1) });
        let set = SequencerSet::new(SnapshotId(1), members.into()).unwrap();
        let params = Params { epoch_blocks: 30, turn_blocks: 10, ..Params::default() };
        let turns = |from: u64, leaders: &[Address]| {
            turns_served(&params, &set, (from..).map(Height).zip(leaders.iter().copied()))
        };
        // Heights 1 to 30: each turn is one member's, but the last is rescued in its middle.
        let mut leaders = [vec![signers[0]; 10], vec![signers[2]; 10], vec![signers[2]; 10]].concat();
        leaders[25..].fill(signers[1]);
        assert_eq!(turns(1, &leaders), U256::from(0x01_01_01));
        // However the blocks are cut into batches, each turn counts once.
        assert_eq!(turns(1, &leaders[..9]), U256::ZERO);
        assert_eq!(turns(10, &leaders[9..20]), U256::from(0x01_00_01));
        assert_eq!(turns(21, &leaders[20..]), U256::from(0x00_01_00));
        assert_eq!(turns(10, &[Address::ZERO]), U256::ZERO, "nobody's turn");
        let longest = Params { epoch_blocks: 255, turn_blocks: 1, ..params };
        let all = turns_served(&longest, &set, (1..=255).map(|height| (Height(height), signers[1])));
        assert_eq!(all, U256::from(0xff_00));
    }
}
