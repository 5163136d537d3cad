//! `censored`: sequencers that drop a user's transactions must execute what the user queues on L1. Those that leave out the queue
//! too are refused by the registry, and then anyone posts the queue.

use std::time::{Duration, Instant};

use alloy::{
    consensus::BlockHeader,
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
};
use alloy_sol_types::SolError;
use eyre::{Result, ensure, eyre};
use l1::contracts::{BatchRegistry, Portal};
use node::config::Role;
use tokio::process::Command;

use super::{
    LOOK,
    bad_batch::{forge, signed},
    newest,
};
use crate::{
    client::Rpc,
    fact::Facts,
    keys,
    load::Load,
    metrics,
    network::Network,
    process::{Process, last_lines},
    registry,
    stake::{Account, metis},
    transactions::Wallet,
    wait::until,
};

/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(100);
/// Turns during which the user's transaction must stay out, at the least.
const TURNS: u64 = 5;
/// Seconds an item may take from L1's queue to L2: below the registry's deadline of 20.
const EXECUTED_SECONDS: f64 = 15.0;
/// The registry's deadline in seconds.
const DEADLINE_SECONDS: u64 = 20;
/// Seconds without a batch after which anyone may post.
const SILENCE_SECONDS: u64 = 60;
/// METIS that the poster puts up.
const BOND: u64 = 100;
/// Gas of the forced transfer.
const FORCED_GAS: u64 = 100_000;
/// Attempts to ask the registry about a header while batches go on.
const ATTEMPTS: usize = 20;

/// Name of the key of the one who posts.
const STRANGER: &str = "stranger";
/// Name of the user's key.
const USER: &str = "censored user";
/// What the registry says to a batch that it would take.
const ACCEPTS: &str = "accepts";

/// The fault that all sequencers start with.
///
/// # Errors
/// Never: the key is valid.
pub(super) fn fault() -> Result<String> {
    Ok(format!("censor:{}", user()?.address()))
}

fn user() -> Result<Wallet> {
    Ok(Wallet { signer: keys::derived(USER)?, nonce: 0 })
}

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let (recipient, amount) = (keys::derived("recipient of the censored")?.address(), metis(3));
    let user = Account::open(network, USER).await?;
    dropped(network, facts, recipient, amount).await?;
    forced(network, facts, &user, recipient, amount).await?;
    withhold(network, user.address()).await?;
    let item = queue(network, &user, recipient, amount).await?;
    refused(network, facts, item).await?;
    posted_by_anyone(network, facts, recipient, amount).await?;
    contradicted_nodes_stop(network, facts).await
}

/// The user's transaction is taken by every node and executed by none, while others' are.
async fn dropped(network: &Network, facts: &mut Facts, recipient: Address, amount: U256) -> Result<()> {
    let follower = network.rpc("follower-0")?;
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let mut wallet = user()?;
    let funds = amount.saturating_mul(U256::from(10));
    let mut rich = Wallet::all()?.into_iter().next().ok_or_else(|| eyre!("no development account"))?;
    let funded = until(PATIENCE, LOOK, async || {
        rich.nonce = follower.nonce(rich.address()).await.ok()?;
        let transfer = rich.transfer(wallet.address(), funds).ok()?;
        // The load uses this account too: the nonce may be taken.
        follower.send(&transfer.raw).await.ok()?;
        until(Duration::from_secs(3), LOOK, async || follower.receipt(transfer.hash).await.ok().flatten()).await
    });
    funded.await.ok_or_else(|| eyre!("the user got no METIS on L2"))?;

    let transfer = wallet.transfer(recipient, amount)?;
    let sequencers = network.rpcs(Role::Sequencer)?;
    for rpc in sequencers.iter().chain([&follower]) {
        ensure!(rpc.send(&transfer.raw).await? == transfer.hash, "{} names another hash", rpc.url);
    }
    let from = newest(network).await?;
    let length = network.genesis.params.turn_blocks;
    let to = from.saturating_add(length.saturating_mul(TURNS));
    let passed = until(PATIENCE, LOOK, async || (follower.height().await.ok()? >= to).then_some(())).await;
    passed.ok_or_else(|| eyre!("no {TURNS} turns passed"))?;
    let (mut others, mut leaders) = (0, std::collections::BTreeSet::new());
    for height in from.saturating_add(1)..=to {
        let block = follower.block(height).await?.ok_or_else(|| eyre!("no block {height}"))?;
        leaders.extend(block.leader());
        others += block.transactions.len().saturating_sub(1);
        ensure!(!block.transactions.contains(&transfer.hash), "block {height} has the user's transaction");
    }
    facts.figure("turns_and_leaders_that_left_it_out", (TURNS, leaders.len()));
    facts.at_least("transactions_of_others_meanwhile", others, 1);
    let mut receipts = 0;
    for rpc in &sequencers {
        receipts += usize::from(rpc.receipt(transfer.hash).await?.is_some());
    }
    facts.equal("nodes_with_a_receipt_of_it", receipts, 0);
    facts.equal("recipient_wei", follower.balance(recipient, to).await?.to_string(), "0".to_owned());
    Ok(())
}

