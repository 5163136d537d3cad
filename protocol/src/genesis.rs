//! The genesis file: every parameter two nodes must agree on that L1 does not hold.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use serde::{Deserialize, Serialize};

use crate::{Epoch, Height, L1Origin, SequencerSet, signing::Domain};

/// Most turns of an epoch: batch headers count a member's turns in one byte.
const MAX_TURNS: u64 = 255;
/// Epochs before the present one whose members are still listened to; L1 has taken no batch for as long then.
const MAX_EPOCHS_BACK: u64 = 8;

/// Protocol parameters (DESIGN §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Blocks of a turn; divides `epoch_blocks`.
    pub turn_blocks: u64,
    /// Milliseconds between blocks under load.
    pub block_interval_ms: u64,
    /// Milliseconds between slices.
    pub slice_interval_ms: u64,
    /// Milliseconds between blocks without transactions.
    pub idle_interval_ms: u64,
    /// Milliseconds a voter waits for a proposal.
    pub propose_timeout_ms: u64,
    /// Milliseconds a voter waits for further votes.
    pub vote_timeout_ms: u64,
    /// Milliseconds between batches.
    pub batch_interval_ms: u64,
    /// Most L1 blocks by which one L2 block's origin may advance.
    pub max_origin_advance: u64,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// EIP-1559: base fee of the first block, in wei.
    pub initial_base_fee: u64,
    /// EIP-1559: lowest base fee, in wei.
    pub min_base_fee: u64,
    /// EIP-1559: gas limit divided by gas target.
    pub elasticity: u64,
    /// EIP-1559: most a base fee changes per block is 1/denominator.
    pub base_fee_denominator: u64,
    /// OP L1 fee: scalar of the L1 base fee, per million.
    pub l1_base_fee_scalar: u32,
    /// OP L1 fee: scalar of the L1 blob base fee, per million.
    pub l1_blob_base_fee_scalar: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            epoch_blocks: 1_200,
            turn_blocks: 40,
            block_interval_ms: 500,
            slice_interval_ms: 100,
            idle_interval_ms: 5_000,
            propose_timeout_ms: 600,
            vote_timeout_ms: 200,
            batch_interval_ms: 300_000,
            max_origin_advance: 32,
            gas_limit: 30_000_000,
            initial_base_fee: 1_000_000_000,
            min_base_fee: 1_000_000,
            elasticity: 2,
            base_fee_denominator: 8,
            l1_base_fee_scalar: 1_368,
            l1_blob_base_fee_scalar: 810_949,
        }
    }
}

impl Params {
    /// Epoch of a height (height 0, the genesis block, counts to epoch 0).
    #[must_use]
    pub const fn epoch_of(&self, height: Height) -> Epoch {
        match height.0.saturating_sub(1).checked_div(self.epoch_blocks) {
            Some(epoch) => Epoch(epoch),
            None => Epoch(0),
        }
    }

    /// First height of an epoch.
    #[must_use]
    pub const fn first_height(&self, epoch: Epoch) -> Height {
        Height(epoch.0.saturating_mul(self.epoch_blocks).saturating_add(1))
    }

    /// Whether a turn ends with this height. Turns divide epochs, so that they end at multiples of their length.
    #[must_use]
    pub const fn ends_turn(&self, height: Height) -> bool {
        height.0 > 0 && height.0.is_multiple_of(self.turn_blocks)
    }

    /// Last height of an epoch.
    #[must_use]
    pub const fn last_height(&self, epoch: Epoch) -> Height {
        Height(epoch.0.saturating_add(1).saturating_mul(self.epoch_blocks))
    }

    /// Epochs whose members still have something to say: from that of the first height that no batch on L1 covers (its members sign
    /// that batch after they may have left the set) through the one after that of the next height.
    pub fn speaking_epochs(&self, safe: Height, head: Height) -> impl Iterator<Item = Epoch> + use<> {
        let now = self.epoch_of(head.next()).0;
        let first = self.epoch_of(safe.next()).0;
        let first = first.clamp(now.saturating_sub(MAX_EPOCHS_BACK), now.saturating_sub(1));
        (first..=now.saturating_add(1)).map(Epoch)
    }
}

