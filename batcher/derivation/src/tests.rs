use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use op_alloy_consensus::{DepositSourceDomain, TxDeposit, UserDepositSource};
use proptest::prelude::*;
use protocol::genesis::Params;
use protocol::{Height, L1Origin};

use crate::*;

#[path = "../benches/traffic/mod.rs"]
mod traffic;

fn signature() -> impl Strategy<Value = Signature> {
    // High s and a full top bit included: those must take the raw path and still come back.
    (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>())
        .prop_map(|(r, s, v)| Signature::new(U256::from_be_bytes(r), U256::from_be_bytes(s), v))
}

fn amount() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        (0u64..1_000, 0u32..40).prop_map(|(m, e)| U256::from(m) * U256::from(10).pow(U256::from(e))),
        any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

fn address_from_few() -> impl Strategy<Value = Address> {
    prop_oneof![(0u8..5).prop_map(Address::repeat_byte), any::<[u8; 20]>().prop_map(Address::from)]
}

fn word() -> impl Strategy<Value = B256> {
    prop_oneof![
        Just(B256::ZERO),
        any::<[u8; 32]>().prop_map(B256::from),
        (any::<[u8; 32]>(), 0usize..33).prop_map(|(mut bytes, zeros)| {
            bytes[..zeros].fill(0);
            bytes.into()
        }),
        (any::<[u8; 32]>(), 0usize..33).prop_map(|(mut bytes, kept)| {
            bytes[kept..].fill(0);
            bytes.into()
        }),
        amount().prop_map(B256::from),
        address_from_few().prop_map(|address| address.into_word()),
    ]
}

fn input() -> impl Strategy<Value = Bytes> {
    let abi = (any::<[u8; 4]>(), prop::collection::vec(word(), 0..6)).prop_map(|(selector, words)| {
        let mut data = selector.to_vec();
        words.iter().for_each(|word| data.extend_from_slice(word.as_slice()));
        data.into()
    });
    prop_oneof![Just(Bytes::new()), abi, prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from)]
}

fn access_list() -> impl Strategy<Value = AccessList> {
    let item = (address_from_few(), prop::collection::vec(word(), 0..3))
        .prop_map(|(address, storage_keys)| AccessListItem { address, storage_keys });
    prop::collection::vec(item, 0..3).prop_map(AccessList)
}

fn authorization() -> impl Strategy<Value = SignedAuthorization> {
    (amount(), address_from_few(), any::<u64>(), any::<u8>(), word(), word()).prop_map(
        |(chain_id, address, nonce, parity, r, s)| {
            let inner = Authorization { chain_id, address, nonce };
            SignedAuthorization::new_unchecked(inner, parity, r.into(), s.into())
        },
    )
}

fn transaction() -> impl Strategy<Value = Bytes> {
    let base =
        (0u8..6, prop_oneof![4 => Just(7u64), 1 => 0u64..u64::MAX / 4], any::<u64>(), any::<u64>(), any::<u128>());
    let rest = (amount(), prop::option::of(address_from_few()), input(), access_list());
    let lists = (prop::collection::vec(authorization(), 0..3), signature(), prop::collection::vec(any::<u8>(), 0..40));
    (base, rest, lists).prop_map(
        |(
            (kind, chain_id, nonce, gas_limit, fee),
            (value, to, input, access_list),
            (authorization_list, signature, raw),
        )| {
            let (gas_price, tip) = (fee >> 1, fee >> 90);
            let call = to.unwrap_or_default();
            let to = to.map_or(TxKind::Create, TxKind::Call);
            let (max_fee_per_gas, max_priority_fee_per_gas) = (gas_price, tip);
            let envelope: TxEnvelope = match kind {
                0 | 1 => {
                    let chain_id = (kind == 0).then_some(chain_id);
                    TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input }.into_signed(signature).into()
                }
                2 => TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }
                    .into_signed(signature)
                    .into(),
                3 => TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                }
                .into_signed(signature)
                .into(),
                4 => TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: call,
                    value,
                    access_list,
                    authorization_list,
                    input,
                }
                .into_signed(signature)
                .into(),
                _ => return raw.into(),
            };
            envelope.encoded_2718().into()
        },
    )
}

