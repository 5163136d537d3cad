//! Blocks executed again by somebody who has nothing but their witness.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy_consensus::{Header, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Sealable, TxKind, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use execution::{VerifyError, decode_block, verify_block};
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    BlockAttributes,
    block::{MESSAGE_PASSER, leader, timestamp_ms},
    state::{Account, AccountDiff, Roots, StateCommitment, StateDiff, StateError, StateReader},
};
use rpc::RpcConfig;
use serde::Deserialize;
use serde_json::{Value, json};
use store::StoreConfig;

use super::{
    chain::{HASHER, Node, SETTER, account, call_tx, every_type, genesis, sign, start_with},
    sparse::{Given, Sparse},
};

#[derive(Clone, Debug, Deserialize)]
struct Witness {
    state: Vec<Bytes>,
    codes: Vec<Bytes>,
    keys: Vec<Bytes>,
    headers: Vec<Bytes>,
}

/// The state before a block, as its witness has it.
#[derive(Clone)]
struct Stateless {
    nodes: Given,
    codes: HashMap<B256, Bytes>,
    headers: BTreeMap<u64, Header>,
    /// The order in which slots and accounts are changed must not matter.
    removals_first: bool,
}

impl Stateless {
    fn new(witness: &Witness, removals_first: bool) -> Self {
        let hashed = |list: &[Bytes]| list.iter().map(|bytes| (keccak256(bytes), bytes.clone())).collect();
        let headers = witness.headers.iter().map(|rlp| Header::decode(&mut rlp.as_ref()).unwrap());
        Self {
            nodes: hashed(&witness.state),
            codes: hashed(&witness.codes),
            headers: headers.map(|header| (header.number, header)).collect(),
            removals_first,
        }
    }

    fn parent(&self) -> &Header {
        self.headers.last_key_value().unwrap().1
    }

    fn leaf(&self, address: &Address) -> Result<Option<TrieAccount>, StateError> {
        let leaf = Sparse::new(&self.nodes, self.parent().state_root).get(&keccak256(address))?;
        Ok(leaf.map(|rlp| TrieAccount::decode(&mut rlp.as_slice()).unwrap()))
    }

    fn storage_root(&self, old: Option<&TrieAccount>, change: &AccountDiff) -> Result<B256, StateError> {
        let root = old.filter(|_| !change.storage_wiped).map_or(EMPTY_ROOT_HASH, |old| old.storage_root);
        let mut storage = Sparse::new(&self.nodes, root);
        let mut slots: Vec<(&B256, &U256)> = change.storage.iter().collect();
        slots.sort_by_key(|(_, value)| value.is_zero() != self.removals_first);
        for (slot, value) in slots {
            storage.set(&keccak256(slot), (!value.is_zero()).then(|| alloy_rlp::encode(value)))?;
        }
        Ok(storage.root())
    }
}

impl StateReader for Stateless {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        let leaf = self.leaf(address)?;
        Ok(leaf.map(|TrieAccount { nonce, balance, code_hash, .. }| Account { nonce, balance, code_hash }))
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        let Some(leaf) = self.leaf(address)? else { return Ok(U256::ZERO) };
        let value = Sparse::new(&self.nodes, leaf.storage_root).get(&keccak256(slot))?;
        Ok(value.map_or(U256::ZERO, |rlp| U256::decode(&mut rlp.as_slice()).unwrap()))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.leaf(address)?.is_some_and(|leaf| leaf.storage_root != EMPTY_ROOT_HASH))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.codes.get(code_hash).cloned().ok_or_else(|| StateError(format!("the witness lacks code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        let header = self.headers.get(&number).map(Header::hash_slow);
        header.ok_or_else(|| StateError(format!("the witness lacks header {number}")))
    }
}

impl StateCommitment for Stateless {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        let mut accounts = Sparse::new(&self.nodes, self.parent().state_root);
        let kept = |change: &AccountDiff| change.account.filter(|account| !account.is_empty());
        let mut changes: Vec<(&Address, &AccountDiff)> = diff.accounts.iter().collect();
        changes.sort_by_key(|(_, change)| kept(change).is_none() != self.removals_first);
        for (address, change) in changes {
            let leaf = match kept(change) {
                None => None,
                Some(Account { nonce, balance, code_hash }) => {
                    let storage_root = self.storage_root(self.leaf(address)?.as_ref(), change)?;
                    Some(alloy_rlp::encode(TrieAccount { nonce, balance, storage_root, code_hash }))
                }
            };
            accounts.set(&keccak256(address), leaf)?;
        }
        let passer = accounts.get(&keccak256(MESSAGE_PASSER))?;
        let passer = passer.map(|rlp| TrieAccount::decode(&mut rlp.as_slice()).unwrap().storage_root);
        Ok(Roots { state_root: accounts.root(), withdrawals_root: passer.unwrap_or(EMPTY_ROOT_HASH) })
    }
}

