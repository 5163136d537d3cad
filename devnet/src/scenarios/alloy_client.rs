//! What a Rust program does with alloy against one node; a part of `clients`.

use std::{path::Path, time::Duration};

use alloy::{
    eips::{BlockNumberOrTag, eip7702::Authorization},
    network::{EthereumWallet, TransactionBuilder, TransactionBuilder7702},
    primitives::{Address, B256, Bytes, U256},
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::{
        client::BatchRequest,
        types::{Filter, TransactionRequest},
    },
    signers::SignerSync,
    sol,
};
use alloy_sol_types::{SolEvent, SolStruct, eip712_domain};
use eyre::{Result, WrapErr, eyre};
use serde_json::Value;

use crate::{fact::Facts, foundation::L2_CHAIN_ID, keys, network::Network, wait::until};

/// Time a receipt or an event has.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time a block has to become final: the next batch, its L1 block, and the L1 blocks upon that.
const FINALITY: Duration = Duration::from_secs(40);
/// Pause between two looks at the tags.
const GLANCE: Duration = Duration::from_millis(50);

mod contract {
    #![allow(missing_docs, unreachable_pub, clippy::too_many_arguments)]
    use super::sol;
    sol! {
        #[sol(rpc)]
        contract Probe {
            event Changed(address indexed who, uint256 indexed key, uint256 value, string note);
            error Refused(address who, uint256 wanted);
            function values(uint256 key) external view returns (uint256);
            function count() external view returns (uint256);
            function set(uint256 key, uint256 value, string note) external payable;
            function refuse(uint256 wanted) external view;
            function complain(string text) external pure;
            function sum(uint256 reads) external view returns (uint256);
            function reader(address from, uint256 amount, string text, uint8 v, bytes32 r, bytes32 s) external view returns (address);
        }

        struct Letter {
            address from;
            uint256 amount;
            string text;
        }
    }
}
use contract::{Letter, Probe};

/// Runs this part.
pub(super) async fn play(network: &Network, facts: &mut Facts, probe: &Path) -> Result<()> {
    let compiled: Value = serde_json::from_slice(&std::fs::read(probe).wrap_err("probe.json")?)?;
    let code: Bytes = serde_json::from_value(compiled.pointer("/Probe/bytecode").cloned().unwrap_or_default())
        .wrap_err("bytecode of Probe")?;
    let signer = keys::accounts()?.into_iter().nth(7).ok_or_else(|| eyre!("no eighth account"))?;
    let (me, url) = (signer.address(), network.node("sequencer-2")?.rpc_url());
    let provider = ProviderBuilder::new().wallet(EthereumWallet::new(signer.clone())).connect_http(url.parse()?);
    facts.equal("alloy_chain_id", provider.get_chain_id().await?, L2_CHAIN_ID);

    let mut input = code.to_vec();
    input.extend_from_slice(&U256::from(7).to_be_bytes::<32>());
    let deploying = provider.send_transaction(TransactionRequest::default().with_deploy_code(input)).await?;
    let deployed = deploying.with_timeout(Some(PATIENCE)).get_receipt().await?;
    let address = deployed.contract_address.ok_or_else(|| eyre!("no contract in the receipt"))?;
    let probe = Probe::new(address, &provider);
    facts.equal("alloy_deployed_and_called", probe.count().call().await?, U256::from(7));

    let filter = Filter::new().address(address).event_signature(Probe::Changed::SIGNATURE_HASH);
    let poller = provider.watch_logs(&filter).await?.with_poll_interval(Duration::from_millis(100));
    let mut events = poller.spawn();
    let call = probe.set(U256::ONE, U256::from(42), "alloy".to_owned());
    let receipt = call.send().await?.with_timeout(Some(PATIENCE)).get_receipt().await?;
    let decoded = receipt.decoded_log::<Probe::Changed>().ok_or_else(|| eyre!("no event in the receipt"))?;
    facts.equal("alloy_event", (decoded.data.who, decoded.data.value), (me, U256::from(42)));
    let hashes = tokio::time::timeout(PATIENCE, async {
        loop {
            // A poll that finds nothing is a message too.
            let found: Vec<_> = events.recv().await?.iter().map(|log| log.transaction_hash).collect();
            if !found.is_empty() {
                return Ok::<_, eyre::Report>(found);
            }
        }
    });
    let hashes = hashes.await.wrap_err("no log through the filter")??;
    facts.equal("alloy_log_through_a_filter", hashes, vec![Some(receipt.transaction_hash)]);

    let refused = probe.refuse(U256::from(5)).from(me).call().await.err();
    let refused = refused.and_then(|error| error.as_decoded_error::<Probe::Refused>());
    facts.equal("alloy_custom_error", refused.map(|e| (e.who, e.wanted)), Some((me, U256::from(5))));
    let complaint = probe.complain("nein".to_owned()).call().await.err().and_then(|error| error.as_revert_data());
    let reason = complaint.and_then(|data| alloy_sol_types::decode_revert_reason(&data)).unwrap_or_default();
    facts.holds("alloy_revert_text", &reason, reason.contains("nein"));

    subscriptions(facts, &url, &probe).await?;
    typed_data(facts, &probe, &signer).await?;
    delegation(facts, &provider, address).await?;
    access_list(facts, &provider, &probe, me).await?;
    traces(facts, &provider, &probe).await?;
    reads(facts, &provider, address).await
}

