//! Codecs: round trips and hostile bytes.

use alloy_primitives::{Address, B256, Bytes};
use k256::ecdsa::SigningKey;
use libp2p::PeerId;
use proptest::prelude::*;
use protocol::{BatchHeader, BatchIndex, CompactSignature, Domain, Height, Round, Slice, SliceBody, signing};

use crate::{
    BatchProposal, BatchSignature, BindingError, BlocksRequest, DataKind, DecidedBlock, Gossip, HeadStatus,
    PeerBinding, Status, Topic,
    limits::{MAX_BLOCKS_RESPONSE_BYTES, MAX_CERTIFICATE_BYTES, MAX_TRANSACTIONS_MESSAGE},
    message::pack_transactions,
    wire::fit,
};

pub(super) fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

pub(super) fn domain() -> Domain {
    Domain::new(900, Address::repeat_byte(0x55))
}

pub(super) fn header(index: u64) -> BatchHeader {
    BatchHeader {
        index,
        parentHash: B256::repeat_byte(1),
        firstHeight: 1,
        lastHeight: 9,
        lastBlockHash: B256::repeat_byte(2),
        stateRoot: B256::repeat_byte(3),
        withdrawalsRoot: B256::repeat_byte(4),
        blocksRoot: B256::repeat_byte(5),
        dataHash: B256::repeat_byte(6),
        snapshotId: 1,
        l1OriginNumber: 7,
        l1OriginHash: B256::repeat_byte(8),
        depositCount: 3,
        turns: alloy_primitives::U256::from(1),
    }
}

pub(super) fn proposal(index: u64, key: &SigningKey) -> BatchProposal {
    let header = header(index);
    let signature = CompactSignature::sign(key, &domain().digest(&header)).unwrap();
    BatchProposal { header, kind: DataKind::Blobs, channel: vec![7; 1_000].into(), signature }
}

pub(super) fn signature(index: u64, key: &SigningKey) -> BatchSignature {
    let BatchProposal { header, signature, .. } = proposal(index, key);
    BatchSignature { index: BatchIndex(index), hash: header.hash(), signature }
}

pub(super) fn slice(index: u32, data: Vec<u8>, key: &SigningKey) -> Slice {
    let (height, round, body) = (Height(9), Round(0), SliceBody::Data(data.into()));
    let digest = domain().digest(&protocol::slice::statement(height, round, index, &body));
    Slice { height, round, index, body, signature: CompactSignature::sign(key, &digest).unwrap() }
}

fn round_trip(message: &Gossip) {
    let bytes = message.encode().unwrap();
    assert_eq!(Gossip::decode(message.topic(), &bytes).as_ref(), Some(message));
    for longer in [[&bytes[..], &[0]].concat(), [&bytes[..], &bytes[..]].concat()] {
        assert_eq!(Gossip::decode(message.topic(), &longer), None);
    }
    assert_eq!(Gossip::decode(message.topic(), &bytes[..bytes.len() - 1]), None);
}

proptest! {
    #[test]
    fn transactions_round_trip(list in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..40)) {
        round_trip(&Gossip::Transactions(list.into_iter().map(Bytes::from).collect()));
    }

    #[test]
    fn blocks_round_trip(block in prop::collection::vec(any::<u8>(), 1..3_000),
                         certificate in prop::collection::vec(any::<u8>(), 1..MAX_CERTIFICATE_BYTES)) {
        round_trip(&Gossip::Block(DecidedBlock { block: block.into(), certificate: certificate.into() }));
    }

    #[test]
    fn slices_round_trip(data in prop::collection::vec(any::<u8>(), 0..3_000), index in any::<u32>()) {
        round_trip(&Gossip::Slice(Box::new(slice(index, data, &key(1)))));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        for topic in Topic::ALL {
            if let Some(message) = Gossip::decode(topic, &bytes) {
                prop_assert_eq!(message.encode().unwrap(), bytes.clone());
            }
        }
        let _status = alloy_rlp::decode_exact::<Status>(&bytes);
        let _blocks = alloy_rlp::decode_exact::<Vec<DecidedBlock>>(&bytes);
    }

    #[test]
    fn a_changed_byte_is_another_message_or_none(at in any::<prop::sample::Index>(), flip in 1u8..) {
        for message in [Gossip::Proposal(Box::new(proposal(3, &key(1)))), Gossip::Signature(signature(3, &key(1)))] {
            let mut bytes = message.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Some(other) = Gossip::decode(Topic::Batches, &bytes) {
                prop_assert_ne!(&other, &message);
                prop_assert_eq!(other.encode().unwrap(), bytes);
            }
        }
    }

    #[test]
    fn packed_transactions_fit_and_keep_their_order(sizes in prop::collection::vec(1usize..140_000, 0..30)) {
        let list: Vec<Bytes> = sizes.iter().enumerate().map(|(i, size)| vec![i as u8; *size].into()).collect();
        let packed = pack_transactions(list.clone());
        for message in &packed {
            prop_assert!(Gossip::Transactions(message.clone()).encode().unwrap().len() <= MAX_TRANSACTIONS_MESSAGE);
        }
        let kept: Vec<Bytes> = list.into_iter().filter(|tx| tx.len() <= 131_072).collect();
        prop_assert_eq!(packed.concat(), kept);
    }
}

