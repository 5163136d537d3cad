//! Reading blocks, receipts, transactions and certificates.

use std::sync::Arc;

use alloy_consensus::{Header, Sealed, TxReceipt};
use alloy_primitives::{Address, B256, Bytes};
use op_alloy_consensus::OpReceiptEnvelope;
use protocol::{Block, CommitCertificate, Height};

use crate::{
    Store, StoreError,
    chain::Inner,
    codec,
    schema::{BODIES, CERTIFICATES, CODE, HEADERS, HEIGHTS, RECEIPTS, SENDERS, TRANSACTIONS, height_key, read_u64},
};

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLocation {
    /// Height of its block.
    pub height: u64,
    /// Position in the block.
    pub index: usize,
}

/// A receipt with what follows from its neighbours in the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionReceipt {
    /// Where the transaction stands.
    pub location: TransactionLocation,
    /// Gas this transaction used.
    pub gas_used: u64,
    /// Index in the block of its first log.
    pub first_log_index: usize,
    /// The receipt itself.
    pub receipt: OpReceiptEnvelope,
}

/// Refuses what is below the kept part. The genesis block always stays.
const fn check_kept(height: u64, kept_from: u64) -> Result<(), StoreError> {
    if height != 0 && height < kept_from { Err(StoreError::PrunedHistory { height, kept_from }) } else { Ok(()) }
}

impl Inner {
    pub(crate) fn receipts(&self, height: u64) -> Result<Option<Arc<Vec<OpReceiptEnvelope>>>, StoreError> {
        if let Some(receipts) = self.receipts.lock().get(&height) {
            return Ok(Some(Arc::clone(receipts)));
        }
        let Some(bytes) = self.get(RECEIPTS, &height_key(height))? else { return Ok(None) };
        let receipts = Arc::new(codec::decode_receipts(&bytes)?);
        self.receipts.lock().put(height, Arc::clone(&receipts));
        Ok(Some(receipts))
    }
}

impl Store {
    /// The header at a height.
    ///
    /// # Errors
    /// The disk.
    pub fn header(&self, height: u64) -> Result<Option<Arc<Sealed<Header>>>, StoreError> {
        let inner = self.inner();
        if let Some(header) = inner.headers.lock().get(&height) {
            return Ok(Some(Arc::clone(header)));
        }
        let Some(bytes) = inner.get(HEADERS, &height_key(height))? else { return Ok(None) };
        let header = Arc::new(codec::decode_header(&bytes)?);
        inner.headers.lock().put(height, Arc::clone(&header));
        Ok(Some(header))
    }

    /// The block hash at a height.
    ///
    /// # Errors
    /// The disk.
    pub fn block_hash(&self, height: u64) -> Result<Option<B256>, StoreError> {
        Ok(self.header(height)?.map(|header| header.hash()))
    }

    /// The height of a block.
    ///
    /// # Errors
    /// The disk.
    pub fn height_of(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        self.inner().get(HEIGHTS, hash.as_slice())?.map(|bytes| read_u64(&bytes)).transpose()
    }

    /// The block at a height, with its hash.
    ///
    /// # Errors
    /// [`StoreError::PrunedHistory`]; the disk.
    pub fn block(&self, height: u64) -> Result<Option<Arc<Sealed<Block>>>, StoreError> {
        let inner = self.inner();
        check_kept(height, self.kept().bodies)?;
        if let Some(block) = inner.blocks.lock().get(&height) {
            return Ok(Some(Arc::clone(block)));
        }
        let Some(header) = self.header(height)? else { return Ok(None) };
        let body = inner.get(BODIES, &height_key(height))?;
        // Pruning may have overtaken us.
        check_kept(height, self.kept().bodies)?;
        let body = body.ok_or_else(|| StoreError::Corrupt(format!("the body of block {height} is missing")))?;
        let block = Block { header: header.inner().clone(), body: codec::decode_body(&body)? };
        let block = Arc::new(Sealed::new_unchecked(block, header.hash()));
        inner.blocks.lock().put(height, Arc::clone(&block));
        Ok(Some(block))
    }

