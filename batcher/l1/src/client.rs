//! JSON-RPC to one L1 node, with a timeout on every request and a bounded number of attempts.

use std::future::IntoFuture;
use std::time::Duration;

use alloy::consensus::BlockHeader;
use alloy::eips::BlockNumberOrTag;
use alloy::eips::eip7840::BlobParams;
use alloy::network::Ethereum;
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::types::{Block, Filter, Log, Transaction, TransactionReceipt, TransactionRequest};
use alloy::transports::TransportResult;
use alloy_primitives::{Address, B256, Bloom, BloomInput, Bytes, U256};
use alloy_sol_types::SolCall;
use protocol::L1Origin;

use crate::L1Error;

/// Attempts of one request before it counts as failed.
const MAX_ATTEMPTS: u32 = 4;
/// Wait before the second attempt; doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// Schedule by which a header's excess blob gas becomes a blob base fee. It is part of the protocol: all nodes must
/// compute the same fee from the same header.
const BLOB_PARAMS: BlobParams = BlobParams::bpo2();

/// How to reach the L1 node.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// `http(s)` URL of the JSON-RPC endpoint.
    pub url: String,
    /// Longest wait for one answer.
    pub request_timeout: Duration,
}

impl ClientConfig {
    /// The defaults for an endpoint.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), request_timeout: Duration::from_secs(10) }
    }
}

/// A block tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Newest block.
    Latest,
    /// Newest block that a reorg is unlikely to touch.
    Safe,
    /// Newest block that cannot be reorganised.
    Finalized,
}

/// An L1 block header as far as L2 cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Header {
    /// The block as L2 blocks refer to it.
    pub origin: L1Origin,
    /// Hash of the parent block.
    pub parent: B256,
    pub(crate) bloom: Bloom,
}

impl L1Header {
    fn new(block: &Block) -> Option<Self> {
        let header = &block.header;
        let excess = header.excess_blob_gas().unwrap_or_default();
        let origin = L1Origin {
            number: header.number(),
            hash: header.hash,
            timestamp: header.timestamp(),
            base_fee: header.base_fee_per_gas()?,
            blob_base_fee: u64::try_from(BLOB_PARAMS.calc_blob_fee(excess)).unwrap_or(u64::MAX),
            randao: header.mix_hash()?,
        };
        Some(Self { origin, parent: header.parent_hash(), bloom: header.logs_bloom() })
    }

    /// Whether the block can hold logs of any of these contracts.
    pub(crate) fn may_concern(&self, contracts: &[Address]) -> bool {
        contracts.iter().any(|address| self.bloom.contains_input(BloomInput::Raw(address.as_slice())))
    }
}

/// A cheap handle to one L1 node.
#[derive(Clone, Debug)]
pub struct L1Client {
    provider: RootProvider<Ethereum>,
    request_timeout: Duration,
}

impl L1Client {
    /// Makes a client; nothing is sent yet.
    pub fn new(config: &ClientConfig) -> Result<Self, L1Error> {
        let url = config.url.parse().map_err(|_| L1Error::Url(config.url.clone()))?;
        Ok(Self { provider: RootProvider::new_http(url), request_timeout: config.request_timeout })
    }

    /// The alloy provider, for one-off calls in tools and tests.
    pub const fn provider(&self) -> &RootProvider<Ethereum> {
        &self.provider
    }

    /// Refuses an L1 that is not the one the genesis names.
    pub async fn check_chain(&self, expected: u64) -> Result<(), L1Error> {
        let found = self.chain_id().await?;
        if found == expected { Ok(()) } else { Err(L1Error::WrongChain { expected, found }) }
    }

    /// Chain id of the L1.
    pub async fn chain_id(&self) -> Result<u64, L1Error> {
        self.request("eth_chainId", || self.provider.get_chain_id()).await
    }

    /// Header by tag. A young chain without a final block answers with its genesis block.
    pub async fn header_at_tag(&self, tag: Tag) -> Result<L1Header, L1Error> {
        let tag = match tag {
            Tag::Latest => BlockNumberOrTag::Latest,
            Tag::Safe => BlockNumberOrTag::Safe,
            Tag::Finalized => BlockNumberOrTag::Finalized,
        };
        self.header_by(tag).await
    }

    /// Header by number.
    pub async fn header_by_number(&self, number: u64) -> Result<L1Header, L1Error> {
        self.header_by(number.into()).await
    }