fn blocks() -> impl Strategy<Value = Vec<BatchBlock>> {
    let block = (0u64..5_000, address_from_few(), 0u64..4, prop::collection::vec(transaction(), 0..6));
    prop::collection::vec(block, 0..6).prop_map(|blocks| {
        let (mut timestamp_ms, mut l1_origin) = (1_700_000_000_000, 20_000_000);
        let place = |(elapsed, leader, advance, transactions)| {
            timestamp_ms += elapsed;
            l1_origin += advance;
            BatchBlock { timestamp_ms, leader, l1_origin, transactions }
        };
        blocks.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn channel_returns_every_byte(blocks in blocks()) {
        let channel = encode_channel(&blocks).unwrap();
        prop_assert_eq!(decode_channel(&channel).unwrap(), blocks);
    }

    #[test]
    fn channel_refuses_or_survives_hostile_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode_channel(&bytes);
    }

    /// Damage behind the compressor: valid zstd around broken columns reaches the column reader.
    #[test]
    fn columns_refuse_or_survive_damage(blocks in blocks(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let columns::Encoded { signatures, mut columns } = columns::encode(&blocks).unwrap();
        let at = at.index(columns.len());
        if cut { columns.truncate(at) } else { columns[at] = byte }
        if let Ok(decoded) = columns::decode(&signatures, &columns) {
            // Whatever still decodes is a batch like any other.
            let again = encode_channel(&decoded).unwrap();
            prop_assert_eq!(decode_channel(&again).unwrap(), decoded);
        }
    }

    #[test]
    fn frames_return_the_channel(seed in any::<u8>(), length in 1usize..=limits::MAX_CHANNEL_BYTES) {
        let channel: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31) ^ seed).collect();
        let blobs = blobs_from_channel(&channel).unwrap();
        prop_assert_eq!(blobs.len(), length.div_ceil(BLOB_CAPACITY));
        prop_assert_eq!(channel_from_blobs(&blobs).unwrap(), channel);
    }

    #[test]
    fn deposit_survives_hostile_logs(topics in prop::collection::vec(word(), 0..5), data in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_deposit(&topics, &data, B256::ZERO, 0);
        let mut topics = topics;
        topics.insert(0, DEPOSIT_TOPIC);
        let _ = decode_deposit(&topics, &data, B256::ZERO, 0);
    }
}

#[test]
fn typed_transactions_do_not_fall_back_to_raw() {
    let signature = Signature::test_signature();
    let tx = TxEip1559 { chain_id: 7, to: Address::repeat_byte(1).into(), ..Default::default() };
    let bytes: Bytes = TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into();
    let columns = columns::encode(&[BatchBlock { transactions: vec![bytes], ..Default::default() }]).unwrap();
    assert_eq!(columns.signatures.len(), 64);
}

#[test]
fn channel_refuses_what_breaks_a_rule() {
    let block = |timestamp_ms, l1_origin| BatchBlock { timestamp_ms, l1_origin, ..Default::default() };
    let large =
        BatchBlock { transactions: vec![vec![0; limits::MAX_TRANSACTION_BYTES + 1].into()], ..Default::default() };
    let cases = [
        (vec![block(2, 0), block(1, 0)], ChannelError::Order(1)),
        (vec![block(0, 2), block(0, 1)], ChannelError::Order(1)),
        (vec![block(0, 0); limits::MAX_BLOCKS + 1], ChannelError::Limit("blocks")),
        (vec![large], ChannelError::Limit("transaction bytes")),
    ];
    for (blocks, expected) in cases {
        assert_eq!(encode_channel(&blocks).unwrap_err(), expected);
    }
    let mut channel = encode_channel(&[]).unwrap();
    channel[0] = 9;
    assert_eq!(decode_channel(&channel), Err(ChannelError::Version(9)));
    assert!(decode_channel(&[]).is_err());
}

#[test]
fn channel_refuses_decompression_bomb() {
    let bomb = zstd::bulk::compress(&vec![0u8; limits::MAX_COLUMN_BYTES + 1], 9).unwrap();
    let channel = [&[1, 0][..], &bomb].concat();
    assert!(channel.len() < 4_000);
    assert_eq!(decode_channel(&channel), Err(ChannelError::Compression));
}

