//! The EVM against answers of others: Ethereum state tests (execution specification) and geth's precompile vectors.

use std::{io::Read, path::PathBuf, sync::Arc};

use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, address, keccak256};
use op_revm::OpTransaction;
use protocol::{block::BASE_FEE_VAULT, state::Account};
use revm::{
    Context, DatabaseCommit, Journal, MainBuilder,
    context::{BlockEnv, CfgEnv, ContextSetters, JournalTr, TxEnv},
    context_interface::{
        block::BlobExcessGasAndPrice,
        either::Either,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    handler::{EthFrame, EthPrecompiles, Handler, MainnetHandler},
    interpreter::interpreter::EthInterpreter,
    precompile::Precompiles,
    primitives::hardfork::SpecId,
};
use serde_json::Value;

use crate::{
    CodeCache,
    collision::StorageAware,
    env,
    memory::MemoryState,
    overlay::{Overlay, ReadError},
};

fn load(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("test data {} is needed by this test: {error}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> U256 {
    U256::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn small<T: TryFrom<U256, Error: core::fmt::Debug>>(value: &Value) -> T {
    T::try_from(number(value)).unwrap()
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().unwrap().parse().unwrap()
}

fn account_address(value: &str) -> Address {
    value.parse().unwrap()
}

fn pre_state(pre: &Value) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in pre.as_object().unwrap() {
        let code = bytes(&account["code"]);
        let code_hash = keccak256(&code);
        state.code.insert(code_hash, code);
        let values = Account { nonce: small(&account["nonce"]), balance: number(&account["balance"]), code_hash };
        let storage = account["storage"].as_object().unwrap().iter();
        let storage = storage
            .map(|(slot, value)| (B256::from(number(&Value::from(slot.as_str()))), number(value)))
            .filter(|(_, value)| !value.is_zero());
        state.accounts.insert(account_address(address), (values, storage.collect()));
    }
    state
}

fn block_env(env: &Value) -> BlockEnv {
    BlockEnv {
        number: number(&env["currentNumber"]),
        beneficiary: account_address(env["currentCoinbase"].as_str().unwrap()),
        timestamp: number(&env["currentTimestamp"]),
        gas_limit: small(&env["currentGasLimit"]),
        basefee: small(&env["currentBaseFee"]),
        difficulty: U256::ZERO,
        prevrandao: Some(number(&env["currentRandom"]).into()),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
        slot_num: 0,
    }
}

fn tx_env(tx: &Value) -> TxEnv {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let access = list(&tx["accessList"]).into_iter().map(|item| AccessListItem {
        address: account_address(item["address"].as_str().unwrap()),
        storage_keys: list(&item["storageKeys"]).iter().map(|key| number(key).into()).collect(),
    });
    let access_list = AccessList(access.collect());
    let authorizations = list(&tx["authorizationList"]).into_iter().map(|item| {
        let inner = Authorization {
            chain_id: number(&item["chainId"]),
            address: account_address(item["address"].as_str().unwrap()),
            nonce: small(&item["nonce"]),
        };
        let signed =
            SignedAuthorization::new_unchecked(inner, small(&item["yParity"]), number(&item["r"]), number(&item["s"]));
        Either::Left(signed)
    });
    let authorization_list: Vec<_> = authorizations.collect();
    let dynamic = !tx["maxFeePerGas"].is_null();
    let tx_type = match (authorization_list.is_empty(), dynamic, access_list.0.is_empty()) {
        (false, ..) => 4,
        (_, true, _) => 2,
        (_, _, false) => 1,
        _ => 0,
    };
    let to = tx["to"].as_str().unwrap();
    TxEnv {
        tx_type,
        caller: account_address(tx["sender"].as_str().unwrap()),
        gas_limit: small(&tx["gas"]),
        gas_price: small(if dynamic { &tx["maxFeePerGas"] } else { &tx["gasPrice"] }),
        gas_priority_fee: dynamic.then(|| small(&tx["maxPriorityFeePerGas"])),
        kind: if to.is_empty() { TxKind::Create } else { TxKind::Call(account_address(to)) },
        value: number(&tx["value"]),
        data: bytes(&tx["input"]),
        nonce: small(&tx["nonce"]),
        chain_id: Some(1),
        access_list,
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list,
    }
}

/// What an execution is judged by.
#[derive(Debug, PartialEq)]
struct Answer {
    status: bool,
    gas: u64,
    logs: B256,
    root: B256,
}

fn answer<H>(result: ExecutionResult<H>, pre: &MemoryState, overlay: &Overlay, ours: Option<Address>) -> Answer {
    let mut post = pre.clone();
    post.apply(&overlay.diff());
    if let Some(vault) = ours {
        post.accounts.remove(&vault);
    }
    let (status, gas) = (result.is_success(), result.tx_gas_used());
    let logs: Vec<Log> = result.into_logs();
    Answer { status, gas, logs: keccak256(alloy_rlp::encode(logs)), root: post.roots().state_root }
}

fn expected(value: &Value) -> Answer {
    let hash = |name: &str| value[name].as_str().unwrap().parse().unwrap();
    Answer {
        status: value["status"].as_bool().unwrap(),
        gas: value["gas"].as_u64().unwrap(),
        logs: hash("logs"),
        root: hash("root"),
    }
}

/// Mainnet's handler at a given fork on our overlay.
fn run_mainnet(spec: SpecId, vector: &Value, pre: &MemoryState) -> Answer {
    let overlay = Overlay::new(Arc::new(pre.clone()), 0, B256::ZERO, &CodeCache::default());
    let ctx = Context::<BlockEnv, TxEnv, CfgEnv, Overlay, Journal<Overlay>, ()>::new(overlay, spec)
        .with_block(block_env(&vector["env"]))
        .with_cfg(CfgEnv::new_with_spec(spec));
    let mut evm = StorageAware(ctx.build_mainnet());
    evm.0.ctx.set_tx(tx_env(&vector["tx"]));
    let mut handler = MainnetHandler::<_, EVMError<ReadError>, EthFrame<EthInterpreter>>::default();
    let result: ExecutionResult<HaltReason> = handler.run(&mut evm).unwrap();
    let journal = &mut evm.0.ctx.journaled_state;
    let changes = journal.finalize();
    journal.database.commit(changes);
    answer(result, pre, &journal.database, None)
}

/// The EVM that blocks run on. It differs from mainnet only in that the base fee is not burned: without the vault,
/// the state must be mainnet's.
fn run_ours(vector: &Value, pre: &MemoryState) -> Answer {
    assert!(!pre.accounts.contains_key(&BASE_FEE_VAULT));
    let overlay = Overlay::new(Arc::new(pre.clone()), 0, B256::ZERO, &CodeCache::default());
    let mut evm =
        env::evm(env::cfg_env(1), block_env(&vector["env"]), overlay, crate::precompiles::Precompiles::mainnet(), ());
    let tx = OpTransaction { enveloped_tx: Some(Bytes::from([2])), ..OpTransaction::new(tx_env(&vector["tx"])) };
    let result = evm.transact_one(tx).unwrap();
    let changes = evm.finalize();
    evm.state_mut().commit(changes);
    answer(result, pre, evm.state(), Some(BASE_FEE_VAULT))
}

#[test]
fn state_tests_give_the_specification_s_answers() {
    let vectors = load("evm-state-vectors.json.gz");
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 728);
    let forks = [("Cancun", SpecId::CANCUN), ("Prague", SpecId::PRAGUE), ("Osaka", SpecId::OSAKA)];
    let mut wrong = Vec::new();
    let mut answers = 0;
    for vector in vectors {
        let pre = pre_state(&vector["pre"]);
        for (fork, spec) in forks {
            let Some(expect) = vector["expect"].get(fork) else { continue };
            assert!(!expect["rejected"].as_bool().unwrap());
            answers += 1;
            let mut runs = vec![("mainnet", run_mainnet(spec, vector, &pre))];
            if spec == SpecId::OSAKA {
                runs.push(("ours", run_ours(vector, &pre)));
            }
            for (handler, got) in runs {
                if got != expected(expect) {
                    wrong.push(format!("{} {fork} {handler}: {got:?} for {:?}", vector["id"], expected(expect)));
                }
            }
        }
    }
    assert_eq!(answers, 728 + 728 + 706);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Address of the precompile a file of vectors is for, and the fork whose gas it gives.
fn precompile_of(name: &str) -> (Address, &'static Precompiles) {
    let osaka = EthPrecompiles::new(SpecId::OSAKA).precompiles;
    let prague = EthPrecompiles::new(SpecId::PRAGUE).precompiles;
    let number = match name.trim_start_matches("fail-").to_lowercase().as_str() {
        "ecrecover" => 0x01,
        "modexp_eip2565" => return (Address::with_last_byte(0x05), prague),
        "modexp_eip7883" => 0x05,
        "bn256add" => 0x06,
        "bn256scalarmul" => 0x07,
        "bn256pairing" => 0x08,
        "blake2f" => 0x09,
        "pointevaluation" => 0x0a,
        "blsg1add" => 0x0b,
        "blsg1mul" | "blsg1multiexp" => 0x0c,
        "blsg2add" => 0x0d,
        "blsg2mul" | "blsg2multiexp" => 0x0e,
        "blspairing" => 0x0f,
        "blsmapg1" => 0x10,
        "blsmapg2" => 0x11,
        "p256verify" => return (address!("0000000000000000000000000000000000000100"), osaka),
        other => panic!("unknown precompile {other}"),
    };
    (Address::with_last_byte(number), osaka)
}

#[test]
fn precompiles_give_geth_s_answers() {
    const PLENTY: u64 = 1 << 40;
    let files = load("precompile-vectors.json.gz");
    let (mut cases, mut wrong) = (0, Vec::new());
    for (file, vectors) in files.as_object().unwrap() {
        let (address, set) = precompile_of(file);
        let precompile = set.get(&address).unwrap();
        for vector in vectors.as_array().unwrap() {
            cases += 1;
            let input = bytes(&vector["Input"]);
            let got = precompile.execute(&input, PLENTY, 0).ok();
            let got = got.filter(|output| output.status.is_success()).map(|output| (output.gas_used, output.bytes));
            let want = vector.get("Expected").map(|output| (vector["Gas"].as_u64().unwrap(), bytes(output)));
            if got != want {
                wrong.push(format!("{file} {}: {got:?} for {want:?}", vector["Name"]));
            }
            if let Some((gas @ 1.., _)) = want {
                let starved = precompile.execute(&input, gas - 1, 0);
                assert!(starved.is_ok_and(|output| !output.status.is_success()), "{file} {}: gas", vector["Name"]);
            }
        }
    }
    assert_eq!(cases, 1_007);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
