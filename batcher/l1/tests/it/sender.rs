use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::anvil::ReorgOptions;
use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, U256};
use l1::{BeaconBlobs, BlobPlace, BlobSource, L1Call, SendError, SenderConfig, SlotClock, TransactionSender};

use crate::anvil::{Anvil, RICH_KEY};
use crate::eventually;

fn config() -> SenderConfig {
    SenderConfig {
        resubmit_after: Duration::from_millis(300),
        poll_interval: Duration::from_millis(20),
        ..SenderConfig::default()
    }
}

fn sender(anvil: &Anvil, config: SenderConfig) -> TransactionSender {
    TransactionSender::spawn(anvil.client(), RICH_KEY.parse::<PrivateKeySigner>().unwrap(), config)
}

fn transfer(value: u64) -> L1Call {
    L1Call { to: Some(Address::repeat_byte(0x77)), value: U256::from(value), ..Default::default() }
}

#[tokio::test]
async fn blobs_come_back_verified() {
    let anvil = Anvil::start(&[]);
    let client = anvil.client();
    let channel: Vec<u8> = (0..150_000u32).map(|at| (at * 7) as u8).collect();
    let blobs = derivation::blobs_from_channel(&channel).unwrap();
    assert_eq!(blobs.len(), 2);
    let call = L1Call { to: Some(Address::repeat_byte(0x77)), blobs: blobs.clone(), ..Default::default() };
    let receipt = sender(&anvil, config()).send(call).await.unwrap();
    let transaction = client.transaction(receipt.transaction_hash).await.unwrap();
    let hashes = transaction.blob_versioned_hashes().unwrap().to_vec();
    assert_eq!(hashes, l1::versioned_hashes(&blobs).unwrap());
    let number = receipt.block_number.unwrap();
    let source = BeaconBlobs::new(&anvil.url, SlotClock::ExecutionNumber, Duration::from_secs(20)).unwrap();
    let place = BlobPlace { number, timestamp: 0 };
    let found = source.blobs(place, &hashes).await.unwrap();
    assert_eq!(derivation::channel_from_blobs(&found).unwrap(), channel);
    let one = source.blobs(place, &hashes[1..]).await.unwrap();
    assert_eq!(one, blobs[1..]);
    assert!(source.blobs(place, &[hashes[0], alloy_primitives::B256::repeat_byte(1)]).await.is_err());
}

/// Keeps one gauge.
#[derive(Default)]
struct Gauges(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl metrics::Recorder for Gauges {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}
    fn register_counter(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        metrics::Counter::noop()
    }
    fn register_gauge(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        match key.name() {
            "horae_l1_payer_balance_ether" => metrics::Gauge::from_arc(self.0.clone()),
            _ => metrics::Gauge::noop(),
        }
    }
    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}

/// On one thread, so that the sender's task has this test's recorder.
#[tokio::test]
async fn the_payer_s_balance_is_shown_from_the_start() {
    let recorder = Gauges::default();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let anvil = Anvil::start(&[]);
    let key = PrivateKeySigner::random();
    let wei = U256::from(2_500_000_000_000_000_000_u64);
    anvil.client().provider().anvil_set_balance(key.address(), wei).await.unwrap();
    let _sender = TransactionSender::spawn(anvil.client(), key, config());
    let shown = || async {
        let ether = f64::from_bits(recorder.0.load(std::sync::atomic::Ordering::Relaxed));
        (ether > 0.0).then_some(ether)
    };
    assert_eq!(eventually("a balance", shown).await, 2.5);
}

#[tokio::test]
async fn stuck_transaction_is_replaced_at_its_nonce() {
    let anvil = Anvil::start(&["--no-mining"]);
    let client = anvil.client();
    let sender = sender(&anvil, config());
    let pending = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(transfer(5)).await }
    });
    let fee_in_pool = || async {
        let block =
            client.provider().get_block_by_number(alloy::eips::BlockNumberOrTag::Pending).full().await.ok()??;
        block.transactions.txns().next().map(|tx| tx.max_fee_per_gas())
    };
    let first = eventually("transaction in the pool", fee_in_pool).await;
    eventually("fees raised by an eighth", || async { fee_in_pool().await.filter(|fee| *fee >= first + first / 8) })
        .await;
    client.provider().anvil_mine(Some(1), None).await.unwrap();
    let receipt = pending.await.unwrap().unwrap();
    assert!(receipt.status());
    assert_eq!(client.nonce(sender.address()).await.unwrap(), 1);
}

#[tokio::test]
async fn dropped_transaction_leaves_no_nonce_gap() {
    let anvil = Anvil::start(&[]);
    let client = anvil.client();
    let sender = sender(&anvil, config());
    sender.send(transfer(1)).await.unwrap();
    let lost = sender.send(transfer(2)).await.unwrap();
    client.provider().anvil_reorg(ReorgOptions { depth: 1, tx_block_pairs: vec![] }).await.unwrap();
    assert_eq!(client.receipt(lost.transaction_hash).await.unwrap(), None);
    assert_eq!(client.nonce(sender.address()).await.unwrap(), 1);
    sender.send(transfer(3)).await.unwrap();
    assert_eq!(client.nonce(sender.address()).await.unwrap(), 2);
    assert_eq!(client.balance(Address::repeat_byte(0x77)).await.unwrap(), U256::from(4));
}

#[tokio::test]
async fn refusals_name_their_cause_and_leave_no_gap() {
    let anvil = Anvil::start(&[]);
    let client = anvil.client();
    let capped = sender(&anvil, SenderConfig { spending_cap: U256::from(1_000), ..config() });
    assert!(matches!(capped.send(transfer(1)).await, Err(SendError::SpendingCap { .. })));
    let poor = TransactionSender::spawn(client.clone(), PrivateKeySigner::random(), config());
    assert_eq!(poor.send(transfer(1)).await.unwrap_err(), SendError::Funds(poor.address()));
    // PUSH0 PUSH0 REVERT as init code.
    let reverting = L1Call { input: vec![0x5f, 0x5f, 0xfd].into(), ..Default::default() };
    let rich = sender(&anvil, config());
    assert!(matches!(rich.send(reverting.clone()).await, Err(SendError::Reverts { .. })));
    assert_eq!(client.nonce(rich.address()).await.unwrap(), 0);
    let forced = L1Call { gas_limit: Some(200_000), ..reverting };
    assert!(matches!(rich.send(forced).await, Err(SendError::Reverted(_))));
    rich.send(transfer(1)).await.unwrap();
}
