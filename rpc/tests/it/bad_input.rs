//! Hostile and careless requests: each gets a well-formed error, and the server lives.

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};

use crate::{
    chain::{TOKEN, signer},
    client::{Served, serve},
};

/// A body that is not a JSON-RPC request, and the code it must get.
fn bodies() -> Vec<(String, i64)> {
    let mut cases: Vec<(String, i64)> = [
        ("", -32700),
        (" ", -32700),
        ("null", -32700),
        ("true", -32700),
        ("7", -32700),
        ("\"eth_chainId\"", -32700),
        ("{", -32700),
        ("}", -32700),
        ("[", -32700),
        ("]", -32700),
        ("[}", -32700),
        ("{]", -32700),
        ("{\"jsonrpc\"", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[1,]}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\"}}", -32700),
        ("{'jsonrpc':'2.0','id':1,'method':'eth_chainId'}", -32700),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":NaN}", -32700),
        ("\u{feff}{}", -32700),
        ("GET / HTTP/1.1", -32700),
        ("<xml/>", -32700),
        ("0x", -32700),
        ("[]", -32600),
        // No id to answer to: jsonrpsee tells such an object from broken JSON only when it has an id.
        ("{}", -32700),
        ("{\"id\":1}", -32600),
        ("{\"id\":1,\"method\":\"eth_chainId\"}", -32600),
        ("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"eth_chainId\"}", -32600),
        ("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"eth_chainId\"}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":[]}", -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nope\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainID\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"admin_addPeer\",\"params\":[\"x\"]}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine_newPayloadV4\",\"params\":[]}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_sendTransaction\",\"params\":[{}]}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_unsubscribe\",\"params\":[\"0x1\"]}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"../../etc/passwd\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\\u0000\"}", -32601),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":{}}", -32602),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":7}", -32602),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":\"x\"}", -32602),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_chainId\",\"params\":[1]}", -32602),
    ]
    .into_iter()
    .map(|(body, code)| (body.to_owned(), code))
    .collect();
    let call = |params: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{params}}}"#);
    let nested = |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    cases.push((call(&nested("[", "]", 100_000)), -32602));
    cases.push((call(&nested("{\"a\":", "}", 1).replace(":}", ":1}")), -32602));
    cases.push((call(&format!("[{}1{}]", "{\"a\":".repeat(100_000), "}".repeat(100_000))), -32602));
    cases.push((nested("[", "", 2_000_000), -32700));
    cases.push((nested("{\"a\":", "", 500_000), -32700));
    cases.push((call(&format!("[\"{}\"]", "f".repeat(4_000_000))), -32602));
    cases.push((call(&format!("[{}]", "9".repeat(1_000_000))), -32602));
    cases.push((call(&format!("[{}]", vec!["1"; 100_000].join(","))), -32602));
    cases.push((format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "m".repeat(1_000_000)), -32601));
    cases
}

