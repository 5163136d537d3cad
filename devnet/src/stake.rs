//! Operators and delegators on L1, acting as people would: accounts of their own, one call after the other.

use std::time::Duration;

use alloy::{
    primitives::{Address, B256, Bytes, U256},
    providers::ext::AnvilApi,
    rpc::types::{Filter, Log, TransactionReceipt},
    signers::local::PrivateKeySigner,
};
use alloy_sol_types::{SolCall, SolEvent};
use eyre::{Result, WrapErr, eyre};
use l1::{
    L1Call, L1Client, L1Reader, SenderConfig, Snapshot, TransactionSender,
    contracts::{DevnetMetis, IStaking, Staking},
};
use protocol::genesis::L1Contracts;

use crate::{foundation::FUNDS, keys, network::Network};

/// Time between looks for a receipt.
const POLL: Duration = Duration::from_millis(20);

/// METIS wei.
#[must_use]
pub fn metis(amount: u64) -> U256 {
    U256::from(amount).saturating_mul(U256::from(1_000_000_000_000_000_000u64))
}

/// An account on L1 that owns, delegates or pays.
pub struct Account {
    key: PrivateKeySigner,
    sender: TransactionSender,
    l1: L1Client,
    contracts: L1Contracts,
}

impl Account {
    /// The account of a name, with ether.
    ///
    /// # Errors
    /// L1 does not answer.
    pub async fn open(network: &Network, name: &str) -> Result<Self> {
        let (key, l1) = (keys::derived(name)?, network.l1()?);
        l1.provider().anvil_set_balance(key.address(), FUNDS).await.wrap_err("funding on L1")?;
        let config = SenderConfig { poll_interval: POLL, ..SenderConfig::default() };
        let sender = TransactionSender::spawn(l1.clone(), key.clone(), config);
        Ok(Self { key, sender, l1, contracts: network.genesis.l1.clone() })
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.key.address()
    }

    /// Calls a contract.
    ///
    /// # Errors
    /// The call reverts.
    pub async fn call(&self, to: Address, call: &impl SolCall) -> Result<TransactionReceipt> {
        let input: Bytes = call.abi_encode().into();
        Ok(self.sender.send(L1Call { to: Some(to), input, ..Default::default() }).await?)
    }

    /// Calls the staking contract.
    ///
    /// # Errors
    /// The call reverts.
    pub async fn stake(&self, call: &impl SolCall) -> Result<TransactionReceipt> {
        self.call(self.contracts.staking, call).await
    }

    /// Gets METIS from the deployer, who may mint, and lets `spender` take it.
    ///
    /// # Errors
    /// L1 refuses.
    pub async fn fund(&self, deployer: &Self, amount: U256, spender: Address) -> Result<()> {
        deployer.call(self.contracts.metis, &DevnetMetis::mintCall { to: self.address(), amount }).await?;
        self.call(self.contracts.metis, &DevnetMetis::approveCall { spender, value: amount }).await?;
        Ok(())
    }

    /// Its METIS on L1.
    ///
    /// # Errors
    /// L1 does not answer.
    pub async fn balance(&self) -> Result<U256> {
        Ok(self.l1.read(self.contracts.metis, &DevnetMetis::balanceOfCall { account: self.address() }).await?)
    }

    /// What it delegates to an operator.
    ///
    /// # Errors
    /// L1 does not answer.
    pub async fn delegation(&self, operator: u64) -> Result<IStaking::DelegationView> {
        let call = Staking::delegationCall { operatorId: operator, delegator: self.address() };
        Ok(self.l1.read(self.contracts.staking, &call).await?)
    }
}

/// Operator of a signer; zero if none.
///
/// # Errors
/// L1 does not answer.
pub async fn operator_of(network: &Network, signer: Address) -> Result<u64> {
    Ok(network.l1()?.read(network.genesis.l1.staking, &Staking::operatorOfCall { signer }).await?)
}

/// An operator's pool.
///
/// # Errors
/// L1 does not answer.
pub async fn pool(network: &Network, operator: u64) -> Result<IStaking::PoolView> {
    Ok(network.l1()?.read(network.genesis.l1.staking, &Staking::poolCall { operatorId: operator }).await?)
}

/// Snapshots taken since an L1 block, the newest last.
///
/// # Errors
/// L1 does not answer.
pub async fn snapshots_since(network: &Network, from: u64) -> Result<Vec<Snapshot>> {
    let head = crate::registry::l1_number(network).await?;
    let reader = L1Reader::new(network.l1()?, network.genesis.l1.clone());
    Ok(if from > head { Vec::new() } else { reader.snapshots(from, head).await? })
}

/// Events of one contract since an L1 block, with their logs.
///
/// # Errors
/// L1 does not answer.
pub async fn events<E: SolEvent>(network: &Network, contract: Address, from: u64) -> Result<Vec<(E, Log)>> {
    let filter = Filter::new().address(contract).event_signature(E::SIGNATURE_HASH).from_block(from);
    let logs = network.l1()?.logs(&filter).await?;
    logs.into_iter().map(|log| Ok((E::decode_log(&log.inner).wrap_err(E::SIGNATURE)?.data, log))).collect()
}

/// The first event of a kind in a receipt.
///
/// # Errors
/// There is none.
pub fn event_in<E: SolEvent>(receipt: &TransactionReceipt) -> Result<E> {
    let mut logs = receipt.inner.logs().iter().filter(|log| log.topic0() == Some(&B256::from(E::SIGNATURE_HASH)));
    let log = logs.next().ok_or_else(|| eyre!("no {} in the receipt", E::SIGNATURE))?;
    Ok(E::decode_log(&log.inner).wrap_err(E::SIGNATURE)?.data)
}
