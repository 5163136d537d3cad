//! A process that dies without notice, for real: the test starts itself as a child and kills it.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

use super::*;

const CHILD: &str = "HORAE_POOL_TEST_CHILD";
const NAME: &str = "transactions::tests::killed::what_our_rpc_answered_for_outlives_the_process";

/// In the child: takes transactions, says so, and waits for its end.
async fn live_in(folder: &Path) {
    let node = Node::new();
    let pool = node.pool();
    pool.restore(&folder.join("journal")).unwrap();
    for nonce in [NONCE, NONCE + 1, NONCE + 3] {
        let hash = pool.submit(Draft { nonce, ..Draft::default() }.raw(), Origin::Local).await.unwrap();
        println!("took {hash}");
    }
    println!("all taken");
    // Ends with the parent, should that not come to killing.
    let _ = std::io::stdin().read(&mut [0]);
}

#[tokio::test]
async fn what_our_rpc_answered_for_outlives_the_process() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return live_in(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said: Vec<String> = lines.take_while(|line| line != "all taken").collect();
    let took: Vec<B256> = said.iter().filter_map(|line| Some(line.split_once("took ")?.1.parse().unwrap())).collect();
    // SIGKILL: nothing of the child runs after this.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(took.len(), 3, "{said:?}");
    let node = Node::new();
    let pool = node.pool();
    pool.restore(&folder.path().join("journal")).unwrap();
    assert_eq!(hashes(&pool), (took[..2].to_vec(), took[2..].to_vec()));
}
