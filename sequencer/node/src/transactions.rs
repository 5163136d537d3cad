//! From raw bytes to the pool: senders are recovered on worker threads before any lock is taken, once per transaction.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY};
use execution::{L1Attributes, RecoverError, l1_data_fee, next_base_fee, recover};
use mempool::{
    AccountUpdate, AccountView, Best, Limits, Origin, Pool, PoolEnv, PoolError, PoolEvent, Pooled, Removal, SenderCode,
};
use parking_lot::Mutex;
use protocol::{
    RecoveredTx,
    state::{StateError, StateReader},
};
use rpc::{ChainEvent, SubmitError};
use tokio::sync::{Notify, Semaphore, broadcast, futures::Notified, mpsc};

use crate::chain::{Candidate, Chain};

/// Smallest tip the pool takes, in wei.
pub const MIN_TIP: u128 = 1;
/// Submissions that wait for a recovery worker; more are refused.
const MAX_WAITING: usize = 4_096;
/// Transactions waiting to be gossiped; beyond, peers get them from others or not at all.
const GOSSIP_QUEUE: usize = 8_192;

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The pool with its ways in and out.
pub struct Transactions {
    chain: Arc<Chain>,
    pool: Mutex<Pool>,
    events: broadcast::Sender<ChainEvent>,
    gossip: mpsc::Sender<Bytes>,
    arrivals: Notify,
    waiting: Semaphore,
    /// Only in the devnet's faulty binary: whose transactions are dropped.
    censored: Option<Address>,
}

impl Transactions {
    /// An empty pool on the chain's head; the receiver yields what is to be gossiped.
    #[must_use]
    pub fn new(
        chain: Arc<Chain>,
        events: broadcast::Sender<ChainEvent>,
        censored: Option<Address>,
    ) -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (gossip, outgoing) = mpsc::channel(GOSSIP_QUEUE);
        let base_fee = next_base_fee(&chain.head().header, &chain.genesis().params);
        let pool = Mutex::new(Pool::new(Limits::default(), base_fee));
        let waiting = Semaphore::new(MAX_WAITING);
        (Arc::new(Self { chain, pool, events, gossip, arrivals: Notify::new(), waiting, censored }), outgoing)
    }

    /// Decodes, recovers, checks and pools a transaction; announces it when it is executable.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(self: &Arc<Self>, raw: Bytes, origin: Origin) -> Result<B256, SubmitError> {
        let _place = self.waiting.try_acquire().map_err(|_| SubmitError::PoolFull)?;
        let this = self.clone();
        let work = move || this.admit(&raw, origin);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(SubmitError::Refused("transaction worker stopped".to_owned())))
    }

    fn admit(&self, raw: &[u8], origin: Origin) -> Result<B256, SubmitError> {
        let rules = self.chain.rules();
        let tx = recover(raw, rules.chain_id).map_err(recover_error)?;
        let hash = tx.hash;
        if self.censored == Some(tx.sender) {
            return Ok(hash);
        }
        let head = self.chain.head();
        let account = self.account(tx.sender).map_err(|error| SubmitError::Refused(error.to_string()))?;
        let attributes = L1Attributes {
            origin: head.origin,
            sequence_number: head.sequence_number,
            base_fee_scalar: rules.params.l1_base_fee_scalar,
            blob_base_fee_scalar: rules.params.l1_blob_base_fee_scalar,
        };
        let env = PoolEnv {
            chain_id: rules.chain_id,
            base_fee: next_base_fee(&head.header, &rules.params),
            min_base_fee: rules.params.min_base_fee,
            block_gas_limit: rules.params.gas_limit,
            min_tip: MIN_TIP,
            l1_data_fee: l1_data_fee(&attributes, &tx.encoded),
        };
        let added = self.pool.lock().add(tx, &account, &env, now_ms(), origin).map_err(pool_error)?;
        self.announce(added.events);
        Ok(hash)
    }

    fn account(&self, address: Address) -> Result<AccountView, StateError> {
        let state = self.chain.store().latest_state();
        let account = state.account(&address)?.unwrap_or_default();
        let code = match account.code_hash {
            KECCAK256_EMPTY => SenderCode::Empty,
            hash => SenderCode::of(&state.code(&hash)?),
        };
        Ok(AccountView { nonce: account.nonce, balance: account.balance, code })
    }

    fn announce(&self, events: Vec<PoolEvent>) {
        for event in events {
            if let PoolEvent::Executable(tx) = event {
                // A full queue drops: gossip is best effort, our own pool keeps the transaction.
                let _ = self.gossip.try_send(tx.encoded.clone());
                let _ = self.events.send(ChainEvent::Pending(tx));
                self.arrivals.notify_waiters();
            }
        }
    }

    /// Adapts the pool to a committed block.
    ///
    /// # Errors
    /// The state could not be read.
    pub fn on_block(&self, candidate: &Candidate) -> Result<(), StateError> {
        let state = self.chain.store().latest_state();
        let touched = candidate.executed.diff.accounts.keys();
        let accounts: Vec<AccountUpdate> = touched
            .map(|address| {
                let account = state.account(address)?.unwrap_or_default();
                Ok(AccountUpdate { address: *address, nonce: account.nonce, balance: account.balance })
            })
            .collect::<Result<_, StateError>>()?;
        let base_fee = next_base_fee(&candidate.executed.block.header, &self.chain.genesis().params);
        let events = self.pool.lock().on_block(&accounts, base_fee, now_ms());
        self.announce(events);
        Ok(())
    }

    /// Executable transactions by effective tip, then arrival.
    #[must_use]
    pub fn best(&self) -> Best {
        let base_fee = next_base_fee(&self.chain.head().header, &self.chain.genesis().params);
        self.pool.lock().best(base_fee)
    }

    /// The same for a block under way: `executed` has the next nonce of each sender with transactions in it.
    #[must_use]
    pub fn best_after(&self, executed: &HashMap<Address, u64>) -> Best {
        let base_fee = next_base_fee(&self.chain.head().header, &self.chain.genesis().params);
        self.pool.lock().best_after(base_fee, executed)
    }

    /// Whether anything can be executed in the next block.
    #[must_use]
    pub fn has_executable(&self) -> bool {
        self.best().next_pooled().is_some()
    }

    /// Resolves at the next arrival of an executable transaction; arrivals count from this call on, not from the first
    /// poll.
    pub fn arrival(&self) -> Notified<'_> {
        self.arrivals.notified()
    }

    /// Drops transactions that the builder found to be invalid in the state they meet.
    pub fn drop_invalid(&self, hashes: &[B256]) {
        let mut events = Vec::new();
        {
            let mut pool = self.pool.lock();
            for hash in hashes {
                events.extend(pool.remove(*hash, Removal::Invalid));
            }
        }
        self.announce(events);
    }

    /// Sender of a pooled transaction: saves its recovery when it comes back in a block.
    #[must_use]
    pub fn sender_of(&self, hash: &B256) -> Option<Address> {
        self.pool.lock().get(*hash).map(|pooled| pooled.tx.sender)
    }

    /// Looks at the pool.
    pub fn with_pool<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.pool.lock())
    }
}

