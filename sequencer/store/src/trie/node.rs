//! Nodes of the path-compressed trie: a leaf keeps its whole key, a branch the nibbles it skips.
//!
//! Nodes are shared between tries through [`Arc`]; changing a shared node copies it first, so a trie that
//! somebody still holds never changes. Each node remembers the RLP by which its parent refers to it.

use std::{
    cmp::Ordering,
    ops::ControlFlow,
    sync::{Arc, OnceLock},
};

use alloy_primitives::B256;
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::{
    Nibbles,
    nodes::{RlpNode, encode_path_leaf},
};

/// What a leaf holds.
pub(crate) trait Value: Clone + PartialEq + Send + Sync {
    /// Appends the RLP that the leaf carries.
    fn encode_leaf(&self, out: &mut Vec<u8>);
}

/// A subtree. Never empty: the absence of a subtree is the absence of a node.
#[derive(Clone, Debug)]
pub(crate) enum Node<V> {
    Leaf(Arc<Leaf<V>>),
    Branch(Arc<Branch<V>>),
}

/// One key with its value. The full key is kept, so that a change of depth costs no rewriting.
#[derive(Debug)]
pub(crate) struct Leaf<V> {
    pub(crate) key: B256,
    pub(crate) value: V,
    reference: OnceLock<RlpNode>,
}

/// At least two subtrees behind a common path (which is an extension node when it is not empty).
#[derive(Debug)]
pub(crate) struct Branch<V> {
    pub(crate) path: Nibbles,
    mask: u16,
    children: Vec<Node<V>>,
    reference: OnceLock<RlpNode>,
}

// A copy is made only to be changed, so it forgets the reference.
impl<V: Clone> Clone for Leaf<V> {
    fn clone(&self) -> Self {
        Self { key: self.key, value: self.value.clone(), reference: OnceLock::new() }
    }
}

impl<V: Clone> Clone for Branch<V> {
    fn clone(&self) -> Self {
        Self { path: self.path, mask: self.mask, children: self.children.clone(), reference: OnceLock::new() }
    }
}

/// The nibble of `key` at `depth` (0..64).
pub(super) fn nibble(key: &B256, depth: usize) -> u8 {
    let byte = key.0.get(depth / 2).copied().unwrap_or_default();
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0x0f }
}

/// Number of leading nibbles of `path` that `key` has from `depth` on.
pub(super) fn shared(path: &Nibbles, key: &B256, depth: usize) -> usize {
    path.iter().enumerate().take_while(|(at, got)| nibble(key, depth + at) == *got).count()
}

impl<V: Value> Leaf<V> {
    pub(crate) const fn new(key: B256, value: V) -> Self {
        Self { key, value, reference: OnceLock::new() }
    }

    /// RLP of this leaf when it hangs at `depth`.
    pub(crate) fn rlp(&self, depth: usize, out: &mut Vec<u8>) {
        let path = encode_path_leaf(&Nibbles::unpack_array(&self.key.0).slice(depth..), true);
        let mut value = Vec::with_capacity(112);
        self.value.encode_leaf(&mut value);
        let payload_length = path.as_slice().length() + value.as_slice().length();
        Header { list: true, payload_length }.encode(out);
        path.as_slice().encode(out);
        value.as_slice().encode(out);
    }
}

impl<V: Value> Branch<V> {
    /// Both subtrees must differ in their nibble.
    fn pair(path: Nibbles, first: (u8, Node<V>), second: (u8, Node<V>)) -> Self {
        let mask = (1 << first.0) | (1 << second.0);
        let children = if first.0 < second.0 { vec![first.1, second.1] } else { vec![second.1, first.1] };
        Self { path, mask, children, reference: OnceLock::new() }
    }

    const fn has(&self, nibble: u8) -> bool {
        self.mask & (1 << nibble) != 0
    }

    /// Position of the child `nibble` in `children`, were it there.
    const fn rank(&self, nibble: u8) -> usize {
        (self.mask & ((1 << nibble) - 1)).count_ones() as usize
    }

    pub(crate) fn child(&self, nibble: u8) -> Option<&Node<V>> {
        if self.has(nibble) { self.children.get(self.rank(nibble)) } else { None }
    }

