use alloy_primitives::{Address as SignerAddress, B256, Bytes as Data};
use bytes::Bytes;
use malachite::app::streaming::{StreamContent, StreamId};
use malachite::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaSignature, Round, RoundCertificate,
    RoundCertificateType, RoundSignature, SignedMessage, SignedVote, Validity, VoteType,
};
use malachite::app::types::sync::RawDecidedValue;
use malachite::app::types::{Keypair, PeerId};
use malachite_sync::{ValueRequest, ValueResponse};
use proptest::prelude::*;

use super::*;
use crate::context::{Address, BlockId, Height, Proposal, Signature, SliceBody, Vote};

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(|mut bytes| {
        bytes[0] |= 1;
        B256::from(bytes)
    })
}

fn value() -> impl Strategy<Value = NilOrVal<B256>> {
    prop_oneof![Just(NilOrVal::Nil), hash().prop_map(NilOrVal::Val)]
}

fn round() -> impl Strategy<Value = Round> {
    (0..=MAX_ROUND).prop_map(Round::new)
}

fn optional_round() -> impl Strategy<Value = Round> {
    prop_oneof![Just(Round::Nil), round()]
}

fn signer() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(|bytes| Address(SignerAddress::from(bytes)))
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[u8; 64]>().prop_map(Signature)
}

fn kind() -> impl Strategy<Value = VoteType> {
    prop_oneof![Just(VoteType::Prevote), Just(VoteType::Precommit)]
}

fn height() -> impl Strategy<Value = Height> {
    any::<u64>().prop_map(Height)
}

fn vote() -> impl Strategy<Value = SignedVote<Horae>> {
    (kind(), height(), round(), value(), signer(), signature()).prop_map(
        |(kind, height, round, value, signer, signature)| {
            SignedMessage::new(Vote { kind, height, round, value, signer }, signature)
        },
    )
}

fn consensus() -> impl Strategy<Value = SignedConsensusMsg<Horae>> {
    let proposal = (height(), round(), hash(), optional_round(), signer(), signature()).prop_map(
        |(height, round, hash, pol_round, signer, signature)| {
            let proposal = Proposal { height, round, value: BlockId(hash), pol_round, signer };
            SignedConsensusMsg::Proposal(SignedMessage::new(proposal, signature))
        },
    );
    prop_oneof![vote().prop_map(SignedConsensusMsg::Vote), proposal]
}

fn polka() -> impl Strategy<Value = PolkaCertificate<Horae>> {
    let entries = prop::collection::vec((signer(), signature()), 0..4);
    (height(), round(), hash(), entries).prop_map(|(height, round, value_id, entries)| PolkaCertificate {
        height,
        round,
        value_id,
        polka_signatures: entries.into_iter().map(|(a, s)| PolkaSignature::new(a, s)).collect(),
    })
}

fn liveness() -> impl Strategy<Value = LivenessMsg<Horae>> {
    let entries = prop::collection::vec((kind(), value(), signer(), signature()), 0..4);
    let skip = (height(), round(), any::<bool>(), entries).prop_map(|(height, round, skip, entries)| {
        LivenessMsg::SkipRoundCertificate(RoundCertificate {
            height,
            round,
            cert_type: if skip { RoundCertificateType::Skip } else { RoundCertificateType::Precommit },
            round_signatures: entries.into_iter().map(|(k, v, a, s)| RoundSignature::new(k, v, a, s)).collect(),
        })
    });
    prop_oneof![vote().prop_map(LivenessMsg::Vote), polka().prop_map(LivenessMsg::PolkaCertificate), skip]
}

fn slice() -> impl Strategy<Value = Slice> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|data| SliceBody::Data(Data::from(data))),
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|header| SliceBody::Last(Data::from(header))),
    ];
    (any::<u64>(), 0..=MAX_ROUND, any::<u32>(), body, signature()).prop_map(
        |(height, round, index, body, signature)| Slice {
            height: protocol::Height(height),
            round: protocol::Round(round),
            index,
            body,
            signature: signature.into(),
        },
    )
}

fn stream() -> impl Strategy<Value = StreamMessage<Slice>> {
    let content = prop_oneof![slice().prop_map(StreamContent::Data), Just(StreamContent::Fin)];
    (prop::collection::vec(any::<u8>(), 0..32), any::<u64>(), content)
        .prop_map(|(id, sequence, content)| StreamMessage::new(StreamId::new(id.into()), sequence, content))
}

fn proposed() -> impl Strategy<Value = ProposedValue<Horae>> {
    (height(), round(), optional_round(), signer(), hash(), any::<bool>()).prop_map(
        |(height, round, valid_round, proposer, hash, valid)| ProposedValue {
            height,
            round,
            valid_round,
            proposer,
            value: BlockId(hash),
            validity: Validity::from_bool(valid),
        },
    )
}

