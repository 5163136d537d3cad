//! Blocks of users' transactions: built, verified, accounted for.

use std::sync::Arc;

use alloy_consensus::{TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, TxKind, U256, keccak256};
use protocol::{
    HeaderExtra,
    block::{BASE_FEE_VAULT, FEE_VAULT, L1_BLOCK, L1_FEE_VAULT},
    genesis::Params,
    limits::MAX_TRANSACTION_GAS,
};

use super::fixture::*;
use crate::{BlockBuilder, FullReason, InvalidTransaction, OpenError, PushError, l1_data_fee};

const BOB: Address = Address::repeat_byte(0xb0);

#[test]
fn an_empty_block_has_the_header_of_the_op_rules() {
    let mut chain = Chain::new();
    let parent = chain.parent.clone();
    let executed = chain.extend(Vec::new(), &[]);
    let header = &executed.block.header;
    assert_eq!(header.number, 1);
    assert_eq!(header.parent_hash, parent.hash());
    assert_eq!(header.beneficiary, FEE_VAULT);
    assert_eq!(header.mix_hash, chain.origin.randao);
    assert_eq!(protocol::block::timestamp_ms(header), 1_700_000_000_500);
    let extra = HeaderExtra::decode(&header.extra_data).unwrap();
    assert_eq!((extra.millis, extra.leader), (500, Address::repeat_byte(0x1e)));
    // No message was ever passed: the storage root of the message passer is the empty one.
    assert_eq!(header.withdrawals_root, Some(alloy_consensus::EMPTY_ROOT_HASH));
    assert_eq!((header.blob_gas_used, header.excess_blob_gas), (Some(0), Some(0)));
    assert_eq!(header.parent_beacon_block_root, Some(B256::ZERO));
    assert_eq!(executed.receipts.len(), 1);
    assert!(executed.receipts[0].status(), "the attributes deposit succeeds");
    assert_eq!(executed.receipts[0].deposit_receipt_version(), Some(1));
}

#[test]
fn l1_attributes_reach_the_predeploy_in_op_layout() {
    let mut chain = Chain::new();
    chain.extend(Vec::new(), &[]);
    chain.extend(Vec::new(), &[]);
    let (origin, params) = (chain.origin, chain.config.params.clone());
    let packed = (U256::from(params.l1_base_fee_scalar) << 96)
        | (U256::from(params.l1_blob_base_fee_scalar) << 64)
        | U256::from(1);
    assert_eq!(chain.slot(L1_BLOCK, 0), (U256::from(origin.timestamp) << 64) | U256::from(origin.number));
    assert_eq!(chain.slot(L1_BLOCK, 1), U256::from(origin.base_fee));
    assert_eq!(chain.slot(L1_BLOCK, 2), U256::from_be_bytes(origin.hash.0));
    assert_eq!(chain.slot(L1_BLOCK, 3), packed);
    assert_eq!(chain.slot(L1_BLOCK, 7), U256::from(origin.blob_base_fee));
    assert_eq!(chain.slot(L1_BLOCK, 8), U256::ZERO);
}

#[test]
fn parent_hashes_are_kept_by_eip_2935() {
    let mut chain = Chain::new();
    let genesis = chain.parent.hash();
    let first = chain.extend(Vec::new(), &[]);
    chain.extend(Vec::new(), &[]);
    assert_eq!(chain.slot(HISTORY_STORAGE_ADDRESS, 0), U256::from_be_bytes(genesis.0));
    assert_eq!(chain.slot(HISTORY_STORAGE_ADDRESS, 1), U256::from_be_bytes(first.hash.0));
}

