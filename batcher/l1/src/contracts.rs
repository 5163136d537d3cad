//! Bindings of the L1 contracts, made from the committed artifacts: what is deployed is what is called.
//!
//! Each artifact brings structs of its own. Where they are structs of the protocol, [`bound`] turns one into the other by
//! their common ABI layout, so that their fields are declared once.

#![allow(missing_docs, clippy::too_many_arguments, clippy::indexing_slicing, clippy::unwrap_used, unreachable_pub)]

use alloy_sol_types::{SolType, SolValue, sol};
// Structs of interfaces find it here: theirs is the protocol's.
use protocol::BatchHeader;

sol!(
    /// The METIS token of a development network.
    #[derive(Debug)]
    DevnetMetis,
    "../../contracts/artifacts/DevnetMetis.json"
);
sol!(
    /// Locks the stake that answers for signatures.
    #[derive(Debug)]
    Staking,
    "../../contracts/artifacts/Staking.json"
);
sol!(
    /// Freezes the sequencer set under a number.
    #[derive(Debug)]
    SequencerSet,
    "../../contracts/artifacts/SequencerSet.json"
);
sol!(
    /// Queues what L2 must execute, pays out what it has sent back.
    #[derive(Debug)]
    Portal,
    "../../contracts/artifacts/Portal.json"
);

sol!(
    /// Accepts certified batches.
    #[derive(Debug)]
    BatchRegistry,
    "../../contracts/artifacts/BatchRegistry.json"
);
sol!(
    /// Output roots of accepted batches.
    #[derive(Debug)]
    OutputRegistry,
    "../../contracts/artifacts/OutputRegistry.json"
);
sol!(
    /// Locks tokens and ether for L2.
    #[derive(Debug)]
    L1Bridge,
    "../../contracts/artifacts/L1Bridge.json"
);
sol!(
    /// Punishes contradictions.
    #[derive(Debug)]
    Slashing,
    "../../contracts/artifacts/Slashing.json"
);
sol!(
    /// Pays for turns and signatures.
    #[derive(Debug)]
    Rewards,
    "../../contracts/artifacts/Rewards.json"
);
sol!(
    /// Holds what slashes take.
    #[derive(Debug)]
    InsurancePool,
    "../../contracts/artifacts/InsurancePool.json"
);
sol!(
    /// Owns what can be changed.
    #[derive(Debug)]
    TimelockController,
    "../../contracts/artifacts/TimelockController.json"
);

/// A struct of the protocol as the struct of a contract's binding, or back. Both have the same ABI layout, or this does not
/// compile; that the fields have the same names and order is tested for each pair.
pub fn bound<From, To>(value: &From) -> To
where
    From: SolValue,
    To: for<'a> SolType<RustType = To, Token<'a> = <From::SolType as SolType>::Token<'a>>,
{
    To::detokenize(value.tokenize())
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolStruct;

    use super::*;

    fn same<A: SolStruct, B: SolStruct>() {
        assert_eq!(A::eip712_encode_type(), B::eip712_encode_type());
    }

    #[test]
    fn structs_of_contracts_are_the_protocols() {
        same::<BatchRegistry::BatchHeader, protocol::BatchHeader>();
        same::<OutputRegistry::BatchHeader, protocol::BatchHeader>();
        same::<Slashing::BatchHeader, protocol::BatchHeader>();
        same::<Rewards::BatchHeader, protocol::BatchHeader>();
        same::<Slashing::Vote, protocol::signing::Vote>();
        same::<Slashing::Proposal, protocol::signing::Proposal>();
        same::<Slashing::Slice, protocol::signing::Slice>();
    }
}