fn response() -> impl Strategy<Value = Response<Horae>> {
    let entries = prop::collection::vec((signer(), signature()), 0..4);
    let decided = (prop::collection::vec(any::<u8>(), 0..200), height(), round(), hash(), entries).prop_map(
        |(block, height, round, value_id, entries)| {
            let commit_signatures =
                entries.into_iter().map(|(a, s)| ExtendedCommitSignature::new(a, s, None)).collect();
            let certificate = ExtendedCommitCertificate { height, round, value_id, commit_signatures };
            RawDecidedValue::new(block.into(), certificate)
        },
    );
    (height(), prop::collection::vec(decided, 0..4))
        .prop_map(|(start, values)| Response::ValueResponse(ValueResponse::new(start, values)))
}

fn round_trip<T>(message: &T)
where
    T: PartialEq + core::fmt::Debug,
    RlpCodec: Codec<T>,
{
    let bytes = RlpCodec.encode(message).unwrap();
    assert_eq!(&Codec::<T>::decode(&RlpCodec, bytes.clone()).unwrap(), message);
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert!(Codec::<T>::decode(&RlpCodec, longer.into()).is_err(), "a trailing byte was accepted");
    let shorter = bytes.slice(..bytes.len() - 1);
    assert!(Codec::<T>::decode(&RlpCodec, shorter).is_err(), "a missing byte was accepted");
}

/// Whatever decodes must encode to the same bytes: one message has one form.
fn canonical<T>(bytes: &Bytes)
where
    RlpCodec: Codec<T>,
{
    if let Ok(message) = Codec::<T>::decode(&RlpCodec, bytes.clone()) {
        assert_eq!(&RlpCodec.encode(&message).unwrap(), bytes);
    }
}

fn all_canonical(bytes: &Bytes) {
    canonical::<SignedConsensusMsg<Horae>>(bytes);
    canonical::<LivenessMsg<Horae>>(bytes);
    canonical::<ProposedValue<Horae>>(bytes);
    canonical::<PolkaCertificate<Horae>>(bytes);
    canonical::<Slice>(bytes);
    canonical::<StreamMessage<Slice>>(bytes);
    canonical::<ValidatorProof<Horae>>(bytes);
    canonical::<Status<Horae>>(bytes);
    canonical::<Request<Horae>>(bytes);
    canonical::<Response<Horae>>(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_round_trip(
        consensus in consensus(),
        liveness in liveness(),
        proposed in proposed(),
        polka in polka(),
        slice in slice(),
        stream in stream(),
        response in response(),
        first in any::<u64>(),
        last in any::<u64>(),
        seed in any::<[u8; 32]>(),
        proof in (prop::collection::vec(any::<u8>(), 0..64), prop::collection::vec(any::<u8>(), 0..64), signature()),
    ) {
        round_trip(&consensus);
        round_trip(&liveness);
        round_trip(&proposed);
        round_trip(&polka);
        round_trip(&slice);
        round_trip(&stream);
        round_trip(&response);
        prop_assert_eq!(RlpCodec.encoded_len(&response).unwrap(), RlpCodec.encode(&response).unwrap().len());
        round_trip(&Request::<Horae>::ValueRequest(ValueRequest::new(Height(first)..=Height(last))));
        round_trip(&ValidatorProof::<Horae>::new(proof.0, proof.1, proof.2));
        let key = Keypair::ed25519_from_bytes(seed).unwrap();
        let peer_id = PeerId::from_bytes(&key.public().to_peer_id().to_bytes()).unwrap();
        round_trip(&Status::<Horae> { peer_id, tip_height: Height(first), history_min_height: Height(last) });
    }

    #[test]
    fn hostile_bytes_are_errors_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        all_canonical(&bytes.into());
    }

    #[test]
    fn flipped_bytes_are_errors_or_canonical(message in stream(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = RlpCodec.encode(&message).unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        all_canonical(&bytes.into());
    }
}

#[test]
fn bounds_hold() {
    let decode = |bytes: Vec<u8>| Codec::<Slice>::decode(&RlpCodec, bytes.into());
    assert!(matches!(decode(vec![0; MAX_SLICE_MESSAGE_BYTES + 1]), Err(CodecError::TooLong(..))));
    let slice = |round, body| Slice {
        height: protocol::Height(1),
        round: protocol::Round(round),
        index: 0,
        body,
        signature: Signature([1; 64]).into(),
    };
    let long = slice(0, SliceBody::Data(vec![0; MAX_SLICE_BYTES + 1].into()));
    assert!(matches!(decode(RlpCodec.encode(&long).unwrap().into()), Err(CodecError::Rlp(_))));
    let endless = slice(MAX_ROUND + 1, SliceBody::Data(Data::new()));
    assert_eq!(decode(RlpCodec.encode(&endless).unwrap().into()), Err(CodecError::Range("round")));
}

#[test]
fn many_signatures_are_refused() {
    let entry = PolkaSignature::new(Address(SignerAddress::ZERO), Signature([0; 64]));
    let certificate = PolkaCertificate::<Horae> {
        height: Height(1),
        round: Round::new(0),
        value_id: B256::repeat_byte(1),
        polka_signatures: vec![entry; protocol::limits::MAX_MEMBERS + 1],
    };
    let bytes = RlpCodec.encode(&certificate).unwrap();
    let decoded: Result<PolkaCertificate<Horae>, _> = RlpCodec.decode(bytes);
    assert_eq!(decoded, Err(CodecError::Range("number of signatures")));
}