/// Parameters that are wrong, by method.
fn parameters() -> Vec<(&'static str, Value, i64)> {
    let address = signer(1);
    let hash = B256::repeat_byte(1);
    let long = format!("0x{}", "0".repeat(1_000_000));
    let mut cases = Vec::new();
    let wrong_addresses = [
        json!(null),
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!("0x"),
        json!("0x1"),
        json!("0x12"),
        json!(address.to_string().trim_start_matches("0x")),
        json!(format!("{address}00")),
        json!(format!("{}g", &address.to_string()[..41])),
        json!("vitalik.eth"),
        json!(long),
    ];
    for wrong in &wrong_addresses {
        cases.push(("eth_getBalance", json!([wrong, "latest"]), -32602));
        cases.push(("eth_getProof", json!([wrong, [], "latest"]), -32602));
    }
    let wrong_blocks = [
        json!(7),
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!("0x"),
        json!("0x01"),
        json!("-0x1"),
        json!("0x-1"),
        json!("1"),
        json!("0x10000000000000000"),
        json!("0xzz"),
        json!("Latest"),
        json!("newest"),
        json!("0x1 "),
        json!({ "blockNumber": 1 }),
        json!({ "blockNumber": "0x1", "blockHash": hash }),
        json!({ "blockHash": "0x12" }),
        json!({ "blockHash": hash, "requireCanonical": "yes" }),
        json!({ "number": "0x1" }),
        json!(long),
    ];
    for wrong in &wrong_blocks {
        cases.push(("eth_getCode", json!([address, wrong]), -32602));
        cases.push(("eth_call", json!([{ "to": TOKEN }, wrong]), -32602));
    }
    for wrong in [json!(7), json!("0x"), json!("0x1"), json!(format!("{hash}00")), json!("latest"), json!([hash])] {
        for method in ["eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockByHash"] {
            cases.push((method, json!([wrong]), -32602));
        }
    }
    cases.extend([
        ("eth_getBlockByNumber", json!([]), -32602),
        ("eth_getBlockByNumber", json!(["latest", "yes"]), -32602),
        ("eth_getBlockByNumber", json!(["latest", 1]), -32602),
        ("eth_getBlockByNumber", json!(["latest", false, 1]), -32602),
        ("eth_getBlockByNumber", json!([hash, false]), -32602),
        ("eth_getBlockReceipts", json!([]), -32602),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1"]), -32602),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", 0]), -32602),
        ("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x00"]), -32602),
        ("eth_getStorageAt", json!([address]), -32602),
        ("eth_getStorageAt", json!([address, 0, "latest"]), -32602),
        ("eth_getStorageAt", json!([address, "zz", "latest"]), -32602),
        ("eth_getStorageAt", json!([address, format!("0x1{}", "0".repeat(64)), "latest"]), -32602),
        ("eth_getStorageAt", json!([address, "0xzz", "latest"]), -32602),
        ("eth_getStorageAt", json!([address, "0x-1", "latest"]), -32602),
        ("eth_getProof", json!([address, "0x0", "latest"]), -32602),
        ("eth_getProof", json!([address, [1], "latest"]), -32602),
        ("eth_getStorageValues", json!([[], "latest"]), -32602),
        ("eth_getStorageValues", json!([{ "x": [] }, "latest"]), -32602),
        ("eth_call", json!([]), -32602),
        ("eth_call", json!([null]), -32602),
        ("eth_call", json!([7]), -32602),
        ("eth_call", json!(["0x"]), -32602),
        ("eth_call", json!([[]]), -32602),
        ("eth_call", json!([{ "to": "0x1" }]), -32602),
        ("eth_call", json!([{ "from": 1 }]), -32602),
        ("eth_call", json!([{ "gas": "x" }]), -32602),
        ("eth_call", json!([{ "gas": "-0x1" }]), -32602),
        ("eth_call", json!([{ "gas": "0x10000000000000000" }]), -32602),
        ("eth_call", json!([{ "value": "-0x1" }]), -32602),
        ("eth_call", json!([{ "value": format!("0x1{}", "0".repeat(64)) }]), -32602),
        ("eth_call", json!([{ "data": "0x1" }]), -32602),
        ("eth_call", json!([{ "data": "zz" }]), -32602),
        ("eth_call", json!([{ "data": "0x01", "input": "0x02" }]), -32000),
        ("eth_call", json!([{ "gasPrice": "0x1", "maxFeePerGas": "0x1" }]), -32000),
        ("eth_call", json!([{ "maxPriorityFeePerGas": "0x2", "maxFeePerGas": "0x1" }]), -32000),
        ("eth_call", json!([{ "chainId": "0x1" }]), -32000),
        ("eth_call", json!([{ "accessList": [{ "address": address }] }]), -32602),
        ("eth_call", json!([{ "to": TOKEN }, "latest", []]), -32602),
        ("eth_call", json!([{ "to": TOKEN }, "latest", { "x": {} }]), -32602),
        ("eth_call", json!([{ "to": TOKEN }, "latest", { address.to_string(): { "balance": "x" } }]), -32602),
        ("eth_call", json!([{ "to": TOKEN }, "latest", {}, 7]), -32602),
        ("eth_call", json!([{ "to": TOKEN }, "latest", {}, {}, 1]), -32602),
        ("eth_estimateGas", json!([]), -32602),
        ("eth_createAccessList", json!(["x"]), -32602),
        ("eth_feeHistory", json!([]), -32602),
        ("eth_feeHistory", json!(["x", "latest", []]), -32602),
        ("eth_feeHistory", json!([-1, "latest", []]), -32602),
        ("eth_feeHistory", json!([1.5, "latest", []]), -32602),
        ("eth_feeHistory", json!(["0x1", "latest", ["a"]]), -32602),
        ("eth_feeHistory", json!(["0x1", "latest", [-1]]), -32000),
        ("eth_feeHistory", json!(["0x1", hash, []]), -32602),
        ("eth_sendRawTransaction", json!([]), -32602),
        ("eth_sendRawTransaction", json!([7]), -32602),
        ("eth_sendRawTransaction", json!([""]), -32602),
        ("eth_sendRawTransaction", json!(["0x1"]), -32602),
        ("eth_sendRawTransaction", json!(["zz"]), -32602),
        ("eth_sendRawTransaction", json!(["0x"]), -32000),
        ("eth_sendRawTransaction", json!(["0x00"]), -32000),
        ("eth_sendRawTransaction", json!(["0x02"]), -32000),
        ("eth_sendRawTransaction", json!(["0x03c0"]), -32000),
        ("eth_sendRawTransaction", json!(["0xc0"]), -32000),
        ("eth_sendRawTransaction", json!(["0xffffffffffffffffffff"]), -32000),
        ("eth_sendRawTransaction", json!([long]), -32000),
        ("eth_sendRawTransactionSync", json!(["0x00", "soon"]), -32602),
        ("eth_getLogs", json!([]), -32602),
        ("eth_getLogs", json!([[]]), -32602),
        ("eth_getLogs", json!([{ "fromBlock": 1 }]), -32602),
        ("eth_getLogs", json!([{ "fromBlock": "x" }]), -32602),
        ("eth_getLogs", json!([{ "address": "0x1" }]), -32602),
        ("eth_getLogs", json!([{ "topics": "x" }]), -32602),
        ("eth_getLogs", json!([{ "topics": ["0x1"] }]), -32602),
        ("eth_getLogs", json!([{ "topics": [[[hash]]] }]), -32602),
        ("eth_getLogs", json!([{ "colour": "red", "fromBlock": "x" }]), -32602),
        ("eth_newFilter", json!([7]), -32602),
        ("eth_getFilterChanges", json!([]), -32602),
        ("eth_getFilterChanges", json!([7]), -32602),
        ("eth_getFilterChanges", json!(["x"]), -32000),
        ("eth_getFilterChanges", json!(["0x1"]), -32000),
        ("eth_getFilterLogs", json!(["0x1"]), -32000),
        ("eth_uninstallFilter", json!([-1]), -32602),
        ("web3_sha3", json!(["hello"]), -32602),
        ("txpool_contentFrom", json!(["x"]), -32602),
        ("debug_getRawHeader", json!(["x"]), -32602),
        ("debug_getRawHeader", json!(["0xffff"]), -32000),
        ("debug_getRawBlock", json!([hash]), -32000),
        ("debug_getRawReceipts", json!(["0xffff"]), -32000),
        ("debug_getRawTransaction", json!(["0x1"]), -32602),
        ("horae_sequencerSet", json!([7]), -32602),
        ("horae_sequencerSet", json!(["newest"]), -32602),
        ("horae_leader", json!([]), -32602),
        ("horae_leader", json!([{}]), -32602),
        ("horae_certificate", json!(["x"]), -32602),
        ("horae_batch", json!(["0x"]), -32602),
        ("horae_batches", json!(["0x1", "x"]), -32602),
        ("optimism_outputAtBlock", json!(["0xffff"]), -32000),
    ]);
    cases
}

