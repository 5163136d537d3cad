//! The golden vectors that the Solidity tests read too: both sides must compute the same bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{fs, path::Path};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolStruct;
use k256::ecdsa::SigningKey;
use protocol::{
    BatchCertificate, BatchHeader, CompactSignature, Domain, Member, SequencerSet, SnapshotId, Weight,
    batch::CertificateError,
    signing::{PeerBinding, Proposal, Slice, Vote, address_of},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

fn vectors() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/signing.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn get<T: DeserializeOwned>(value: &Value, name: &str) -> T {
    serde_json::from_value(value[name].clone()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn domain(vectors: &Value) -> Domain {
    Domain::new(get(vectors, "l1ChainId"), get(vectors, "verifyingContract"))
}

fn check(statement: &impl SolStruct, expected: &Value) {
    assert_eq!(statement.eip712_hash_struct(), get::<B256>(expected, "structHash"));
    assert_eq!(domain(&vectors()).digest(statement), get::<B256>(expected, "digest"));
}

fn set(vectors: &Value) -> SequencerSet {
    let members = vectors["set"]["members"].as_array().unwrap();
    let members = members.iter().map(|m| Member { signer: get(m, "signer"), weight: Weight(get(m, "weight")) });
    SequencerSet::new(SnapshotId(5), members.collect()).unwrap()
}

fn certificate(vectors: &Value) -> BatchCertificate {
    let bitmap = U256::from(get::<u64>(&vectors["certificate"], "bitmap"));
    let signatures: Bytes = get(&vectors["certificate"], "signatures");
    BatchCertificate { members: set(vectors).words(), bitmap, signatures }
}

#[test]
fn domain_and_statements() {
    let v = vectors();
    assert_eq!(domain(&v).separator(), get::<B256>(&v, "domainSeparator"));
    let one = &v["vote"];
    let vote = Vote {
        voteType: get(one, "voteType"),
        height: get(one, "height"),
        round: get(one, "round"),
        blockHash: get(one, "blockHash"),
    };
    check(&vote, one);
    let one = &v["proposal"];
    let proposal = Proposal {
        height: get(one, "height"),
        round: get(one, "round"),
        polRound: get(one, "polRound"),
        blockHash: get(one, "blockHash"),
    };
    check(&proposal, one);
    let one = &v["slice"];
    let slice = Slice {
        height: get(one, "height"),
        round: get(one, "round"),
        index: get(one, "index"),
        dataHash: get(one, "dataHash"),
    };
    check(&slice, one);
    let one = &v["peerBinding"];
    check(&PeerBinding { peerIdHash: get(one, "peerIdHash"), expires: get(one, "expires") }, one);
    let header: BatchHeader = serde_json::from_value(v["batchHeader"].clone()).unwrap();
    check(&header, &v["batchHeader"]);
    assert_eq!(header.hash(), get::<B256>(&v["batchHeader"], "structHash"));
}

#[test]
fn set_words_and_hash() {
    let v = vectors();
    let set = set(&v);
    for (word, expected) in set.words().iter().zip(v["set"]["members"].as_array().unwrap()) {
        assert_eq!(*word, get::<B256>(expected, "word"));
    }
    assert_eq!(set.hash(), get::<B256>(&v["set"], "hash"));
    assert_eq!(set.total(), Weight(get(&v["set"], "totalWeight")));
}

#[test]
fn certificate_is_ours_byte_for_byte_and_stands() {
    let v = vectors();
    let (set, domain, expected) = (set(&v), domain(&v), certificate(&v));
    let header: BatchHeader = serde_json::from_value(v["batchHeader"].clone()).unwrap();
    let digest = domain.digest(&header);
    let mut signatures = Vec::new();
    for signer in v["signers"].as_array().unwrap() {
        let key = SigningKey::from_slice(get::<B256>(signer, "privateKey").as_slice()).unwrap();
        assert_eq!(address_of(&key), get::<Address>(signer, "address"));
        let index = set.index_of(address_of(&key)).unwrap();
        if expected.bitmap.bit(index) {
            signatures.push((index, CompactSignature::sign(&key, &digest).unwrap()));
        }
    }
    assert_eq!(BatchCertificate::assemble(&set, &signatures), expected);
    let signed = Weight(get(&v["certificate"], "signedWeight"));
    assert_eq!(expected.verify(&domain, &header, &set), Ok(signed));

    let altered = BatchHeader { depositCount: header.depositCount + 1, ..header.clone() };
    assert!(matches!(expected.verify(&domain, &altered, &set), Err(CertificateError::WrongSigner(_))));
    let two = BatchCertificate::assemble(&set, &signatures[..2]);
    assert!(matches!(two.verify(&domain, &header, &set), Err(CertificateError::NoQuorum(..))));
    let outside = BatchCertificate { bitmap: expected.bitmap | U256::from(16), ..expected };
    assert_eq!(outside.verify(&domain, &header, &set), Err(CertificateError::Malformed));
}
