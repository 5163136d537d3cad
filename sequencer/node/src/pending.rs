//! The pending block: the head plus what the leader has streamed of the next block, executed here.

use std::sync::Arc;

use alloy_consensus::{Header, transaction::Recovered};
use alloy_primitives::{B256, Bloom, Sealed};
use execution::{BlockBuilder, L1Attributes, PendingState};
use protocol::state::StateReader;
use rpc::{BlockRecord, ReceiptRecord, SealedHeader};

use crate::{epochs, views};

/// A block that is not decided yet. Its roots are not known, and its hash is zero, as flashblock clients expect.
#[derive(Clone, Debug)]
pub struct PendingBlock {
    /// The block with senders.
    pub block: Arc<BlockRecord>,
    /// One for each transaction.
    pub receipts: Arc<Vec<ReceiptRecord>>,
    /// The state after its last transaction.
    pub state: Arc<PendingState>,
}

impl PendingBlock {
    /// Its height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.block.number()
    }

    /// Its header as far as it is known.
    #[must_use]
    pub fn header(&self) -> &SealedHeader {
        &self.block.header
    }

    /// Place of a transaction.
    #[must_use]
    pub fn position(&self, hash: B256) -> Option<usize> {
        self.block.transactions.iter().position(|tx| tx.tx_hash() == hash)
    }
}

/// What RPC shows of an open block, grown with it.
#[derive(Default)]
pub struct View {
    attributes: Option<L1Attributes>,
    transactions: Vec<rpc::RecoveredTransaction>,
    receipts: Vec<ReceiptRecord>,
    bloom: Bloom,
}

impl View {
    /// Takes in what the block has got since the last call and shows it on top of `parent`. Of the deposits a block is
    /// opened with only `arrived` are shown.
    pub fn show(&mut self, builder: &BlockBuilder, arrived: usize, parent: Arc<dyn StateReader>) -> PendingBlock {
        let known = self.transactions.len();
        let fresh = builder.transactions().iter().zip(builder.senders()).zip(builder.receipts());
        for ((tx, sender), receipt) in fresh.take(arrived).skip(known) {
            if self.attributes.is_none() {
                self.attributes = epochs::attributes_in(builder.transactions(), builder.header().mix_hash);
            }
            self.transactions.push(Recovered::new_unchecked(tx.clone(), *sender));
            self.receipts.push(views::receipt_record(self.attributes.as_ref(), tx, receipt));
            self.bloom |= *receipt.logs_bloom();
        }
        let header = Header { logs_bloom: self.bloom, ..builder.header().clone() };
        let block =
            BlockRecord { header: Sealed::new_unchecked(header, B256::ZERO), transactions: self.transactions.clone() };
        PendingBlock {
            block: Arc::new(block),
            receipts: Arc::new(self.receipts.clone()),
            state: Arc::new(PendingState::new(parent, Arc::new(builder.diff()))),
        }
    }
}
