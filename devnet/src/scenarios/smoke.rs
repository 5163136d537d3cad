//! `smoke`: the whole path of many kinds of transactions, to L1 and back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use eyre::{Result, ensure, eyre};
use l1::contracts::DevnetMetis;
use node::config::Role;

use super::{LOOK, differing_at, newest};
use crate::{
    client::{ReceiptView, Rpc},
    fact::Facts,
    foundation::{FUNDS, VAULTS},
    keys,
    load::Load,
    network::Network,
    process, registry,
    transactions::{Ready, Wallet},
    wait::until,
};

/// Transactions of the scenario.
const COUNT: usize = 500;
/// Transactions sent per wave, and time between waves: about eight a block.
const WAVE: usize = 4;
const WAVE_PERIOD: Duration = Duration::from_millis(200);
/// Time for what is left after the last wave.
const PATIENCE: Duration = Duration::from_secs(40);
/// Leaders and batches wanted.
const LEADERS: usize = 3;
const BATCHES: usize = 3;
/// Memory of a sequencer in MiB.
const MEMORY_MIB: f64 = 200.0;

/// METIS wei.
fn metis(amount: u64) -> U256 {
    U256::from(amount).saturating_mul(U256::from(1_000_000_000_000_000_000u64))
}

/// Everyone whose balance changes.
struct Cast {
    wallets: Vec<Wallet>,
    recipients: Vec<Address>,
    authorities: Vec<Address>,
    token: Address,
    reverting: Address,
    depositor: Address,
}

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let rpcs = network.rpcs(Role::Sequencer)?;
    let beneficiary = keys::derived("beneficiary")?.address();
    registry::deposit(network, beneficiary, metis(5)).await?;
    let (cast, sent) = send_all(&rpcs).await?;
    let receipts = collect(&rpcs, &sent).await;
    judge_receipts(facts, &sent, &receipts);
    let credited = until(PATIENCE, LOOK, async || {
        let height = newest(network).await.ok()?;
        let balance = rpcs.first()?.balance(beneficiary, height).await.ok()?;
        (!balance.is_zero()).then_some(balance)
    });
    facts.equal("deposit_credited_wei", credited.await.unwrap_or_default().to_string(), metis(5).to_string());
    judge_leaders(network, facts).await?;
    judge_batches(network, facts).await?;
    let height = newest(network).await?;
    let differing = differing_at(network, height).await?;
    facts.holds("nodes_with_another_block_or_root", (height, &differing), differing.is_empty());
    judge_balances(&rpcs, facts, &cast, &sent, &receipts, height, beneficiary).await?;
    judge_contracts(&rpcs, facts, &cast, &receipts).await?;
    for node in network.plan.sequencers() {
        let memory = network.pid(&node.name).and_then(process::resident_mib);
        let memory = memory.ok_or_else(|| eyre!("{} has no memory figure", node.name))?;
        facts.at_most(&format!("memory_mib_{}", node.name), memory, MEMORY_MIB);
    }
    Ok(())
}

/// Deploys what is needed, then sends the mix in waves, each wallet through its own node.
async fn send_all(rpcs: &[Rpc]) -> Result<(Cast, Vec<Ready>)> {
    let mut wallets = Wallet::all()?;
    let first = wallets.first_mut().ok_or_else(|| eyre!("no wallet"))?;
    let (deploy_token, token) = first.create_token()?;
    let (deploy_reverting, reverting) = first.create_reverting()?;
    let mut sent = vec![deploy_token, deploy_reverting];
    let holders: Vec<Address> = wallets.iter().map(Wallet::address).collect();
    for to in &holders {
        let first = wallets.first_mut().ok_or_else(|| eyre!("no wallet"))?;
        sent.push(first.call(token, &DevnetMetis::mintCall { to: *to, amount: U256::from(1_000) })?);
    }
    let entry = rpcs.first().ok_or_else(|| eyre!("no sequencer"))?;
    for ready in &sent {
        entry.send(&ready.raw).await?;
    }
    // The calls below need the contracts: wait until the last of these is in a block.
    let last = sent.last().map(|ready| ready.hash).unwrap_or_default();
    let there = until(PATIENCE, LOOK, async || entry.receipt(last).await.ok().flatten());
    ensure!(there.await.is_some(), "the deployments were not included");
    let recipients: Vec<Address> =
        (0..8).map(|index| Ok(keys::derived(&format!("recipient {index}"))?.address())).collect::<Result<_>>()?;
    let mut cast = Cast {
        wallets,
        recipients,
        authorities: Vec::new(),
        token,
        reverting,
        depositor: keys::derived("deployer")?.address(),
    };
    let mut ticks = tokio::time::interval(WAVE_PERIOD);
    while sent.len() < COUNT {
        ticks.tick().await;
        for _ in 0..WAVE.min(COUNT.saturating_sub(sent.len())) {
            let number = sent.len();
            let ready = mixed(&mut cast, number)?;
            let node = rpcs.get(number % cast.wallets.len() % rpcs.len()).ok_or_else(|| eyre!("no node"))?;
            node.send(&ready.raw).await?;
            sent.push(ready);
        }
    }
    Ok((cast, sent))
}

