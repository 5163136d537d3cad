//! A permissionless batch (specification 4.7): when sequencers have posted nothing for long enough, whoever follows L1 posts the
//! items of the deposit queue, with a bond.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use batcher::{ParentBatch, ports::ChainBlock, queue_only_header, refusal};
use derivation::limits::MAX_BLOCKS;
use eyre::{Result, WrapErr, bail, ensure, eyre};
use l1::{
    L1Call, SendError,
    contracts::{BatchRegistry, DevnetMetis, bound},
};
use protocol::{BatchHeader, Height};

use super::{Faults, Parts, ending, follow_l1, start};
use crate::config::{Config, Role};

/// Time between looks at whether this node has come to where the registry is.
const LOOK: Duration = Duration::from_millis(200);

/// A permissionless batch that L1 has accepted.
#[derive(Clone, Debug)]
pub struct Forced {
    /// What was posted.
    pub header: BatchHeader,
    /// Items of the deposit queue it executes.
    pub items: u64,
    /// The L1 transaction.
    pub transaction: B256,
}

/// Follows L1 up to the registry's newest batch, posts the batch of queue items that follows it, and ends. The payer's key pays
/// gas and bond.
///
/// # Errors
/// The configuration is not that of a follower of L1 with a payer, nothing waits in the queue, or L1 refuses.
pub async fn force_batch(config: Config) -> Result<Forced> {
    ensure!(
        config.role == Role::L1Follower,
        "only a node that follows L1 alone can do this: set role = \"l1-follower\""
    );
    // Kept: the node answers while it works.
    let (mut parts, flows, _server) = start(config, &Faults::default()).await?;
    ensure!(parts.sender.is_some(), "no account pays for gas and bond: set [payer]");
    follow_l1(&mut parts, flows)?;
    let mut tasks = std::mem::take(&mut parts.tasks);
    tokio::select! {
        forced = post(&parts) => forced,
        reason = ending::reason(&mut tasks) => Err(reason),
    }
}

async fn post(parts: &Parts) -> Result<Forced> {
    let registry = parts.genesis.l1.batch_registry;
    let (snapshot, parent) = reach_registry(parts, registry).await?;
    let chain = parts.chain.clone();
    let header = tokio::task::spawn_blocking(move || next_header(&chain, &parent)).await??;
    ensure!(
        header.snapshotId == snapshot,
        "epoch of height {} has set {}, and without signatures the registry takes set {snapshot} only",
        header.firstHeight,
        header.snapshotId
    );
    let items = header.depositCount.saturating_sub(parent.deposit_count);
    ensure!(items > 0, "no item of the deposit queue waits in L1 blocks that are final");
    tracing::info!(
        batch = header.index,
        first = header.firstHeight,
        last = header.lastHeight,
        items,
        "forcing a batch"
    );
    let transaction = submit(parts, registry, &header).await?;
    Ok(Forced { header, items, transaction })
}

/// Waits until this node has read all that is final on L1 and its head is the last block of the registry's newest batch; that batch, and the snapshot it used (the
/// genesis set's before the first batch).
async fn reach_registry(parts: &Parts, registry: Address) -> Result<(u64, ParentBatch)> {
    loop {
        let head = parts.reader.client().read(registry, &BatchRegistry::headCall {}).await?;
        let (index, height) = (u64::from(head.index), head.height.to::<u64>());
        let final_l1 = parts.l1_view.borrow().map(|view| view.finalized.number);
        let read = final_l1.is_some_and(|number| parts.finals.newest() >= Some(number));
        if parts.chain.head().header.number == height && read {
            let parent = match index {
                0 => Some(ParentBatch::default()),
                _ => parts.chain.store().batch(index)?.map(|batch| ParentBatch::from(&batch.header)),
            };
            if let Some(parent) = parent.filter(|parent| parent.last_height == height) {
                return Ok((head.snapshotId.to::<u64>().max(1), parent));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The header of the longest permissionless batch after the head that final L1 blocks and the epoch allow.
fn next_header(chain: &crate::chain::Chain, parent: &ParentBatch) -> Result<BatchHeader> {
    let params = &chain.genesis().params;
    let mut tip = chain.derivation_tip();
    let first = tip.height.next();
    let epoch = params.epoch_of(first);
    let end = params.first_height(protocol::Epoch(epoch.0.saturating_add(1))).0;
    let most = end.saturating_sub(first.0).min(u64::try_from(MAX_BLOCKS)?);
    let reach = tip.origin.saturating_add(params.max_origin_advance.saturating_mul(most));
    let newest = chain.finals().newest().unwrap_or(tip.origin).min(reach);
    let content = derivation::queue_only_blocks(&tip, newest, params, chain.finals())?;
    let derived = content.into_iter().map(|block| tip.derive(block, params, chain.finals()));
    let derived = derived.collect::<std::result::Result<Vec<_>, _>>()?;
    let executed = chain.derive_ahead(&derived)?;
    let blocks: Option<Vec<ChainBlock>> = executed.iter().map(|one| ChainBlock::new(&one.block)).collect();
    let blocks = blocks.ok_or_else(|| eyre!("a derived block has no L1 attributes"))?;
    let set = chain.epochs().get(params.epoch_of(Height(first.0)))?.set.clone();
    queue_only_header(parent, &blocks, params, &set)
        .ok_or_else(|| eyre!("no L1 block became final since the last batch"))
}

/// Lets the registry take the bond, then posts.
async fn submit(parts: &Parts, registry: Address, header: &BatchHeader) -> Result<B256> {
    let sender = parts.sender.as_ref().ok_or_else(|| eyre!("no payer"))?;
    let metis = parts.genesis.l1.metis;
    let bond: U256 = parts.reader.client().read(registry, &BatchRegistry::bondCall {}).await?;
    let approve = DevnetMetis::approveCall { spender: registry, value: bond };
    let call = L1Call { to: Some(metis), input: approve.abi_encode().into(), ..Default::default() };
    sender.send(call).await.wrap_err("approval of the bond")?;
    let submit = BatchRegistry::submitPermissionlessCall { header: bound(header) };
    let call = L1Call { to: Some(registry), input: submit.abi_encode().into(), ..Default::default() };
    match sender.send(call).await {
        Ok(receipt) => Ok(receipt.transaction_hash),
        Err(SendError::Reverts { message, data }) => {
            bail!("the registry refuses: {}", refusal(data.as_ref()).unwrap_or(message))
        }
        Err(error) => Err(error.into()),
    }
}