/// A log and a head as the node tells them over WebSocket.
async fn subscriptions<P: Provider>(facts: &mut Facts, url: &str, probe: &Probe::ProbeInstance<P>) -> Result<()> {
    let socket = ProviderBuilder::new().connect_ws(WsConnect::new(url.replacen("http", "ws", 1))).await?;
    let mut logs = socket.subscribe_logs(&Filter::new().address(*probe.address())).await?;
    let mut heads = socket.subscribe_blocks().await?;
    let call = probe.set(U256::from(4), U256::from(44), "socket".to_owned());
    let receipt = call.send().await?.with_timeout(Some(PATIENCE)).get_receipt().await?;
    let log = tokio::time::timeout(PATIENCE, logs.recv()).await.wrap_err("no log over WebSocket")??;
    facts.equal("alloy_log_over_websocket", Some(&log), receipt.inner.logs().first());
    let hashes = tokio::time::timeout(PATIENCE, async {
        loop {
            let head = heads.recv().await?;
            if Some(head.number) >= receipt.block_number {
                return Ok::<_, eyre::Report>((Some(head.number), Some(head.hash)));
            }
        }
    });
    let head = hashes.await.wrap_err("no head over WebSocket")??;
    facts.equal("alloy_head_over_websocket", head, (receipt.block_number, receipt.block_hash));
    Ok(())
}

async fn typed_data<P: Provider>(
    facts: &mut Facts,
    probe: &Probe::ProbeInstance<P>,
    signer: &impl SignerSync<alloy::primitives::Signature>,
) -> Result<()> {
    let me = keys::accounts()?.get(7).map(alloy::signers::local::PrivateKeySigner::address).unwrap_or_default();
    let domain = eip712_domain! {
        name: "Probe",
        version: "1",
        chain_id: L2_CHAIN_ID,
        verifying_contract: *probe.address(),
    };
    let letter = Letter { from: me, amount: U256::from(12), text: "an alle".to_owned() };
    let signature = signer.sign_hash_sync(&letter.eip712_signing_hash(&domain))?;
    let v = 27 + u8::from(signature.v());
    let (r, s) = (B256::from(signature.r()), B256::from(signature.s()));
    let found = probe.reader(me, letter.amount, letter.text, v, r, s).call().await?;
    facts.equal("alloy_typed_data", found, me);
    Ok(())
}

async fn delegation(facts: &mut Facts, provider: &impl Provider, code: Address) -> Result<()> {
    let authority = keys::derived("alloy authority")?;
    let authorization = Authorization { chain_id: U256::from(L2_CHAIN_ID), address: code, nonce: 0 };
    let signature = authority.sign_hash_sync(&authorization.signature_hash())?;
    let set = Probe::setCall { key: U256::from(6), value: U256::from(66), note: "delegated".to_owned() };
    let request = TransactionRequest::default()
        .with_to(authority.address())
        .with_call(&set)
        .with_authorization_list(vec![authorization.into_signed(signature)]);
    let sent = provider.send_transaction(request).await?.with_timeout(Some(PATIENCE)).get_receipt().await?;
    let designator: Bytes = [&[0xef, 0x01, 0x00][..], code.as_slice()].concat().into();
    facts.holds("alloy_delegated_transaction", sent.transaction_type() as u8, sent.status());
    facts.equal("alloy_delegation", provider.get_code_at(authority.address()).await?, designator);
    let value = Probe::new(authority.address(), provider).values(U256::from(6)).call().await?;
    facts.equal("alloy_delegated_storage", value, U256::from(66));
    Ok(())
}

