//! Senders are stored with the blocks; a block from before that is still read.

use std::{path::Path, sync::Arc};

use alloy_consensus::transaction::SignerRecoverable;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, TxKind};
use l1::FinalBlocks;
use rocksdb::{DB, Options};
use store::{EmptyState, Store, StoreConfig};

use super::chain::{CHAIN_ID, account, call_tx, genesis, sign};
use crate::{chain::Chain, epochs::Epochs, views};

const SENDERS: &str = "senders";

fn raw(path: &Path) -> DB {
    let options = Options::default();
    DB::open_cf(&options, path, DB::list_cf(&options, path).unwrap()).unwrap()
}

#[test]
fn senders_come_from_the_store_and_are_recovered_only_where_it_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Arc::new(genesis());
    let (block, diff) = execution::genesis_block(&genesis, &EmptyState).unwrap();
    let (hash, config) = (block.header.hash_slow(), StoreConfig::default());
    let store = Store::create(folder.path(), &block, &diff, &config).unwrap();
    let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
    let chain = Chain::open(genesis, store, FinalBlocks::default(), epochs).unwrap();
    let time = protocol::block::timestamp_ms(&chain.head().header) + 500;
    let mut builder = chain.open_block(&chain.head(), account(1), time).unwrap();
    let paid = sign(2, call_tx(0, TxKind::Call(account(3)), 1, []));
    builder.push(&execution::recover(&paid.encoded_2718(), CHAIN_ID).unwrap()).unwrap();
    let built = chain.keep(builder.finish(chain.store()).unwrap()).executed.hash;
    chain.commit(built, None).unwrap().unwrap();
    drop(chain);

    let read = |wanted: Option<&[Address]>| {
        let store = Store::open(folder.path(), hash, &config).unwrap();
        let block = store.block(1).unwrap().unwrap();
        assert_eq!(store.senders(&block).unwrap().as_deref(), wanted);
        views::senders(&store, &block).unwrap()
    };
    let store = Store::open(folder.path(), hash, &config).unwrap();
    let block = store.block(1).unwrap().unwrap();
    let transactions = &block.body.transactions;
    assert!(transactions.len() >= 2 && transactions[0].is_deposit() && transactions.last() == Some(&paid));
    let expected: Vec<Address> = transactions.iter().map(|tx| tx.recover_signer().unwrap()).collect();
    assert_eq!(expected.last(), Some(&account(2)));
    drop(store);
    assert_eq!(read(Some(&expected)), expected);

    // Others in their place: nothing was recovered.
    let others: Vec<Address> = (1..).map(Address::with_last_byte).take(expected.len()).collect();
    let db = raw(folder.path());
    db.put_cf(
        db.cf_handle(SENDERS).unwrap(),
        1_u64.to_be_bytes(),
        others.iter().flat_map(|sender| sender.0.0).collect::<Vec<u8>>(),
    )
    .unwrap();
    drop(db);
    assert_eq!(read(Some(&others)), others);

    // A database from before.
    let mut db = raw(folder.path());
    db.drop_cf(SENDERS).unwrap();
    drop(db);
    assert_eq!(read(None), expected);
}
