//! A transaction whose sender has been recovered: checked once, at the edge, and never again.

use alloy_primitives::{Address, B256, Bytes};
use op_alloy_consensus::OpTxEnvelope;

/// A decoded transaction with its sender. Built by `execution::recover`, which owns the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredTx {
    /// The transaction.
    pub envelope: OpTxEnvelope,
    /// Who signed it (for a deposit: who sent it on L1).
    pub sender: Address,
    /// Its hash.
    pub hash: B256,
    /// Its EIP-2718 encoding, byte for byte as received.
    pub encoded: Bytes,
}