#[test]
fn batch_messages_round_trip_and_name_their_signer() {
    let (proposal, signature) = (proposal(3, &key(1)), signature(3, &key(2)));
    assert_eq!(proposal.signer(&domain()), Some(signing::address_of(&key(1))));
    assert_eq!(signature.signer(&domain()), Some(signing::address_of(&key(2))));
    let mut altered = proposal.clone();
    altered.header.stateRoot = B256::ZERO;
    assert_ne!(altered.signer(&domain()), Some(signing::address_of(&key(1))));
    round_trip(&Gossip::Proposal(Box::new(proposal)));
    round_trip(&Gossip::Signature(signature));
}

#[test]
fn empty_and_oversized_messages_are_refused() {
    let block = |block: usize, certificate: usize| {
        let message = DecidedBlock { block: vec![1; block].into(), certificate: vec![1; certificate].into() };
        Gossip::Block(message).encode().and_then(|bytes| Gossip::decode(Topic::Blocks, &bytes))
    };
    assert!(block(2 * 1024 * 1024, 4_096).is_some());
    assert!(block(2 * 1024 * 1024 + 1, 1).is_none());
    assert!(block(0, 1).is_none());
    assert!(block(1, 4_097).is_none());
    let transactions = |list: Vec<Bytes>| {
        let bytes = Gossip::Transactions(list).encode()?;
        Gossip::decode(Topic::Transactions, &bytes)
    };
    assert!(transactions(vec![vec![1; 131_072].into()]).is_some());
    assert!(transactions(vec![vec![1; 131_073].into()]).is_none());
    assert!(transactions(vec![]).is_none());
    assert!(transactions(vec![Bytes::new()]).is_none());
    assert!(transactions(vec![vec![1].into(); 2_048]).is_some());
    assert!(transactions(vec![vec![1].into(); 2_049]).is_none());
    let mut large = proposal(1, &key(1));
    large.channel = vec![1; 786_432].into();
    round_trip(&Gossip::Proposal(Box::new(large.clone())));
    large.channel = vec![1; 1024 * 1024].into();
    assert!(Gossip::Proposal(Box::new(large)).encode().is_none());
}

#[test]
fn status_round_trips_with_and_without_binding() {
    let binding = PeerBinding::sign(&domain(), &key(1), &PeerId::random(), 77).unwrap();
    for binding in [None, Some(binding)] {
        let heads = HeadStatus { height: Height(u64::MAX), hash: B256::repeat_byte(9), safe: Height(3) };
        let status = Status { genesis: B256::repeat_byte(7), heads, binding };
        let bytes = alloy_rlp::encode(&status);
        assert!(bytes.len() as u64 <= crate::limits::MAX_STATUS_BYTES);
        assert_eq!(alloy_rlp::decode_exact::<Status>(&bytes).unwrap(), status);
    }
    let request = alloy_rlp::encode(BlocksRequest { from: Height(u64::MAX), count: u64::MAX });
    assert!(request.len() as u64 <= crate::limits::MAX_BLOCKS_REQUEST_BYTES);
}

#[test]
fn a_binding_holds_for_its_peer_signer_network_and_time_only() {
    let peer = PeerId::random();
    let binding = PeerBinding::sign(&domain(), &key(1), &peer, 100).unwrap();
    assert_eq!(binding.verify(&domain(), &peer, 99), Ok(signing::address_of(&key(1))));
    assert_eq!(binding.verify(&domain(), &peer, 100), Err(BindingError::Expired));
    assert_eq!(binding.verify(&domain(), &PeerId::random(), 1), Err(BindingError::Forged));
    let other = Domain::new(901, Address::repeat_byte(0x55));
    assert_eq!(binding.verify(&other, &peer, 1), Err(BindingError::Forged));
    let renamed = PeerBinding { signer: Address::repeat_byte(1), ..binding };
    assert_eq!(renamed.verify(&domain(), &peer, 1), Err(BindingError::Forged));
    let extended = PeerBinding { expires: 1_000, ..binding };
    assert_eq!(extended.verify(&domain(), &peer, 1), Err(BindingError::Forged));
}

#[test]
fn an_answer_is_cut_to_its_size() {
    let block = DecidedBlock { block: vec![1; 1024 * 1024].into(), certificate: vec![1; 100].into() };
    let answer = fit(vec![block.clone(); 20]);
    assert_eq!(answer.len(), 7);
    assert!(alloy_rlp::encode(&answer).len() as u64 <= MAX_BLOCKS_RESPONSE_BYTES);
    let small = DecidedBlock { block: vec![1].into(), certificate: vec![1].into() };
    assert_eq!(fit(vec![small; 100]).len(), 64);
}
