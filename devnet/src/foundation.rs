//! Founding a network: contracts on L1, funds, and the genesis file made from what L1 says.

use std::{collections::BTreeMap, time::Duration};

use alloy::{
    primitives::{Address, B256, Bytes, U256, address},
    providers::ext::AnvilApi,
    signers::local::PrivateKeySigner,
    sol,
};
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr};
use l1::{
    ClientConfig, L1Call, L1Client, SenderConfig, TransactionSender,
    contracts::{DevnetMetis, Rewards, Staking},
    deploy::{DeployConfig, Deployment, OperatorConfig, deploy},
};
use protocol::{
    Genesis,
    genesis::{GenesisAccount, L1Contracts, Params},
};

use crate::{keys, plan::Plan, stake::metis};

/// L2 chain id.
pub const L2_CHAIN_ID: u64 = 1_088_900;
/// Balance of each development account on L2, and of every key on L1.
pub const FUNDS: U256 =
    U256::from_limbs([10_000_000_000_000_000_000, 0, 0, 0]).saturating_mul(U256::from_limbs([1_000, 0, 0, 0]));
/// METIS on L1 of each development account, and in the reward stream: six days at the devnet's rate.
const PURSE: u64 = 10_000;
/// L1 blocks mined after the deployment, so that its block is final at once.
const FINALITY_BLOCKS: u64 = 6;

/// Runtime code of the L2 predeploys.
mod code {
    #![allow(missing_docs, unreachable_pub)]
    use super::sol;
    sol!(L1Block, "../contracts/artifacts/L1Block.json");
    sol!(GasPriceOracle, "../contracts/artifacts/GasPriceOracle.json");
    sol!(L2ToL1MessagePasser, "../contracts/artifacts/L2ToL1MessagePasser.json");
    sol!(FeeVault, "../contracts/artifacts/FeeVault.json");
    sol!(L2SequencerSet, "../contracts/artifacts/L2SequencerSet.json");
    sol!(L2Bridge, "../contracts/artifacts/L2Bridge.json");
    sol!(BridgedTokenFactory, "../contracts/artifacts/BridgedTokenFactory.json");
}

/// Where the vaults are: tips, base fees, L1 fees, operator fees.
pub const VAULTS: [Address; 4] = [
    address!("4200000000000000000000000000000000000011"),
    address!("4200000000000000000000000000000000000019"),
    address!("420000000000000000000000000000000000001A"),
    address!("420000000000000000000000000000000000001b"),
];

/// Parameters of a development network (DESIGN §4, in brackets).
#[must_use]
pub fn params() -> Params {
    Params { epoch_blocks: 100, turn_blocks: 10, batch_interval_ms: 5_000, ..Params::default() }
}

/// Code and initial storage of the L2 predeploys (`contracts/README.md`).
fn predeploys(l1: &L1Contracts) -> Vec<(Address, GenesisAccount)> {
    let account = |code: &Bytes, slot_0: U256| {
        let storage = if slot_0.is_zero() { BTreeMap::new() } else { [(B256::ZERO, B256::from(slot_0))].into() };
        GenesisAccount { nonce: 1, code: code.clone(), storage, ..Default::default() }
    };
    // The least amount that is worth a withdrawal, one METIS, above the recipient.
    let recipient = (U256::from(1_000_000_000_000_000_000u64) << 160) | U256::from_be_bytes(l1.rewards.into_word().0);
    let bridge = U256::from_be_bytes(l1.l1_bridge.into_word().0);
    let mut all = vec![
        (protocol::block::L1_BLOCK, account(&code::L1Block::DEPLOYED_BYTECODE, U256::ZERO)),
        (protocol::block::GAS_PRICE_ORACLE, account(&code::GasPriceOracle::DEPLOYED_BYTECODE, U256::ZERO)),
        (protocol::block::MESSAGE_PASSER, account(&code::L2ToL1MessagePasser::DEPLOYED_BYTECODE, U256::ZERO)),
        (protocol::block::L2_SEQUENCER_SET, account(&code::L2SequencerSet::DEPLOYED_BYTECODE, U256::ZERO)),
        (protocol::block::L2_BRIDGE, account(&code::L2Bridge::DEPLOYED_BYTECODE, bridge)),
        (protocol::block::TOKEN_FACTORY, account(&code::BridgedTokenFactory::DEPLOYED_BYTECODE, U256::ZERO)),
    ];
    all.extend(VAULTS.map(|vault| (vault, account(&code::FeeVault::DEPLOYED_BYTECODE, recipient))));
    all
}

