//! The compiled contracts in revm: METIS, Staking and SequencerSet from the committed artifacts.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolConstructor, SolInterface};
use l1::contracts::{DevnetMetis, IStaking, SequencerSet, Staking};
use revm::context::TxEnv;
use revm::context::result::{ExecutionResult, Output};
use revm::database::{CacheDB, EmptyDB};
use revm::handler::MainnetContext;
use revm::primitives::TxKind;
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm};

use crate::model::{CHURN, MEMBERS, NOTICE, UNBONDING, VESTING};

const DEPLOYER: Address = Address::repeat_byte(0xdd);
const GAS: u64 = 100_000_000;

pub struct Chain {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    pub metis: Address,
    pub staking: Address,
    pub sequencer_set: Address,
}

impl Chain {
    /// Deploys; `slashing`, `rewards` and `governance` are plain accounts.
    pub fn new(now: u64, [slashing, rewards, governance]: [Address; 3]) -> Self {
        let context = Context::mainnet().with_db(CacheDB::new(EmptyDB::default())).modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
            cfg.disable_nonce_check = true;
            cfg.tx_gas_limit_cap = Some(u64::MAX);
        });
        let address = Address::ZERO;
        let mut chain = Self { evm: context.build_mainnet(), metis: address, staking: address, sequencer_set: address };
        chain.wait_until(now);
        chain.metis = chain.create(&DevnetMetis::BYTECODE, Vec::new());
        let config_ = IStaking::Config {
            unbondingDelay: UNBONDING,
            churnPeriod: CHURN,
            commissionNotice: NOTICE,
            rewardPeriod: VESTING,
        };
        let make = Staking::constructorCall {
            metis_: chain.metis,
            governance_: governance,
            slashing_: slashing,
            rewards_: rewards,
            config_,
        };
        chain.staking = chain.create(&Staking::BYTECODE, make.abi_encode());
        let make =
            SequencerSet::constructorCall { staking: chain.staking, minInterval_: 1, maxMembers_: MEMBERS as u8 };
        chain.sequencer_set = chain.create(&SequencerSet::BYTECODE, make.abi_encode());
        chain
    }

    /// Gives an account tokens, all of which Staking may take.
    pub fn endow(&mut self, account: Address, amount: U256) {
        let (metis, spender) = (self.metis, self.staking);
        self.call(DEPLOYER, metis, &DevnetMetis::mintCall { to: account, amount }).expect("mint");
        self.call(account, metis, &DevnetMetis::approveCall { spender, value: U256::MAX }).expect("approve");
    }

    pub fn wait_until(&mut self, now: u64) {
        self.evm.ctx.block.timestamp = U256::from(now);
    }

    /// Sends a call; of a refused one the error's name is given.
    pub fn call<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Result<C::Return, String> {
        let transaction = transaction(from, TxKind::Call(to), call.abi_encode());
        returned::<C>(self.evm.transact_commit(transaction).expect("a valid transaction"))
    }

    /// Calls Staking.
    pub fn send<C: SolCall>(&mut self, from: Address, call: &C) -> Result<(), String> {
        self.call(from, self.staking, call).map(drop)
    }

    /// Asks, changing nothing.
    pub fn ask<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        let transaction = transaction(DEPLOYER, TxKind::Call(to), call.abi_encode());
        let result = self.evm.transact(transaction).expect("a valid transaction").result;
        returned::<C>(result).expect("a view answers")
    }

    fn create(&mut self, code: &Bytes, arguments: Vec<u8>) -> Address {
        let transaction = transaction(DEPLOYER, TxKind::Create, [code.as_ref(), &arguments].concat());
        match self.evm.transact_commit(transaction).expect("a valid transaction") {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => address,
            other => panic!("{other:?}"),
        }
    }
}

fn transaction(caller: Address, kind: TxKind, data: Vec<u8>) -> TxEnv {
    TxEnv { caller, kind, data: data.into(), gas_limit: GAS, ..TxEnv::default() }
}

fn returned<C: SolCall>(result: ExecutionResult) -> Result<C::Return, String> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(C::abi_decode_returns(output.data()).expect("its ABI")),
        ExecutionResult::Revert { output, .. } => Err(match Staking::StakingErrors::abi_decode(&output) {
            // `Name(Name { … })`.
            Ok(error) => format!("{error:?}").split('(').next().unwrap_or_default().to_owned(),
            Err(_) => format!("unknown error {output}"),
        }),
        ExecutionResult::Halt { reason, .. } => Err(format!("halted: {reason:?}")),
    }
}
