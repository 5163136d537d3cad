//! The state a block works on: its parent's state, read through the port, with the block's changes on top.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, U256,
    map::{AddressMap, B256Map, HashMap},
};
use protocol::state::{Account, AccountDiff, StateDiff, StateError, StateReader};
use revm::{
    Database, DatabaseCommit, DatabaseRef,
    database_interface::DBErrorMarker,
    state::{AccountInfo, Bytecode, EvmState},
};

use crate::code::CodeCache;

/// The state port failed; wrapped because revm wants a marker on its database's error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadError(#[from] pub(crate) StateError);

impl DBErrorMarker for ReadError {}

/// A storage slot with its value below the block.
#[derive(Clone, Copy, Debug)]
struct Slot {
    original: U256,
    value: U256,
}

/// An account with its form below the block.
#[derive(Clone, Debug, Default)]
struct Entry {
    original: Option<Account>,
    account: Option<Account>,
    /// The parent's storage no longer shows through.
    wiped: bool,
    storage: HashMap<U256, Slot>,
}

/// Parent state plus changes. One writer: the EVM of one block or call.
pub(crate) struct Overlay {
    parent: Arc<dyn StateReader>,
    /// The block below: of the one worked on and those after it, which the store may have, `BLOCKHASH` knows nothing (as geth),
    /// also when a call believes to be higher.
    below: u64,
    /// Blocks that `BLOCKHASH` must know even before the store does: the parent, and simulated ones.
    hashes: BTreeMap<u64, B256>,
    accounts: AddressMap<Entry>,
    code: B256Map<Bytecode>,
    /// Deployed code that other executions have read.
    codes: CodeCache,
    new_code: BTreeMap<B256, Bytes>,
}

impl core::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}

impl Overlay {
    pub(crate) fn new(parent: Arc<dyn StateReader>, parent_number: u64, parent_hash: B256, codes: &CodeCache) -> Self {
        Self {
            parent,
            below: parent_number,
            hashes: BTreeMap::from([(parent_number, parent_hash)]),
            accounts: AddressMap::default(),
            code: B256Map::default(),
            codes: codes.clone(),
            new_code: BTreeMap::new(),
        }
    }

    /// The account as the block's transactions left it so far.
    pub(crate) fn account(&mut self, address: Address) -> Result<Option<Account>, StateError> {
        Ok(self.entry(address)?.account)
    }

    /// Puts an account in place of whatever is there (state overrides of calls).
    pub(crate) fn set_account(&mut self, address: Address, account: Account) -> Result<(), StateError> {
        self.entry(address)?.account = Some(account);
        Ok(())
    }

    /// Puts code behind its hash (state overrides of calls).
    pub(crate) fn set_code(&mut self, code_hash: B256, code: Bytecode) {
        self.code.insert(code_hash, code);
    }

    /// Forgets an account's storage (state overrides of calls).
    pub(crate) fn wipe_storage(&mut self, address: Address) -> Result<(), StateError> {
        let entry = self.entry(address)?;
        entry.wiped = true;
        entry.storage.clear();
        Ok(())
    }

    /// Sets a slot (state overrides of calls).
    pub(crate) fn set_slot(&mut self, address: Address, slot: U256, value: U256) -> Result<(), StateError> {
        let original = self.storage(address, slot).map_err(|error| error.0)?;
        self.entry(address)?.storage.insert(slot, Slot { original, value });
        Ok(())
    }

    /// Whether an account without code and nonce has storage. What such an account does not have, no transaction can give it.
    pub(crate) fn has_storage(&mut self, address: Address) -> Result<bool, StateError> {
        let entry = self.entry(address)?;
        if entry.storage.values().any(|slot| !slot.value.is_zero()) {
            return Ok(true);
        }
        // Most contracts are created where nothing is: they cost no read.
        if entry.wiped || entry.original.is_none() {
            return Ok(false);
        }
        self.parent.has_storage(&address)
    }

    /// What became of an account's storage: whether it was emptied, and all slots that were read or written since.
    pub(crate) fn storage_changes(&self, address: &Address) -> (bool, Vec<(U256, U256)>) {
        let Some(entry) = self.accounts.get(address) else { return (false, Vec::new()) };
        (entry.wiped, entry.storage.iter().map(|(slot, values)| (*slot, values.value)).collect())
    }

