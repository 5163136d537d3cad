//! Merkle proofs (EIP-1186).

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, nodes::RlpNode};
use protocol::state::Account;

use super::{AccountLeaf, StateTrie, Trie, node::Node, node::Value};

/// Proof of one storage slot, or of its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProof {
    /// The slot, unhashed.
    pub slot: B256,
    /// Zero when absent.
    pub value: U256,
    /// RLP of the nodes from the storage root down.
    pub proof: Vec<Bytes>,
}

/// Proof of an account, or of its absence, with some of its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account's address.
    pub address: Address,
    /// `None` when it does not exist.
    pub account: Option<Account>,
    /// Root of its storage trie.
    pub storage_root: B256,
    /// RLP of the nodes from the state root down.
    pub proof: Vec<Bytes>,
    /// In the order asked.
    pub storage: Vec<StorageProof>,
}

impl<V: Value> Trie<V> {
    /// The nodes on the way to `key`, from the root. Nodes below 32 bytes stand inside their parents.
    pub(crate) fn prove(&self, key: &B256) -> Vec<Bytes> {
        let mut proof = Vec::new();
        let mut next = self.root.as_ref().map(|root| (0, root));
        let mut push = |rlp: &[u8]| {
            if proof.is_empty() || rlp.len() >= 32 {
                proof.push(Bytes::copy_from_slice(rlp));
            }
        };
        let path = alloy_trie::Nibbles::unpack_array(&key.0);
        while let Some((depth, node)) = next.take() {
            let mut buffer = Vec::new();
            match node {
                Node::Leaf(leaf) => {
                    leaf.rlp(depth, &mut buffer);
                    push(&buffer);
                }
                Node::Branch(branch) => {
                    branch.rlp(depth, &mut buffer);
                    if !branch.path.is_empty() {
                        let mut extension = Vec::new();
                        branch.extension_rlp(&RlpNode::from_rlp(&buffer), &mut extension);
                        push(&extension);
                    }
                    let depth = depth + branch.path.len();
                    // A path that leaves the key ends the proof at the extension: absence is shown.
                    if path.slice(..depth).ends_with(&branch.path) {
                        push(&buffer);
                        next = path.get(depth).and_then(|edge| branch.child(edge)).map(|child| (depth + 1, child));
                    }
                }
            }
        }
        proof
    }
}

impl Trie<U256> {
    /// Proof of `slot`.
    pub(crate) fn prove_slot(&self, slot: B256) -> StorageProof {
        let key = keccak256(slot);
        StorageProof { slot, value: self.get(&key).copied().unwrap_or_default(), proof: self.prove(&key) }
    }
}

impl StateTrie {
    /// Proof of an account and of some of its slots.
    pub(crate) fn prove(&self, address: Address, slots: &[B256]) -> AccountProof {
        let key = keccak256(address);
        let leaf = self.account(&key);
        let empty = Trie::default();
        let storage = leaf.and_then(AccountLeaf::storage).unwrap_or(&empty);
        AccountProof {
            address,
            account: leaf.map(AccountLeaf::account),
            storage_root: leaf.map_or(EMPTY_ROOT_HASH, AccountLeaf::storage_root),
            proof: self.accounts.prove(&key),
            storage: slots.iter().map(|slot| storage.prove_slot(*slot)).collect(),
        }
    }
}