    async fn header_by(&self, at: BlockNumberOrTag) -> Result<L1Header, L1Error> {
        let block = self.request("eth_getBlockByNumber", || self.provider.get_block_by_number(at)).await?;
        let block = block.ok_or_else(|| L1Error::Missing("block", at.to_string()))?;
        L1Header::new(&block).ok_or(L1Error::Malformed("eth_getBlockByNumber"))
    }

    /// Header by hash.
    pub async fn header_by_hash(&self, hash: B256) -> Result<L1Header, L1Error> {
        let block = self.request("eth_getBlockByHash", || self.provider.get_block_by_hash(hash)).await?;
        let block = block.ok_or_else(|| L1Error::Missing("block", hash.to_string()))?;
        L1Header::new(&block).ok_or(L1Error::Malformed("eth_getBlockByHash"))
    }

    /// Logs that match a filter.
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, L1Error> {
        self.request("eth_getLogs", || self.provider.get_logs(filter)).await
    }

    /// A transaction by hash.
    pub async fn transaction(&self, hash: B256) -> Result<Transaction, L1Error> {
        let found = self.request("eth_getTransactionByHash", || self.provider.get_transaction_by_hash(hash)).await?;
        found.ok_or_else(|| L1Error::Missing("transaction", hash.to_string()))
    }

    /// A receipt by transaction hash; `None` while the transaction is not in a block.
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, L1Error> {
        self.request("eth_getTransactionReceipt", || self.provider.get_transaction_receipt(hash)).await
    }

    /// Transactions of an account in blocks up to the latest.
    pub async fn nonce(&self, account: Address) -> Result<u64, L1Error> {
        self.request("eth_getTransactionCount", || self.provider.get_transaction_count(account)).await
    }

    /// Balance of an account at the latest block, in wei.
    pub async fn balance(&self, account: Address) -> Result<U256, L1Error> {
        self.request("eth_getBalance", || self.provider.get_balance(account)).await
    }

    /// Runs a call at the latest block.
    pub async fn call(&self, to: Address, input: Bytes) -> Result<Bytes, L1Error> {
        let request = TransactionRequest::default().to(to).input(input.into());
        self.request("eth_call", || self.provider.call(request.clone())).await
    }

    /// Reads a contract at the latest block.
    pub async fn read<C: SolCall>(&self, contract: Address, call: &C) -> Result<C::Return, L1Error> {
        let answer = self.call(contract, call.abi_encode().into()).await?;
        C::abi_decode_returns(&answer).map_err(|_| L1Error::Malformed("eth_call"))
    }

    /// Gas a transaction would use at the latest block.
    pub async fn estimate_gas(&self, request: &TransactionRequest) -> Result<u64, L1Error> {
        self.request("eth_estimateGas", || self.provider.estimate_gas(request.clone())).await
    }

    /// Tip the L1 node suggests, in wei per gas.
    pub async fn priority_fee(&self) -> Result<u128, L1Error> {
        self.request("eth_maxPriorityFeePerGas", || self.provider.get_max_priority_fee_per_gas()).await
    }

    /// Sends a signed transaction. A node that already has it counts as success, since attempts may repeat.
    pub async fn send_raw(&self, encoded: &[u8]) -> Result<(), L1Error> {
        let sent = self.request("eth_sendRawTransaction", || async {
            self.provider.send_raw_transaction(encoded).await.map(|pending| *pending.tx_hash())
        });
        match sent.await {
            Ok(_) => Ok(()),
            Err(L1Error::Refused { message, .. }) if is_known(&message) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn request<T, F>(&self, name: &'static str, call: impl Fn() -> F) -> Result<T, L1Error>
    where
        F: IntoFuture<Output = TransportResult<T>>,
    {
        let mut backoff = FIRST_BACKOFF;
        let mut attempt = 1;
        loop {
            let (error, again) = match tokio::time::timeout(self.request_timeout, call().into_future()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => L1Error::classify(name, error),
                Err(_) => (L1Error::Unavailable(name, "timeout".into()), true),
            };
            if !again || attempt == MAX_ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(request = name, attempt, %error, "L1 request failed, trying again");
            tokio::time::sleep(backoff).await;
            backoff = backoff.saturating_mul(2);
            attempt = attempt.saturating_add(1);
        }
    }
}

fn is_known(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("already known") || message.contains("already imported") || message.contains("known transaction")
}
