//! Four sequencers and a decided chain in memory.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Signature, U256};
use batcher::ports::{ChainBlock, ChainError, ChainReader};
use k256::ecdsa::SigningKey;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use protocol::genesis::Params;
use protocol::signing::address_of;
use protocol::{
    Block, CompactSignature, Domain, Epoch, HeaderExtra, Height, L1Origin, Member, SequencerSet, SnapshotId, Weight,
};
use tokio::sync::watch;

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

/// Keys in the order of their addresses, so that key i is member i.
pub(crate) fn keys(count: u8) -> Vec<SigningKey> {
    let mut keys: Vec<_> = (1..=count).map(key).collect();
    keys.sort_by_key(address_of);
    keys
}

pub(crate) fn set_of(keys: &[SigningKey], weights: &[u64]) -> SequencerSet {
    let member = |(key, weight): (&SigningKey, &u64)| Member { signer: address_of(key), weight: Weight(*weight) };
    SequencerSet::new(SnapshotId(1), keys.iter().zip(weights).map(member).collect()).unwrap()
}

pub(crate) fn domain() -> Domain {
    Domain::new(31_337, Address::repeat_byte(0x55))
}

pub(crate) fn params() -> Params {
    Params { epoch_blocks: 100, turn_blocks: 10, batch_interval_ms: 300, ..Params::default() }
}

pub(crate) fn sign(key: &SigningKey, digest: B256) -> CompactSignature {
    CompactSignature::sign(key, &digest).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A decided chain that grows. All nodes of a test share it, as decided blocks are the same everywhere.
pub(crate) struct MemoryChain {
    blocks: parking_lot::RwLock<Vec<ChainBlock>>,
    params: Params,
    set: SequencerSet,
    leaders: parking_lot::RwLock<Vec<Address>>,
    head: watch::Sender<Height>,
}

impl MemoryChain {
    pub(crate) fn new(params: Params, set: SequencerSet) -> Arc<Self> {
        let leaders = set.members().iter().map(|member| member.signer).collect();
        Arc::new(Self {
            blocks: Default::default(),
            params,
            set,
            leaders: parking_lot::RwLock::new(leaders),
            head: watch::channel(Height(0)).0,
        })
    }

    /// A chain of `count` blocks of two transactions, one second apart.
    pub(crate) fn with_blocks(params: Params, set: SequencerSet, count: u64) -> Arc<Self> {
        let chain = Self::new(params, set);
        for number in 1..=count {
            let origin = L1Origin {
                number: 10 + number / 3,
                hash: B256::repeat_byte(number as u8 / 3 + 1),
                ..Default::default()
            };
            let deposits =
                if number % 3 == 0 { vec![TxDeposit { mint: number.into(), ..Default::default() }] } else { vec![] };
            chain.push(1_700_000_000_000 + number * 1_000, origin, deposits, 2);
        }
        chain
    }

    pub(crate) fn head_changes(&self) -> watch::Receiver<Height> {
        self.head.subscribe()
    }

    pub(crate) fn set_leader(&self, leader: Address) {
        let mut leaders = self.leaders.write();
        let at = leaders.iter().position(|other| *other == leader).unwrap();
        leaders.rotate_left(at);
    }

    /// Others lead the heights to come.
    pub(crate) fn replace_leaders(&self, leaders: Vec<Address>) {
        *self.leaders.write() = leaders;
    }

    pub(crate) fn push(&self, timestamp_ms: u64, origin: L1Origin, deposits: Vec<TxDeposit>, users: u64) {
        let mut blocks = self.blocks.write();
        let number = blocks.len() as u64 + 1;
        let parent = blocks.last().map_or(B256::ZERO, |block| block.hash);
        let user = |at| {
            let tx = TxEip1559 {
                chain_id: 1_088,
                nonce: number * 100 + at,
                gas_limit: 21_000,
                max_fee_per_gas: 1_000_000_000,
                to: Address::with_last_byte(at as u8).into(),
                value: U256::from(number) * U256::from(1_000_000_000u64),
                ..Default::default()
            };
            OpTxEnvelope::Eip1559(tx.into_signed(Signature::test_signature()))
        };
        let deposits = std::iter::once(attributes(&origin)).chain(deposits).map(OpTxEnvelope::from);
        let transactions = deposits.chain((0..users).map(user)).collect();
        let extra = HeaderExtra { millis: (timestamp_ms % 1_000) as u16, leader: self.leaders.read()[0] };
        let header = Header {
            number,
            parent_hash: parent,
            timestamp: timestamp_ms / 1_000,
            state_root: B256::with_last_byte(number as u8),
            withdrawals_root: Some(B256::repeat_byte(number as u8)),
            extra_data: extra.encode(),
            ..Default::default()
        };
        let block = Block::new(header, BlockBody { transactions, ..Default::default() });
        blocks.push(ChainBlock::new(&block).unwrap());
        self.head.send_replace(Height(number));
    }
}

impl ChainReader for MemoryChain {
    fn head(&self) -> Result<Height, ChainError> {
        Ok(Height(self.blocks.read().len() as u64))
    }
    fn block(&self, height: Height) -> Result<Option<ChainBlock>, ChainError> {
        Ok(height.prev().and_then(|at| self.blocks.read().get(at.0 as usize).cloned()))
    }
    fn set_of(&self, epoch: Epoch) -> Result<Option<SequencerSet>, ChainError> {
        Ok((epoch <= self.params.epoch_of(self.head()?.next())).then(|| self.set.clone()))
    }
    fn next_leaders(&self) -> Result<Vec<Address>, ChainError> {
        Ok(self.leaders.read().clone())
    }
}

/// An attributes deposit in the Jovian form, as far as the batcher reads it.
fn attributes(origin: &L1Origin) -> TxDeposit {
    let mut input = vec![0u8; 178];
    input[28..36].copy_from_slice(&origin.number.to_be_bytes());
    input[100..132].copy_from_slice(origin.hash.as_slice());
    TxDeposit {
        from: protocol::block::DEPOSITOR,
        to: protocol::block::L1_BLOCK.into(),
        input: input.into(),
        ..Default::default()
    }
}

/// Waits for a condition, for at most a minute.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}