    pub(crate) fn children(&self) -> &[Node<V>] {
        &self.children
    }

    /// RLP of the branch node itself, without the extension in front; `depth` is where the extension would begin.
    pub(crate) fn rlp(&self, depth: usize, out: &mut Vec<u8>) {
        let below = depth + self.path.len() + 1;
        let references: usize = self.children.iter().map(|child| child.reference(below).len()).sum();
        // One byte for each absent child and for the absent value.
        Header { list: true, payload_length: references + 17 - self.children.len() }.encode(out);
        let mut children = self.children.iter();
        for nibble in 0..16 {
            match if self.has(nibble) { children.next() } else { None } {
                Some(child) => out.extend_from_slice(child.reference(below)),
                None => out.push(EMPTY_STRING_CODE),
            }
        }
        out.push(EMPTY_STRING_CODE);
    }

    /// RLP of the extension in front of the branch, given the branch's reference.
    pub(crate) fn extension_rlp(&self, branch: &RlpNode, out: &mut Vec<u8>) {
        let path = encode_path_leaf(&self.path, false);
        Header { list: true, payload_length: path.as_slice().length() + branch.len() }.encode(out);
        path.as_slice().encode(out);
        out.extend_from_slice(branch);
    }
}

impl<V: Value> Node<V> {
    pub(crate) fn leaf(key: B256, value: V) -> Self {
        Self::Leaf(Arc::new(Leaf::new(key, value)))
    }

    /// The RLP by which a parent names this subtree, whose path begins at `depth`: a hash, or the node itself below
    /// 32 bytes. Computed once for unchanged subtrees. Runs no rayon task inside the lock: a stolen task could
    /// wait for a lock that its own thread holds.
    pub(crate) fn reference(&self, depth: usize) -> &RlpNode {
        let cell = match self {
            Self::Leaf(leaf) => &leaf.reference,
            Self::Branch(branch) => &branch.reference,
        };
        cell.get_or_init(|| {
            let mut buffer = Vec::with_capacity(544);
            self.rlp(depth, &mut buffer);
            RlpNode::from_rlp(&buffer)
        })
    }

    /// RLP of the outermost node of this subtree.
    pub(crate) fn rlp(&self, depth: usize, buffer: &mut Vec<u8>) {
        match self {
            Self::Leaf(leaf) => leaf.rlp(depth, buffer),
            Self::Branch(branch) => {
                branch.rlp(depth, buffer);
                if !branch.path.is_empty() {
                    let inner = RlpNode::from_rlp(buffer);
                    buffer.clear();
                    branch.extension_rlp(&inner, buffer);
                }
            }
        }
    }

    pub(crate) fn get(&self, key: &B256) -> Option<&V> {
        let mut node = self;
        let mut depth = 0;
        loop {
            match node {
                Self::Leaf(leaf) => return (leaf.key == *key).then_some(&leaf.value),
                Self::Branch(branch) => {
                    // The path is not compared: the leaf at the end keeps the whole key.
                    depth += branch.path.len();
                    node = branch.child(nibble(key, depth))?;
                    depth += 1;
                }
            }
        }
    }

    /// Sets `key` in the subtree whose path begins at `depth`.
    pub(crate) fn insert(&mut self, depth: usize, key: B256, value: V) {
        match self {
            Self::Leaf(leaf) if leaf.key == key => {
                let leaf = Arc::make_mut(leaf);
                leaf.value = value;
                leaf.reference = OnceLock::new();
            }
            Self::Leaf(leaf) => {
                let old = Nibbles::unpack_array(&leaf.key.0).slice(depth..);
                let common = shared(&old, &key, depth);
                let old_nibble = nibble(&leaf.key, depth + common);
                let old_leaf = Self::leaf(leaf.key, leaf.value.clone());
                let new = (nibble(&key, depth + common), Self::leaf(key, value));
                *self = Self::Branch(Arc::new(Branch::pair(old.slice(..common), (old_nibble, old_leaf), new)));
            }
            Self::Branch(branch) => {
                let common = shared(&branch.path, &key, depth);
                if common == branch.path.len() {
                    Arc::make_mut(branch).insert_below(depth + common, key, value);
                    return;
                }
                let (upper, edge, lower) =
                    (branch.path.slice(..common), branch.path.get_unchecked(common), branch.path.slice(common + 1..));
                let mut rest = Branch::clone(branch);
                rest.path = lower;
                let new = (nibble(&key, depth + common), Self::leaf(key, value));
                *self = Self::Branch(Arc::new(Branch::pair(upper, (edge, Self::Branch(Arc::new(rest))), new)));
            }
        }
    }

