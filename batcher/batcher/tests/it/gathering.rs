//! Signatures into certificates.

use alloy_primitives::Bytes;
use batcher::{BatchSignature, DataAvailability, Gatherer, ParentBatch, SignatureVerdict, build_batch};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;
use protocol::signing::address_of;
use protocol::{BatchHeader, BatchIndex, Weight};

use crate::fixture::{MemoryChain, domain, key, keys, params, set_of, sign};

fn header(blocks: u64) -> BatchHeader {
    let chain = MemoryChain::with_blocks(params(), set_of(&keys(4), &[1; 4]), blocks);
    build_batch(chain.as_ref(), &params(), &ParentBatch::default(), DataAvailability::Calldata, None).unwrap().header
}

fn signed(key: &SigningKey, header: &BatchHeader) -> BatchSignature {
    let signature = sign(key, domain().digest(header));
    BatchSignature { index: BatchIndex(header.index), batch: header.hash(), signer: address_of(key), signature }
}

#[test]
fn more_than_two_thirds_complete_a_certificate() {
    let (keys, header) = (keys(4), header(3));
    let set = set_of(&keys, &[1; 4]);
    let mut gatherer = Gatherer::new(domain());
    assert!(gatherer.open(header.clone(), DataAvailability::Calldata, Bytes::new(), set.clone()).is_none());
    assert_eq!(gatherer.add(&signed(&keys[0], &header)), SignatureVerdict::Counted(Weight(1)));
    assert_eq!(gatherer.add(&signed(&keys[0], &header)), SignatureVerdict::Known);
    assert_eq!(gatherer.add(&signed(&key(99), &header)), SignatureVerdict::Stranger);
    let forged = BatchSignature { signer: address_of(&keys[1]), ..signed(&keys[0], &header) };
    assert_eq!(gatherer.add(&forged), SignatureVerdict::Invalid);
    assert_eq!(gatherer.add(&signed(&keys[2], &header)), SignatureVerdict::Counted(Weight(2)));
    assert!(gatherer.complete(header.hash()).is_none());
    let SignatureVerdict::Complete(batch) = gatherer.add(&signed(&keys[3], &header)) else { panic!("incomplete") };
    assert_eq!(batch.certificate.verify(&domain(), &header, &set), Ok(Weight(3)));
    assert_eq!(batch.certificate.bitmap, alloy_primitives::U256::from(0b1101));
    assert_eq!(gatherer.add(&signed(&keys[1], &header)), SignatureVerdict::Known);
}

#[test]
fn early_signatures_count_when_their_proposal_comes() {
    let (keys, header) = (keys(4), header(3));
    let mut gatherer = Gatherer::new(domain());
    for key in &keys[..3] {
        assert_eq!(gatherer.add(&signed(key, &header)), SignatureVerdict::Early);
    }
    let forged = BatchSignature { signer: address_of(&keys[3]), ..signed(&keys[0], &header) };
    assert_eq!(gatherer.add(&forged), SignatureVerdict::Invalid);
    let complete = gatherer.open(header.clone(), DataAvailability::Calldata, Bytes::new(), set_of(&keys, &[1; 4]));
    assert!(complete.is_some());
}

#[test]
fn memory_stays_bounded_under_a_flood() {
    let keys = keys(4);
    let mut gatherer = Gatherer::new(domain());
    let headers: Vec<_> = (1..=20).map(header).collect();
    for header in &headers {
        gatherer.open(header.clone(), DataAvailability::Calldata, Bytes::new(), set_of(&keys, &[1; 4]));
    }
    assert_eq!(headers.iter().filter(|header| gatherer.knows(header.hash())).count(), 8);
    // One member cannot push out the early signatures of the others.
    let mut gatherer = Gatherer::new(domain());
    gatherer.add(&signed(&keys[1], &headers[0]));
    gatherer.add(&signed(&keys[2], &headers[0]));
    for header in &headers {
        gatherer.add(&signed(&keys[0], header));
    }
    assert_eq!(gatherer.add(&signed(&keys[1], &headers[0])), SignatureVerdict::Known);
    gatherer.close_through(1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Against a naive model: the set of members whose genuine signature was seen.
    #[test]
    fn complete_exactly_when_the_weight_is(
        weights in prop::collection::vec(1u64..100, 4),
        steps in prop::collection::vec((0usize..6, any::<bool>()), 0..12),
        opens_at in 0usize..6,
    ) {
        let (keys, header) = (keys(6), header(2));
        let set = set_of(&keys[..4], &weights);
        let mut gatherer = Gatherer::new(domain());
        let mut genuine = std::collections::BTreeSet::new();
        let mut certificate = None;
        for (at, (signer, valid)) in steps.iter().enumerate() {
            if at == opens_at {
                certificate = gatherer.open(header.clone(), DataAvailability::Blobs, Bytes::new(), set.clone()).or(certificate);
            }
            let mut message = signed(&keys[*signer], &header);
            if *valid { genuine.insert(*signer); } else { message.signature.0[5] ^= 1; }
            if let SignatureVerdict::Complete(batch) = gatherer.add(&message) {
                prop_assert!(certificate.replace(batch).is_none(), "completed twice");
            }
        }
        if opens_at >= steps.len() {
            certificate = gatherer.open(header.clone(), DataAvailability::Blobs, Bytes::new(), set.clone()).or(certificate);
        }
        let weight: u64 = genuine.iter().filter_map(|signer| weights.get(*signer)).sum();
        prop_assert_eq!(certificate.is_some(), set.is_quorum(Weight(weight)));
        if let Some(batch) = certificate {
            prop_assert!(batch.certificate.verify(&domain(), &header, &set).is_ok());
        }
    }
}