#[test]
fn fees_go_to_their_vaults_and_nothing_is_burned() {
    let mut chain = Chain::new();
    let alice = address_of(&key(1));
    let before = chain.balance(alice);
    let tx = transfer(1, 0, BOB, 5);
    let executed = chain.extend(Vec::new(), std::slice::from_ref(&tx));
    let base_fee = U256::from(executed.block.header.base_fee_per_gas.unwrap());
    let gas = U256::from(21_000);
    let attributes = chain_attributes(&executed, &chain);
    let l1_fee = l1_data_fee(&attributes, &tx.encoded);
    assert!(!l1_fee.is_zero());
    assert_eq!(chain.balance(BASE_FEE_VAULT), base_fee * gas);
    assert_eq!(chain.balance(FEE_VAULT), U256::from(GWEI) * gas);
    assert_eq!(chain.balance(L1_FEE_VAULT), l1_fee);
    assert_eq!(chain.balance(BOB), U256::from(5));
    assert_eq!(chain.balance(alice), before - U256::from(5) - (base_fee + U256::from(GWEI)) * gas - l1_fee);
}

/// What the block itself says about L1, as RPC reads it for receipts.
fn chain_attributes(executed: &crate::ExecutedBlock, chain: &Chain) -> crate::L1Attributes {
    let decoded = chain.decode(&alloy_rlp::encode(&executed.block)).unwrap();
    decoded.l1_attributes().unwrap()
}

#[test]
fn the_l1_fee_is_that_of_the_block_s_own_attributes() {
    let mut chain = Chain::new();
    chain.extend(Vec::new(), &[]);
    chain.origin.base_fee *= 50;
    let tx = transfer(1, 0, BOB, 5);
    let executed = chain.extend(Vec::new(), std::slice::from_ref(&tx));
    let attributes = chain_attributes(&executed, &chain);
    assert_eq!(attributes.origin, chain.origin);
    assert_eq!(chain.balance(L1_FEE_VAULT), l1_data_fee(&attributes, &tx.encoded));
}