/// The transactions of a list of pooled ones.
#[must_use]
pub fn shared(pooled: Vec<Pooled>) -> Vec<Arc<RecoveredTx>> {
    pooled.into_iter().map(|pooled| pooled.tx).collect()
}

fn recover_error(error: RecoverError) -> SubmitError {
    match error {
        RecoverError::TooLarge(size) => SubmitError::Oversized { size, limit: protocol::limits::MAX_TRANSACTION_BYTES },
        RecoverError::WrongChain { got, expected } => SubmitError::WrongChain { have: got, want: expected },
        RecoverError::BadSignature => SubmitError::InvalidSender,
        RecoverError::UnsupportedType(_) => SubmitError::Malformed("transaction type not supported".to_owned()),
        RecoverError::EmptyAuthorizations => {
            SubmitError::Refused("set code tx must have at least one authorization tuple".to_owned())
        }
        RecoverError::Malformed => SubmitError::Malformed(error.to_string()),
    }
}

fn pool_error(error: PoolError) -> SubmitError {
    match error {
        PoolError::AlreadyKnown => SubmitError::AlreadyKnown,
        PoolError::NonceTooLow { next, nonce } => SubmitError::NonceTooLow { next, nonce },
        PoolError::ReplacementUnderpriced => SubmitError::ReplacementUnderpriced,
        PoolError::Full => SubmitError::PoolFull,
        PoolError::WrongChain { have, want } => SubmitError::WrongChain { have, want },
        PoolError::Oversized { size, limit } => SubmitError::Oversized { size, limit },
        PoolError::InsufficientFunds(shortfall) => SubmitError::InsufficientFunds(format!(": {shortfall}")),
        PoolError::UnsupportedType => SubmitError::Malformed(error.to_string()),
        other => SubmitError::Refused(other.to_string()),
    }
}
