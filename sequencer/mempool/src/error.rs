//! Why a transaction is refused. The texts are geth's, because wallets and libraries match on them.

use alloy_primitives::{Address, U256};

/// Refusals of [`crate::Pool::add`]. None of them changes the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// This very transaction is pooled.
    #[error("already known")]
    AlreadyKnown,
    /// Blob, deposit and other types that users cannot send here.
    #[error("transaction type not supported")]
    UnsupportedType,
    /// Larger than `MAX_TRANSACTION_BYTES`.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Encoded bytes.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// EIP-3860.
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCodeTooLarge {
        /// Bytes of init code.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// EIP-7825.
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasLimitTooHigh {
        /// Gas allowed for one transaction.
        cap: u64,
        /// The transaction's gas limit.
        gas: u64,
    },
    /// More gas than a block has.
    #[error("exceeds block gas limit")]
    ExceedsBlockGas,
    /// EIP-1559.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFeeCap,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    WrongChain {
        /// Chain id in the transaction.
        have: u64,
        /// Ours.
        want: u64,
    },
    /// EIP-2681.
    #[error("nonce has max value")]
    NonceMax,
    /// Below the cost of having the transaction at all.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas {
        /// The transaction's gas limit.
        gas: u64,
        /// Gas needed.
        needed: u64,
    },
    /// EIP-7623.
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorDataGas {
        /// The transaction's gas limit.
        gas: u64,
        /// Gas needed.
        needed: u64,
    },
    /// Below the pool's minimum tip, or the pool is full of better paying ones.
    #[error("transaction underpriced: {what} {have}, minimum needed {needed}")]
    Underpriced {
        /// Which price is too low.
        what: &'static str,
        /// The transaction's, in wei.
        have: u128,
        /// Needed, in wei.
        needed: u128,
    },
    /// EIP-7702 wants at least one.
    #[error("set code tx must have at least one authorization tuple")]
    EmptyAuthorizations,
    /// More than the pool is willing to recover.
    #[error("too many authorization tuples: {count}, limit {limit}")]
    TooManyAuthorizations {
        /// In the transaction.
        count: usize,
        /// Allowed.
        limit: usize,
    },
    /// EIP-3607.
    #[error("sender not an eoa: address {0}")]
    SenderNotEoa(Address),
    /// The nonce is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's.
        nonce: u64,
    },
    /// The balance does not cover the transaction and what the account has pooled already.
    #[error("insufficient funds for gas * price + value: {0}")]
    InsufficientFunds(Shortfall),
    /// Another transaction with this nonce would have to be outbid by 10 % in both fees.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The account has its share of the pool.
    #[error("account limit exceeded: {kind} {limit}")]
    AccountLimit {
        /// `pending`, `queued` or `bytes`.
        kind: &'static str,
        /// How many it may have.
        limit: usize,
    },
    /// A transaction with a nonce gap found no room.
    #[error("txpool is full")]
    Full,
    /// A delegated account (EIP-7702) may have one transaction in flight, since others can drain it at will.
    #[error("in-flight transaction limit reached for delegated accounts")]
    InFlightLimit,
    /// A delegated account may not have nonce gaps.
    #[error("gapped-nonce tx from delegated accounts")]
    OutOfOrderFromDelegated,
    /// An authority of the transaction has several transactions pooled.
    #[error("authority already reserved")]
    AuthorityReserved,
}

impl PoolError {
    /// The refusal in one word, for counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AlreadyKnown => "known",
            Self::UnsupportedType => "type",
            Self::Oversized { .. } | Self::InitCodeTooLarge { .. } => "size",
            Self::GasLimitTooHigh { .. } | Self::ExceedsBlockGas => "gas_limit",
            Self::TipAboveFeeCap | Self::Underpriced { .. } => "price",
            Self::WrongChain { .. } => "chain",
            Self::NonceMax | Self::NonceTooLow { .. } => "nonce",
            Self::IntrinsicGas { .. } | Self::FloorDataGas { .. } => "intrinsic_gas",
            Self::EmptyAuthorizations | Self::TooManyAuthorizations { .. } => "authorizations",
            Self::SenderNotEoa(_) => "sender",
            Self::InsufficientFunds(_) => "funds",
            Self::ReplacementUnderpriced => "replacement",
            Self::AccountLimit { .. } | Self::InFlightLimit | Self::OutOfOrderFromDelegated => "account_limit",
            Self::Full => "full",
            Self::AuthorityReserved => "authority",
        }
    }
}

/// The figures of [`PoolError::InsufficientFunds`], in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// What the account has.
    pub balance: U256,
    /// Maximum cost of what it has pooled already; zero when the transaction alone is too dear.
    pub pooled: U256,
    /// Maximum cost of the transaction, L1 data fee included (for a replacement: the increase).
    pub cost: U256,
    /// Whether the transaction would replace another.
    pub bumped: bool,
}

impl std::fmt::Display for Shortfall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { balance, pooled, cost, bumped } = self;
        let overshot = pooled.saturating_add(*cost).saturating_sub(*balance);
        let label = if *bumped { "tx bumped" } else { "tx cost" };
        if pooled.is_zero() {
            write!(f, "balance {balance}, {label} {cost}, overshot {overshot}")
        } else {
            write!(f, "balance {balance}, queued cost {pooled}, {label} {cost}, overshot {overshot}")
        }
    }
}
