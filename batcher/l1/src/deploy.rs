//! Deployment of a development network's contracts, in the order that `contracts/README.md` fixes.

use std::time::Duration;

use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolConstructor};
use protocol::L1Origin;
use protocol::block::L2_BRIDGE;
use protocol::genesis::L1Contracts;

use crate::contracts::{
    BatchRegistry, DevnetMetis, IRewards, IStaking, InsurancePool, L1Bridge, OutputRegistry, Portal, Rewards,
    SequencerSet, Slashing, Staking, TimelockController,
};
use crate::events::{Event, decode};
use crate::{L1Call, L1Client, L1Error, SendError, SenderConfig, Snapshot, Tag, TransactionSender};

/// Wei of one METIS.
const METIS: u128 = 1_000_000_000_000_000_000;
/// Wei of ether an owner needs for its own two transactions; topped up by the deployer.
const OWNER_ETHER: u128 = 100_000_000_000_000_000;
/// Time between looks for a receipt: development chains mine at once.
const POLL: Duration = Duration::from_millis(10);

/// One operator to stake.
#[derive(Clone, Debug)]
pub struct OperatorConfig {
    /// Cold key: stakes. Must differ from the signer.
    pub owner: PrivateKeySigner,
    /// Hot key: signs.
    pub signer: Address,
    /// Receives rewards.
    pub recipient: Address,
    /// Stake in whole METIS.
    pub stake: u64,
}

/// What to deploy.
#[derive(Clone, Debug)]
pub struct DeployConfig {
    /// Operators in the first snapshot.
    pub operators: Vec<OperatorConfig>,
    /// Proposes to the timelock, which owns what can be changed.
    pub governance: Address,
    /// Seconds a withdrawal of stake waits.
    pub unbonding_delay: u64,
    /// Seconds of a slot of the exit queue.
    pub churn_period: u64,
    /// Seconds between announcing a rise of a commission and its start.
    pub commission_notice: u64,
    /// Seconds over which a reward enters a pool.
    pub reward_period: u64,
    /// Least L1 blocks between snapshots.
    pub snapshot_interval: u64,
    /// Largest set.
    pub max_members: u8,
    /// Most L2 gas queued in one L1 block.
    pub deposit_block_gas: u64,
    /// Seconds a queue item may wait.
    pub deposit_deadline: u64,
    /// Seconds a superseded snapshot stays usable.
    pub snapshot_grace: u64,
    /// Seconds without a batch after which anyone may post queue items.
    pub permissionless_after: u64,
    /// Bond of such a batch in whole METIS.
    pub permissionless_bond: u64,
    /// Seconds from a batch's acceptance until withdrawals may rely on it.
    pub finalization_window: u64,
    /// Seconds what governance decides must wait.
    pub timelock_delay: u64,
    /// Seconds a case of misbehaviour can be appealed.
    pub appeal_window: u64,
    /// Seconds from now after which nothing can be appealed any more.
    pub appeal_life: u64,
    /// METIS wei per second of the reward stream.
    pub reward_rate: u128,
    /// Seconds over which fees are paid out.
    pub fee_period: u64,
    /// METIS wei a poster gets for an ether of its L1 cost.
    pub metis_per_ether: u128,
}

impl DeployConfig {
    /// The parameters of a development network (DESIGN §4).
    pub const fn devnet(operators: Vec<OperatorConfig>, governance: Address) -> Self {
        Self {
            operators,
            governance,
            unbonding_delay: 60,
            churn_period: 10,
            commission_notice: 20,
            reward_period: 50,
            snapshot_interval: 5,
            max_members: 32,
            deposit_block_gas: 20_000_000,
            deposit_deadline: 20,
            snapshot_grace: 86_400,
            permissionless_after: 60,
            permissionless_bond: 100,
            finalization_window: 30,
            timelock_delay: 5,
            appeal_window: 10,
            appeal_life: 365 * 24 * 3_600,
            reward_rate: METIS / 50,
            fee_period: 60,
            metis_per_ether: 200 * METIS,
        }
    }
}

