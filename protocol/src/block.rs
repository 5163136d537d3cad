//! The L2 block: an ordinary Ethereum block whose header's extra data names the leader, and what goes with it.

use alloy_consensus::{Header, proofs::calculate_transaction_root};
use alloy_primitives::{Address, B256, Bytes, address};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use serde::{Deserialize, Serialize};

use crate::{
    Height, Round, SequencerSet, Weight,
    signing::{CompactSignature, Domain, Vote},
};

/// An L2 block: Ethereum header, transactions; no ommers; empty withdrawals list (op rules).
pub type Block = alloy_consensus::Block<OpTxEnvelope>;

/// Who may write L1 attributes (as on every OP-compatible chain).
pub const DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");
/// L1 attributes predeploy.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Gas price oracle predeploy.
pub const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// Mirror of the sequencer set for contracts on L2.
pub const L2_SEQUENCER_SET: Address = address!("4200000000000000000000000000000000000100");
/// Bridge of tokens and ether on L2.
pub const L2_BRIDGE: Address = address!("4200000000000000000000000000000000000010");
/// Makes the bridged tokens.
pub const TOKEN_FACTORY: Address = address!("4200000000000000000000000000000000000012");
/// L2-to-L1 message passer predeploy; its storage root is the header's `withdrawalsRoot`.
pub const MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000016");
/// Fee vault: beneficiary of every block (tips).
pub const FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// Where base fees go.
pub const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
/// Where L1 data fees go.
pub const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001A");

/// Whether these bytes are all of the block that their hash names: its header commits to the transactions, and the rest of a block is
/// the same for all. Anybody can put other bytes under a header.
#[must_use]
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let Ok(block) = Block::decode(&mut rest) else { return false };
    block.header.transactions_root == calculate_transaction_root(&block.body.transactions)
        && block.body.ommers.is_empty()
        && block.body.withdrawals.as_ref().is_some_and(|withdrawals| withdrawals.is_empty())
        && alloy_rlp::encode(&block) == bytes
}

/// What an L2 block says about its maker, in the 23 bytes of `extraData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderExtra {
    /// Milliseconds within the header's second, 0..=999.
    pub millis: u16,
    /// Signer that built the block (not necessarily the one whose round decided it).
    pub leader: Address,
}

/// Version byte of [`HeaderExtra`].
const EXTRA_VERSION: u8 = 1;
/// Length of an encoded [`HeaderExtra`]; below the 32 bytes web3 clients accept.
const EXTRA_BYTES: usize = 23;

impl HeaderExtra {
    /// Encodes to `version ‖ u16 millis ‖ leader`.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(EXTRA_BYTES);
        bytes.push(EXTRA_VERSION);
        bytes.extend_from_slice(&self.millis.to_be_bytes());
        bytes.extend_from_slice(self.leader.as_slice());
        bytes.into()
    }

    /// Strict inverse of [`Self::encode`].
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; EXTRA_BYTES] = bytes.try_into().ok()?;
        let [version, high, low, leader @ ..] = bytes;
        let millis = u16::from_be_bytes([*high, *low]);
        (*version == EXTRA_VERSION && millis < 1000).then_some(Self { millis, leader: Address::from(*leader) })
    }
}

/// Timestamp of a header in milliseconds since the epoch; a header without our extra data (genesis) has whole seconds.
#[must_use]
pub fn timestamp_ms(header: &Header) -> u64 {
    let millis = HeaderExtra::decode(&header.extra_data).map_or(0, |extra| u64::from(extra.millis));
    header.timestamp.saturating_mul(1000).saturating_add(millis)
}

/// Leader named by a header; the zero address at genesis.
#[must_use]
pub fn leader(header: &Header) -> Address {
    HeaderExtra::decode(&header.extra_data).map_or(Address::ZERO, |extra| extra.leader)
}

/// An L1 block as L2 refers to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
#[serde(rename_all = "camelCase")]
pub struct L1Origin {
    /// L1 block number.
    pub number: u64,
    /// L1 block hash.
    pub hash: B256,
    /// L1 timestamp in seconds.
    pub timestamp: u64,
    /// L1 base fee in wei.
    pub base_fee: u64,
    /// L1 blob base fee in wei.
    pub blob_base_fee: u64,
    /// L1 `prevrandao`.
    pub randao: B256,
}

/// Everything a block's content follows from, besides its parent, its state and the user transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAttributes {
    /// Milliseconds since the epoch; at least the parent's.
    pub timestamp_ms: u64,
    /// Signer that builds the block.
    pub leader: Address,
    /// The block's L1 origin.
    pub origin: L1Origin,
    /// Blocks since the origin last changed: 0 in the first block with it.
    pub sequence_number: u64,
    /// What follows the L1 attributes deposit: in the first block of an epoch the deposit that tells L2 its sets, then
    /// the queue deposits of the L1 blocks after the parent's origin up to this origin, in L1 order.
    pub deposits: Vec<TxDeposit>,
}

