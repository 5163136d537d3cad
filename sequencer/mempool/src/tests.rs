//! Table tests of the rules, and the pool against a naive model.

mod model;
mod promises;
mod rules;

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use op_alloy_consensus::OpTxEnvelope;
use protocol::RecoveredTx;

use crate::{AccountView, Incoming, Limits, Pool, PoolEnv, SenderCode};

const CHAIN: u64 = 42;
const GWEI: u128 = 1_000_000_000;

fn env() -> PoolEnv {
    PoolEnv { chain_id: CHAIN, min_base_fee: 100, block_gas_limit: 30_000_000, min_tip: 1 }
}

/// A pool in which every transaction pays 7 wei of L1 data fee.
fn pool_of(limits: Limits) -> Pool {
    let mut pool = Pool::new(limits, 1_000);
    assert!(pool.reprice(U256::from(1_000_000)).is_empty());
    pool
}

/// A transaction of 7 bytes, as L1 counts.
fn incoming(tx: RecoveredTx) -> Incoming {
    Incoming::new(tx, 7_000_000)
}

fn rich(nonce: u64) -> AccountView {
    AccountView { nonce, balance: U256::from(10).pow(U256::from(30)), code: SenderCode::Empty }
}

fn sender(id: u8) -> Address {
    Address::repeat_byte(id)
}

fn transfer() -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: TxKind::Call(Address::repeat_byte(0xee)),
        ..TxEip1559::default()
    }
}

/// A recovered transaction: the pool trusts the sender it is told.
fn recovered(envelope: impl Into<OpTxEnvelope>, sender: Address) -> RecoveredTx {
    let envelope = envelope.into();
    let encoded: Bytes = envelope.encoded_2718().into();
    // Two senders' equal transactions would have different signatures and so different hashes.
    let hash = alloy_primitives::keccak256([encoded.as_ref(), sender.as_slice()].concat());
    RecoveredTx { hash, envelope, sender, encoded }
}

fn eip1559(tx: TxEip1559, from: u8) -> RecoveredTx {
    recovered(tx.into_signed(Signature::test_signature()), sender(from))
}

fn priced(from: u8, nonce: u64, fee_cap: u128, tip: u128) -> RecoveredTx {
    eip1559(TxEip1559 { nonce, max_fee_per_gas: fee_cap, max_priority_fee_per_gas: tip, ..transfer() }, from)
}