#[test]
fn all_transaction_types_of_wallets_execute() {
    let mut chain = Chain::new();
    let (chain_id, to, gas_limit) = (CHAIN_ID, TxKind::Call(COUNTER), 100_000);
    let legacy = TxLegacy { gas_price: 5 * GWEI, gas_limit, to, ..TxLegacy::default() };
    let unprotected = sign(&key(1), legacy.clone());
    let protected = sign(&key(1), TxLegacy { chain_id: Some(chain_id), nonce: 1, ..legacy });
    let listed = AccessList(vec![AccessListItem { address: COUNTER, storage_keys: vec![B256::ZERO] }]);
    let berlin =
        TxEip2930 { chain_id, gas_price: 5 * GWEI, gas_limit, to, access_list: listed, ..TxEip2930::default() };
    let berlin = sign(&key(2), berlin);
    let london = sign(&key(3), call_tx(0, COUNTER, U256::ZERO, Bytes::new()));
    let wallet = key(5);
    let authorization = Authorization { chain_id: U256::from(chain_id), address: COUNTER, nonce: 0 };
    let signature = sign_hash(&wallet, authorization.signature_hash());
    let delegation = TxEip7702 {
        chain_id,
        gas_limit,
        max_fee_per_gas: 5 * GWEI,
        to: address_of(&wallet),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    let delegation = sign(&key(4), delegation);
    let executed = chain.extend(Vec::new(), &[unprotected, protected, berlin, london, delegation]);
    assert!(executed.receipts.iter().all(|receipt| receipt.status() && receipt.logs().len() <= 1));
    let types: Vec<u8> = executed.receipts.iter().map(|receipt| receipt.tx_type() as u8).collect();
    assert_eq!(types, [0x7e, 0, 0, 1, 2, 4]);
    assert_eq!(chain.slot(COUNTER, 0), U256::from(4));
    // The delegated account ran the counter's code on its own storage.
    let wallet = address_of(&wallet);
    assert_eq!(chain.slot(wallet, 0), U256::from(1));
    assert_eq!(chain.nonce(wallet), 1);
    let designator = Bytes::from([&[0xef, 0x01, 0x00][..], COUNTER.as_slice()].concat());
    assert_eq!(executed.diff.code.get(&keccak256(&designator)), Some(&designator));
}

#[test]
fn a_contract_made_and_destroyed_in_one_transaction_leaves_nothing() {
    let mut chain = Chain::new();
    // Init code that stores a slot, then self-destructs to the caller.
    let init = alloy_primitives::hex!("60015f5533ff");
    let tx = TxEip1559 { to: TxKind::Create, ..call_tx(0, BOB, U256::from(9), init.to_vec()) };
    let executed = chain.extend(Vec::new(), &[sign(&key(1), tx)]);
    assert!(executed.receipts[1].status());
    let created = address_of(&key(1)).create(0);
    assert!(!executed.diff.accounts.contains_key(&created));
}

#[test]
fn created_code_is_in_the_diff_once_and_callable_in_the_same_block() {
    let mut chain = Chain::new();
    // Returns the one-byte code STOP.
    let init = alloy_primitives::hex!("60015ff3");
    let tx = TxEip1559 { to: TxKind::Create, ..call_tx(0, BOB, U256::ZERO, init.to_vec()) };
    let created = address_of(&key(1)).create(0);
    let call = sign(&key(2), call_tx(0, created, U256::from(3), Bytes::new()));
    let executed = chain.extend(Vec::new(), &[sign(&key(1), tx), call]);
    assert!(executed.receipts[2].status());
    assert_eq!(executed.diff.code.keys().copied().collect::<Vec<_>>(), [keccak256([0])]);
    assert_eq!(chain.balance(created), U256::from(3));
    // Calling it in a later block reads its code from the state.
    chain.extend(Vec::new(), &[sign(&key(2), call_tx(1, created, U256::from(3), Bytes::new()))]);
    assert_eq!(chain.balance(created), U256::from(6));
}

#[test]
fn refused_transactions_leave_no_trace() {
    let chain = Chain::new();
    let good = [
        sign(&key(1), call_tx(0, COUNTER, U256::ZERO, Bytes::new())),
        sign(&key(2), call_tx(0, COUNTER, U256::ZERO, Bytes::new())),
    ];
    // They name the same accounts and slots as the good ones, which must stay cold for those.
    let list = AccessList(vec![AccessListItem { address: COUNTER, storage_keys: vec![B256::ZERO] }]);
    let base = TxEip1559 { access_list: list, ..call_tx(0, COUNTER, U256::ZERO, Bytes::new()) };
    let refused = [
        (TxEip1559 { nonce: 7, ..base.clone() }, "nonce 7 too high"),
        (TxEip1559 { gas_limit: 21_000, ..base.clone() }, "gas"),
        (TxEip1559 { max_fee_per_gas: 1, max_priority_fee_per_gas: 0, ..base.clone() }, "basefee"),
        (TxEip1559 { max_fee_per_gas: 2 * GWEI, max_priority_fee_per_gas: 3 * GWEI, ..base.clone() }, "priority fee"),
        (TxEip1559 { value: U256::MAX, ..base.clone() }, "payment"),
        (TxEip1559 { value: ETHER * U256::from(2000), ..base.clone() }, "lack of funds"),
        (TxEip1559 { gas_limit: MAX_TRANSACTION_GAS + 1, ..base.clone() }, "cap"),
        (TxEip1559 { gas_limit: 30_000_001, ..base }, "block gas limit"),
    ];
    let mut builder = chain.open(Vec::new());
    for (sender, tx) in (1..).zip(&good) {
        for (bad, reason) in &refused {
            match builder.push(&sign(&key(sender), bad.clone())) {
                Err(PushError::Invalid(error)) if error.to_string().contains(reason) => {}
                other => panic!("{reason}: {other:?}"),
            }
        }
        let poor = sign(&key(77), call_tx(0, COUNTER, U256::ZERO, Bytes::new()));
        assert!(matches!(builder.push(&poor), Err(PushError::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. }))));
        builder.push(tx).unwrap();
        assert!(matches!(builder.push(tx), Err(PushError::Invalid(InvalidTransaction::NonceTooLow { .. }))));
    }
    assert_eq!(builder.finish(&chain.state).unwrap(), chain.build(Vec::new(), &good));
}

