//! What L1 says: the batches its registry accepted, and deposits into its queue.

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
    rpc::types::Filter,
};
use alloy_sol_types::{SolCall, SolEvent};
use eyre::{Result, WrapErr, eyre};
use l1::{
    L1Call, SenderConfig, TransactionSender,
    contracts::{BatchRegistry, DevnetMetis, Portal, bound},
};
use protocol::{BatchHeader, SequencerSet};

use crate::{keys, network::Network};

/// An accepted batch as L1's log shows it.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// What was signed.
    pub header: BatchHeader,
    /// Struct hash of the header.
    pub hash: B256,
    /// Who signed.
    pub bitmap: U256,
    /// Data in blobs.
    pub blobs: bool,
    /// L1 block.
    pub l1_number: u64,
    /// L1 transaction.
    pub transaction: B256,
}

impl Accepted {
    /// Weight of its signers.
    #[must_use]
    pub fn weight(&self, set: &SequencerSet) -> u64 {
        let members = set.members().iter().enumerate();
        members.filter(|(index, _)| self.bitmap.bit(*index)).map(|(_, member)| member.weight.0).sum()
    }
}

/// All accepted batches on the L1 chain of this moment.
///
/// # Errors
/// L1 does not answer.
pub async fn accepted(network: &Network) -> Result<Vec<Accepted>> {
    let filter = Filter::new()
        .address(network.genesis.l1.batch_registry)
        .event_signature(BatchRegistry::BatchSubmitted::SIGNATURE_HASH)
        .from_block(network.genesis.origin.number);
    let logs = network.l1()?.logs(&filter).await?;
    let mut found = Vec::new();
    for log in logs {
        let event = BatchRegistry::BatchSubmitted::decode_log(&log.inner).wrap_err("BatchSubmitted")?;
        found.push(Accepted {
            header: bound(&event.data.header),
            hash: event.data.batchHash,
            bitmap: event.data.bitmap,
            blobs: event.data.blobs,
            l1_number: log.block_number.ok_or_else(|| eyre!("a log without a block"))?,
            transaction: log.transaction_hash.ok_or_else(|| eyre!("a log without a transaction"))?,
        });
    }
    Ok(found)
}

/// Who paid for an L1 transaction.
///
/// # Errors
/// L1 does not know it.
pub async fn sender_of(network: &Network, transaction: B256) -> Result<Address> {
    let found = network.l1()?.transaction(transaction).await?;
    Ok(found.inner.signer())
}

/// Newest L1 block number.
///
/// # Errors
/// L1 does not answer.
pub async fn l1_number(network: &Network) -> Result<u64> {
    Ok(network.l1()?.provider().get_block_number().await?)
}

/// Deposits METIS for `to` on L2: minted to the deployer on L1, locked in the queue.
///
/// # Errors
/// L1 refuses.
pub async fn deposit(network: &Network, to: Address, amount: U256) -> Result<()> {
    let deployer = keys::derived("deployer")?;
    let contracts = &network.genesis.l1;
    let config = SenderConfig { poll_interval: std::time::Duration::from_millis(20), ..SenderConfig::default() };
    let sender = TransactionSender::spawn(network.l1()?, deployer.clone(), config);
    let mint = DevnetMetis::mintCall { to: deployer.address(), amount };
    let approve = DevnetMetis::approveCall { spender: contracts.portal, value: amount };
    let deposit = Portal::depositERC20TransactionCall {
        to,
        mint: amount,
        value: amount,
        gasLimit: 100_000,
        isCreation: false,
        data: Bytes::new(),
    };
    let calls = [
        (contracts.metis, mint.abi_encode()),
        (contracts.metis, approve.abi_encode()),
        (contracts.portal, deposit.abi_encode()),
    ];
    for (target, input) in calls {
        sender
            .send(L1Call { to: Some(target), input: input.into(), ..Default::default() })
            .await
            .wrap_err("deposit")?;
    }
    Ok(())
}

/// Asks the registry, without sending anything, what it would say to a batch: `Err` carries its revert data.
///
/// # Errors
/// L1 does not answer.
pub async fn would_accept(
    network: &Network,
    call: &BatchRegistry::submitBatchCall,
    from: Address,
) -> Result<Result<(), Bytes>> {
    let request = alloy::rpc::types::TransactionRequest::default()
        .from(from)
        .to(network.genesis.l1.batch_registry)
        .input(Bytes::from(call.abi_encode()).into());
    match network.l1()?.provider().call(request).await {
        Ok(_) => Ok(Ok(())),
        Err(error) => match error.as_error_resp().and_then(|response| response.as_revert_data()) {
            Some(data) => Ok(Err(data)),
            None => Err(error).wrap_err("eth_call of submitBatch"),
        },
    }
}