/// An item of the deposit queue.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Items queued up to it, itself included.
    count: u64,
    /// When, in L1's seconds.
    queued_at: u64,
}

/// The user queues the transfer on L1.
async fn queue(network: &Network, user: &Account, recipient: Address, amount: U256) -> Result<Item> {
    let portal = network.genesis.l1.portal;
    let call = Portal::depositTransactionCall {
        to: recipient,
        value: amount,
        gasLimit: FORCED_GAS,
        isCreation: false,
        data: Bytes::new(),
    };
    let receipt = user.call(portal, &call).await?;
    let count = network.l1()?.read(portal, &Portal::countCall {}).await?;
    let number = receipt.block_number.ok_or_else(|| eyre!("a receipt without a block"))?;
    Ok(Item { count, queued_at: time_of(network, number).await? })
}

async fn time_of(network: &Network, l1_number: u64) -> Result<u64> {
    let block = network.l1()?.provider().get_block_by_number(l1_number.into()).await?;
    Ok(block.ok_or_else(|| eyre!("no L1 block {l1_number}"))?.header.timestamp())
}

/// What the same sequencers do with the same transfer from L1's queue.
async fn forced(network: &Network, facts: &mut Facts, user: &Account, recipient: Address, amount: U256) -> Result<()> {
    let rpc = network.rpc("sequencer-0")?;
    let item = queue(network, user, recipient, amount).await?;
    let begin = Instant::now();
    arrives(&rpc, recipient, amount).await.ok_or_else(|| eyre!("the queued transfer was not executed on L2"))?;
    facts.at_most("seconds_from_the_queue_to_l2", begin.elapsed().as_secs_f64(), EXECUTED_SECONDS);
    let batch = until(PATIENCE, LOOK, async || {
        let batches = registry::accepted(network).await.ok()?;
        batches.into_iter().find(|batch| batch.header.depositCount >= item.count)
    });
    let batch = batch.await.ok_or_else(|| eyre!("no batch with the item came to L1"))?;
    let waited = time_of(network, batch.l1_number).await?.saturating_sub(item.queued_at);
    // What decision 0005 bounds an item's delay by, while batches go on.
    let most = DEADLINE_SECONDS.saturating_mul(2);
    facts.holds("seconds_from_the_queue_to_its_batch_on_l1", (batch.header.index, waited), waited <= most);
    Ok(())
}

/// Waits until an account has a balance at `latest`.
async fn arrives(rpc: &Rpc, account: Address, wei: U256) -> Option<u64> {
    until(PATIENCE, LOOK, async || {
        let height = rpc.height().await.ok()?;
        (rpc.balance(account, height).await.ok()? == wei).then_some(height)
    })
    .await
}

/// All sequencers are started again as ones that leave the queue alone, too.
async fn withhold(network: &mut Network, user: Address) -> Result<()> {
    let names: Vec<String> = network.plan.sequencers().map(|node| node.name.clone()).collect();
    for name in &names {
        network.kill_node(name).await?;
    }
    for node in network.plan.nodes.iter_mut().filter(|node| node.role == Role::Sequencer) {
        node.faulty = Some(format!("withhold:{user}"));
    }
    let before = network.rpc("follower-0")?.height().await?;
    network.start_nodes()?;
    network.wait_ready().await?;
    let rpc = network.rpc("sequencer-0")?;
    network
        .wait_for("a block after the restart", async |_| rpc.height().await.is_ok_and(|height| height > before))
        .await
}

/// Before the deadline the registry would take the sequencers' batch, after it no more: whoever signs.
async fn refused(network: &Network, facts: &mut Facts, item: Item) -> Result<()> {
    let early = answer(network).await?;
    facts.equal("registry_before_the_deadline", early, ACCEPTS.to_owned());
    let before = refusals(network).await?;
    let overdue = until(PATIENCE, LOOK, async || answer(network).await.ok().filter(|answer| answer != ACCEPTS)).await;
    let expected = format!("DepositOverdue({}, {})", item.count.saturating_sub(1), item.queued_at);
    facts.equal("registry_after_the_deadline", overdue, Some(expected));
    let counted = until(PATIENCE, LOOK, async || refusals(network).await.ok().filter(|now| *now > before)).await;
    facts.holds("batches_refused_to_their_posters", counted, counted.is_some());
    let head = registry::accepted(network).await?.last().map(|batch| (batch.header.index, batch.l1_number));
    let (index, number) = head.ok_or_else(|| eyre!("no batch"))?;
    let since = time_of(network, number).await?;
    let silent = until(PATIENCE, LOOK, async || {
        let now = time_of(network, registry::l1_number(network).await.ok()?).await.ok()?;
        (now >= since.saturating_add(SILENCE_SECONDS)).then_some(now.saturating_sub(since))
    });
    let silent = silent.await.ok_or_else(|| eyre!("L1's time stands still"))?;
    let now = registry::accepted(network).await?.last().map(|batch| batch.header.index);
    facts.equal("newest_batch_after_silence", now, Some(index));
    facts.figure("seconds_of_silence", silent);
    Ok(())
}