    /// Senders of the transactions of a block read here, in order; `None` for a block that was stored without them: they must be
    /// recovered. Not cached: callers keep what they make of them.
    ///
    /// # Errors
    /// The disk.
    pub fn senders(&self, block: &Block) -> Result<Option<Vec<Address>>, StoreError> {
        let height = block.header.number;
        let Some(bytes) = self.inner().get(SENDERS, &height_key(height))? else { return Ok(None) };
        let senders = codec::decode_senders(&bytes)?;
        if senders.len() != block.body.transactions.len() {
            return Err(StoreError::Corrupt(format!("block {height} has another number of senders than transactions")));
        }
        Ok(Some(senders))
    }

    /// The block with a hash.
    ///
    /// # Errors
    /// The disk.
    pub fn block_by_hash(&self, hash: &B256) -> Result<Option<Arc<Sealed<Block>>>, StoreError> {
        self.height_of(hash)?.map_or(Ok(None), |height| self.block(height))
    }

    /// The receipts of a block, in the order of its transactions.
    ///
    /// # Errors
    /// [`StoreError::PrunedHistory`]; the disk.
    pub fn receipts(&self, height: u64) -> Result<Option<Arc<Vec<OpReceiptEnvelope>>>, StoreError> {
        check_kept(height, self.kept().receipts)?;
        let found = self.inner().receipts(height)?;
        // Pruning may have overtaken us.
        check_kept(height, self.kept().receipts)?;
        Ok(found)
    }

    /// Where a transaction stands, if it is in a committed block.
    ///
    /// # Errors
    /// The disk.
    pub fn transaction(&self, hash: &B256) -> Result<Option<TransactionLocation>, StoreError> {
        let Some(bytes) = self.inner().get(TRANSACTIONS, hash.as_slice())? else { return Ok(None) };
        let malformed = || StoreError::Corrupt("a transaction's location is malformed".into());
        let (height, index) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
        let index = index.try_into().map(u32::from_be_bytes).map_err(|_| malformed())?;
        let index = usize::try_from(index).map_err(|_| malformed())?;
        Ok(Some(TransactionLocation { height: u64::from_be_bytes(*height), index }))
    }

    /// The receipt of a transaction, if it is in a committed block.
    ///
    /// # Errors
    /// The disk.
    pub fn receipt(&self, hash: &B256) -> Result<Option<TransactionReceipt>, StoreError> {
        let Some(location) = self.transaction(hash)? else { return Ok(None) };
        let receipts = self.receipts(location.height)?;
        let missing = || StoreError::Corrupt(format!("the receipt of transaction {hash} is missing"));
        let receipts = receipts.ok_or_else(missing)?;
        let (before, rest) = receipts.split_at_checked(location.index).ok_or_else(missing)?;
        let receipt = rest.first().ok_or_else(missing)?.clone();
        let gas_before = before.last().map_or(0, TxReceipt::cumulative_gas_used);
        Ok(Some(TransactionReceipt {
            location,
            gas_used: receipt.cumulative_gas_used().saturating_sub(gas_before),
            first_log_index: before.iter().map(|receipt| receipt.logs().len()).sum(),
            receipt,
        }))
    }

    /// The certificate that decided a block; `None` for genesis and blocks derived from L1.
    ///
    /// # Errors
    /// The disk.
    pub fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, StoreError> {
        let bytes = self.inner().get(CERTIFICATES, &height_key(height.0))?;
        bytes.map(|bytes| codec::decode(&bytes, "certificate")).transpose()
    }

    /// Contract code by its keccak.
    ///
    /// # Errors
    /// The disk.
    pub fn code(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        let inner = self.inner();
        if let Some(code) = inner.codes.lock().get(hash) {
            return Ok(Some(code.clone()));
        }
        let Some(code) = inner.get(CODE, hash.as_slice())? else { return Ok(None) };
        let code = Bytes::from(code);
        inner.codes.lock().put(*hash, code.clone());
        Ok(Some(code))
    }
}
