//! Blocks, receipts, logs, heads, batches and evidence as they were written, before and after reopening.

use alloy_primitives::{B256, Bytes, U256};
use protocol::{
    BatchCertificate, BatchHeader, CommitCertificate, CommitSignature, CompactSignature, Height, Round,
    state::{AccountDiff, StateDiff, StateReader},
};
use store::{AccountProof, BatchInclusion, BatchRecord, LogFilter, MAX_SETS, Store, StoreError, TransactionLocation};

use crate::fixture::{address, config, create, diff_of, log, next_block, plain, slot};

fn certificate(height: u64, block_hash: B256) -> CommitCertificate {
    let signature = CommitSignature { signer: address(7), signature: CompactSignature([7; 64]) };
    CommitCertificate { height: Height(height), round: Round(2), block_hash, signatures: vec![signature; 3] }
}

#[test]
fn what_was_committed_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    let mut blocks = Vec::new();
    for height in 1..=9_u8 {
        let logs = vec![log(height, &[1, height]), log(1, &[])];
        let mut block = next_block(&store, diff_of(height.into()), &[logs, vec![], vec![log(2, &[height, 1])]]);
        block.certificate = Some(certificate(height.into(), block.block.header.hash_slow()));
        let head = store.commit_block(&block).unwrap();
        assert_eq!(store.heads().latest, head);
        blocks.push(block);
    }
    let read = |store: &Store| {
        for committed in &blocks {
            let (height, hash) = (committed.block.header.number, committed.block.header.hash_slow());
            assert_eq!(store.header(height).unwrap().unwrap().inner(), &committed.block.header);
            assert_eq!(store.block_hash(height).unwrap(), Some(hash));
            assert_eq!(store.block(height).unwrap().unwrap().inner(), &committed.block);
            assert_eq!(store.block_by_hash(&hash).unwrap().unwrap().hash(), hash);
            assert_eq!(store.senders(&committed.block).unwrap().as_ref(), Some(&committed.senders));
            assert_eq!(*store.receipts(height).unwrap().unwrap(), committed.receipts);
            assert_eq!(store.certificate(Height(height)).unwrap(), committed.certificate);
            for (index, transaction) in committed.block.body.transactions.iter().enumerate() {
                let receipt = store.receipt(&transaction.tx_hash()).unwrap().unwrap();
                assert_eq!(receipt.location, TransactionLocation { height, index });
                assert_eq!(receipt.gas_used, if index == 0 { 21_000 } else { 21_001 });
                assert_eq!(receipt.first_log_index, [0, 2, 2][index]);
                assert_eq!(receipt.receipt.logs(), committed.receipts[index].logs());
            }
        }
        assert_eq!(store.block(10).unwrap(), None);
        assert_eq!(store.block_by_hash(&B256::repeat_byte(9)).unwrap(), None);
        assert_eq!(store.receipt(&B256::repeat_byte(9)).unwrap(), None);
        let view = store.state_at(5).unwrap();
        assert_eq!(view.block_hash(5).unwrap(), blocks[4].block.header.hash_slow());
        assert_eq!(view.block_hash(0).unwrap(), genesis);
        assert_eq!(view.block_hash(6).unwrap(), B256::ZERO);
        assert!(matches!(store.state_at(10).map(|_| ()), Err(StoreError::UnknownHeight(10))));
        let code = alloy_primitives::keccak256(b"\x60\x00");
        assert_eq!(view.code(&code).unwrap(), Bytes::from_static(b"\x60\x00"));
        assert!(view.code(&B256::ZERO).is_err());
    };
    read(&store);
    drop(store);
    read(&Store::open(folder.path(), genesis, &config()).unwrap());
}

