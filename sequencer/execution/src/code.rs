//! Contracts' code as the EVM wants it, kept between executions: finding the jump destinations of a contract takes longer than
//! most calls of it.

use std::{num::NonZeroUsize, sync::Arc};

use alloy_primitives::B256;
use lru::LruCache;
use parking_lot::Mutex;
use protocol::state::{StateError, StateReader};
use revm::state::Bytecode;

/// Contracts kept: 24 KiB each at most (EIP-170), and an eighth of it for the jump destinations.
const CONTRACTS: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// A handle to the kept code; clones share it. Code is found by its hash, so nothing in here is ever out of date.
#[derive(Clone)]
pub struct CodeCache(Arc<Mutex<LruCache<B256, Bytecode>>>);

impl Default for CodeCache {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(CONTRACTS))))
    }
}

impl core::fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CodeCache").field("contracts", &self.0.lock().len()).finish()
    }
}

impl CodeCache {
    /// The code, read from a state that has it if it is not here.
    pub(crate) fn get(&self, hash: B256, state: &dyn StateReader) -> Result<Bytecode, StateError> {
        if let Some(code) = self.0.lock().get(&hash) {
            return Ok(code.clone());
        }
        let raw = state.code(&hash)?;
        let code = Bytecode::new_raw_checked(raw).map_err(|error| StateError(format!("code {hash}: {error}")))?;
        self.0.lock().put(hash, code.clone());
        Ok(code)
    }
}