#[test]
fn channel_refuses_expansion_by_trimmed_words() {
    // One zero word per control byte: columns stay small, transactions would not.
    let input: Bytes = vec![0u8; 4 + 32 * 3_000].into();
    let tx = TxEip1559 { chain_id: 7, to: Address::repeat_byte(1).into(), input, ..Default::default() };
    let bytes: Bytes = TxEnvelope::from(tx.into_signed(Signature::test_signature())).encoded_2718().into();
    let count = limits::MAX_DECODED_BYTES / bytes.len() + 1;
    let blocks = [BatchBlock { transactions: vec![bytes; count], ..Default::default() }];
    assert_eq!(encode_channel(&blocks), Err(ChannelError::Limit("decoded bytes")));
}

#[test]
fn frames_refuse_tampering() {
    let channel = vec![7u8; BLOB_CAPACITY + 10];
    let blobs = blobs_from_channel(&channel).unwrap();
    let check = |change: &dyn Fn(&mut Vec<Blob>), expected| {
        let mut changed = blobs.clone();
        change(&mut changed);
        assert_eq!(channel_from_blobs(&changed), Err(expected));
    };
    check(&|blobs| blobs.swap(0, 1), FrameError::Frame(0));
    check(&|blobs| blobs.truncate(1), FrameError::Frame(0));
    check(&|blobs| blobs.clear(), FrameError::Count(0));
    check(&|blobs| blobs[1].0[0] = 1, FrameError::FieldElement(1));
    check(&|blobs| blobs[1].0[131_071] = 1, FrameError::Frame(1));
    check(&|blobs| blobs[0].0[1] = 2, FrameError::Frame(0));
    assert_eq!(blobs_from_channel(&[]), Err(FrameError::Count(0)));
    assert_eq!(blobs_from_channel(&vec![0; limits::MAX_CHANNEL_BYTES + 1]), Err(FrameError::Count(7)));
}

fn opaque(mint: u128, value: u64, gas: u64, creates: u8, input: &[u8]) -> Vec<u8> {
    let mut opaque = U256::from(mint).to_be_bytes_vec();
    opaque.extend(U256::from(value).to_be_bytes_vec());
    opaque.extend(gas.to_be_bytes());
    opaque.push(creates);
    opaque.extend(input);
    let mut data = U256::from(32).to_be_bytes_vec();
    data.extend(U256::from(opaque.len()).to_be_bytes_vec());
    data.extend(opaque);
    data
}

#[test]
fn deposit_decodes_like_the_op_stack() {
    let (from, to) = (Address::repeat_byte(0xaa), Address::repeat_byte(0xbb));
    let topics = [DEPOSIT_TOPIC, from.into_word(), to.into_word(), B256::ZERO];
    let l1_block = B256::repeat_byte(9);
    let deposit = decode_deposit(&topics, &opaque(5, 3, 21_000, 0, &[1, 2]), l1_block, 4).unwrap();
    assert_eq!((deposit.from, deposit.to, deposit.mint), (from, to.into(), 5));
    assert_eq!((deposit.value, deposit.gas_limit, deposit.input), (U256::from(3), 21_000, hex!("0102").into()));
    // op-alloy's own source hash is the independent second opinion.
    assert_eq!(deposit.source_hash, DepositSourceDomain::User(UserDepositSource::new(l1_block, 4)).source_hash());
    let create = decode_deposit(&topics, &opaque(0, 0, 1, 1, &[]), l1_block, 4).unwrap();
    assert_eq!(create.to, TxKind::Create);
    assert_eq!(DEPOSIT_TOPIC, keccak256("TransactionDeposited(address,address,uint256,bytes)"));
}

#[test]
fn deposit_refuses_what_the_queue_never_emits() {
    let good = [DEPOSIT_TOPIC, B256::ZERO, B256::ZERO, B256::ZERO];
    let data = opaque(0, 0, 0, 0, &[]);
    let check = |topics: &[B256], data: &[u8], expected| {
        assert_eq!(decode_deposit(topics, data, B256::ZERO, 0).unwrap_err(), expected);
    };
    check(&good[..3], &data, DepositError::Event);
    check(&[B256::ZERO; 4], &data, DepositError::Event);
    check(&[good[0], good[1], good[2], B256::with_last_byte(1)], &data, DepositError::Version);
    check(&good, &opaque(0, 0, 0, 2, &[]), DepositError::Data);
    check(&good, &data[..64], DepositError::Data);
}

struct Chain(u64);

impl FinalL1 for Chain {
    fn origin(&self, number: u64) -> Option<L1Origin> {
        (number <= self.0).then(|| L1Origin { number, ..Default::default() })
    }
    fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>> {
        (number <= self.0).then(|| vec![TxDeposit { mint: number.into(), ..Default::default() }])
    }
}