/// The `number`-th transaction of the mix.
fn mixed(cast: &mut Cast, number: usize) -> Result<Ready> {
    let to = *cast.recipients.get(number % cast.recipients.len()).ok_or_else(|| eyre!("no recipient"))?;
    let value = U256::from(1_000_000_007u64).saturating_mul(U256::from(number));
    let (token, reverting, count) = (cast.token, cast.reverting, cast.wallets.len());
    let wallet = cast.wallets.get_mut(number % count).ok_or_else(|| eyre!("no wallet"))?;
    // Another kind for each wallet at each turn, so that every wallet sends all of them.
    match (number / count).wrapping_add(number) % 10 {
        0 => wallet.legacy_transfer(to, value),
        1 => wallet.listed_transfer(to, value, token),
        2 | 3 => wallet.call(token, &DevnetMetis::transferCall { to, value: U256::ONE }),
        4 => wallet.failing_call(reverting),
        5 => {
            let authority = keys::derived(&format!("authority {number}"))?;
            let ready = wallet.delegating_transfer(to, value, &authority, token)?;
            cast.authorities.push(authority.address());
            Ok(ready)
        }
        _ => wallet.transfer(to, value),
    }
}

/// Receipts of everything, each from the node after the one it was sent to.
async fn collect(rpcs: &[Rpc], sent: &[Ready]) -> BTreeMap<B256, ReceiptView> {
    let mut receipts = BTreeMap::new();
    let complete = until(PATIENCE, LOOK, async || {
        for (number, ready) in
            sent.iter().enumerate().filter(|(_, ready)| !receipts.contains_key(&ready.hash)).collect::<Vec<_>>()
        {
            let rpc = rpcs.get(number.wrapping_add(1) % rpcs.len())?;
            match rpc.receipt(ready.hash).await {
                Ok(Some(receipt)) => receipts.insert(ready.hash, receipt),
                // The rest is later still.
                _ => return None,
            };
        }
        Some(())
    });
    // What is missing shows up in the facts.
    let _ = complete.await;
    receipts
}

fn judge_receipts(facts: &mut Facts, sent: &[Ready], receipts: &BTreeMap<B256, ReceiptView>) {
    facts.equal("transactions_included", receipts.len(), sent.len());
    facts.at_least("transactions_sent", sent.len(), COUNT);
    let found = |ready: &&Ready| receipts.get(&ready.hash).map(|receipt| (receipt.succeeded(), receipt.kind()));
    let wrong: Vec<B256> = sent
        .iter()
        .filter(|ready| found(ready).is_some_and(|found| found != (ready.succeeds, ready.kind)))
        .map(|ready| ready.hash)
        .collect();
    facts.holds("receipts_with_another_status_or_type", &wrong, wrong.is_empty());
    for kind in [0, 1, 2, 4] {
        let count = receipts.values().filter(|receipt| receipt.kind() == kind).count();
        facts.at_least(&format!("transactions_of_type_{kind}"), count, 30);
    }
    facts.at_least("reverted_as_intended", receipts.values().filter(|receipt| !receipt.succeeded()).count(), 30);
}

async fn judge_leaders(network: &Network, facts: &mut Facts) -> Result<()> {
    let rpcs = network.rpcs(Role::Sequencer)?;
    let rpc = rpcs.first().ok_or_else(|| eyre!("no sequencer"))?;
    // Blocks go on at full pace until enough turns have passed.
    let _load = Load::start(rpcs.clone())?;
    let mut leaders = BTreeSet::new();
    let mut next = 1;
    let enough = until(PATIENCE, LOOK, async || {
        while let Ok(Some(block)) = rpc.block(next).await {
            leaders.extend(block.leader());
            next += 1;
        }
        (leaders.len() >= LEADERS).then_some(())
    });
    let _ = enough.await;
    facts.at_least("different_leaders", leaders.len(), LEADERS);
    Ok(())
}

