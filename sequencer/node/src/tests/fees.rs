//! What a transaction costs: the L1 data fee as receipts, balances and the oracle have it, and the base fee by genesis.

use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, sol};
use protocol::{Genesis, block::GAS_PRICE_ORACLE, genesis::Params};
use rpc::RpcConfig;
use serde_json::{Value, json};
use store::StoreConfig;

use super::chain::{BURNER, GWEI, Node, account, call_tx, genesis, sign, start, start_with};

sol! {
    function getL1Fee(bytes data) external view returns (uint256);
    function getL1GasUsed(bytes data) external view returns (uint256);
}

fn number(value: &Value) -> U256 {
    value.as_str().unwrap().parse().unwrap()
}

async fn ask<C: SolCall<Return = U256>>(node: &Node, question: C) -> U256 {
    let request = json!({ "to": GAS_PRICE_ORACLE, "input": Bytes::from(question.abi_encode()) });
    let answer = node.call("eth_call", json!([request, "latest"])).await;
    let answer: Bytes = serde_json::from_value(answer).unwrap();
    C::abi_decode_returns(&answer).unwrap()
}

async fn balance(node: &Node, owner: Address) -> U256 {
    number(&node.call("eth_getBalance", json!([owner, "latest"])).await)
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(&mut next).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_knows_before_signing_what_the_receipt_says_after() {
    let node = start(RpcConfig::default()).await;
    let receiver = TxKind::Call(Address::repeat_byte(0xaa));
    for (nonce, length) in [(0, 0), (1, 1_000), (2, 4_000)] {
        let tx = TxEip1559 { gas_limit: 400_000, ..call_tx(nonce, receiver, 5, noise(length)) };
        let unsigned = Bytes::from(tx.encoded_for_signing());
        let signed = sign(1, tx);
        let before = balance(&node, account(1)).await;
        node.mine(std::slice::from_ref(&signed)).await;
        let spent = before - balance(&node, account(1)).await;
        let receipt = node.call("eth_getTransactionReceipt", json!([signed.tx_hash()])).await;
        let (fee, gas) = (number(&receipt["l1Fee"]), number(&receipt["l1GasUsed"]));
        let execution = number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]);
        assert_eq!(spent, execution + fee + U256::from(5), "all that a sender pays, {length} bytes");
        let told = ask(&node, getL1FeeCall { data: unsigned.clone() }).await;
        let told_gas = ask(&node, getL1GasUsedCall { data: unsigned }).await;
        assert!(!fee.is_zero());
        if length == 0 {
            // Below the least size everything costs the same.
            assert_eq!((told, told_gas), (fee, gas));
        } else {
            // The oracle counts 68 bytes for the signature; how well the real one compresses it cannot know.
            assert!(told.abs_diff(fee) * U256::from(100) <= fee, "{length} bytes: {told} told, {fee} paid");
            assert!(
                told_gas.abs_diff(gas) * U256::from(100) <= gas,
                "{length} bytes: {told_gas} told, {gas} in the receipt"
            );
        }
        // Fjord's rule: 16 gas for each byte of the estimated size, at the scaled prices of L1.
        let params = Params::default();
        let origin = genesis().origin;
        let price = U256::from(params.l1_base_fee_scalar) * U256::from(16) * U256::from(origin.base_fee)
            + U256::from(params.l1_blob_base_fee_scalar) * U256::from(origin.blob_base_fee);
        let sixteenth = price / U256::from(16_000_000_u64);
        assert!(fee.abs_diff(gas * sixteenth) <= sixteenth + gas, "{fee} for {gas} gas at {sixteenth}");
    }
}

/// EIP-1559, written down again.
fn expected(parent: &Value, params: &Params) -> U256 {
    let [used, limit, fee] = ["gasUsed", "gasLimit", "baseFeePerGas"].map(|name| number(&parent[name]));
    let target = limit / U256::from(params.elasticity);
    let change = fee * used.abs_diff(target) / target / U256::from(params.base_fee_denominator);
    let next = if used > target { fee + change.max(U256::ONE) } else { fee - change };
    next.max(U256::from(params.min_base_fee))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_base_fee_moves_as_genesis_says() {
    let params = Params {
        elasticity: 3,
        base_fee_denominator: 4,
        initial_base_fee: 1_000,
        min_base_fee: 900,
        ..genesis().params
    };
    let genesis = Genesis { params: params.clone(), ..genesis() };
    let node = start_with(RpcConfig::default(), genesis, StoreConfig::default()).await;
    let mut fees = Vec::new();
    for nonce in 0..10_u64 {
        // Five full blocks, then empty ones.
        let burn = TxEip1559 { gas_limit: 16_000_000, ..call_tx(nonce, TxKind::Call(BURNER), 0, Vec::new()) };
        let burn = [sign(1, burn)];
        node.mine(if nonce < 5 { &burn } else { &[] }).await;
        let parent = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
        let next = expected(&parent, &params);
        let told = node.call("eth_baseFee", json!([])).await;
        assert_eq!(number(&told), next, "after block {}", parent["number"]);
        let history = node.call("eth_feeHistory", json!(["0x1", "latest", [50.0]])).await;
        assert_eq!((&history["baseFeePerGas"][0], &history["baseFeePerGas"][1]), (&parent["baseFeePerGas"], &told));
        let tip = if nonce < 5 { json!(format!("{GWEI:#x}")) } else { json!("0x0") };
        assert_eq!(history["reward"][0][0], tip);
        let price = number(&node.call("eth_gasPrice", json!([])).await);
        assert_eq!(price, next + number(&node.call("eth_maxPriorityFeePerGas", json!([])).await));
        fees.push(next);
    }
    assert!(fees[4] > fees[0] && fees[4] > U256::from(1_000), "full blocks raise it: {fees:?}");
    assert_eq!(fees[9], U256::from(900), "empty ones lower it to the floor");
}