#[test]
fn logs_are_found_by_address_and_topic_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    for height in 1..=6_u8 {
        let logs = vec![log(height, &[1, height]), log(1, &[])];
        let block = next_block(&store, diff_of(height.into()), &[logs, vec![], vec![log(2, &[height, 1])]]);
        store.commit_block(&block).unwrap();
    }
    let check = |filter: &LogFilter, expected: &[(u64, usize, usize)]| {
        let found = store.logs(filter, 100).unwrap();
        let found: Vec<_> = found.iter().map(|log| (log.height, log.transaction_index, log.log_index)).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    let all = LogFilter { from: 0, to: u64::MAX, ..LogFilter::default() };
    let topic = |byte| vec![B256::repeat_byte(byte)];
    check(
        &LogFilter { from: 2, to: 3, ..all.clone() },
        &[(2, 0, 0), (2, 0, 1), (2, 2, 2), (3, 0, 0), (3, 0, 1), (3, 2, 2)],
    );
    check(&LogFilter { addresses: vec![address(4)], ..all.clone() }, &[(4, 0, 0)]);
    check(&LogFilter { topics: [topic(3), vec![], vec![], vec![]], ..all.clone() }, &[(3, 2, 2)]);
    check(&LogFilter { topics: [vec![], topic(3), vec![], vec![]], ..all.clone() }, &[(3, 0, 0)]);
    check(&LogFilter { topics: [vec![], vec![], topic(3), vec![]], ..all.clone() }, &[]);
    let either = LogFilter { addresses: vec![address(5), address(6)], ..all.clone() };
    check(&either, &[(5, 0, 0), (6, 0, 0)]);
    assert_eq!(store.logs(&all, 17), Err(StoreError::TooLarge(17)));
    assert_eq!(store.logs(&all, 18).unwrap().len(), 18);
}

#[test]
fn heads_move_forward_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    for height in 1..=5 {
        store.commit_block(&next_block(&store, diff_of(height), &[])).unwrap();
    }
    let refused =
        |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::Head { .. })), "{result:?}");
    refused(store.set_safe(6));
    refused(store.set_finalized(1));
    store.set_safe(4).unwrap();
    store.set_safe(4).unwrap();
    refused(store.set_safe(3));
    store.set_finalized(2).unwrap();
    refused(store.set_finalized(1));
    refused(store.rewind_safe(1));
    refused(store.rewind_safe(5));
    store.rewind_safe(3).unwrap();
    let heads = store.heads();
    assert_eq!((heads.latest.height, heads.safe.height, heads.finalized.height), (5, 3, 2));
    drop(store);
    assert_eq!(Store::open(folder.path(), genesis, &config()).unwrap().heads(), heads);
}

#[test]
fn batches_and_evidence_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    let batch = |index, first_height, last_height, included: bool| BatchRecord {
        header: BatchHeader {
            index,
            parentHash: B256::repeat_byte(1),
            firstHeight: first_height,
            lastHeight: last_height,
            lastBlockHash: B256::repeat_byte(2),
            stateRoot: B256::repeat_byte(3),
            withdrawalsRoot: B256::repeat_byte(4),
            blocksRoot: B256::repeat_byte(5),
            dataHash: B256::repeat_byte(6),
            snapshotId: 7,
            l1OriginNumber: 8,
            l1OriginHash: B256::repeat_byte(9),
            depositCount: 10,
            turns: U256::from(0x0102),
        },
        inclusion: included.then_some(BatchInclusion {
            l1_number: 11,
            l1_hash: B256::repeat_byte(12),
            transaction: B256::repeat_byte(13),
            blobs: true,
            bitmap: U256::from(5),
        }),
        certificate: included.then(|| BatchCertificate {
            members: vec![B256::repeat_byte(14); 3],
            bitmap: U256::from(5),
            signatures: vec![1; 128].into(),
        }),
    };
    store.put_batch(&batch(1, 1, 10, true)).unwrap();
    store.put_batch(&batch(2, 11, 20, false)).unwrap();
    // Posted again with another range after a reorg.
    store.put_batch(&batch(2, 11, 15, true)).unwrap();
    store.put_batch(&batch(3, 16, 30, false)).unwrap();
    let evidence = store.put_evidence(b"two votes").unwrap();
    store.put_evidence(b"two votes").unwrap();
    drop(store);

    let store = Store::open(folder.path(), genesis, &config()).unwrap();
    assert_eq!(store.batch(1).unwrap(), Some(batch(1, 1, 10, true)));
    for (height, index) in [(1, Some(1)), (10, Some(1)), (11, Some(2)), (15, Some(2)), (16, Some(3)), (31, None)] {
        let found = store.batch_of_height(height).unwrap().map(|batch| batch.header.index);
        assert_eq!(found, index, "height {height}");
    }
    assert_eq!(store.last_batch().unwrap(), Some(batch(3, 16, 30, false)));
    store.remove_batches_from(2).unwrap();
    assert_eq!(store.last_batch().unwrap(), Some(batch(1, 1, 10, true)));
    assert_eq!(store.batch_of_height(12).unwrap(), None);
    assert_eq!(store.evidence(10).unwrap(), [(evidence, Bytes::from_static(b"two votes"))]);
    store.remove_evidence(&evidence).unwrap();
    assert_eq!(store.evidence(10).unwrap(), []);
}

