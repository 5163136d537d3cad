//! Another leader's block while its slices arrive: executed as far as they have come without a gap.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::Decodable;
use execution::{BlockVerifier, InvalidBlock};
use protocol::{
    RecoveredTx, Slice, SliceBody,
    limits::{MAX_BLOCK_BYTES, MAX_SLICES},
    slice::StreamReader,
};

use crate::{
    chain::{Candidate, Chain, ChainError},
    pending::{PendingBlock, View},
    transactions::Transactions,
};

/// One (height, round).
pub(super) struct Arriving {
    pub(super) leader: Address,
    /// Its place in the order in which the rounds of this height began here.
    pub(super) order: u32,
    /// Slices behind a gap.
    waiting: BTreeMap<u32, SliceBody>,
    next: u32,
    bytes: usize,
    reader: StreamReader,
    timestamp_ms: Option<u64>,
    /// The attributes deposit, until our view of L1 can open the block it names.
    first: Option<RecoveredTx>,
    verifier: Option<BlockVerifier>,
    /// Transactions taken.
    count: usize,
    /// Hash and RLP of the header that the last slice carried.
    last: Option<(B256, Bytes)>,
    view: View,
    /// Nothing of it can be used any more; the whole block will show why.
    is_broken: bool,
}

impl Arriving {
    pub(super) fn new(leader: Address, order: u32) -> Self {
        Self {
            leader,
            order,
            waiting: BTreeMap::new(),
            next: 0,
            bytes: 0,
            reader: StreamReader::default(),
            timestamp_ms: None,
            first: None,
            verifier: None,
            count: 0,
            last: None,
            view: View::default(),
            is_broken: false,
        }
    }

    /// Whether the end of this block was seen and is this one.
    pub(super) fn is(&self, hash: &B256) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| last == hash)
    }

    /// Takes a slice and executes what it completes; `true` when the block has grown.
    ///
    /// # Errors
    /// Failures of our own disk or state. A wrong block is no error here.
    pub(super) fn take(&mut self, slice: Slice, chain: &Chain, pool: &Transactions) -> Result<bool, ChainError> {
        self.bytes = self.bytes.saturating_add(slice.body.bytes().len());
        if slice.index >= MAX_SLICES || self.bytes > MAX_BLOCK_BYTES {
            self.is_broken = true;
        }
        if self.is_broken || slice.index < self.next {
            return Ok(false);
        }
        self.waiting.insert(slice.index, slice.body);
        while let Some(body) = self.waiting.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            match body {
                SliceBody::Data(data) => self.reader.push(&data),
                SliceBody::Last(header) => self.last = Some((keccak256(&header), header)),
            }
        }
        self.advance(chain, pool)
    }

    /// Executes what is there. To be called again when our view of L1 or the head moved.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn advance(&mut self, chain: &Chain, pool: &Transactions) -> Result<bool, ChainError> {
        let before = self.count;
        match self.execute(chain, pool) {
            Err(error) if error.must_halt() => return Err(error),
            Err(error) => {
                tracing::debug!(leader = %self.leader, %error, "slices cannot be executed");
                self.is_broken = true;
            }
            Ok(()) => {}
        }
        Ok(self.count > before && !self.is_broken)
    }

    fn execute(&mut self, chain: &Chain, pool: &Transactions) -> Result<(), ChainError> {
        if self.is_broken {
            return Ok(());
        }
        self.timestamp_ms = self.timestamp_ms.or_else(|| self.reader.timestamp_ms());
        let Some(timestamp_ms) = self.timestamp_ms else { return Ok(()) };
        if let Some(first) = self.first.take()
            && !self.open(first, timestamp_ms, chain)?
        {
            return Ok(());
        }
        let known = |hash: &B256| pool.sender_of(hash);
        while let Some(item) = self.reader.item().map_err(|_| InvalidBlock::Malformed)? {
            let tx = execution::decode_item(chain.rules(), self.count, item, &known)?;
            if let Some(verifier) = &mut self.verifier {
                verifier.push(&tx)?;
                self.count = self.count.saturating_add(1);
            } else if !self.open(tx, timestamp_ms, chain)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Opens the block; `false` when our view of L1 does not reach its origin yet.
    fn open(&mut self, first: RecoveredTx, timestamp_ms: u64, chain: &Chain) -> Result<bool, ChainError> {
        let mut verifier = match chain.open_verifier(self.leader, timestamp_ms, &first) {
            Err(ChainError::L1Behind(_)) => {
                self.first = Some(first);
                return Ok(false);
            }
            opened => opened?,
        };
        verifier.push(&first)?;
        self.verifier = Some(verifier);
        self.count = 1;
        Ok(true)
    }

    /// What has been executed so far, for RPC.
    pub(super) fn show(&mut self, chain: &Chain) -> Option<PendingBlock> {
        let verifier = self.verifier.as_ref().filter(|_| !self.is_broken)?;
        Some(self.view.show(verifier.builder(), self.count, Arc::new(chain.store().latest_state())))
    }

    /// Closes the block: its roots, and the comparison of everything it claims. `None` when the slices were not all
    /// executed, do not give this block, or its time is after `latest_ms`; then it has to be checked as a whole.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn finish(
        self,
        block: &Bytes,
        latest_ms: u64,
        chain: &Chain,
    ) -> Result<Option<Arc<Candidate>>, ChainError> {
        let (Some(verifier), Some((hash, header))) = (self.verifier, self.last) else { return Ok(None) };
        let is_late = self.timestamp_ms.is_some_and(|timestamp_ms| timestamp_ms > latest_ms);
        if self.is_broken || is_late || !self.waiting.is_empty() || !self.reader.is_empty() {
            return Ok(None);
        }
        let Ok(header) = Header::decode(&mut header.as_ref()) else { return Ok(None) };
        let executed = match verifier.finish(&header, chain.store()).map_err(ChainError::from) {
            Err(error) if error.must_halt() => return Err(error),
            Err(_) => return Ok(None),
            Ok(executed) => executed,
        };
        if executed.hash != hash {
            return Ok(None);
        }
        let candidate = chain.keep(executed);
        Ok((candidate.encoded == *block).then_some(candidate))
    }
}
