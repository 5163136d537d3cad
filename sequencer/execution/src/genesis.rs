//! The genesis block and its state.

use std::collections::BTreeMap;

use alloy_consensus::{BlockBody, Header, constants::EMPTY_ROOT_HASH};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4895::Withdrawals,
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
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
    let history = GenesisAccount { nonce: 1, code: HISTORY_STORAGE_CODE.clone(), ..GenesisAccount::default() };
    let default = (!genesis.alloc.contains_key(&HISTORY_STORAGE_ADDRESS)).then_some((&HISTORY_STORAGE_ADDRESS, &history));
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

/// The genesis block with the diff that makes its state. `commitment` stands on the empty state.
///
/// Extra data is the hash of the whole genesis file, so that the block's hash names the network: two files that
/// differ in a parameter have different genesis blocks.
///
/// # Errors
/// The roots could not be computed.
pub fn genesis_block(
    genesis: &Genesis,
    commitment: &dyn StateCommitment,
) -> Result<(Block, StateDiff), ExecutionError> {
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
