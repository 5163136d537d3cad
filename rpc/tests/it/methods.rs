//! What the answers say, where the schema cannot know it.

use alloy_consensus::proofs::calculate_transaction_root;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;
use op_alloy_consensus::OpTxEnvelope;
use op_alloy_rpc_types::{OpTransactionReceipt, Transaction};
use serde_json::{Value, json};

use crate::{
    chain::{BASE_FEE, CHAIN_ID, TOKEN, signer, transfer},
    client::serve,
    node::{PRUNED, REVERTS, pooled},
};

#[tokio::test(flavor = "multi_thread")]
async fn identity_and_small_talk() {
    let served = serve().await;
    for (method, want) in [
        ("eth_chainId", json!(format!("{CHAIN_ID:#x}"))),
        ("net_version", json!(CHAIN_ID.to_string())),
        ("net_peerCount", json!("0x3")),
        ("net_listening", json!(true)),
        ("web3_clientVersion", json!("horae/v0.1.0-test/linux-x86_64/rust1.95")),
        ("eth_accounts", json!([])),
        ("eth_syncing", json!(false)),
        ("eth_mining", json!(false)),
        ("eth_coinbase", json!(protocol::block::FEE_VAULT)),
        ("eth_blockNumber", json!("0x4")),
        ("eth_baseFee", json!("0x3b9ac9fb")),
        ("txpool_status", json!({ "pending": "0x1", "queued": "0x1" })),
    ] {
        let got = served.call(method, json!([])).await;
        let got = if method == "eth_coinbase" { json!(got.as_str().unwrap().to_lowercase()) } else { got };
        let want = if method == "eth_coinbase" { json!(want.as_str().unwrap().to_lowercase()) } else { want };
        assert_eq!(got, want, "{method}");
    }
    assert_eq!(served.call("web3_sha3", json!(["0x68656c6c6f"])).await, json!(keccak256("hello")));
    let modules = served.call("rpc_modules", json!([])).await;
    assert_eq!(modules["horae"], "1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_by_every_kind_of_name() {
    let served = serve().await;
    let hash = served.node.block(2).0.hash();
    for (name, number) in [
        (json!("latest"), "0x4"),
        (json!("pending"), "0x4"),
        (json!("safe"), "0x3"),
        (json!("finalized"), "0x2"),
        (json!("earliest"), "0x0"),
        (json!("0x1"), "0x1"),
    ] {
        let block = served.call("eth_getBlockByNumber", json!([name, false])).await;
        assert_eq!(block["number"], number, "{name}");
    }
    for id in [
        json!(hash),
        json!({ "blockHash": hash }),
        json!({ "blockHash": hash, "requireCanonical": true }),
        json!({ "blockNumber": "0x2" }),
    ] {
        // The test node's nonce is 5 + height.
        assert_eq!(served.call("eth_getTransactionCount", json!([signer(1), id])).await, "0x7", "{id}");
    }
    let block = served.call("eth_getBlockByHash", json!([hash, false])).await;
    assert_eq!(block["hash"], json!(hash));
    assert_eq!(block["withdrawals"], json!([]));
    assert_eq!(served.call("eth_getHeaderByHash", json!([hash])).await["number"], "0x2");
    assert_eq!(served.call("eth_getHeaderByNumber", json!(["0x63"])).await, Value::Null);
    assert_eq!(served.call("eth_getUncleCountByBlockNumber", json!(["latest"])).await, "0x0");
    assert_eq!(served.call("eth_getUncleCountByBlockHash", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(served.error("eth_getBalance", json!([signer(1), "0x63"])).await, (-32000, "header not found".into()));
    let pruned = format!("{:#x}", PRUNED - 1);
    let (code, text) = served.error("eth_getBalance", json!([signer(1), pruned])).await;
    assert!(code == -32000 && text.starts_with("missing trie node"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_clients_read_transactions_and_receipts() {
    let served = serve().await;
    let (block, receipts) = served.node.block(1);
    let all = served.call("eth_getBlockReceipts", json!(["0x1"])).await;
    let all: Vec<OpTransactionReceipt> = serde_json::from_value(all).unwrap();
    assert_eq!(all.len(), block.transactions.len());
    let mut log_index = 0;
    for (index, tx) in block.transactions.iter().enumerate() {
        let answer = served.call("eth_getTransactionByHash", json!([tx.tx_hash()])).await;
        assert_eq!(answer["blockTimestamp"], json!(format!("{:#x}", block.header.timestamp)));
        let read: Transaction = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(read.inner.inner.inner(), tx.inner());
        assert_eq!(read.inner.inner.signer(), tx.signer());
        let answer = served.call("eth_getTransactionReceipt", json!([tx.tx_hash()])).await;
        let read: OpTransactionReceipt = serde_json::from_value(answer).unwrap();
        assert_eq!(read, all[index], "one receipt, two ways to ask");
        assert_eq!(read.inner.gas_used, 21_000);
        assert_eq!(read.l1_block_info, receipts[index].l1);
        for log in read.inner.inner.receipt.as_receipt().logs.iter() {
            assert_eq!(log.log_index, Some(log_index));
            assert_eq!(log.block_timestamp, Some(block.header.timestamp));
            log_index += 1;
        }
    }
    assert_eq!(log_index, 6);
    assert_eq!(all[1].inner.contract_address, Some(signer(1).create(0)));
    assert_eq!(all[2].inner.contract_address, None);
    assert_eq!(all[0].inner.effective_gas_price, 0);
    assert_eq!(all[1].inner.effective_gas_price, 2_000_000_000);
    assert_eq!(all[4].inner.effective_gas_price, u128::from(BASE_FEE) + 100_000_000);
    // The failed transaction of sender 3.
    let failed = served.node.block(2).0.transactions[2].tx_hash();
    assert_eq!(served.call("eth_getTransactionReceipt", json!([failed])).await["status"], "0x0");
}

#[tokio::test(flavor = "multi_thread")]
async fn deposits_look_as_on_other_op_chains() {
    let served = serve().await;
    let block = served.call("eth_getBlockByNumber", json!(["0x3", true])).await;
    let deposit = &block["transactions"][0];
    for (member, want) in [
        ("type", json!("0x7e")),
        ("nonce", json!("0x3")),
        ("gasPrice", json!("0x0")),
        ("depositReceiptVersion", json!("0x1")),
        ("r", json!("0x0")),
        ("v", json!("0x0")),
        ("transactionIndex", json!("0x0")),
    ] {
        assert_eq!(deposit[member], want, "{member} of {deposit}");
    }
    assert!(deposit["sourceHash"].is_string());
    let receipt = served.call("eth_getTransactionReceipt", json!([deposit["hash"]])).await;
    assert_eq!(receipt["depositNonce"], "0x3");
    assert_eq!(receipt["type"], "0x7e");
    assert!(receipt.get("l1Fee").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_hash_to_what_they_claim() {
    let served = serve().await;
    let (block, _) = served.node.block(1);
    let bytes = |value: Value| serde_json::from_value::<Bytes>(value).unwrap();
    let header = bytes(served.call("debug_getRawHeader", json!(["0x1"])).await);
    assert_eq!(keccak256(&header), block.hash());
    let raw = bytes(served.call("debug_getRawBlock", json!(["0x1"])).await);
    let decoded = alloy_consensus::Block::<OpTxEnvelope>::decode(&mut raw.as_ref()).unwrap();
    assert_eq!(decoded.header.hash_slow(), block.hash());
    assert_eq!(calculate_transaction_root(&decoded.body.transactions), block.header.transactions_root);
    assert_eq!(alloy_rlp::encode(&decoded), raw.to_vec(), "the library would encode it the same");
    let size = served.call("eth_getBlockByNumber", json!(["0x1", false])).await["size"].clone();
    assert_eq!(size, json!(format!("{:#x}", raw.len())));
    let receipts: Vec<Bytes> =
        serde_json::from_value(served.call("debug_getRawReceipts", json!(["0x1"])).await).unwrap();
    let root =
        alloy_consensus::proofs::ordered_trie_root_with_encoder(&receipts, |raw, out| out.extend_from_slice(raw));
    assert_eq!(root, block.header.receipts_root);
    for tx in &block.transactions {
        for method in ["eth_getRawTransactionByHash", "debug_getRawTransaction"] {
            let raw = bytes(served.call(method, json!([tx.tx_hash()])).await);
            assert_eq!(&OpTxEnvelope::decode_2718_exact(&raw).unwrap(), tx.inner());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_carry_reason_and_data() {
    let served = serve().await;
    for method in ["eth_call", "eth_estimateGas"] {
        let response = served.response(method, json!([{ "to": REVERTS }])).await;
        assert_eq!(response["error"]["code"], 3);
        assert_eq!(response["error"]["message"], "execution reverted: no");
        assert_eq!(response["error"]["data"], json!(crate::node::revert_output()));
    }
    let overrides =
        json!({ signer(1).to_string(): { "balance": "0x1", "stateDiff": { B256::ZERO.to_string(): B256::ZERO } } });
    let echoed = served.call("eth_call", json!([{ "data": "0x01" }, "latest", overrides, { "time": "0x1" }])).await;
    assert_eq!(echoed, "0x01");
}

#[tokio::test(flavor = "multi_thread")]
async fn backend_failures_stay_in_the_log() {
    let served = serve().await;
    let broken = alloy_primitives::Address::repeat_byte(0xee);
    assert_eq!(served.error("eth_getBalance", json!([broken, "latest"])).await, (-32603, "internal error".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_count_the_pool_only_at_pending() {
    let served = serve().await;
    for (id, want) in [("latest", "0x9"), ("pending", "0x28"), ("0x2", "0x7")] {
        assert_eq!(served.call("eth_getTransactionCount", json!([signer(4), id])).await, want, "{id}");
    }
    assert_eq!(served.call("eth_getTransactionCount", json!([signer(1), "pending"])).await, "0x9");
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_echo_the_keys_they_were_asked_for() {
    let served = serve().await;
    let keys = json!(["0x0", B256::ZERO, "0x0a"]);
    let proof = served.call("eth_getProof", json!([TOKEN, keys, "latest"])).await;
    let echoed: Vec<&Value> = proof["storageProof"].as_array().unwrap().iter().map(|entry| &entry["key"]).collect();
    assert_eq!(json!(echoed), json!(["0x0", B256::ZERO, "0xa"]));
    let many: Vec<String> = (0..1_025).map(|slot| format!("{slot:#x}")).collect();
    assert_eq!(served.error("eth_getProof", json!([TOKEN, many, "latest"])).await.0, -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_follow_the_blocks() {
    let served = serve().await;
    let history = served.call("eth_feeHistory", json!([2, "latest", [0.0, 100.0]])).await;
    assert_eq!(history["oldestBlock"], "0x3");
    assert_eq!(history["baseFeePerGas"], json!(["0x3b9aca00", "0x3b9aca00", "0x3b9ac9fb"]));
    assert_eq!(history["reward"], json!([["0x5f5e100", "0x5f5e100"], ["0x5f5e100", "0x5f5e100"]]));
    let old = served.call("eth_feeHistory", json!(["0x2", "0x1", null])).await;
    assert_eq!(old["oldestBlock"], "0x0");
    assert_eq!(old["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert!(old.get("reward").is_none_or(Value::is_null));
    assert_eq!(served.call("eth_maxPriorityFeePerGas", json!([])).await, "0x5f5e100");
    assert_eq!(served.call("eth_gasPrice", json!([])).await, json!(format!("{:#x}", BASE_FEE - 5 + 100_000_000)));
    for (params, text) in [
        (json!(["0x2", "0x63", []]), "request beyond head block: requested 99, head 4"),
        (json!(["0x2", "latest", [50, 10]]), "invalid reward percentile: #0:50.000000 >= #1:10.000000"),
        (json!(["0x2", "latest", [10, 10]]), "invalid reward percentile: #0:10.000000 >= #1:10.000000"),
        (json!(["0x2", "latest", [101]]), "invalid reward percentile: 101.000000"),
        (json!(["0x2", "latest", vec![1; 101]]), "invalid reward percentile: over the query limit 100"),
    ] {
        assert_eq!(served.error("eth_feeHistory", params).await, (-32000, text.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submitted_transactions_come_back() {
    let served = serve().await;
    let tx = pooled(transfer(11, 2));
    let sent = served.call("eth_sendRawTransaction", json!([tx.encoded])).await;
    assert_eq!(sent, json!(tx.hash));
    assert_eq!(served.call("eth_getTransactionByHash", json!([tx.hash])).await["blockHash"], Value::Null);
    assert_eq!(served.error("eth_sendRawTransaction", json!([tx.encoded])).await, (-32000, "already known".into()));
    let huge = format!("0x{}", "00".repeat(protocol::limits::MAX_TRANSACTION_BYTES + 1));
    let (code, text) = served.error("eth_sendRawTransaction", json!([huge])).await;
    assert!(code == -32000 && text.starts_with("oversized data"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_and_waiting_answers_with_the_receipt() {
    let served = serve().await;
    let mut events = served.node.events.subscribe();
    let tx = transfer(12, 2);
    let raw = pooled(tx.clone()).encoded.clone();
    let node = std::sync::Arc::clone(&served.node);
    let decide = async move {
        // Decided only after the pool has announced it.
        while !matches!(events.recv().await.unwrap(), rpc::ChainEvent::Pending(_)) {}
        node.append(vec![tx]);
    };
    let (receipt, ()) = tokio::join!(served.call("eth_sendRawTransactionSync", json!([raw, 10_000])), decide);
    assert_eq!(receipt["blockNumber"], "0x5");
    // Each account's next nonce is 10. This node's pool shows a sender's first transaction as executable, others as queued.
    for (late, code) in [(transfer(10, 3), 4), (transfer(13, 2), 6), (transfer(10, 2), 5)] {
        let late = pooled(late);
        let response = served.response("eth_sendRawTransactionSync", json!([late.encoded, "0x1"])).await;
        assert_eq!(response["error"]["code"], code, "{response}");
        let data = if code == 6 { json!("0xa") } else { json!(late.hash) };
        assert_eq!(response["error"]["data"], data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_is_visible() {
    let served = serve().await;
    let sender = signer(4).to_string();
    let content = served.call("txpool_content", json!([])).await;
    assert_eq!(content["pending"][&sender]["7"]["nonce"], "0x7");
    assert_eq!(content["queued"][&sender]["8"]["blockNumber"], Value::Null);
    let inspected = served.call("txpool_inspect", json!([])).await;
    let want = format!("{}: 7 wei + 21000 gas × 3000000000 wei", signer(9));
    assert_eq!(inspected["pending"][&sender]["7"], json!(want));
    assert_eq!(served.call("txpool_contentFrom", json!([signer(1)])).await, json!({ "pending": {}, "queued": {} }));
}

#[tokio::test(flavor = "multi_thread")]
async fn horae_tells_who_leads_and_what_is_certified() {
    let served = serve().await;
    let set = served.call("horae_sequencerSet", json!(["latest"])).await;
    assert_eq!(set["totalWeight"], json!(format!("{:#x}", 200_000)));
    assert_eq!(set["setHash"], json!(crate::node::set().hash()));
    assert_eq!(set, served.call("horae_sequencerSet", json!(["0x0"])).await);
    assert_eq!(served.call("horae_sequencerSet", json!(["0x2"])).await, Value::Null);
    let schedule = served.call("horae_schedule", json!(["0x1"])).await;
    let turns = schedule["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 10);
    assert_eq!((&turns[0]["firstHeight"], &turns[9]["lastHeight"]), (&json!("0x65"), &json!("0xc8")));
    let next = served.call("horae_leader", json!(["0x5"])).await;
    let rounds = next["byRound"].as_array().unwrap();
    assert_eq!(rounds.len(), 4);
    assert_eq!(
        rounds[0].as_str().unwrap().to_lowercase(),
        signer(1).to_string().to_lowercase(),
        "the parent's builder"
    );
    let past = served.call("horae_leader", json!(["0x3"])).await;
    assert_eq!(past["builtBy"].as_str().unwrap().to_lowercase(), signer(1).to_string().to_lowercase());
    assert_eq!(past["byRound"], Value::Null);
    let certificate = served.call("horae_certificate", json!(["latest"])).await;
    assert_eq!(certificate["blockHash"], json!(served.node.block(4).0.hash()));
    assert_eq!(certificate["signedWeight"], json!(format!("{:#x}", 180_000)));
    assert_eq!(certificate["signatures"].as_array().unwrap().len(), 3);
    assert_eq!(served.call("horae_certificate", json!(["0x0"])).await, Value::Null);
    let status = served.call("horae_syncStatus", json!([])).await;
    assert_eq!(status["latest"]["number"], "0x4");
    assert_eq!(status["turn"]["firstHeight"], "0x1");
    assert_eq!(status["l1Finalized"]["number"], json!(format!("{:#x}", 86)));
    assert_eq!(served.call("horae_genesis", json!([])).await["params"]["epochBlocks"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn horae_tells_which_batches_are_where() {
    let served = serve().await;
    let posted = served.call("horae_batch", json!(["0x1"])).await;
    assert_eq!(posted["status"], "safe");
    assert_eq!(posted["signedWeight"], json!(format!("{:#x}", 180_000)));
    assert_eq!(posted["totalWeight"], json!(format!("{:#x}", 200_000)));
    assert_eq!(posted["signers"].as_array().unwrap().len(), 3);
    assert_eq!(posted["inclusion"]["data"], "blobs");
    let signed = served.call("horae_batch", json!(["latest"])).await;
    assert_eq!((&signed["status"], &signed["inclusion"]), (&json!("signed"), &Value::Null));
    assert_eq!(served.call("horae_batch", json!(["0x3"])).await, Value::Null);
    assert_eq!(served.call("horae_batches", json!([])).await, json!([posted, signed]));
    assert_eq!(served.call("horae_batches", json!(["0x1", "0xffffffffffffffff"])).await, json!([posted, signed]));
    assert_eq!(served.error("horae_batches", json!(["0x2", "0x1"])).await.0, -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn op_tools_find_their_methods() {
    let served = serve().await;
    let status = served.call("optimism_syncStatus", json!([])).await;
    assert_eq!(status["unsafe_l2"]["number"], 4);
    assert_eq!(status["unsafe_l2"]["l1origin"]["number"], 77);
    assert_eq!(status["unsafe_l2"]["sequenceNumber"], 4);
    assert_eq!(status["safe_l2"]["number"], 3);
    // Batch 1 is in L1 block 80, batch 2 nowhere yet.
    for l1 in ["0x50", "0xffff"] {
        let safe = served.call("optimism_safeHeadAtL1Block", json!([l1])).await;
        let hash = served.node.block(1).0.hash();
        assert_eq!(safe["safeHead"], json!({ "hash": hash, "number": 1 }));
        assert_eq!(safe["l1Block"], json!({ "hash": B256::repeat_byte(0x80), "number": 80 }));
    }
    assert_eq!(
        served.error("optimism_safeHeadAtL1Block", json!(["0x4f"])).await,
        (-32000, "safe head not found".to_owned())
    );
    assert_eq!(status["local_safe_l2"], status["safe_l2"]);
    assert_eq!(served.call("optimism_rollupConfig", json!([])).await["l2_chain_id"], json!(CHAIN_ID));
    let output = served.call("optimism_outputAtBlock", json!(["0x2"])).await;
    let (block, _) = served.node.block(2);
    let root = [B256::ZERO, block.header.state_root, block.header.withdrawals_root.unwrap(), block.hash()].concat();
    assert_eq!(output["outputRoot"], json!(keccak256(root)));
}