#[test]
fn a_full_block_says_so_and_stays_valid() {
    let mut chain = Chain::with_params(Params { gas_limit: 5_000_000, ..Params::default() });
    let mut builder = chain.open(Vec::new());
    let left = builder.gas_left();
    let filler =
        |nonce, gas_limit| sign(&key(1), TxEip1559 { gas_limit, ..call_tx(nonce, HALTER, U256::ZERO, Bytes::new()) });
    builder.push(&filler(0, left - 30_000)).unwrap();
    assert_eq!(builder.gas_left(), 30_000);
    assert!(matches!(builder.push(&filler(1, 30_001)), Err(PushError::Full(FullReason::Gas))));
    let last = filler(1, 30_000);
    builder.push(&last).unwrap();
    assert_eq!(builder.gas_left(), 0);
    chain.extend(Vec::new(), &[filler(0, left - 30_000), last]);

    let chain = Chain::with_params(Params { gas_limit: 500_000_000, ..Params::default() });
    let mut builder = chain.open(Vec::new());
    let big =
        |nonce| sign(&key(1), TxEip1559 { gas_limit: 6_000_000, ..call_tx(nonce, BOB, U256::ZERO, vec![0; 130_000]) });
    let pushed = (0..9).map(|nonce| builder.push(&big(nonce))).collect::<Vec<_>>();
    assert!(pushed[..8].iter().all(Result::is_ok));
    assert!(matches!(pushed[8], Err(PushError::Full(FullReason::Bytes))));
}

#[test]
fn the_base_fee_follows_use_down_to_its_floor() {
    let params =
        Params { gas_limit: 5_000_000, initial_base_fee: 1_000_000, min_base_fee: 950_000, ..Params::default() };
    let mut chain = Chain::with_params(params);
    let fees: Vec<u64> = (0..3).map(|_| chain.extend(Vec::new(), &[]).block.header.base_fee_per_gas.unwrap()).collect();
    assert_eq!(fees, [950_000, 950_000, 950_000]);
    let burn = sign(&key(1), TxEip1559 { gas_limit: 4_500_000, ..call_tx(0, HALTER, U256::ZERO, Bytes::new()) });
    chain.extend(Vec::new(), &[burn]);
    let fee = chain.extend(Vec::new(), &[]).block.header.base_fee_per_gas.unwrap();
    assert!(fee > 950_000 && fee < 950_000 * 9 / 8 + 1, "{fee}");
}

#[test]
fn time_does_not_run_backwards_but_may_stand_still() {
    let mut chain = Chain::new();
    chain.extend(Vec::new(), &[]);
    let open = |timestamp_ms| {
        let attributes = protocol::BlockAttributes { timestamp_ms, ..chain.attributes(Vec::new()) };
        BlockBuilder::new(&chain.config, &chain.parent, &attributes, Arc::new(chain.state.clone()))
    };
    assert!(open(1_700_000_000_500).is_ok());
    let Err(OpenError::TimestampBeforeParent { parent, got }) = open(1_700_000_000_499) else { panic!("opened") };
    assert_eq!((parent, got), (1_700_000_000_500, 1_700_000_000_499));
}

#[test]
fn receipts_accumulate_gas_and_blooms() {
    let mut chain = Chain::new();
    let txs: Vec<_> = (0..3).map(|nonce| sign(&key(1), call_tx(nonce, COUNTER, U256::ZERO, Bytes::new()))).collect();
    let executed = chain.extend(Vec::new(), &txs);
    let sums: Vec<u64> = executed.receipts.iter().map(|receipt| receipt.cumulative_gas_used()).collect();
    assert!(sums.is_sorted());
    assert_eq!(sums.last(), Some(&executed.block.header.gas_used));
    let bloom = executed.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
    assert_eq!(executed.block.header.logs_bloom, bloom);
    assert!(!executed.block.header.logs_bloom.is_zero());
}

#[test]
fn pending_state_can_be_read_while_building() {
    let chain = Chain::new();
    let mut builder = chain.open(Vec::new());
    builder.push(&transfer(1, 0, BOB, 5)).unwrap();
    assert_eq!(builder.account(BOB).unwrap().unwrap().balance, U256::from(5));
    assert_eq!(builder.account(address_of(&key(1))).unwrap().unwrap().nonce, 1);
    assert_eq!(builder.account(Address::repeat_byte(0xcc)).unwrap(), None);
    let diff = builder.diff();
    assert_eq!(builder.finish(&chain.state).unwrap().diff, diff);
}
