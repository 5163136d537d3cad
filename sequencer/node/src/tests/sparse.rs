//! A Merkle Patricia trie of which only some nodes are known: what somebody has who was given a witness. Shares no code with
//! the store's trie; a node that was not given is an error.

use std::collections::HashMap;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Header};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles,
    nodes::{RlpNode, TrieNode, encode_path_leaf},
};
use protocol::state::StateError;

/// RLP of the given nodes, by hash.
pub(crate) type Given = HashMap<B256, Bytes>;

#[derive(Clone, Debug)]
enum Node {
    Empty,
    /// Known by its hash only, until it is looked up.
    Blind(B256),
    Leaf(Nibbles, Vec<u8>),
    Extension(Nibbles, Box<Node>),
    Branch(Box<[Node; 16]>),
}

/// A trie over given nodes.
pub(crate) struct Sparse<'a> {
    given: &'a Given,
    root: Node,
}

type Found<T> = Result<T, StateError>;

fn named(reference: &RlpNode) -> Found<Node> {
    match reference.as_hash() {
        Some(hash) => Ok(Node::Blind(hash)),
        None => decoded(reference.as_slice()),
    }
}

fn decoded(mut rlp: &[u8]) -> Found<Node> {
    let node = TrieNode::decode(&mut rlp).map_err(|why| StateError(format!("no trie node: {why}")))?;
    Ok(match node {
        TrieNode::EmptyRoot => Node::Empty,
        TrieNode::Leaf(leaf) => Node::Leaf(leaf.key, leaf.value),
        TrieNode::Extension(extension) => Node::Extension(extension.key, Box::new(named(&extension.child)?)),
        TrieNode::Branch(branch) => {
            let mut children = [const { Node::Empty }; 16];
            let there = (0..16).filter(|edge| branch.state_mask.is_bit_set(*edge));
            for (edge, reference) in there.zip(&branch.stack) {
                children[usize::from(edge)] = named(reference)?;
            }
            Node::Branch(Box::new(children))
        }
    })
}

fn extended(path: Nibbles, node: Node) -> Node {
    if path.is_empty() {
        return node;
    }
    let joined = |rest: Nibbles| path.join(&rest);
    match node {
        Node::Leaf(rest, value) => Node::Leaf(joined(rest), value),
        Node::Extension(rest, child) => Node::Extension(joined(rest), child),
        other => Node::Extension(path, Box::new(other)),
    }
}

fn edge(path: &Nibbles) -> usize {
    usize::from(path.get(0).unwrap())
}

fn forked(a: (Nibbles, Node), b: (Nibbles, Node)) -> Node {
    let mut children = [const { Node::Empty }; 16];
    for (path, node) in [a, b] {
        // What hangs below the fork: leaves and extensions keep the rest of their paths.
        children[edge(&path)] = extended(path.slice(1..), node);
    }
    Node::Branch(Box::new(children))
}

fn rlp(node: &Node) -> Vec<u8> {
    let list = |items: &[Vec<u8>]| {
        let mut out = Vec::new();
        Header { list: true, payload_length: items.iter().map(Vec::len).sum() }.encode(&mut out);
        out.extend(items.concat());
        out
    };
    let text = |bytes: &[u8]| alloy_rlp::encode(bytes);
    match node {
        Node::Empty => vec![EMPTY_STRING_CODE],
        Node::Blind(hash) => alloy_rlp::encode(hash),
        Node::Leaf(path, value) => list(&[text(encode_path_leaf(path, true).as_slice()), text(value)]),
        Node::Extension(path, child) => list(&[text(encode_path_leaf(path, false).as_slice()), reference(child)]),
        Node::Branch(children) => {
            let mut items: Vec<Vec<u8>> = children.iter().map(reference).collect();
            items.push(vec![EMPTY_STRING_CODE]);
            list(&items)
        }
    }
}

/// What a parent has of a node: the node itself below 32 bytes, else its hash.
fn reference(node: &Node) -> Vec<u8> {
    let own = rlp(node);
    if own.len() < 32 || matches!(node, Node::Blind(_)) { own } else { alloy_rlp::encode(keccak256(own)) }
}

impl<'a> Sparse<'a> {
    pub(crate) fn new(given: &'a Given, root: B256) -> Self {
        let root = if root == EMPTY_ROOT_HASH { Node::Empty } else { Node::Blind(root) };
        Self { given, root }
    }