/// Deploys the contracts, stakes the sequencers, and makes the genesis of the network.
///
/// # Errors
/// L1 refuses something.
pub async fn found(plan: &Plan) -> Result<Genesis> {
    let client = L1Client::new(&ClientConfig::new(plan.l1_url()))?;
    let deployer = keys::derived("deployer")?;
    let mut funded = vec![deployer.address()];
    let mut operators = Vec::new();
    for (index, node) in plan.sequencers().enumerate() {
        let Some(signer) = &node.signer else { continue };
        let owner = keys::derived(&format!("owner {index}"))?;
        funded.extend([owner.address(), signer.address()]);
        operators.push(OperatorConfig {
            recipient: owner.address(),
            owner,
            signer: signer.address(),
            stake: node.stake,
        });
    }
    for account in funded {
        client.provider().anvil_set_balance(account, FUNDS).await.wrap_err("funding on L1")?;
    }
    let config = DeployConfig::devnet(operators, deployer.address());
    let deployment = deploy(&client, &deployer, &config).await.wrap_err("deployment of the contracts")?;
    if plan.furnished {
        furnish(&client, &deployer, plan, &deployment.contracts).await.wrap_err("furnishing")?;
    }
    client.provider().anvil_mine(Some(FINALITY_BLOCKS), None).await.wrap_err("anvil_mine")?;
    genesis(deployment, plan.params.clone())
}

/// What people expect to find: names of the operators, METIS to stake, and rewards to earn.
async fn furnish(client: &L1Client, deployer: &PrivateKeySigner, plan: &Plan, contracts: &L1Contracts) -> Result<()> {
    let open = |key: &PrivateKeySigner| {
        let config = SenderConfig { poll_interval: Duration::from_millis(10), ..SenderConfig::default() };
        TransactionSender::spawn(client.clone(), key.clone(), config)
    };
    let call = |to: Address, call: Vec<u8>| L1Call { to: Some(to), input: call.into(), ..Default::default() };
    let purse = metis(PURSE);
    let bank = open(deployer);
    for to in keys::accounts()?.iter().map(PrivateKeySigner::address).chain([deployer.address()]) {
        bank.send(call(contracts.metis, DevnetMetis::mintCall { to, amount: purse }.abi_encode())).await?;
    }
    let approve = DevnetMetis::approveCall { spender: contracts.rewards, value: purse };
    bank.send(call(contracts.metis, approve.abi_encode())).await?;
    bank.send(call(contracts.rewards, Rewards::fundCall { amount: purse }.abi_encode())).await?;
    for (index, node) in plan.sequencers().enumerate() {
        // Operators are numbered from one in the order in which they were staked.
        let operator = u64::try_from(index)?.saturating_add(1);
        let named = Staking::setMetadataCall { operatorId: operator, name: node.name.clone(), url: node.rpc_url() };
        let owner = open(&keys::derived(&format!("owner {index}"))?);
        owner.send(call(contracts.staking, named.abi_encode())).await?;
    }
    Ok(())
}

fn genesis(deployment: Deployment, params: Params) -> Result<Genesis> {
    let mut alloc = BTreeMap::new();
    alloc.extend(predeploys(&deployment.contracts));
    for account in keys::accounts()? {
        alloc.insert(account.address(), GenesisAccount { balance: FUNDS, ..Default::default() });
    }
    Ok(Genesis {
        chain_id: L2_CHAIN_ID,
        // One idle interval before the origin: the first block is due at once.
        timestamp: deployment.origin.timestamp.saturating_sub(params.idle_interval_ms.div_ceil(1_000)),
        l1: deployment.contracts,
        origin: deployment.origin,
        set: deployment.snapshot.set,
        seed: deployment.snapshot.seed,
        params,
        alloc,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_predeploy_has_code_at_its_own_address() {
        let all: BTreeMap<_, _> = predeploys(&L1Contracts::default()).into_iter().collect();
        assert_eq!(all.len(), 10);
        assert!(all.values().all(|account| account.code.len() > 50));
    }

    #[test]
    fn funds_are_ten_thousand() {
        assert_eq!(FUNDS, U256::from(10_000u64) * U256::from(10u64).pow(U256::from(18)));
    }
}
