//! What a block needs to be executed without the state: recorded while it is executed again.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Bytes, U256};
use execution::{MAX_RECORDED_BYTES, Replay};
use parking_lot::Mutex;
use protocol::{
    block::MESSAGE_PASSER,
    state::{Account, StateError, StateReader},
};
use rpc::{Backend, BackendError, CallError, ExecutionWitness};
use store::{StateView, Viewed};

use crate::{
    backend::{NodeBackend, call_error, store_error},
    replay::recovered,
};

/// What was looked at.
#[derive(Debug, Default)]
struct Seen {
    viewed: Viewed,
    codes: BTreeMap<B256, Bytes>,
    code_bytes: usize,
    /// Lowest height whose hash was asked for.
    oldest: Option<u64>,
}

/// The parent's state, noting every look at it.
struct Recorder {
    state: StateView,
    seen: Mutex<Seen>,
}

impl StateReader for Recorder {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.seen.lock().viewed.entry(*address).or_default();
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        self.seen.lock().viewed.entry(*address).or_default().insert(*slot);
        self.state.storage(address, slot)
    }

    /// The account's storage root, which its own node holds, answers this.
    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        self.seen.lock().viewed.entry(*address).or_default();
        self.state.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        let code = self.state.code(code_hash)?;
        let mut seen = self.seen.lock();
        // Beyond the bound only the size is kept, and the witness is refused in the end.
        if !code.is_empty() && !seen.codes.contains_key(code_hash) {
            seen.code_bytes = seen.code_bytes.saturating_add(code.len());
            if seen.code_bytes <= MAX_RECORDED_BYTES {
                seen.codes.insert(*code_hash, code.clone());
            }
        }
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let mut seen = self.seen.lock();
        seen.oldest = Some(seen.oldest.map_or(number, |oldest| oldest.min(number)));
        drop(seen);
        self.state.block_hash(number)
    }
}

impl NodeBackend {
    /// See [`Backend::witness`].
    pub(crate) fn record(&self, number: u64, deadline: Instant) -> Result<ExecutionWitness, CallError> {
        let missing = |what: &str| BackendError::Internal(format!("no {what} for the block at {number}"));
        let block = self.block(number)?.ok_or_else(|| missing("body"))?;
        let parent = number.checked_sub(1).ok_or_else(|| missing("parent"))?;
        let state = self.store().state_at(parent).map_err(store_error)?;
        let recorder = Arc::new(Recorder { state, seen: Mutex::default() });
        let interrupt = Some(self.watchdog.interrupt_at(deadline));
        let replay = Replay::of_block(self.chain.rules(), &block.header, block.hash(), recorder.clone(), interrupt);
        let mut replay = replay.map_err(call_error)?;
        for tx in &block.transactions {
            replay.skip(&recovered(tx)).map_err(call_error)?;
        }
        let diff = replay.changes().map_err(call_error)?;
        drop(replay);
        let mut seen = std::mem::take(&mut *recorder.seen.lock());
        if seen.code_bytes > MAX_RECORDED_BYTES {
            return Err(CallError::Rejected("witness is too large".to_owned()));
        }
        // Its storage root is the header's `withdrawalsRoot`, whether the block has withdrawals or not.
        seen.viewed.entry(MESSAGE_PASSER).or_default();
        let nodes = self.store().witness(parent, &seen.viewed, &diff).map_err(store_error)?;
        let oldest = seen.oldest.unwrap_or(parent).min(parent);
        let mut headers = Vec::new();
        for height in oldest..=parent {
            let header = self.header(height)?.ok_or_else(|| missing("ancestor's header"))?;
            headers.push(alloy_rlp::encode(header.inner()).into());
        }
        let slot_keys = |(address, slots): (Address, std::collections::BTreeSet<B256>)| {
            let slots = slots.into_iter().map(|slot| Bytes::copy_from_slice(slot.as_slice()));
            std::iter::once(Bytes::copy_from_slice(address.as_slice())).chain(slots)
        };
        Ok(ExecutionWitness {
            state: nodes,
            codes: seen.codes.into_values().collect(),
            keys: seen.viewed.into_iter().flat_map(slot_keys).collect(),
            headers,
        })
    }
}
