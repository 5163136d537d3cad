//! The nodes that let somebody without the state execute a block: what it reads, and what its deletions uncover.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use protocol::state::StateDiff;

use super::{
    AccountLeaf, StateTrie, Trie,
    node::{Node, Value, nibble, shared},
};

/// Accounts and slots that a block has looked at, changed ones included.
pub type Viewed = BTreeMap<Address, BTreeSet<B256>>;

/// RLP of nodes, by hash.
type Nodes = BTreeMap<B256, Bytes>;

impl<V: Value> Trie<V> {
    /// Adds the nodes on the way to each of the `keys` (ascending). Where removing those of them that are `gone` leaves a
    /// branch with one child, that child is needed too, since it takes the branch's place: without it nobody could tell
    /// what the joined node is. Updates and insertions that go along with the removals can only make this happen less often,
    /// so the nodes suffice in whatever order a reader applies the changes.
    fn uncover(&self, keys: &[B256], gone: &BTreeSet<B256>, nodes: &mut Nodes) {
        let Some(root) = &self.root else { return };
        let mut buffer = Vec::new();
        root.rlp(0, &mut buffer);
        // The root counts by its hash even when it is short enough to stand inside a parent.
        nodes.insert(keccak256(&buffer), buffer.into());
        root.uncover(0, keys, gone, nodes);
    }
}

/// Keeps a node that its parent names by hash.
fn keep(rlp: Vec<u8>, nodes: &mut Nodes) {
    if rlp.len() >= 32 {
        nodes.insert(keccak256(&rlp), rlp.into());
    }
}

impl<V: Value> Node<V> {
    fn keep(&self, depth: usize, nodes: &mut Nodes) {
        let mut buffer = Vec::new();
        self.rlp(depth, &mut buffer);
        keep(buffer, nodes);
    }

    /// Whether anything is left of this subtree without the keys that are gone.
    fn uncover(&self, depth: usize, keys: &[B256], gone: &BTreeSet<B256>, nodes: &mut Nodes) -> bool {
        self.keep(depth, nodes);
        let branch = match self {
            Self::Leaf(leaf) => return !gone.contains(&leaf.key),
            Self::Branch(branch) => branch,
        };
        let below: Vec<B256> =
            keys.iter().filter(|key| shared(&branch.path, key, depth) == branch.path.len()).copied().collect();
        if below.is_empty() {
            return true;
        }
        if !branch.path.is_empty() {
            let mut buffer = Vec::new();
            branch.rlp(depth, &mut buffer);
            keep(buffer, nodes);
        }
        let depth = depth + branch.path.len();
        let mut left = Vec::new();
        for (edge, child) in (0..16).filter_map(|edge| branch.child(edge).map(|child| (edge, child))) {
            let keys: Vec<B256> = below.iter().filter(|key| nibble(key, depth) == edge).copied().collect();
            if keys.is_empty() || child.uncover(depth + 1, &keys, gone, nodes) {
                left.push(child);
            }
        }
        if let [last] = left.as_slice() {
            last.keep(depth + 1, nodes);
        }
        !left.is_empty()
    }
}

impl StateTrie {
    /// The nodes of this state that a block needs which looks at `viewed` and changes `diff`.
    pub(crate) fn witness(&self, viewed: &Viewed, diff: &StateDiff) -> Vec<Bytes> {
        let mut nodes = Nodes::new();
        let mut accounts: Vec<B256> = viewed.keys().map(keccak256).collect();
        accounts.sort_unstable();
        let removed =
            diff.accounts.iter().filter(|(_, change)| change.account.is_none_or(|account| account.is_empty()));
        let removed: BTreeSet<B256> = removed.map(|(address, _)| keccak256(address)).collect();
        self.accounts.uncover(&accounts, &removed, &mut nodes);
        for (address, slots) in viewed.iter().filter(|(_, slots)| !slots.is_empty()) {
            let Some(storage) = self.account(&keccak256(address)).and_then(AccountLeaf::storage) else { continue };
            let mut keys: Vec<B256> = slots.iter().map(keccak256).collect();
            keys.sort_unstable();
            let changed = diff.accounts.get(address).into_iter().flat_map(|change| &change.storage);
            let cleared = changed.filter(|(_, value)| value.is_zero()).map(|(slot, _)| keccak256(slot)).collect();
            storage.uncover(&keys, &cleared, &mut nodes);
        }
        nodes.into_values().collect()
    }
}