#[test]
fn derive_collects_deposits_between_origins() {
    let params = Params { max_origin_advance: 2, ..Params::default() };
    let mut tip = DerivationTip::genesis(1, 10);
    let block = |timestamp_ms, l1_origin| BatchBlock { timestamp_ms, l1_origin, ..Default::default() };
    // (timestamp, origin) → (sequence number, mints of the deposits)
    let steps = [((1_000, 10), (1, vec![])), ((1_500, 12), (0, vec![11, 12])), ((1_500, 12), (1, vec![]))];
    for (at, ((time, origin), expected)) in (1..).zip(steps) {
        let derived = tip.derive(block(time, origin), &params, &Chain(12)).unwrap();
        let mints = derived.attributes.deposits.iter().map(|deposit| deposit.mint).collect::<Vec<_>>();
        assert_eq!((derived.attributes.sequence_number, mints), expected);
        assert_eq!(derived.height, Height(at));
    }
    let before = tip;
    let mut check = |time, origin, expected| {
        assert_eq!(tip.derive(block(time, origin), &params, &Chain(12)), Err(expected));
        assert_eq!(tip, before);
    };
    check(1_499, 12, DeriveError::Timestamp(Height(4)));
    check(1_500, 11, DeriveError::Origin(11, 12));
    check(1_500, 15, DeriveError::Origin(15, 12));
    check(1_500, 13, DeriveError::MissingL1(13));
}

#[test]
fn a_batch_of_queue_items_follows_from_l1_alone() {
    struct Timed(u64);
    impl FinalL1 for Timed {
        fn origin(&self, number: u64) -> Option<L1Origin> {
            // One block every 12 s, and block 10 at second 120.
            (number <= self.0).then(|| L1Origin { number, timestamp: number * 12, ..Default::default() })
        }
        fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>> {
            (number <= self.0).then(Vec::new)
        }
    }
    let params = Params { max_origin_advance: 4, ..Params::default() };
    let mut tip = DerivationTip::genesis(0, 10);
    tip.timestamp_ms = 170_500;
    let blocks = queue_only_blocks(&tip, 19, &params, &Timed(19)).unwrap();
    let found: Vec<_> = blocks.iter().map(|block| (block.l1_origin, block.timestamp_ms)).collect();
    // The first origin is older than the parent; the last step is what is left.
    assert_eq!(found, [(14, 170_500), (18, 216_000), (19, 228_000)]);
    assert!(blocks.iter().all(|block| block.leader == Address::ZERO && block.transactions.is_empty()));
    for block in blocks {
        tip.derive(block, &params, &Timed(19)).unwrap();
    }
    assert_eq!((tip.height, tip.origin), (Height(3), 19));
    assert_eq!(queue_only_blocks(&tip, 19, &params, &Timed(19)), Ok(Vec::new()));
    assert_eq!(queue_only_blocks(&tip, 20, &params, &Timed(19)), Err(DeriveError::MissingL1(20)));
    let params = Params { max_origin_advance: 1, ..params };
    let far = queue_only_blocks(&tip, u64::MAX, &params, &Timed(u64::MAX)).unwrap();
    assert_eq!(far.len(), limits::MAX_BLOCKS + 1);
}

#[test]
fn batch_block_leaves_deposits_out() {
    let block = batch_block(1, Address::ZERO, 2, [&[0x7e, 1][..], &[0x7e, 2], &[0x02, 3]].map(Bytes::from_static));
    assert_eq!(block.transactions, [Bytes::from_static(&[2, 3])]);
}

#[test]
fn traffic_stays_as_small_as_measured() {
    // Bytes a transaction; measured 74.7, 75.8 and 92.2, where zlib over RLP needs 91.9, 96.5 and 123.0 (`benches/codec.rs`).
    for (name, blocks, most) in [
        ("transfers", traffic::transfers(2_000), 76),
        ("tokens", traffic::token_transfers(2_000), 78),
        ("swaps", traffic::swaps(2_000), 95),
    ] {
        let channel = encode_channel(&blocks).unwrap();
        let each = channel.len() / 2_000;
        assert!(each <= most, "{name}: {each} bytes");
        assert_eq!(decode_channel(&channel).unwrap(), blocks);
    }
}