/// Batches that L1 refused to sequencers since they were started.
async fn refusals(network: &Network) -> Result<f64> {
    let mut sum = 0.0;
    for node in network.plan.sequencers() {
        sum += metrics::counter(node.metrics, "horae_batches_refused_by_l1_total").await?;
    }
    Ok(sum)
}

/// What the registry would say to a batch of the next decided block with the signatures of all: "accepts", or its error.
async fn answer(network: &Network) -> Result<String> {
    let from = user()?.address();
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let (header, data) = forge(network).await?;
        let call = signed(network, &header, &data, None)?;
        let Err(reason) = registry::would_accept(network, &call, from).await? else { return Ok(ACCEPTS.to_owned()) };
        if let Ok(overdue) = BatchRegistry::DepositOverdue::abi_decode(&reason) {
            return Ok(format!("DepositOverdue({}, {})", overdue.item, overdue.queuedAt));
        }
        // A batch that came to L1 in between makes the header stale.
        last = reason.to_string();
    }
    Ok(last)
}

/// A stranger, with nothing but L1 and the genesis file, posts the queue.
async fn posted_by_anyone(network: &mut Network, facts: &mut Facts, recipient: Address, amount: U256) -> Result<()> {
    let before = registry::accepted(network).await?.pop().ok_or_else(|| eyre!("no batch"))?;
    let (stranger, deployer) = (Account::open(network, STRANGER).await?, Account::open(network, "deployer").await?);
    stranger.fund(&deployer, metis(BOND), network.genesis.l1.batch_registry).await?;
    let l1_node = network.rpc("l1-follower-0")?;
    let had = l1_node.balance(recipient, l1_node.height().await?).await?;
    facts.equal("recipient_wei_on_l1_before", had.to_string(), amount.to_string());

    let file = network.plan.write_poster("stranger", &keys::derived(STRANGER)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["node", "--force-batch", "--parent", &std::process::id().to_string(), "--config"]).arg(file);
    let log = network.plan.log_file("stranger");
    let mut poster = Process::spawn("stranger", command, &log)?;
    let status = tokio::time::timeout(PATIENCE, poster.wait()).await;
    let posted = matches!(status, Ok(Ok(status)) if status.success());
    facts.holds("a_stranger_posts_the_queue", last_lines(&log, 1), posted);

    let batch = registry::accepted(network).await?.pop().ok_or_else(|| eyre!("no batch"))?;
    facts.equal("signers_of_its_batch", batch.bitmap.to_string(), "0".to_owned());
    facts.equal("posted_by", registry::sender_of(network, batch.transaction).await?, stranger.address());
    let place = (before.header.index + 1, before.header.lastHeight + 1, before.header.depositCount + 1);
    let found = (batch.header.index, batch.header.firstHeight, batch.header.depositCount);
    facts.equal("index_first_height_and_queue_items", found, place);
    facts.equal("bond_left_with_the_stranger", stranger.balance().await?.to_string(), "0".to_owned());

    let arrived = arrives(&l1_node, recipient, amount.saturating_mul(U256::from(2))).await;
    facts.holds("transfer_executed_at_the_node_that_follows_l1", arrived, arrived.is_some());
    let blocks = batch.header.lastHeight.saturating_sub(before.header.lastHeight);
    // The transfer is in the first of them.
    let last = async || l1_node.block(batch.header.lastHeight).await.ok().flatten();
    let block = until(PATIENCE, LOOK, last).await;
    let own = block.as_ref().map(|block| (block.hash, block.state_root, block.leader()));
    let header = (batch.header.lastBlockHash, batch.header.stateRoot, Some(Address::ZERO));
    facts.equal("its_last_block_is_the_header's", own, Some(header));
    facts.figure("blocks_of_the_batch", blocks);
    Ok(())
}

/// Sequencers, and the follower of their certificates, had decided those heights otherwise: they stop and say why, also when
/// started again.
async fn contradicted_nodes_stop(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let batch = registry::accepted(network).await?.pop().ok_or_else(|| eyre!("no batch"))?;
    let reason =
        format!("batch {} on L1 (posted without signatures) has {}", batch.header.index, batch.header.lastBlockHash);
    let wanted = network.names().len() - 1;
    let stopped = ended(network, wanted, &reason).await;
    facts.equal("nodes_that_stopped_and_said_why", stopped, wanted);
    let name = "sequencer-0";
    network.start_node(name)?;
    facts.equal("nodes_that_stopped_again", ended(network, 1, &reason).await, 1);
    let chain: Option<B256> =
        network.rpc("l1-follower-0")?.block(batch.header.lastHeight).await?.map(|block| block.hash);
    facts.equal("block_of_the_node_that_follows_l1", chain, Some(batch.header.lastBlockHash));
    Ok(())
}

/// Waits until this many nodes have ended; counts those whose last words hold the reason.
async fn ended(network: &mut Network, wanted: usize, reason: &str) -> usize {
    let (mut all, mut right) = (0, 0);
    let done = until(PATIENCE, LOOK, async || {
        for (_, words) in network.ended() {
            all += 1;
            right += usize::from(words.contains(reason));
        }
        (all >= wanted).then_some(())
    });
    done.await;
    right
}
