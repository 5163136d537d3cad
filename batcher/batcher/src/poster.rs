//! Posts certified batches to the registry.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall, SolInterface};
use l1::contracts::{
    BatchRegistry::{BatchRegistryErrors, submitBatchCall},
    bound,
};
use l1::{BatchPayload, L1Call, SendError, Severity, TransactionSender};

use crate::CertifiedBatch;
use crate::ports::{BatchL1, SubmitError};

/// The way to L1 through a transaction sender.
#[derive(Clone, Debug)]
pub struct RegistryPoster {
    sender: TransactionSender,
    registry: alloy_primitives::Address,
}

impl RegistryPoster {
    /// A poster to one registry.
    #[must_use]
    pub const fn new(sender: TransactionSender, registry: alloy_primitives::Address) -> Self {
        Self { sender, registry }
    }
}

/// The call that posts a batch.
///
/// # Errors
/// The channel does not fit its form.
pub fn submit_call(
    batch: &CertifiedBatch,
    registry: alloy_primitives::Address,
) -> Result<L1Call, derivation::FrameError> {
    let (blobs, data) = match batch.da.payload(&batch.channel)? {
        BatchPayload::Blobs(blobs) => (blobs, Default::default()),
        BatchPayload::Calldata(data) => (Vec::new(), data),
    };
    let call = submitBatchCall {
        header: bound(&batch.header),
        members: batch.certificate.members.clone(),
        bitmap: batch.certificate.bitmap,
        signatures: batch.certificate.signatures.clone(),
        data,
    };
    Ok(L1Call { to: Some(registry), input: call.abi_encode().into(), blobs, ..Default::default() })
}

#[async_trait::async_trait]
impl BatchL1 for RegistryPoster {
    async fn submit(&self, batch: &CertifiedBatch) -> Result<(), SubmitError> {
        let call = submit_call(batch, self.registry).map_err(|error| SubmitError::Refused(error.to_string()))?;
        match self.sender.send(call).await {
            Ok(receipt) => {
                tracing::info!(
                    batch = batch.header.index,
                    l1_block = receipt.block_number,
                    gas = receipt.gas_used,
                    "batch posted"
                );
                Ok(())
            }
            Err(SendError::Reverts { message, data }) => {
                Err(SubmitError::Refused(refusal(data.as_ref()).unwrap_or(message)))
            }
            Err(error @ SendError::Reverted(_)) => Err(SubmitError::Refused(error.to_string())),
            Err(error) if error.severity() == Severity::Reject => Err(SubmitError::Refused(error.to_string())),
            Err(error) => Err(SubmitError::Temporary(error.to_string())),
        }
    }
}

/// The registry's error by name and arguments.
#[must_use]
pub fn refusal(data: Option<&Bytes>) -> Option<String> {
    BatchRegistryErrors::abi_decode(data?).ok().map(|error| format!("{error:?}"))
}
