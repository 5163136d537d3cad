//! The Merkle Patricia trie in memory: incremental, persistent, lazily hashed.
//!
//! ```text
//!  StateTrie ── Trie<AccountLeaf> ──┬─ leaf: nonce, balance
//!                                   └─ leaf: nonce, balance, code hash, Trie<U256> (storage)
//! ```
//!
//! Cloning a trie is one reference count. A clone and its original share every subtree that neither has changed, so
//! several candidates for one height cost only the paths they touch, and adopting one is an assignment.

mod node;
mod proof;
mod state;
#[cfg(test)]
mod tests;
mod witness;

use std::ops::ControlFlow;

use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::EMPTY_ROOT_HASH;
use rayon::prelude::*;

pub(crate) use node::Value;
pub use proof::{AccountProof, StorageProof};
pub(crate) use state::{AccountLeaf, StateTrie};
pub use witness::Viewed;

use node::Node;

/// A map from hashed keys to values with a Merkle root.
#[derive(Clone, Debug)]
pub(crate) struct Trie<V> {
    root: Option<Node<V>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Value> Trie<V> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    pub(crate) fn get(&self, key: &B256) -> Option<&V> {
        self.root.as_ref()?.get(key)
    }

    pub(crate) fn insert(&mut self, key: B256, value: V) {
        match &mut self.root {
            // An unchanged value leaves every shared node shared and every hash known.
            Some(root) if root.get(&key) == Some(&value) => {}
            Some(root) => root.insert(0, key, value),
            None => self.root = Some(Node::leaf(key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: &B256) {
        if self.get(key).is_some()
            && let Some(root) = &mut self.root
            && !root.remove(0, key)
        {
            self.root = None;
        }
    }

    /// The Merkle root; hashes only what changed since the last call.
    pub(crate) fn root(&self) -> B256 {
        let Some(root) = &self.root else { return EMPTY_ROOT_HASH };
        let reference = root.reference(0);
        reference.as_hash().unwrap_or_else(|| keccak256(reference.as_slice()))
    }

    /// [`Self::root`], with the subtrees two levels down hashed by several threads.
    pub(crate) fn root_parallel(&self) -> B256 {
        let mut level: Vec<(usize, &Node<V>)> = self.root.iter().map(|root| (0, root)).collect();
        for _ in 0..2 {
            level = level.into_iter().flat_map(|(depth, node)| below(depth, node)).collect();
        }
        level.into_par_iter().for_each(|(depth, node)| {
            node.reference(depth);
        });
        self.root()
    }

    /// Visits the leaves in ascending order of keys.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&B256, &V)) {
        if let Some(root) = &self.root {
            root.for_each(&mut visit);
        }
    }
}

impl<V: Value + Copy> Trie<V> {
    /// The first `limit` leaves from a key on, in ascending order.
    pub(crate) fn range(&self, from: &B256, limit: usize) -> Vec<(B256, V)> {
        let mut found = Vec::new();
        if let Some(root) = self.root.as_ref().filter(|_| limit > 0) {
            // Where it stopped does not matter.
            let _stopped = root.visit_from(0, Some(from), &mut |key, value| {
                found.push((*key, *value));
                if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        }
        found
    }
}

/// The children of a branch with their depths, or the leaf itself.
fn below<V: Value>(depth: usize, node: &Node<V>) -> Vec<(usize, &Node<V>)> {
    match node {
        Node::Leaf(_) => vec![(depth, node)],
        Node::Branch(branch) => {
            let depth = depth + branch.path.len() + 1;
            branch.children().iter().map(|child| (depth, child)).collect()
        }
    }
}

/// A storage slot's value; zero is never stored.
impl Value for U256 {
    fn encode_leaf(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}
