// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// A Tendermint vote.
/// @param voteType 0 prevote, 1 precommit.
/// @param blockHash Zero for a nil vote.
struct Vote {
    uint8 voteType;
    uint64 height;
    uint32 round;
    bytes32 blockHash;
}

/// A Tendermint proposal.
/// @param polRound Round of the proof of lock, or -1.
struct Proposal {
    uint64 height;
    uint32 round;
    int64 polRound;
    bytes32 blockHash;
}

/// A signed piece of the leader's block.
/// @param dataHash keccak256 of the slice's bytes.
struct Slice {
    uint64 height;
    uint32 round;
    uint32 index;
    bytes32 dataHash;
}

/// Ties a libp2p peer to a signer.
/// @param peerIdHash keccak256 of the peer id's bytes.
/// @param expires Unix seconds.
struct PeerBinding {
    bytes32 peerIdHash;
    uint64 expires;
}