/// The L1 side of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct L1Contracts {
    /// L1 chain id.
    pub chain_id: u64,
    /// METIS token.
    pub metis: Address,
    /// `TimelockController`: owns what can be changed.
    pub timelock: Address,
    /// `Staking`; also the verifying contract of every signature.
    pub staking: Address,
    /// `SequencerSet`.
    pub sequencer_set: Address,
    /// `InsurancePool`.
    pub insurance_pool: Address,
    /// `Portal`: queue of deposits, and the way out.
    pub portal: Address,
    /// `BatchRegistry`.
    pub batch_registry: Address,
    /// `OutputRegistry`.
    pub output_registry: Address,
    /// `Slashing`.
    pub slashing: Address,
    /// `Rewards`.
    pub rewards: Address,
    /// `L1Bridge`.
    pub l1_bridge: Address,
}

/// An account of the genesis state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenesisAccount {
    /// Balance in wei.
    #[serde(default)]
    pub balance: U256,
    /// Nonce.
    #[serde(default)]
    pub nonce: u64,
    /// Code.
    #[serde(default)]
    pub code: Bytes,
    /// Storage.
    #[serde(default)]
    pub storage: BTreeMap<B256, B256>,
}

/// A network's birth certificate. Its block's hash names the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// L2 chain id.
    pub chain_id: u64,
    /// Timestamp of the genesis block in seconds.
    pub timestamp: u64,
    /// L1 addresses.
    pub l1: L1Contracts,
    /// L1 origin of the genesis block: derivation and deposits start after it.
    pub origin: L1Origin,
    /// Set of the first two epochs (taken from the L1 snapshot with its number).
    pub set: SequencerSet,
    /// Seed of the first two epochs' schedules.
    pub seed: B256,
    /// Parameters.
    pub params: Params,
    /// Initial state.
    pub alloc: BTreeMap<Address, GenesisAccount>,
}

/// Why a genesis file is refused.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// Not JSON of this shape.
    #[error("genesis file is malformed: {0}")]
    Json(serde_json::Error),
    /// A parameter out of range.
    #[error("genesis parameter {0}")]
    Param(&'static str),
}

impl Genesis {
    /// Reads and checks a genesis file.
    ///
    /// # Errors
    /// See [`GenesisError`].
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        let genesis: Self = serde_json::from_str(json).map_err(GenesisError::Json)?;
        genesis.check()?;
        Ok(genesis)
    }

    fn check(&self) -> Result<(), GenesisError> {
        let p = &self.params;
        let rules = [
            (self.chain_id > 0, "chainId must be positive"),
            (self.chain_id != self.l1.chain_id, "chainId must differ from the L1 chain id (replayed transactions)"),
            (p.epoch_blocks > 0 && p.turn_blocks > 0, "epochBlocks and turnBlocks must be positive"),
            (p.turn_blocks > 0 && p.epoch_blocks.is_multiple_of(p.turn_blocks), "turnBlocks must divide epochBlocks"),
            (
                p.epoch_blocks.checked_div(p.turn_blocks).is_some_and(|turns| turns <= MAX_TURNS),
                "epochBlocks must not exceed 255 times turnBlocks (batch headers count turns in bytes)",
            ),
            (p.block_interval_ms >= 50, "blockIntervalMs must be at least 50"),
            (p.idle_interval_ms >= p.block_interval_ms, "idleIntervalMs must not be below blockIntervalMs"),
            (p.propose_timeout_ms > 0 && p.vote_timeout_ms > 0, "timeouts must be positive"),
            (p.max_origin_advance > 0, "maxOriginAdvance must be positive"),
            (p.gas_limit >= 5_000_000, "gasLimit must be at least 5,000,000"),
            (p.elasticity > 0 && p.base_fee_denominator > 0, "EIP-1559 parameters must be positive"),
        ];
        for (holds, text) in rules {
            if !holds {
                return Err(GenesisError::Param(text));
            }
        }
        Ok(())
    }

    /// The signing domain of this network.
    #[must_use]
    pub fn domain(&self) -> Domain {
        Domain::new(self.l1.chain_id, self.l1.staking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_speak_from_the_first_height_without_a_batch_on() {
        let params = Params { epoch_blocks: 4, turn_blocks: 2, ..Params::default() };
        let check = |safe, head, first: u64, last: u64| {
            let epochs: Vec<u64> = params.speaking_epochs(Height(safe), Height(head)).map(|epoch| epoch.0).collect();
            assert_eq!(epochs, (first..=last).collect::<Vec<_>>(), "safe {safe}, head {head}");
        };
        check(0, 0, 0, 1);
        check(0, 7, 0, 2);
        check(0, 8, 0, 3);
        check(4, 8, 1, 3);
        // One back always: a peer may be a moment behind.
        check(8, 8, 1, 3);
        check(400, 400, 99, 101);
        check(0, 400, 92, 101);
    }
}