    /// Removes `key`, which must be there. `false` when nothing is left of the subtree.
    pub(crate) fn remove(&mut self, depth: usize, key: &B256) -> bool {
        let Self::Branch(shared_branch) = self else { return false };
        let branch = Arc::make_mut(shared_branch);
        branch.reference = OnceLock::new();
        let depth = depth + branch.path.len();
        let edge = nibble(key, depth);
        let position = branch.rank(edge);
        if branch.children.get_mut(position).is_some_and(|child| child.remove(depth + 1, key)) {
            return true;
        }
        branch.children.remove(position);
        branch.mask &= !(1 << edge);
        if branch.children.len() == 1
            && let Some(last) = branch.children.pop()
        {
            let edge = u8::try_from(branch.mask.trailing_zeros()).unwrap_or_default();
            let path = branch.path;
            *self = last.lifted(path, edge);
        }
        true
    }

    /// The only child left under `path` and `edge` takes the place of its parent.
    fn lifted(mut self, mut path: Nibbles, edge: u8) -> Self {
        match &mut self {
            Self::Leaf(leaf) => Arc::make_mut(leaf).reference = OnceLock::new(),
            Self::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                branch.reference = OnceLock::new();
                path.push(edge);
                path.extend(&branch.path);
                branch.path = path;
            }
        }
        self
    }

    /// Visits the leaves in ascending order of keys.
    pub(crate) fn for_each(&self, visit: &mut impl FnMut(&B256, &V)) {
        match self {
            Self::Leaf(leaf) => visit(&leaf.key, &leaf.value),
            Self::Branch(branch) => branch.children.iter().for_each(|child| child.for_each(visit)),
        }
    }
}

impl<V: Value> Node<V> {
    /// Visits the leaves of the subtree at `depth` from a key on, in ascending order, until told to stop.
    pub(crate) fn visit_from(
        &self,
        depth: usize,
        from: Option<&B256>,
        visit: &mut impl FnMut(&B256, &V) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let branch = match self {
            Self::Leaf(leaf) if from.is_some_and(|from| leaf.key < *from) => return ControlFlow::Continue(()),
            Self::Leaf(leaf) => return visit(&leaf.key, &leaf.value),
            Self::Branch(branch) => branch,
        };
        let end = depth + branch.path.len();
        // What is beyond the key is visited whole, what is before it not at all.
        let edge = match from.map(|from| (from, branch.path.iter().cmp((depth..end).map(|at| nibble(from, at))))) {
            None | Some((_, Ordering::Greater)) => None,
            Some((_, Ordering::Less)) => return ControlFlow::Continue(()),
            Some((from, Ordering::Equal)) => Some((from, nibble(from, end))),
        };
        let present = (0..16).filter(|nibble| branch.has(*nibble)).zip(&branch.children);
        for (nibble, child) in present {
            match edge {
                Some((_, first)) if nibble < first => {}
                Some((from, first)) if nibble == first => child.visit_from(end + 1, Some(from), visit)?,
                _ => child.visit_from(end + 1, None, visit)?,
            }
        }
        ControlFlow::Continue(())
    }
}

impl<V: Value> Branch<V> {
    /// Sets `key`, which shares the whole path; `depth` is that of the branching nibble.
    fn insert_below(&mut self, depth: usize, key: B256, value: V) {
        self.reference = OnceLock::new();
        let edge = nibble(&key, depth);
        let position = self.rank(edge);
        match self.children.get_mut(position).filter(|_| self.mask & (1 << edge) != 0) {
            Some(child) => child.insert(depth + 1, key, value),
            None => {
                self.children.reserve_exact(1);
                self.children.insert(position, Node::leaf(key, value));
                self.mask |= 1 << edge;
            }
        }
    }
}
