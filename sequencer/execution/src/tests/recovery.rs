//! The edge: what is a transaction and what is not.

use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEip7702, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use proptest::prelude::*;
use protocol::limits::MAX_TRANSACTION_BYTES;

use super::fixture::*;
use crate::{RecoverError, deposit, recover, recover_envelope, recover_with_deposits};

fn london() -> TxEip1559 {
    call_tx(0, Address::repeat_byte(0xb0), U256::from(1), Bytes::new())
}

fn encode<T: SignableTransaction<Signature>>(tx: T, signature: Signature) -> Vec<u8>
where
    OpTxEnvelope: From<Signed<T>>,
{
    OpTxEnvelope::from(tx.into_signed(signature)).encoded_2718()
}

fn signed<T: SignableTransaction<Signature>>(tx: T) -> Vec<u8>
where
    OpTxEnvelope: From<Signed<T>>,
{
    let signature = sign_hash(&key(1), tx.signature_hash());
    encode(tx, signature)
}

#[test]
fn senders_are_recovered() {
    let legacy = TxLegacy { gas_limit: 21_000, to: TxKind::Call(Address::ZERO), ..TxLegacy::default() };
    for bytes in [signed(london()), signed(legacy.clone()), signed(TxLegacy { chain_id: Some(CHAIN_ID), ..legacy })] {
        let tx = recover(&bytes, CHAIN_ID).unwrap();
        assert_eq!(tx.sender, address_of(&key(1)));
        assert_eq!(tx.encoded, bytes);
        assert_eq!(tx.hash, alloy_primitives::keccak256(&bytes));
        assert_eq!(recover_envelope(tx.envelope.clone(), CHAIN_ID), Ok(tx.clone()));
        assert_eq!(recover_with_deposits(&bytes, CHAIN_ID), Ok(tx));
    }
}

#[test]
fn what_is_not_a_transaction_of_this_chain_is_refused() {
    let good = signed(london());
    let low = sign_hash(&key(1), london().signature_hash());
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    let zero = Signature::new(U256::ZERO, U256::ZERO, false);
    let wrong_chain = |got| RecoverError::WrongChain { got, expected: CHAIN_ID };
    let foreign_legacy = TxLegacy { chain_id: Some(1), ..TxLegacy::default() };
    let long = TxEip1559 { input: vec![1; MAX_TRANSACTION_BYTES].into(), ..london() };
    let long = signed(long);
    let length = long.len();
    let forged = deposit(TxDeposit { mint: 1, ..TxDeposit::default() });
    let delegation = TxEip7702 { chain_id: CHAIN_ID, ..TxEip7702::default() };
    let cases: Vec<(&str, Vec<u8>, RecoverError)> = vec![
        ("empty", Vec::new(), RecoverError::Malformed),
        ("trailing byte", [&good[..], &[0]].concat(), RecoverError::Malformed),
        ("cut", good[..good.len() - 1].to_vec(), RecoverError::Malformed),
        ("high s", encode(london(), high), RecoverError::BadSignature),
        ("zero signature", encode(london(), zero), RecoverError::BadSignature),
        ("other chain", signed(TxEip1559 { chain_id: 1, ..london() }), wrong_chain(1)),
        ("other chain, legacy", signed(foreign_legacy), wrong_chain(1)),
        ("too large", long, RecoverError::TooLarge(length)),
        ("blob", vec![3, 0xc0], RecoverError::UnsupportedType(3)),
        ("deposit", forged.encoded.to_vec(), RecoverError::UnsupportedType(0x7e)),
        ("post-exec", vec![0x7d, 0xc0], RecoverError::UnsupportedType(0x7d)),
        ("typed zero", vec![0, 0xc0], RecoverError::UnsupportedType(0)),
        ("no authorizations", signed(delegation), RecoverError::EmptyAuthorizations),
    ];
    for (name, bytes, error) in cases {
        assert_eq!(recover(&bytes, CHAIN_ID), Err(error), "{name}");
    }
    let blob_in_block = recover_with_deposits(&[0x7d, 0xc0], CHAIN_ID);
    assert_eq!(blob_in_block, Err(RecoverError::UnsupportedType(0x7d)));
}

#[test]
fn deposits_stand_in_blocks_only() {
    let tx = TxDeposit { source_hash: B256::repeat_byte(1), from: Address::repeat_byte(2), ..TxDeposit::default() };
    let block_tx = deposit(tx);
    assert_eq!(recover_with_deposits(&block_tx.encoded, CHAIN_ID), Ok(block_tx.clone()));
    assert_eq!(recover_envelope(block_tx.envelope.clone(), CHAIN_ID), Ok(block_tx.clone()));
    assert_eq!(block_tx.hash, alloy_primitives::keccak256(&block_tx.encoded));
    assert_eq!(block_tx.sender, Address::repeat_byte(2));
    let longer = [&block_tx.encoded[..], &[0]].concat();
    assert_eq!(recover_with_deposits(&longer, CHAIN_ID), Err(RecoverError::Malformed));
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..6) {
        let bytes = [&[kind][..], &bytes].concat();
        prop_assert!(recover(&bytes, CHAIN_ID).is_err());
        prop_assert!(recover_with_deposits(&bytes, CHAIN_ID).is_err());
    }

    #[test]
    fn altered_transactions_have_another_sender_or_none(position in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = signed(london());
        let at = position.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(tx) = recover(&bytes, CHAIN_ID) {
            prop_assert_ne!(tx.sender, address_of(&key(1)));
        }
    }
}