#[test]
fn sets_are_kept_with_how_far_l1_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    assert_eq!((store.sets_through().unwrap(), store.sets().unwrap()), (None, vec![]));
    let sets = |numbers: &[u64]| -> Vec<_> {
        numbers.iter().map(|number| (*number, Bytes::from(number.to_be_bytes().to_vec()))).collect()
    };
    store.put_sets(&sets(&[5, 300]), 400).unwrap();
    store.put_sets(&[], 500).unwrap();
    // A watcher begins a little early.
    store.put_sets(&sets(&[300]), 300).unwrap();
    drop(store);
    let store = Store::open(folder.path(), genesis, &config()).unwrap();
    assert_eq!((store.sets_through().unwrap(), store.sets().unwrap()), (Some(500), sets(&[5, 300])));
    let many: Vec<u64> = (1_000..1_000 + MAX_SETS as u64).collect();
    store.put_sets(&sets(&many), 100_000).unwrap();
    assert_eq!(store.sets().unwrap(), sets(&many), "the oldest go");
}

#[test]
fn certificates_are_for_their_block() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    let mut block = next_block(&store, diff_of(1), &[]);
    block.certificate = Some(certificate(1, B256::ZERO));
    assert!(matches!(store.commit_block(&block), Err(StoreError::Misfit { .. })));
    let own = certificate(1, block.block.header.hash_slow());
    block.certificate = Some(own.clone());
    store.commit_block(&block).unwrap();
    assert_eq!(store.certificate(Height(1)).unwrap(), Some(own));
}

#[test]
fn storage_of_any_height_can_be_proven() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    let passer = protocol::block::MESSAGE_PASSER;
    for height in 1..=30_u64 {
        // Slot 1 is overwritten in each block, one more is added, slot 0 comes and goes.
        let storage = [
            (slot(0), U256::from(height % 2)),
            (slot(1), U256::from(height)),
            (B256::from(U256::from(1000 + height)), U256::from(1)),
        ];
        let change = AccountDiff { account: Some(plain(1, 1)), storage: storage.into(), storage_wiped: false };
        let diff = StateDiff { accounts: [(passer, change)].into(), ..StateDiff::default() };
        store.commit_block(&next_block(&store, diff, &[])).unwrap();
    }
    for height in 1..=30_u64 {
        let AccountProof { storage_root: root, storage: proofs, .. } =
            store.proof(height, passer, &[slot(0), slot(1)]).unwrap();
        assert_eq!(Some(root), store.header(height).unwrap().unwrap().withdrawals_root);
        assert_eq!(proofs.iter().map(|proof| proof.value).collect::<Vec<_>>(), [height % 2, height].map(U256::from));
        for proof in proofs {
            let path = alloy_trie::Nibbles::unpack(alloy_primitives::keccak256(proof.slot));
            let value = (!proof.value.is_zero()).then(|| alloy_rlp::encode(proof.value));
            alloy_trie::proof::verify_proof(root, path, value, &proof.proof).unwrap();
        }
    }
}
