//! EIP-7702: accounts that others can drain, and the transactions that make them so.
//!
//! Whoever calls a delegated account can spend its balance, so one transaction may invalidate any number of the account's
//! pooled ones. As in geth, such an account has at most one in flight.

use std::collections::HashMap;

use alloy_consensus::Transaction as _;
use alloy_consensus::crypto::secp256k1::recover_signer;
use alloy_primitives::{Address, map::HashMap as FastMap};
use op_alloy_consensus::OpTxEnvelope;

use crate::{AccountView, PoolError, SenderCode, queue::SenderQueue};

/// How many pooled transactions set the delegation of an account.
#[derive(Debug, Default)]
pub(crate) struct Delegations {
    counts: HashMap<Address, usize>,
}

impl Delegations {
    pub(crate) fn add(&mut self, authorities: &[Address]) {
        for authority in authorities {
            let count = self.counts.entry(*authority).or_default();
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn remove(&mut self, authorities: &[Address]) {
        for authority in authorities {
            if let Some(count) = self.counts.get_mut(authority) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.counts.remove(authority);
                }
            }
        }
    }

    /// Whether the sender, being delegated or about to be, may have this nonce pooled.
    pub(crate) fn check_sender(
        &self,
        sender: Address,
        nonce: u64,
        account: &AccountView,
        queue: Option<&SenderQueue>,
    ) -> Result<(), PoolError> {
        if account.code != SenderCode::Delegated && !self.counts.contains_key(&sender) {
            return Ok(());
        }
        match queue.filter(|queue| !queue.run.is_empty()) {
            None if nonce != account.nonce => Err(PoolError::OutOfOrderFromDelegated),
            // What was parked before the account was delegated would become executable with this one.
            None if queue.is_some_and(|queue| queue.gapped.contains_key(&nonce.saturating_add(1))) => {
                Err(PoolError::InFlightLimit)
            }
            None => Ok(()),
            Some(queue) if nonce < queue.next_nonce() => Ok(()),
            Some(_) => Err(PoolError::InFlightLimit),
        }
    }
}

/// The accounts a transaction delegates. Tuples that recover to nobody are skipped, as execution does.
pub(crate) fn authorities(envelope: &OpTxEnvelope) -> Vec<Address> {
    let mut found: Vec<Address> = envelope
        .authorization_list()
        .unwrap_or_default()
        .iter()
        .filter_map(|tuple| recover_signer(&tuple.signature().ok()?, tuple.inner().signature_hash()).ok())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Refuses a transaction that would delegate an account with several pooled transactions, the sender's own included: it
/// may be meant to take the place of an earlier one.
pub(crate) fn check_authorities(
    authorities: &[Address],
    senders: &FastMap<Address, SenderQueue>,
) -> Result<(), PoolError> {
    let reserved = authorities.iter().any(|authority| senders.get(authority).is_some_and(|queue| queue.len() > 1));
    if reserved { Err(PoolError::AuthorityReserved) } else { Ok(()) }
}
