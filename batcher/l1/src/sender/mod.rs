//! Delivers transactions to L1: one at a time, one nonce at a time, with rising fees until one is in a block.
//!
//! The account belongs to this sender alone. The nonce is read from the latest block before each transaction, so a
//! refused transaction leaves no gap and a reorg that drops one gives its nonce back.

mod fees;

use std::time::Duration;

use alloy::consensus::{
    EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar, TxEnvelope,
};
use alloy::eips::eip2718::Encodable2718;
use alloy::eips::eip4844::{Blob, DATA_GAS_PER_BLOB};
use alloy::eips::eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant};
use alloy::network::TxSignerSync;
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use tokio::sync::{mpsc, oneshot};

use crate::{L1Client, L1Error, Severity, Tag};
use fees::{Consumption, Fees};

/// Transactions waiting for their turn.
const MAX_QUEUED: usize = 16;
/// Attempts at one nonce.
const MAX_ATTEMPTS: usize = 8;
/// Looks in a row that find the nonce used but none of our receipts, before another sender is blamed: nodes count a
/// transaction a moment before they show its receipt.
const MAX_UNSEEN_LOOKS: u32 = 10;
/// Time between looks at the account's balance, which operators watch.
const BALANCE_INTERVAL: Duration = Duration::from_secs(60);
const WEI_PER_ETHER: f64 = 1e18;
/// EIP-7825: gas of one transaction.
const MAX_GAS: u64 = protocol::limits::MAX_TRANSACTION_GAS;

/// A transaction to deliver.
#[derive(Clone, Debug, Default)]
pub struct L1Call {
    /// The contract, or none to create one.
    pub to: Option<Address>,
    /// Calldata or init code.
    pub input: Bytes,
    /// Wei to send along.
    pub value: U256,
    /// Blobs to carry.
    pub blobs: Vec<Blob>,
    /// Gas limit; estimated when absent.
    pub gas_limit: Option<u64>,
}

/// How to deliver.
#[derive(Clone, Copy, Debug)]
pub struct SenderConfig {
    /// Time without inclusion after which fees rise.
    pub resubmit_after: Duration,
    /// Time between looks for the receipt.
    pub poll_interval: Duration,
    /// Most one transaction may cost, in wei.
    pub spending_cap: U256,
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            resubmit_after: Duration::from_secs(36),
            poll_interval: Duration::from_millis(500),
            spending_cap: U256::from(1_000_000_000_000_000_000u128),
        }
    }
}

/// Why a transaction was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// L1 is away, or refused for a reason of its own.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// The contract refuses the call at the latest block.
    #[error("the call reverts: {message}")]
    Reverts {
        /// The node's text.
        message: String,
        /// Revert data.
        data: Option<Bytes>,
    },
    /// The call was included and reverted.
    #[error("transaction {0} reverted")]
    Reverted(B256),
    /// The account cannot pay.
    #[error("account {0} lacks funds")]
    Funds(Address),
    /// Fees rose above the cap.
    #[error("transaction would cost {cost} wei, the cap is {cap}")]
    SpendingCap {
        /// Worst case.
        cost: U256,
        /// Configured maximum.
        cap: U256,
    },
    /// Another transaction took the nonce.
    #[error("nonce {0} was used by another transaction")]
    NonceTaken(u64),
    /// All attempts passed without inclusion.
    #[error("not included after {MAX_ATTEMPTS} attempts")]
    Timeout,
    /// Too many transactions wait.
    #[error("the queue of {MAX_QUEUED} transactions is full")]
    QueueFull,
    /// The sender task has ended.
    #[error("the sender has stopped")]
    Stopped,
    /// The key failed to sign.
    #[error("signing failed")]
    Signing,
}

impl SendError {
    /// What to do about it.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::L1(error) => error.severity(),
            Self::Funds(_) | Self::SpendingCap { .. } | Self::NonceTaken(_) | Self::Timeout | Self::QueueFull => {
                Severity::Retry
            }
            Self::Reverts { .. } | Self::Reverted(_) => Severity::Reject,
            Self::Stopped | Self::Signing => Severity::Halt,
        }
    }
}

type Job = (L1Call, oneshot::Sender<Result<TransactionReceipt, SendError>>);

/// A handle to the sender task.
#[derive(Clone, Debug)]
pub struct TransactionSender {
    jobs: mpsc::Sender<Job>,
    address: Address,
}

