//! The genesis block and its state.

use std::collections::BTreeMap;

use alloy_consensus::{BlockBody, Header, constants::EMPTY_ROOT_HASH};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4895::Withdrawals,
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use protocol::{
    Block,
    block::FEE_VAULT,
    genesis::{Genesis, GenesisAccount},
    state::{Account, AccountDiff, StateCommitment, StateDiff},
};

use crate::env::ExecutionError;

/// The genesis state as a change of the empty state: the file's accounts, and the EIP-2935 contract where the file
/// does not name its address.
#[must_use]
pub fn genesis_diff(genesis: &Genesis) -> StateDiff {
    let mut diff = StateDiff::default();
    let history = history_contract();
    let missing = !genesis.alloc.contains_key(&HISTORY_STORAGE_ADDRESS);
    let default = missing.then_some((&HISTORY_STORAGE_ADDRESS, &history));
    for (address, wanted) in genesis.alloc.iter().chain(default) {
        let code_hash = if wanted.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&wanted.code) };
        let account = Account { nonce: wanted.nonce, balance: wanted.balance, code_hash };
        let storage: BTreeMap<B256, U256> = wanted
            .storage
            .iter()
            .map(|(slot, value)| (*slot, U256::from_be_bytes(value.0)))
            .filter(|(_, value)| !value.is_zero())
            .collect();
        if account.is_empty() && storage.is_empty() {
            continue;
        }
        if code_hash != KECCAK256_EMPTY {
            diff.code.insert(code_hash, wanted.code.clone());
        }
        diff.accounts.insert(*address, AccountDiff { account: Some(account), storage, storage_wiped: false });
    }
    diff
}

/// The EIP-2935 system contract.
pub(crate) fn history_contract() -> GenesisAccount {
    GenesisAccount { nonce: 1, code: HISTORY_STORAGE_CODE.clone(), ..GenesisAccount::default() }
}

/// The genesis block with the diff that makes its state. `commitment` stands on the empty state.
///
/// Extra data is the hash of the whole genesis file, so that the block's hash names the network: two files that
/// differ in a parameter have different genesis blocks.
///
/// # Errors
/// The roots could not be computed, or [`ExecutionError::Genesis`].
pub fn genesis_block(
    genesis: &Genesis,
    commitment: &dyn StateCommitment,
) -> Result<(Block, StateDiff), ExecutionError> {
    let bare = |(_, account): &(&Address, &GenesisAccount)| {
        account.nonce == 0 && account.code.is_empty() && !account.storage.is_empty()
    };
    if let Some((address, _)) = genesis.alloc.iter().find(bare) {
        return Err(ExecutionError::Genesis(*address));
    }
    let diff = genesis_diff(genesis);
    let roots = commitment.roots_after(&diff)?;
    let file = serde_json::to_vec(genesis).map_err(|error| ExecutionError::Evm(format!("genesis: {error}")))?;
    let header = Header {
        beneficiary: FEE_VAULT,
        state_root: roots.state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        number: 0,
        gas_limit: genesis.params.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: Bytes::from(keccak256(file)),
        mix_hash: genesis.origin.randao,
        base_fee_per_gas: Some(genesis.params.initial_base_fee),
        withdrawals_root: Some(roots.withdrawals_root),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    };
    let body = BlockBody { transactions: Vec::new(), ommers: Vec::new(), withdrawals: Some(Withdrawals::default()) };
    Ok((Block { header, body }, diff))
}

#[cfg(test)]
mod tests {
    use protocol::{
        L1Origin, SequencerSet,
        genesis::{L1Contracts, Params},
        set::Member,
    };

    use super::*;
    use crate::memory::MemoryState;

    fn genesis() -> Genesis {
        let l1 = L1Contracts {
            chain_id: 1,
            metis: Address::repeat_byte(1),
            staking: Address::repeat_byte(2),
            sequencer_set: Address::repeat_byte(3),
            batch_registry: Address::repeat_byte(4),
            portal: Address::repeat_byte(5),
            ..L1Contracts::default()
        };
        let member = Member { signer: Address::repeat_byte(7), weight: protocol::Weight(20_000) };
        let rich = GenesisAccount { balance: U256::from(7), ..GenesisAccount::default() };
        let code = GenesisAccount {
            code: Bytes::from([0]),
            nonce: 1,
            storage: BTreeMap::from([(B256::ZERO, B256::with_last_byte(9)), (B256::with_last_byte(1), B256::ZERO)]),
            ..GenesisAccount::default()
        };
        Genesis {
            chain_id: 59_902,
            timestamp: 1_700_000_000,
            l1,
            origin: L1Origin { randao: B256::repeat_byte(6), ..L1Origin::default() },
            set: SequencerSet::new(protocol::SnapshotId(1), vec![member]).unwrap(),
            seed: B256::repeat_byte(8),
            params: Params::default(),
            alloc: BTreeMap::from([(Address::repeat_byte(9), rich), (Address::repeat_byte(10), code)]),
        }
    }

    #[test]
    fn the_block_commits_to_alloc_and_to_the_whole_file() {
        let (block, diff) = genesis_block(&genesis(), &MemoryState::default()).unwrap();
        let mut state = MemoryState::default();
        state.apply(&diff);
        assert_eq!(block.header.state_root, state.roots().state_root);
        assert_eq!(state.accounts.len(), 3);
        assert_eq!(state.accounts[&Address::repeat_byte(10)].1.len(), 1, "zero slots are not stored");
        assert_eq!(block.header.mix_hash, B256::repeat_byte(6));
        let mut other = genesis();
        other.params.turn_blocks = 20;
        let (other, _) = genesis_block(&other, &MemoryState::default()).unwrap();
        assert_eq!(other.header.state_root, block.header.state_root);
        assert_ne!(other.header.hash_slow(), block.header.hash_slow());
    }

    #[test]
    fn storage_without_an_account_is_refused() {
        let mut genesis = genesis();
        let bare = GenesisAccount { storage: BTreeMap::from([(B256::ZERO, B256::ZERO)]), ..GenesisAccount::default() };
        genesis.alloc.insert(Address::repeat_byte(11), bare);
        let refused = genesis_block(&genesis, &MemoryState::default());
        assert!(matches!(refused, Err(ExecutionError::Genesis(address)) if address == Address::repeat_byte(11)));
    }
}