/// What was deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Addresses, for the genesis file.
    pub contracts: L1Contracts,
    /// Genesis origin: the L1 block of the first snapshot.
    pub origin: L1Origin,
    /// The first snapshot: set and seed of the first two epochs.
    pub snapshot: Snapshot,
}

/// Deploys the contracts, stakes the operators and takes the first snapshot.
///
/// # Errors
/// See [`SendError`]; L1 is then left with whatever was deployed.
pub async fn deploy(
    client: &L1Client,
    deployer: &PrivateKeySigner,
    config: &DeployConfig,
) -> Result<Deployment, SendError> {
    let account = Account::new(client, deployer);
    let contracts = addresses(client.chain_id().await?, deployer.address(), client.nonce(deployer.address()).await?);
    let now = client.header_at_tag(Tag::Latest).await?.origin.timestamp;
    for (expected, init_code) in creations(&contracts, config, now) {
        if account.create(init_code).await? != expected {
            return Err(L1Error::Malformed("address of a creation").into());
        }
    }
    for operator in &config.operators {
        stake(client, &account, &contracts, operator).await?;
    }
    let (origin, snapshot) = first_snapshot(client, &account, &contracts).await?;
    Ok(Deployment { contracts, origin, snapshot })
}

/// Where the contracts will be: each is a creation of the deployer, in the order of [`creations`].
fn addresses(chain_id: u64, deployer: Address, nonce: u64) -> L1Contracts {
    let at = |offset: u64| deployer.create(nonce.saturating_add(offset));
    L1Contracts {
        chain_id,
        metis: at(0),
        timelock: at(1),
        staking: at(2),
        sequencer_set: at(3),
        insurance_pool: at(4),
        portal: at(5),
        batch_registry: at(6),
        output_registry: at(7),
        slashing: at(8),
        rewards: at(9),
        l1_bridge: at(10),
    }
}

/// Address and init code of each contract, in the order of their creation. Contracts that need each other know the other's
/// address before it exists. `now` is the time of L1, unix seconds.
fn creations(contracts: &L1Contracts, config: &DeployConfig, now: u64) -> Vec<(Address, Bytes)> {
    let L1Contracts {
        chain_id: _,
        metis,
        timelock,
        staking,
        sequencer_set,
        insurance_pool,
        portal,
        batch_registry,
        output_registry,
        slashing,
        rewards,
        l1_bridge,
    } = *contracts;
    let init = |code: &Bytes, arguments: Vec<u8>| Bytes::from([code.as_ref(), &arguments].concat());
    let make_timelock = TimelockController::constructorCall {
        minDelay: U256::from(config.timelock_delay),
        proposers: vec![config.governance],
        // Anyone executes what has waited.
        executors: vec![Address::ZERO],
        admin: Address::ZERO,
    };
    let make_staking = Staking::constructorCall {
        metis_: metis,
        governance_: timelock,
        slashing_: slashing,
        rewards_: rewards,
        config_: IStaking::Config {
            unbondingDelay: config.unbonding_delay,
            churnPeriod: config.churn_period,
            commissionNotice: config.commission_notice,
            rewardPeriod: config.reward_period,
        },
    };
    let make_set = SequencerSet::constructorCall {
        staking,
        minInterval_: config.snapshot_interval,
        maxMembers_: config.max_members,
    };
    let make_pool = InsurancePool::constructorCall { metis_: metis, governance_: timelock };
    let make_portal = Portal::constructorCall {
        metis_: metis,
        outputs: output_registry,
        maxBlockGas: config.deposit_block_gas,
        opensAfter: 0,
    };
    let make_registry = BatchRegistry::constructorCall {
        staking,
        sequencerSet: sequencer_set,
        depositQueue: portal,
        depositDeadline_: config.deposit_deadline,
        snapshotGrace_: config.snapshot_grace,
        permissionlessAfter_: config.permissionless_after,
        bond_: U256::from(config.permissionless_bond).saturating_mul(U256::from(METIS)),
    };
    let make_outputs = OutputRegistry::constructorCall { registry: batch_registry, window: config.finalization_window };
    let make_slashing = Slashing::constructorCall {
        staking,
        sequencerSet: sequencer_set,
        registry: batch_registry,
        insurancePool: insurance_pool,
        governance_: timelock,
        appealWindow_: config.appeal_window,
        appealSunset_: now.saturating_add(config.appeal_life),
    };
    let make_rewards = Rewards::constructorCall {
        metis_: metis,
        staking,
        sequencerSet: sequencer_set,
        registry: batch_registry,
        governance_: timelock,
        config: IRewards::Config {
            rate: config.reward_rate,
            feePeriod: config.fee_period,
            metisPerEther: config.metis_per_ether,
        },
    };
    let make_bridge = L1Bridge::constructorCall { portal, l2Bridge: L2_BRIDGE };
    vec![
        (metis, init(&DevnetMetis::BYTECODE, Vec::new())),
        (timelock, init(&TimelockController::BYTECODE, make_timelock.abi_encode())),
        (staking, init(&Staking::BYTECODE, make_staking.abi_encode())),
        (sequencer_set, init(&SequencerSet::BYTECODE, make_set.abi_encode())),
        (insurance_pool, init(&InsurancePool::BYTECODE, make_pool.abi_encode())),
        (portal, init(&Portal::BYTECODE, make_portal.abi_encode())),
        (batch_registry, init(&BatchRegistry::BYTECODE, make_registry.abi_encode())),
        (output_registry, init(&OutputRegistry::BYTECODE, make_outputs.abi_encode())),
        (slashing, init(&Slashing::BYTECODE, make_slashing.abi_encode())),
        (rewards, init(&Rewards::BYTECODE, make_rewards.abi_encode())),
        (l1_bridge, init(&L1Bridge::BYTECODE, make_bridge.abi_encode())),
    ]
}