impl TransactionSender {
    /// Starts the task for one account. It ends when the last handle is dropped.
    pub fn spawn(client: L1Client, key: PrivateKeySigner, config: SenderConfig) -> Self {
        let (jobs, mut queue) = mpsc::channel::<Job>(MAX_QUEUED);
        let address = key.address();
        let delivery = Delivery { client, key, config };
        tokio::spawn(async move {
            let mut look = tokio::time::interval(BALANCE_INTERVAL);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                let (call, done) = tokio::select! {
                    job = queue.recv() => match job {
                        Some(job) => job,
                        None => break,
                    },
                    _ = look.tick() => {
                        delivery.show_balance().await;
                        continue;
                    }
                };
                let result = delivery.deliver(call).await;
                if let Err(error) = &result {
                    tracing::warn!(%error, "L1 transaction not delivered");
                }
                // The caller may have gone; the transaction is delivered all the same.
                let _ = done.send(result);
            }
        });
        Self { jobs, address }
    }

    /// The account that pays.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Delivers a transaction; returns when it is in a block of the latest chain. A reorg may still drop it.
    pub async fn send(&self, call: L1Call) -> Result<TransactionReceipt, SendError> {
        let (done, result) = oneshot::channel();
        self.jobs.try_send((call, done)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => SendError::Stopped,
        })?;
        result.await.map_err(|_| SendError::Stopped)?
    }
}

struct Delivery {
    client: L1Client,
    key: PrivateKeySigner,
    config: SenderConfig,
}

/// A call with everything that stays the same over its attempts.
struct Prepared {
    call: L1Call,
    sidecar: Option<BlobTransactionSidecarEip7594>,
    chain_id: u64,
    nonce: u64,
    consumption: Consumption,
}

impl Delivery {
    async fn show_balance(&self) {
        match self.client.balance(self.key.address()).await {
            Ok(wei) => metrics::gauge!("horae_l1_payer_balance_ether").set(f64::from(wei) / WEI_PER_ETHER),
            Err(error) => tracing::debug!(%error, "the balance on L1 is not known"),
        }
    }

    async fn deliver(&self, call: L1Call) -> Result<TransactionReceipt, SendError> {
        let mut fees = self.fresh_fees().await?;
        let prepared = self.prepare(call, fees).await?;
        let mut sent = Vec::new();
        for attempt in 0..MAX_ATTEMPTS {
            fees.check_cap(&prepared.consumption, self.config.spending_cap)?;
            let (hash, encoded) = self.sign(&prepared, fees)?;
            tracing::debug!(%hash, attempt, nonce = prepared.nonce, ?fees, "sending L1 transaction");
            match self.client.send_raw(&encoded).await {
                Ok(()) => sent.push(hash),
                Err(L1Error::Refused { message, .. }) if is_underpriced(&message) => {
                    // Something unknown waits at this nonce, perhaps from before a restart: outbid it at once.
                    if sent.is_empty() {
                        fees = self.raise(fees, &prepared).await;
                        continue;
                    }
                }
                // Included between two looks, or taken by another: the look below tells.
                Err(L1Error::Refused { message, .. }) if is_nonce_low(&message) => {}
                Err(L1Error::Refused { message, .. }) if is_poor(&message) => {
                    return Err(SendError::Funds(self.key.address()));
                }
                Err(error) if error.severity() == Severity::Retry => tracing::debug!(%error, "L1 transaction not sent"),
                Err(error) => return Err(error.into()),
            }
            if let Some(receipt) = self.wait(&prepared, &sent).await? {
                return if receipt.status() { Ok(receipt) } else { Err(SendError::Reverted(receipt.transaction_hash)) };
            }
            fees = self.raise(fees, &prepared).await;
        }
        Err(SendError::Timeout)
    }

    async fn raise(&self, fees: Fees, prepared: &Prepared) -> Fees {
        metrics::counter!("horae_l1_resubmissions_total").increment(1);
        let fresh = self.fresh_fees().await.unwrap_or_default();
        fees.replacement(fresh, prepared.sidecar.is_some())
    }

    async fn fresh_fees(&self) -> Result<Fees, L1Error> {
        let head = self.client.header_at_tag(Tag::Latest).await?.origin;
        let tip = self.client.priority_fee().await?;
        Ok(Fees::first(head.base_fee, head.blob_base_fee, tip))
    }

    async fn prepare(&self, mut call: L1Call, fees: Fees) -> Result<Prepared, SendError> {
        let blobs = std::mem::take(&mut call.blobs);
        let blob_gas = DATA_GAS_PER_BLOB.saturating_mul(blobs.len() as u64);
        let sidecar = if blobs.is_empty() {
            None
        } else {
            let made = tokio::task::spawn_blocking(move || crate::sidecar(blobs)).await;
            Some(made.map_err(|_| SendError::Stopped)??)
        };
        let gas = match call.gas_limit {
            Some(gas) => gas,
            None => self.estimate(&call, sidecar.as_ref(), fees).await?,
        };
        let consumption = Consumption { gas, blob_gas, value: call.value };
        let chain_id = self.client.chain_id().await?;
        let nonce = self.client.nonce(self.key.address()).await?;
        Ok(Prepared { call, sidecar, chain_id, nonce, consumption })
    }