async fn access_list<P: Provider>(
    facts: &mut Facts,
    provider: &P,
    probe: &Probe::ProbeInstance<&P>,
    me: Address,
) -> Result<()> {
    let call = probe.sum(U256::from(20)).from(me).into_transaction_request();
    let made = provider.create_access_list(&call).await?;
    let slots = made.access_list.0.iter().find(|item| item.address == *probe.address());
    facts.equal("alloy_access_list_slots", slots.map(|item| item.storage_keys.len()), Some(20));
    let listed = call.access_list(made.access_list);
    let gas = provider.estimate_gas(listed.clone()).await?;
    facts.holds("alloy_estimate_with_access_list", (gas, made.gas_used), U256::from(gas) >= made.gas_used);
    let sent = provider.send_transaction(listed).await?.with_timeout(Some(PATIENCE)).get_receipt().await?;
    facts.equal("alloy_gas_used_with_access_list", U256::from(sent.gas_used), made.gas_used);
    Ok(())
}

/// A transaction's trace has what its receipt has, and a call's trace what the call answers.
async fn traces<P: Provider>(facts: &mut Facts, provider: &P, probe: &Probe::ProbeInstance<&P>) -> Result<()> {
    let call = probe.set(U256::from(8), U256::from(88), "traced".to_owned());
    let receipt = call.send().await?.with_timeout(Some(PATIENCE)).get_receipt().await?;
    let options = serde_json::json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let frame: Value =
        provider.raw_request("debug_traceTransaction".into(), (receipt.transaction_hash, options)).await?;
    let gas = frame.get("gasUsed").cloned().and_then(|gas| serde_json::from_value::<U256>(gas).ok());
    facts.equal("alloy_traced_gas", gas, Some(U256::from(receipt.gas_used)));
    let data = frame.pointer("/logs/0/data").cloned().and_then(|data| serde_json::from_value::<Bytes>(data).ok());
    let logged = receipt.inner.logs().first().map(|log| log.inner.data.data.clone());
    facts.equal("alloy_traced_log", data, logged);
    let call = Probe::countCall {};
    let request = TransactionRequest::default().with_to(*probe.address()).with_call(&call);
    let options = serde_json::json!({ "tracer": "callTracer" });
    let frame: Value = provider.raw_request("debug_traceCall".into(), (request, "latest", options)).await?;
    let output = provider.call(TransactionRequest::default().with_to(*probe.address()).with_call(&call)).await?;
    let traced: Option<Bytes> = frame.get("output").cloned().and_then(|output| serde_json::from_value(output).ok());
    facts.equal("alloy_traced_call_answers_the_same", traced, Some(output));
    Ok(())
}

/// Heights by tag, the lowest first: a head that moves in between only makes the next one larger.
async fn heights(provider: &impl Provider) -> Result<[u64; 5]> {
    let tags = [
        BlockNumberOrTag::Earliest,
        BlockNumberOrTag::Finalized,
        BlockNumberOrTag::Safe,
        BlockNumberOrTag::Latest,
        BlockNumberOrTag::Pending,
    ];
    let mut heights = [0; 5];
    for (height, tag) in heights.iter_mut().zip(tags) {
        let block = provider.get_block_by_number(tag).await?.ok_or_else(|| eyre!("no block {tag}"))?;
        *height = block.header.number;
    }
    Ok(heights)
}

/// Waits until what is the newest block now is final; the tags must keep their order and mean different blocks meanwhile.
async fn tags(facts: &mut Facts, provider: &impl Provider) -> Result<()> {
    let since = provider.get_block_number().await?;
    let (mut disordered, mut ahead, mut posted) = (Vec::new(), false, false);
    let moved = until(FINALITY, GLANCE, async || {
        let found = heights(provider).await.ok()?;
        if !found.is_sorted() {
            disordered.push(found);
        }
        let [_, finalized, safe, latest, _] = found;
        ahead |= safe < latest;
        posted |= finalized < safe;
        (ahead && posted && finalized >= since).then_some(found)
    });
    let moved = moved.await;
    facts.holds("alloy_blocks_become_safe_and_final", (since, moved), moved.is_some());
    facts.holds("alloy_heights_by_tag_out_of_order", &disordered, disordered.is_empty());
    Ok(())
}

async fn reads(facts: &mut Facts, provider: &impl Provider, address: Address) -> Result<()> {
    tags(facts, provider).await?;
    let proof = provider.get_proof(address, vec![B256::with_last_byte(1)]).await?;
    let slot = proof.storage_proof.first().map(|slot| slot.value);
    facts.equal("alloy_proof_of_a_slot", slot, Some(provider.get_storage_at(address, U256::ONE).await?));
    let mut batch = BatchRequest::new(provider.client());
    let height = batch.add_call::<_, alloy::primitives::U64>("eth_blockNumber", &())?;
    let chain = batch.add_call::<_, alloy::primitives::U64>("eth_chainId", &())?;
    batch.send().await?;
    let answers = (height.await?.to::<u64>(), chain.await?.to::<u64>());
    facts.holds("alloy_batch", answers, answers.1 == L2_CHAIN_ID);
    Ok(())
}