/// Items of the L1 deposit queue that a block executes: its deposits without those of the state transition itself. (No
/// key and no L1 contract has the depositor's address, so nobody can queue an item in its name.)
#[must_use]
pub fn queue_items(block: &Block) -> usize {
    let deposits = block.body.transactions.iter().map_while(OpTxEnvelope::as_deposit);
    deposits.filter(|deposit| deposit.from != DEPOSITOR).count()
}

/// One precommit of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CommitSignature {
    /// Who signed.
    pub signer: Address,
    /// Over the EIP-712 digest of its precommit.
    pub signature: CompactSignature,
}

/// Precommits with more than two thirds of the weight on one block.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct CommitCertificate {
    /// Decided height.
    pub height: Height,
    /// Round in which it was decided.
    pub round: Round,
    /// Hash of the decided block.
    pub block_hash: B256,
    /// The precommits, in any order, each signer once.
    pub signatures: Vec<CommitSignature>,
}

/// Why a commit certificate does not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A signer outside the set, or named twice.
    #[error("{0} is not a member, or signed twice")]
    UnknownSigner(Address),
    /// A signature that is not the named signer's.
    #[error("the signature of {0} is wrong")]
    WrongSignature(Address),
    /// Two thirds or less.
    #[error("signed weight {0} is not more than two thirds of {1}")]
    NoQuorum(Weight, Weight),
}

impl CommitCertificate {
    /// The digest its signers signed.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> B256 {
        domain.digest(&Vote { voteType: 1, height: self.height.0, round: self.round.0, blockHash: self.block_hash })
    }

    /// Checks every signature and the quorum; returns the signed weight.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn verify(&self, domain: &Domain, set: &SequencerSet) -> Result<Weight, CommitError> {
        let digest = self.digest(domain);
        let mut seen = vec![false; set.members().len()];
        let mut signed: u64 = 0;
        for CommitSignature { signer, signature } in &self.signatures {
            let slot = set.index_of(*signer).and_then(|index| seen.get_mut(index));
            match slot {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(CommitError::UnknownSigner(*signer)),
            }
            if signature.recover(&digest) != Ok(*signer) {
                return Err(CommitError::WrongSignature(*signer));
            }
            let weight = set.weight_of(*signer).unwrap_or_default();
            // Cannot overflow: signers are distinct and the set's total fits 64 bits.
            signed = signed.saturating_add(weight.0);
        }
        if !set.is_quorum(Weight(signed)) {
            return Err(CommitError::NoQuorum(Weight(signed), set.total()));
        }
        Ok(Weight(signed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_with_the_body_that_its_header_names_and_nothing_else() {
        let deposit = |nonce: u64| OpTxEnvelope::from(TxDeposit { mint: nonce.into(), ..TxDeposit::default() });
        let transactions = vec![deposit(1), deposit(2)];
        let header = Header {
            transactions_root: calculate_transaction_root(&transactions),
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(B256::repeat_byte(5)),
            ..Header::default()
        };
        let body = alloy_consensus::BlockBody { transactions, ommers: vec![], withdrawals: Some(Default::default()) };
        let block = Block { header, body };
        let bytes = alloy_rlp::encode(&block);
        assert!(is_whole(&bytes));
        assert!(!is_whole(&bytes[1..]) && !is_whole(&[&bytes[..], &[0]].concat()));
        let mut other = block.clone();
        other.body.transactions.pop();
        assert!(!is_whole(&alloy_rlp::encode(&other)));
        let mut other = block.clone();
        other.body.ommers.push(Header::default());
        assert!(!is_whole(&alloy_rlp::encode(&other)));
        let mut other = block;
        other.body.withdrawals = Some(vec![Default::default()].into());
        assert!(!is_whole(&alloy_rlp::encode(&other)));
    }

    #[test]
    fn extra_data_is_strict_and_short() {
        let extra = HeaderExtra { millis: 500, leader: Address::repeat_byte(7) };
        let bytes = extra.encode();
        assert!(bytes.len() <= 32);
        assert_eq!(HeaderExtra::decode(&bytes), Some(extra));
        for broken in [&bytes[1..], &[][..], &[&bytes[..], &[0]].concat()[..], &[&[2], &bytes[1..]].concat()[..]] {
            assert_eq!(HeaderExtra::decode(broken), None);
        }
        assert_eq!(HeaderExtra::decode(&HeaderExtra { millis: 1000, ..extra }.encode()), None);
    }
}