/// The answer must be one JSON-RPC error object with this code and a text of sane length.
fn check(what: &str, answer: &Value, code: i64) {
    let shown: String = what.chars().take(200).collect();
    assert_eq!(answer["jsonrpc"], "2.0", "{shown}: {answer}");
    assert!(answer.get("id").is_some(), "{shown}: {answer}");
    assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(!text.is_empty() && text.len() < 500, "{shown}: {text}");
    assert!(answer.get("result").is_none(), "{shown}: {answer}");
}

async fn body_case(served: &Served, body: &[u8], code: i64) {
    let answer = served.post(body).await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    check(&String::from_utf8_lossy(body), &answer.json(), code);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_server_lives() {
    let served = serve().await;
    let bodies = bodies();
    let parameters = parameters();
    assert!(bodies.len() + parameters.len() >= 120, "{} cases", bodies.len() + parameters.len());
    for (body, code) in &bodies {
        body_case(&served, body.as_bytes(), *code).await;
        served.assert_alive().await;
    }
    // Bytes that are not UTF-8 are not JSON.
    for (bytes, code) in [
        (&b"\xff\xfe\x00"[..], -32700),
        (b"\0\0\0\0", -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}", -32700),
    ] {
        body_case(&served, bytes, code).await;
    }
    for (method, params, code) in &parameters {
        let response = served.response(method, params.clone()).await;
        check(&format!("{method} {params}"), &response, *code);
    }
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_id_is_no_id_is_no_request() {
    let served = serve().await;
    for id in ["[1]", "{\"a\":1}"] {
        let answer = served.post(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#)).await;
        check(id, &answer.json(), -32600);
    }
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_name_the_argument_and_the_reason() {
    let served = serve().await;
    let address = Address::ZERO;
    for (method, params, want) in [
        ("eth_getBalance", json!([]), "missing value for required argument 0"),
        ("eth_getBalance", json!([address, "latest", 1]), "too many arguments, want at most 2"),
        ("eth_getBalance", json!(["0x1", "latest"]), "invalid argument 0: hex string of odd length"),
        (
            "eth_getBalance",
            json!(["0x12", "latest"]),
            "invalid argument 0: hex string has length 2, want 40 for an address",
        ),
        ("eth_getBalance", json!([address, "0x01"]), "invalid argument 1: hex number with leading zero digits"),
        ("eth_getBalance", json!([address, "1"]), "invalid argument 1: hex string without 0x prefix"),
        ("eth_nope", json!([]), "the method eth_nope does not exist/is not available"),
    ] {
        assert_eq!(served.error(method, params).await.1, want);
    }
}