async fn stake(
    client: &L1Client,
    deployer: &Account,
    contracts: &L1Contracts,
    operator: &OperatorConfig,
) -> Result<(), SendError> {
    let owner = operator.owner.address();
    let amount = U256::from(operator.stake).saturating_mul(U256::from(METIS));
    if client.balance(owner).await? < U256::from(OWNER_ETHER) {
        let value = U256::from(OWNER_ETHER);
        deployer.sender.send(L1Call { to: Some(owner), value, ..Default::default() }).await?;
    }
    deployer.call(contracts.metis, &DevnetMetis::mintCall { to: owner, amount }).await?;
    let account = Account::new(client, &operator.owner);
    account.call(contracts.metis, &DevnetMetis::approveCall { spender: contracts.staking, value: amount }).await?;
    let register =
        Staking::registerCall { amount: amount.to(), signer: operator.signer, recipient: operator.recipient };
    account.call(contracts.staking, &register).await?;
    Ok(())
}

async fn first_snapshot(
    client: &L1Client,
    deployer: &Account,
    contracts: &L1Contracts,
) -> Result<(L1Origin, Snapshot), SendError> {
    let receipt = deployer.call(contracts.sequencer_set, &SequencerSet::snapshotCall {}).await?;
    let missing = L1Error::Malformed("first snapshot");
    let number = receipt.block_number.ok_or(missing.clone())?;
    for log in receipt.inner.logs() {
        if let Event::Snapshot(snapshot) = decode(log, contracts)? {
            return Ok((client.header_by_number(number).await?.origin, snapshot));
        }
    }
    Err(missing.into())
}

struct Account {
    sender: TransactionSender,
}

impl Account {
    fn new(client: &L1Client, key: &PrivateKeySigner) -> Self {
        let config = SenderConfig { poll_interval: POLL, ..SenderConfig::default() };
        Self { sender: TransactionSender::spawn(client.clone(), key.clone(), config) }
    }

    async fn create(&self, input: Bytes) -> Result<Address, SendError> {
        let receipt = self.sender.send(L1Call { input, ..Default::default() }).await?;
        Ok(receipt.contract_address.ok_or(L1Error::Malformed("receipt of a creation"))?)
    }

    async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<TransactionReceipt, SendError> {
        self.sender.send(L1Call { to: Some(to), input: call.abi_encode().into(), ..Default::default() }).await
    }
}