/// Executes a block on its witness and compares all that its header says.
fn execute(node: &Node, number: u64, state: &Stateless) -> Result<(), VerifyError> {
    let block = node.chain.store().block(number).unwrap().unwrap();
    let parent = state.parent().clone().seal_slow();
    assert_eq!(parent.hash(), block.header.parent_hash, "the last header is the parent's");
    let decoded = decode_block(node.chain.rules(), &alloy_rlp::encode(block.inner()), &|_| None).unwrap();
    let told = decoded.l1_attributes().unwrap();
    let deposits = block.body.transactions.iter().skip(1).filter_map(|tx| tx.as_deposit());
    let attributes = BlockAttributes {
        timestamp_ms: timestamp_ms(&block.header),
        leader: leader(&block.header),
        origin: told.origin,
        sequence_number: told.sequence_number,
        deposits: deposits.map(|deposit| deposit.inner().clone()).collect(),
    };
    let reader = Arc::new(state.clone());
    verify_block(node.chain.rules(), &parent, &attributes, &decoded, reader, state).map(drop)
}

async fn witness(node: &Node, number: u64) -> Witness {
    let answer = node.call("debug_executionWitness", json!([format!("{number:#x}")])).await;
    serde_json::from_value(answer).unwrap()
}

fn words(values: impl IntoIterator<Item = (u64, u64)>) -> Vec<u8> {
    values.into_iter().flat_map(|pair| [pair.0, pair.1]).flat_map(|word| B256::from(U256::from(word)).0).collect()
}

fn sent(sender: u8, nonce: u64, to: TxKind, value: u64, input: impl Into<Bytes>) -> OpTxEnvelope {
    sign(sender, TxEip1559 { gas_limit: 3_000_000, ..call_tx(nonce, to, value, input) })
}