    pub(crate) fn root(&self) -> B256 {
        match &self.root {
            Node::Blind(hash) => *hash,
            other => keccak256(rlp(other)),
        }
    }

    fn seen(&self, node: Node) -> Found<Node> {
        let Node::Blind(hash) = node else { return Ok(node) };
        decoded(self.given.get(&hash).ok_or_else(|| StateError(format!("the witness lacks node {hash}")))?)
    }

    pub(crate) fn get(&self, key: &B256) -> Found<Option<Vec<u8>>> {
        let (mut node, mut path) = (self.root.clone(), Nibbles::unpack(key));
        loop {
            match self.seen(node)? {
                Node::Leaf(rest, value) if rest == path => return Ok(Some(value)),
                Node::Extension(way, child) if path.starts_with(&way) => {
                    (node, path) = (*child, path.slice(way.len()..));
                }
                Node::Branch(mut children) => {
                    node = std::mem::replace(&mut children[edge(&path)], Node::Empty);
                    path = path.slice(1..);
                }
                _ => return Ok(None),
            }
        }
    }

    /// Sets a key, or removes it.
    pub(crate) fn set(&mut self, key: &B256, value: Option<Vec<u8>>) -> Found<()> {
        let (root, path) = (std::mem::replace(&mut self.root, Node::Empty), Nibbles::unpack(key));
        self.root = match value {
            Some(value) => self.inserted(root, path, value)?,
            None => self.removed(root, path)?,
        };
        Ok(())
    }

    fn inserted(&self, node: Node, path: Nibbles, value: Vec<u8>) -> Found<Node> {
        Ok(match self.seen(node)? {
            Node::Empty | Node::Blind(_) => Node::Leaf(path, value),
            Node::Leaf(rest, _) if rest == path => Node::Leaf(path, value),
            Node::Leaf(rest, old) => {
                let common = rest.common_prefix_length(&path);
                let old = (rest.slice(common..), Node::Leaf(Nibbles::new(), old));
                let new = (path.slice(common..), Node::Leaf(Nibbles::new(), value));
                extended(path.slice(..common), forked(old, new))
            }
            Node::Extension(way, child) => {
                let common = way.common_prefix_length(&path);
                if common == way.len() {
                    let child = self.inserted(*child, path.slice(common..), value)?;
                    return Ok(Node::Extension(way, Box::new(child)));
                }
                let new = (path.slice(common..), Node::Leaf(Nibbles::new(), value));
                let mut children = [const { Node::Empty }; 16];
                let (old, rest) = (way.slice(common..), way.slice(common + 1..));
                // The child is a branch, known or not.
                children[edge(&old)] = if rest.is_empty() { *child } else { Node::Extension(rest, child) };
                children[edge(&new.0)] = extended(new.0.slice(1..), new.1);
                extended(path.slice(..common), Node::Branch(Box::new(children)))
            }
            Node::Branch(mut children) => {
                let place = &mut children[edge(&path)];
                *place = self.inserted(std::mem::replace(place, Node::Empty), path.slice(1..), value)?;
                Node::Branch(children)
            }
        })
    }

    fn removed(&self, node: Node, path: Nibbles) -> Found<Node> {
        Ok(match self.seen(node)? {
            Node::Leaf(rest, _) if rest == path => Node::Empty,
            Node::Extension(way, child) if path.starts_with(&way) => {
                match self.removed(*child, path.slice(way.len()..))? {
                    Node::Empty => Node::Empty,
                    child => extended(way, child),
                }
            }
            Node::Branch(mut children) => {
                let place = &mut children[edge(&path)];
                *place = self.removed(std::mem::replace(place, Node::Empty), path.slice(1..))?;
                let left: Vec<usize> = (0..16).filter(|at| !matches!(children[*at], Node::Empty)).collect();
                let [last] = left.as_slice() else { return Ok(Node::Branch(children)) };
                // It takes the branch's place, so its kind must be known.
                let child = self.seen(std::mem::replace(&mut children[*last], Node::Empty))?;
                extended(Nibbles::from_nibbles([u8::try_from(*last).unwrap()]), child)
            }
            other => other,
        })
    }
}