async fn judge_batches(network: &Network, facts: &mut Facts) -> Result<()> {
    let enough = until(PATIENCE, LOOK, async || {
        registry::accepted(network).await.ok().filter(|batches| batches.len() >= BATCHES)
    });
    let batches = enough.await.unwrap_or_default();
    facts.at_least("batches_on_l1", batches.len(), BATCHES);
    let set = &network.genesis.set;
    let light: Vec<u64> = batches
        .iter()
        .filter(|batch| batch.weight(set) * 3 <= set.total().0 * 2)
        .map(|batch| batch.header.index)
        .collect();
    facts.holds("batches_with_two_thirds_or_less", &light, light.is_empty());
    facts.figure("least_weight_of_a_batch", batches.iter().map(|batch| batch.weight(set)).min());
    facts.figure("total_weight", set.total().0);
    let in_calldata = batches.iter().filter(|batch| !batch.blobs).count();
    facts.equal("batches_in_calldata", in_calldata, 0);
    Ok(())
}

/// Nothing is lost and nothing appears: funds at genesis and the deposit are what everyone has together, and each wallet
/// has paid exactly what its transactions say.
async fn judge_balances(
    rpcs: &[Rpc],
    facts: &mut Facts,
    cast: &Cast,
    sent: &[Ready],
    receipts: &BTreeMap<B256, ReceiptView>,
    height: u64,
    beneficiary: Address,
) -> Result<()> {
    let rpc = rpcs.last().ok_or_else(|| eyre!("no sequencer"))?;
    let last = receipts.values().map(ReceiptView::height).max().unwrap_or_default();
    let mut wrong = Vec::new();
    for wallet in &cast.wallets {
        let mine = sent.iter().filter(|ready| ready.from == wallet.address());
        let spent = mine.fold(U256::ZERO, |spent, ready| {
            let receipt = receipts.get(&ready.hash);
            let value = if receipt.is_some_and(ReceiptView::succeeded) { ready.value } else { U256::ZERO };
            spent.saturating_add(value).saturating_add(receipt.map(ReceiptView::fee).unwrap_or_default())
        });
        if rpc.balance(wallet.address(), last).await? != FUNDS.saturating_sub(spent) {
            wrong.push(wallet.address());
        }
    }
    facts.holds("wallets_with_another_balance_than_their_receipts_say", &wrong, wrong.is_empty());
    let everyone = cast.wallets.iter().map(Wallet::address).chain(cast.recipients.iter().copied()).chain(VAULTS);
    let others = [cast.token, cast.reverting, cast.depositor, beneficiary, keys::derived("load")?.address()];
    let mut total = U256::ZERO;
    for account in everyone.chain(cast.authorities.iter().copied()).chain(others) {
        total = total.saturating_add(rpc.balance(account, height).await?);
    }
    let funds = FUNDS.saturating_mul(U256::from(cast.wallets.len())).saturating_add(metis(5));
    facts.equal("all_balances_together_wei", total.to_string(), funds.to_string());
    Ok(())
}

async fn judge_contracts(
    rpcs: &[Rpc],
    facts: &mut Facts,
    cast: &Cast,
    receipts: &BTreeMap<B256, ReceiptView>,
) -> Result<()> {
    let rpc = rpcs.first().ok_or_else(|| eyre!("no sequencer"))?;
    let supply = rpc.eth_call(cast.token, DevnetMetis::totalSupplyCall {}.abi_encode().into()).await?;
    let supply = DevnetMetis::totalSupplyCall::abi_decode_returns(&supply)?;
    facts.equal("token_supply", supply.to_string(), (1_000 * cast.wallets.len()).to_string());
    let mut delegated = 0;
    for authority in &cast.authorities {
        let code: Bytes = rpc.call("eth_getCode", (authority, "latest")).await?;
        delegated += usize::from(code.starts_with(&[0xef, 0x01, 0x00]));
    }
    facts.equal("delegations_installed", delegated, receipts.values().filter(|receipt| receipt.kind() == 4).count());
    Ok(())
}
