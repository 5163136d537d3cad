//! L1 as this node takes it in: what must be known of it before anything starts, and what comes then.

use std::{sync::Arc, time::Duration};

use batcher::ports::L1BatchEvent;
use eyre::{WrapErr, eyre};
use l1::{L1Client, L1Event, L1Reader, L1View, Tag};
use tokio::sync::{mpsc, watch};

use super::ending::PartEnded;
use crate::{batches::HeadsKeeper, chain::Chain, vitals::Vitals};

/// Time in which L1 must answer at the start.
const L1_START: Duration = Duration::from_secs(30);

/// Waits for L1, then makes sure that it is the right one.
pub(super) async fn reach_l1(client: &L1Client, url: &str, chain_id: u64) -> eyre::Result<()> {
    let answers = async {
        while let Err(error) = client.header_at_tag(Tag::Latest).await {
            tracing::warn!(%error, url, "L1 does not answer yet");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(L1_START, answers)
        .await
        .map_err(|_| eyre!("no L1 node answers at {url}: start it, or set l1.url to the right address"))?;
    client.check_chain(chain_id).await.wrap_err("l1.url leads to another chain than the genesis file names")
}

/// Takes up what the store has of L1, and reads what is missing.
pub(super) async fn take_up(chain: &Chain, keeper: &HeadsKeeper, reader: &L1Reader) -> eyre::Result<()> {
    let hash_at = |number| {
        let client = reader.client().clone();
        async move {
            match client.header_by_number(number).await {
                Ok(header) => Some(header.origin.hash),
                Err(error) => {
                    tracing::warn!(%error, "a block with a batch is not found on L1");
                    None
                }
            }
        }
    };
    keeper.keep_unfinal(hash_at).await?;
    // The head's own origin was final when it was decided; sets up to it must be known before anything is asked of them.
    let (through, known) = (chain.epochs().restore()?, chain.head().origin.number);
    if through < known {
        let past = reader.snapshots(through.saturating_add(1), known).await?;
        chain.epochs().keep(&past, known)?;
    }
    Ok(())
}

/// First L1 block to read again: nothing that the head or the finalized batches need may be missed.
pub(super) fn first_l1_block(chain: &Chain, keeper: &HeadsKeeper) -> eyre::Result<u64> {
    let after_origin = chain.head().origin.number.saturating_add(1);
    let after_batch = match keeper.final_inclusion()? {
        Some(number) => number,
        None => chain.genesis().origin.number.saturating_add(1),
    };
    Ok(after_origin.min(after_batch))
}

/// Takes in what L1 says: snapshots for the epochs, batches for the heads, both for whoever works with them.
pub(crate) async fn watch_l1(
    chain: Arc<Chain>,
    keeper: HeadsKeeper,
    vitals: Arc<Vitals>,
    mut events: mpsc::Receiver<L1Event>,
    mut view: watch::Receiver<Option<L1View>>,
    to_batcher: Option<mpsc::Sender<L1BatchEvent>>,
    to_derivation: Option<mpsc::Sender<L1Event>>,
) -> eyre::Result<()> {
    let mut head = chain.watch_head();
    // Not the view's: while a node that is far behind reads L1, there is no view for long.
    let mut final_l1 = 0;
    loop {
        tokio::select! {
            event = events.recv() => {
                let event = event.ok_or(PartEnded("the L1 watcher"))?;
                if let L1Event::Final(block) = &event {
                    chain.epochs().keep(&block.snapshots, block.origin.number)?;
                    final_l1 = block.origin.number;
                }
                keeper.on_event(&event)?;
                keeper.agree()?;
                for batch in to_batcher.iter().flat_map(|sender| L1BatchEvent::of(&event).into_iter().map(move |e| (sender, e))) {
                    batch.0.send(batch.1).await.map_err(|_| PartEnded("the batcher"))?;
                }
                if let Some(sender) = &to_derivation {
                    sender.send(event).await.map_err(|_| PartEnded("derivation"))?;
                }
            }
            changed = head.changed() => {
                changed?;
                keeper.agree()?;
            }
            changed = view.changed() => changed.map_err(|_| PartEnded("the L1 watcher"))?,
        }
        // A view is shown after its events: with none left, it is worked through once its batches' blocks are here.
        let seen = view.borrow_and_update().filter(|_| events.is_empty());
        if let Some(seen) = seen {
            keeper.confirm(seen.latest.number)?;
        }
        keeper.settle(final_l1)?;
        if let Some(seen) = seen
            && keeper.has_all()?
        {
            *vitals.derived.lock() = Some(seen.latest);
        }
    }
}