    /// Makes a simulated block known to `BLOCKHASH`.
    pub(crate) fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.hashes.insert(number, hash);
    }

    fn entry(&mut self, address: Address) -> Result<&mut Entry, StateError> {
        use alloy_primitives::map::Entry as Place;
        match self.accounts.entry(address) {
            Place::Occupied(place) => Ok(place.into_mut()),
            Place::Vacant(place) => {
                let original = self.parent.account(&address)?;
                Ok(place.insert(Entry { original, account: original, ..Entry::default() }))
            }
        }
    }

    /// What changed against the parent: nothing that was only read, nothing that ended as it began.
    pub(crate) fn diff(&self) -> StateDiff {
        let mut diff = StateDiff { accounts: BTreeMap::new(), code: self.new_code.clone() };
        for (address, entry) in &self.accounts {
            // Storage of an account that did not exist cannot need wiping.
            let storage_wiped = entry.wiped && entry.original.is_some();
            let storage: BTreeMap<B256, U256> = entry
                .storage
                .iter()
                .filter(|(_, slot)| if storage_wiped { !slot.value.is_zero() } else { slot.value != slot.original })
                .map(|(slot, values)| (B256::from(*slot), values.value))
                .collect();
            if entry.account != entry.original || storage_wiped || !storage.is_empty() {
                diff.accounts.insert(*address, AccountDiff { account: entry.account, storage, storage_wiped });
            }
        }
        diff
    }
}

impl Database for Overlay {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        Ok(self.entry(address)?.account.map(info))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ReadError> {
        if let Some(code) = self.code.get(&code_hash) {
            return Ok(code.clone());
        }
        let code = self.codes.get(code_hash, &*self.parent)?;
        self.code.insert(code_hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, ReadError> {
        self.entry(address)?;
        let Some(entry) = self.accounts.get_mut(&address) else { return Ok(U256::ZERO) };
        if let Some(slot) = entry.storage.get(&index) {
            return Ok(slot.value);
        }
        // An account that did not exist below the block has no storage there: save the read.
        if entry.wiped || entry.original.is_none() {
            return Ok(U256::ZERO);
        }
        let value = self.parent.storage(&address, &B256::from(index))?;
        entry.storage.insert(index, Slot { original: value, value });
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        self.block_hash_ref(number)
    }
}

/// Reads that leave no trace, for what is made of a recorded execution.
impl DatabaseRef for Overlay {
    type Error = ReadError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        let account = match self.accounts.get(&address) {
            Some(entry) => entry.account,
            None => self.parent.account(&address)?,
        };
        Ok(account.map(info))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ReadError> {
        match self.code.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => Ok(self.codes.get(code_hash, &*self.parent)?),
        }
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, ReadError> {
        if let Some(entry) = self.accounts.get(&address) {
            if let Some(slot) = entry.storage.get(&index) {
                return Ok(slot.value);
            }
            if entry.wiped || entry.original.is_none() {
                return Ok(U256::ZERO);
            }
        }
        Ok(self.parent.storage(&address, &B256::from(index))?)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadError> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None if number > self.below => Ok(B256::ZERO),
            None => Ok(self.parent.block_hash(number)?),
        }
    }
}

fn info(account: Account) -> AccountInfo {
    let Account { nonce, balance, code_hash } = account;
    let code = (code_hash == KECCAK256_EMPTY).then(Bytecode::default);
    AccountInfo { nonce, balance, code_hash, account_id: None, code }
}

impl DatabaseCommit for Overlay {
    fn commit(&mut self, changes: EvmState) {
        for (address, changed) in changes {
            if !changed.is_touched() {
                continue;
            }
            // revm has read every account it touches, so the entry is there already.
            let entry = self.accounts.entry(address).or_default();
            if changed.is_selfdestructed() || changed.is_empty() {
                entry.account = None;
                entry.wiped = true;
                entry.storage.clear();
                continue;
            }
            if changed.is_created() {
                entry.wiped = true;
                entry.storage.clear();
            }
            let info = changed.info;
            let had_code = entry.account.map_or(KECCAK256_EMPTY, |account| account.code_hash);
            if info.code_hash != had_code
                && let Some(code) = info.code.filter(|code| !code.is_empty())
            {
                self.new_code.insert(info.code_hash, code.original_bytes());
                self.code.insert(info.code_hash, code);
            }
            entry.account = Some(Account { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash });
            for (index, slot) in changed.storage {
                if slot.is_changed() {
                    // A slot that is written was read before, except when its account was new.
                    let place = entry.storage.entry(index).or_insert(Slot { original: U256::ZERO, value: U256::ZERO });
                    place.value = slot.present_value();
                }
            }
        }
    }
}
