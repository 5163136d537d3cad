//! A small JSON-RPC client that sees a node as a wallet does, with a timeout on every call.

use std::{borrow::Cow, time::Duration};

use alloy::{
    primitives::{Address, B256, Bytes, U64, U256},
    providers::{Provider, RootProvider},
    rpc::json_rpc::{RpcRecv, RpcSend},
};
use eyre::{Result, WrapErr, eyre};
use serde::Deserialize;
use serde_json::json;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Rpc {
    /// Where it is.
    pub url: String,
    provider: RootProvider,
}

/// A block as far as scenarios look.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockView {
    /// Hash.
    pub hash: B256,
    /// State after the block.
    pub state_root: B256,
    timestamp: U64,
    extra_data: Bytes,
    /// Hashes of its transactions.
    pub transactions: Vec<B256>,
}

impl BlockView {
    /// Time in milliseconds: seconds from the header, the rest from its extra data.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        let rest = self.extra_data.get(1..3).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_be_bytes);
        self.timestamp.to::<u64>().saturating_mul(1_000).saturating_add(rest.into())
    }

    /// Who built it.
    #[must_use]
    pub fn leader(&self) -> Option<Address> {
        self.extra_data.get(3..23).map(Address::from_slice)
    }
}

/// A receipt as far as scenarios look.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptView {
    /// Transaction.
    pub transaction_hash: B256,
    block_number: U64,
    /// Block.
    pub block_hash: B256,
    status: U64,
    #[serde(rename = "type")]
    kind: U64,
    gas_used: U64,
    effective_gas_price: U256,
    #[serde(default)]
    l1_fee: U256,
    /// Created contract.
    pub contract_address: Option<Address>,
}

impl ReceiptView {
    /// Height of its block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.block_number.to()
    }

    /// Whether its block is not decided yet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.block_hash.is_zero()
    }

    /// Whether this is what a decided receipt said before its block was decided.
    #[must_use]
    pub fn is_provision_of(&self, decided: &Self) -> bool {
        Self { block_hash: decided.block_hash, ..self.clone() } == *decided
    }

    /// Whether the transaction did what it wanted.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.to::<u64>() == 1
    }

    /// Transaction type.
    #[must_use]
    pub fn kind(&self) -> u64 {
        self.kind.to()
    }

    /// All fees of the transaction in wei.
    #[must_use]
    pub fn fee(&self) -> U256 {
        self.effective_gas_price.saturating_mul(U256::from(self.gas_used)).saturating_add(self.l1_fee)
    }
}

/// A head of `horae_syncStatus`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct HeadView {
    number: U64,
}

impl HeadView {
    /// Height or L1 number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.to()
    }
}

/// The turn of the next height.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnView {
    first_height: U64,
    last_height: U64,
    /// Scheduled leader.
    pub leader: Address,
    /// Who leads the next height.
    pub leads_now: Option<Address>,
}

impl TurnView {
    /// First height of the turn.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first_height.to()
    }

    /// Last height of the turn.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last_height.to()
    }
}

/// `horae_syncStatus`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    /// Committed.
    pub latest: HeadView,
    /// On L1.
    pub safe: HeadView,
    /// Final on L1.
    pub finalized: HeadView,
    /// Newest L1 block seen.
    pub l1_head: HeadView,
    /// Newest final L1 block seen.
    pub l1_finalized: HeadView,
    epoch: U64,
    /// Current turn.
    pub turn: Option<TurnView>,
    peers: U64,
}

impl StatusView {
    /// Connected peers.
    #[must_use]
    pub fn peers(&self) -> u64 {
        self.peers.to()
    }

    /// Epoch of the next height.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.to()
    }
}

/// One turn of `horae_schedule`.
#[derive(Clone, Debug, Deserialize)]
pub struct ScheduleView {
    /// The turns of the epoch.
    pub turns: Vec<TurnView>,
}

/// A batch of `horae_batch`, as far as people look.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchView {
    index: U64,
    signed_weight: Option<U64>,
    total_weight: Option<U64>,
}

impl BatchView {
    /// Index, signed weight, total weight.
    #[must_use]
    pub fn figures(&self) -> (u64, Option<u64>, Option<u64>) {
        (self.index.to(), self.signed_weight.map(|w| w.to()), self.total_weight.map(|w| w.to()))
    }
}

impl Rpc {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn new(url: &str) -> Result<Self> {
        let parsed = url.parse().map_err(|_| eyre!("malformed URL {url}"))?;
        Ok(Self { url: url.to_owned(), provider: RootProvider::new_http(parsed) })
    }

    /// Any call.
    ///
    /// # Errors
    /// No answer in time, an error answer, or an answer of another shape.
    pub async fn call<T: RpcRecv>(&self, method: &'static str, params: impl RpcSend) -> Result<T> {
        let request = self.provider.raw_request(Cow::Borrowed(method), params);
        let answer = tokio::time::timeout(TIMEOUT, request).await;
        answer
            .map_err(|_| eyre!("{method}: no answer from {}", self.url))?
            .wrap_err_with(|| format!("{method} at {}", self.url))
    }

    /// `latest` height.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn height(&self) -> Result<u64> {
        Ok(self.call::<U64>("eth_blockNumber", ()).await?.to())
    }

    /// A block by height; `None` above the head.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn block(&self, height: u64) -> Result<Option<BlockView>> {
        self.call("eth_getBlockByNumber", (U64::from(height), false)).await
    }

    /// The receipt of a decided transaction.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn receipt(&self, hash: B256) -> Result<Option<ReceiptView>> {
        self.call("eth_getTransactionReceipt", (hash,)).await
    }

    /// The receipt of a transaction that is decided, or in the pending block.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn first_receipt(&self, hash: B256) -> Result<Option<ReceiptView>> {
        self.call("eth_getTransactionReceipt", (hash, "pending")).await
    }

    /// Sends a signed transaction.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn send(&self, raw: &Bytes) -> Result<B256> {
        self.call("eth_sendRawTransaction", (raw,)).await
    }

    /// Balance at a height.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn balance(&self, account: Address, height: u64) -> Result<U256> {
        self.call("eth_getBalance", (account, U64::from(height))).await
    }

    /// Transactions of an account, pending ones included.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn nonce(&self, account: Address) -> Result<u64> {
        Ok(self.call::<U64>("eth_getTransactionCount", (account, "pending")).await?.to())
    }

    /// Result of a call at `latest`.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn eth_call(&self, to: Address, input: Bytes) -> Result<Bytes> {
        self.call("eth_call", (json!({ "to": to, "input": input }), "latest")).await
    }

    /// The node at a glance.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn status(&self) -> Result<StatusView> {
        self.call("horae_syncStatus", ()).await
    }

    /// Turns of an epoch; `None` when not known yet.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn schedule(&self, epoch: u64) -> Result<Option<ScheduleView>> {
        self.call("horae_schedule", (U64::from(epoch),)).await
    }

    /// The newest batch.
    ///
    /// # Errors
    /// As [`Rpc::call`].
    pub async fn newest_batch(&self) -> Result<Option<BatchView>> {
        self.call("horae_batch", ("latest",)).await
    }
}