/// Numbers that look random and are always the same.
fn draw(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Blocks of every kind of change: creations, slots that come and go in tries of every size, new accounts, one that is
/// destroyed, ancestors' hashes.
async fn grow(node: &Node) {
    node.mine(&every_type()).await;
    let (mut nonce, mut seed) = (6, 1);
    for round in 0..40_u64 {
        // Few slots, so that most of them are there again and again to be removed.
        let slots = 2 + round % 12;
        let pairs = (0..draw(&mut seed, 20) + 1).map(|_| (draw(&mut seed, slots), draw(&mut seed, 2) * (round + 1)));
        let mut block = vec![sent(1, nonce, TxKind::Call(SETTER), 0, words(pairs.collect::<Vec<_>>()))];
        nonce += 1;
        if round % 5 == 0 {
            let fresh = Address::from_word(keccak256(round.to_be_bytes()));
            block.push(sent(1, nonce, TxKind::Call(fresh), round + 1, Vec::new()));
            nonce += 1;
        }
        if round == 13 {
            block.push(sent(1, nonce, TxKind::Call(account(2).create(0)), 5, Vec::new()));
            nonce += 1;
        }
        if round == 14 {
            // Its constructor destroys it, and with it the account that had been given something before.
            block.push(sent(2, 0, TxKind::Create, 0, vec![0x33, 0xff]));
        }
        if round == 20 {
            block.push(sent(1, nonce, TxKind::Call(HASHER), 0, words([(14, 0)])));
            nonce += 1;
        }
        node.mine(&block).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_executed_from_their_witness_alone() {
    // Few states in memory, so that most tries are made from history.
    let storage = StoreConfig { recent_states: 4, settle_blocks: 2, max_unsettled_blocks: 4, ..StoreConfig::default() };
    let node = start_with(RpcConfig::default(), genesis(), storage).await;
    grow(&node).await;
    let head = node.chain.head().header.number;
    assert_eq!(node.call("eth_getBalance", json!([account(2).create(0), "latest"])).await, "0x0");
    assert_eq!(node.call("eth_getBalance", json!([account(2).create(0), "0xf"])).await, "0x5");
    for number in 1..=head {
        let witness = witness(&node, number).await;
        for removals_first in [false, true] {
            let executed = execute(&node, number, &Stateless::new(&witness, removals_first));
            assert!(executed.is_ok(), "block {number}, removals first: {removals_first}: {executed:?}");
        }
        let block = node.call("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
        for method in ["debug_executionWitnessByBlockHash", "debug_executionWitnessByHash"] {
            let by_hash = node.call(method, json!([block["hash"]])).await;
            assert_eq!(by_hash["state"], json!(witness.state), "{method}");
        }
        if number == 22 {
            assert_eq!(witness.headers.len(), 22 - 14, "back to the ancestor whose hash was asked for");
            assert!(witness.keys.contains(&Bytes::copy_from_slice(HASHER.as_slice())));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_brings_the_node_that_takes_a_branchs_place() {
    let node = start_with(RpcConfig::default(), genesis(), StoreConfig::default()).await;
    node.mine(&[sent(1, 0, TxKind::Call(SETTER), 0, words([(1_001, 7), (1_002, 8)]))]).await;
    let other = node.call("eth_getProof", json!([SETTER, [format!("{:#x}", 1_002)], "0x1"])).await;
    let other: Vec<Bytes> = serde_json::from_value(other["storageProof"][0]["proof"].clone()).unwrap();
    let number = node.mine(&[sent(1, 1, TxKind::Call(SETTER), 0, words([(1_001, 0)]))]).await;
    let mut witness = witness(&node, number).await;
    assert!(execute(&node, number, &Stateless::new(&witness, true)).is_ok());
    assert!(
        !witness.keys.contains(&Bytes::copy_from_slice(B256::from(U256::from(1_002)).as_slice())),
        "nobody looked at it"
    );
    witness.state.retain(|rlp| rlp != other.last().unwrap());
    let lacking = execute(&node, number, &Stateless::new(&witness, true)).unwrap_err().to_string();
    assert!(lacking.contains("the witness lacks node"), "{lacking}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_witnessed_is_refused() {
    let storage = StoreConfig {
        recent_states: 2,
        settle_blocks: 1,
        max_unsettled_blocks: 2,
        proof_window: 4,
        ..StoreConfig::default()
    };
    let node = start_with(RpcConfig::default(), genesis(), storage).await;
    for _ in 0..20 {
        node.mine(&[]).await;
    }
    let beyond = (-32000, "distance to target block exceeds maximum proof window".to_owned());
    let refused =
        |error: Result<Value, (i64, String, Value)>| error.map_err(|(code, text, _)| (code, text)).unwrap_err();
    assert_eq!(refused(node.try_call("debug_executionWitness", json!(["0x2"])).await), beyond);
    assert_eq!(refused(node.try_call("eth_getProof", json!([SETTER, [], "0x2"])).await), beyond);
    let not_found = |text: &str| (-32000, text.to_owned());
    assert_eq!(
        refused(node.try_call("debug_executionWitness", json!(["0x0"])).await),
        not_found("genesis is not traceable")
    );
    assert_eq!(refused(node.try_call("debug_executionWitness", json!(["0xff"])).await), not_found("block not found"));
    let unknown = node.try_call("debug_executionWitnessByBlockHash", json!([B256::ZERO])).await;
    assert_eq!(refused(unknown), not_found("block not found"));
    assert_eq!(refused(node.try_call("debug_executionWitness", json!([])).await).0, -32602);
}