    /// Asks the node, and adds a fifth: state may move before inclusion.
    async fn estimate(
        &self,
        call: &L1Call,
        sidecar: Option<&BlobTransactionSidecarEip7594>,
        fees: Fees,
    ) -> Result<u64, SendError> {
        let mut request = TransactionRequest {
            from: Some(self.key.address()),
            to: Some(call.to.map_or(TxKind::Create, TxKind::Call)),
            value: Some(call.value),
            input: TransactionInput::new(call.input.clone()),
            ..Default::default()
        };
        if let Some(sidecar) = sidecar {
            request.blob_versioned_hashes = Some(sidecar.versioned_hashes().collect());
            request.max_fee_per_blob_gas = Some(fees.blob_fee);
            request.transaction_type = Some(3);
        }
        match self.client.estimate_gas(&request).await {
            Ok(gas) => Ok(gas.saturating_add(gas / 5).min(MAX_GAS)),
            Err(L1Error::Refused { message, .. }) if is_poor(&message) => Err(SendError::Funds(self.key.address())),
            Err(L1Error::Refused { message, data, .. }) => Err(SendError::Reverts { message, data }),
            Err(error) => Err(error.into()),
        }
    }

    fn sign(&self, prepared: &Prepared, fees: Fees) -> Result<(B256, Vec<u8>), SendError> {
        let Prepared { call, sidecar, chain_id, nonce, consumption } = prepared;
        let (chain_id, nonce, gas_limit) = (*chain_id, *nonce, consumption.gas);
        let Fees { max_fee: max_fee_per_gas, tip: max_priority_fee_per_gas, blob_fee } = fees;
        let Some(sidecar) = sidecar else {
            let to = call.to.map_or(TxKind::Create, TxKind::Call);
            let mut tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value: call.value,
                input: call.input.clone(),
                ..Default::default()
            };
            let signature = self.key.sign_transaction_sync(&mut tx).map_err(|_| SendError::Signing)?;
            let envelope = TxEnvelope::Eip1559(tx.into_signed(signature));
            return Ok((*envelope.tx_hash(), envelope.encoded_2718()));
        };
        let tx = TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: call.to.ok_or(SendError::Signing)?,
            value: call.value,
            access_list: Default::default(),
            blob_versioned_hashes: sidecar.versioned_hashes().collect(),
            max_fee_per_blob_gas: blob_fee,
            input: call.input.clone(),
        };
        let sidecar = BlobTransactionSidecarVariant::Eip7594(sidecar.clone());
        let mut tx = TxEip4844WithSidecar::from_tx_and_sidecar(tx, sidecar);
        let signature = self.key.sign_transaction_sync(&mut tx).map_err(|_| SendError::Signing)?;
        let signed = tx.into_signed(signature);
        let hash = *signed.hash();
        Ok((hash, EthereumTxEnvelope::Eip4844(signed).encoded_2718()))
    }

    /// Looks for the receipt of any attempt until the next is due.
    async fn wait(&self, prepared: &Prepared, sent: &[B256]) -> Result<Option<TransactionReceipt>, SendError> {
        let deadline = tokio::time::Instant::now() + self.config.resubmit_after;
        let mut unseen = 0u32;
        loop {
            // The nonce is read before the receipts: a receipt can then not appear unseen between the two.
            let used = self.client.nonce(self.key.address()).await.is_ok_and(|nonce| nonce > prepared.nonce);
            for hash in sent {
                match self.client.receipt(*hash).await {
                    Ok(Some(receipt)) => return Ok(Some(receipt)),
                    Err(error) if error.severity() == Severity::Halt => return Err(error.into()),
                    Ok(None) | Err(_) => {}
                }
            }
            unseen = if used { unseen.saturating_add(1) } else { 0 };
            if unseen >= MAX_UNSEEN_LOOKS {
                return Err(SendError::NonceTaken(prepared.nonce));
            }
            if unseen == 0 && tokio::time::Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(self.config.poll_interval).await;
        }
    }
}

fn is_underpriced(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("underpriced") || message.contains("less than block base fee")
}

fn is_nonce_low(message: &str) -> bool {
    message.to_ascii_lowercase().contains("nonce too low")
}

fn is_poor(message: &str) -> bool {
    message.to_ascii_lowercase().contains("insufficient funds")
}
