//! Every view of the contracts against the model.

use std::collections::BTreeSet;
use std::fmt::Debug;

use alloy_primitives::{Address, U256};
use l1::contracts::{DevnetMetis, SequencerSet, Staking};

use crate::steps::{DELEGATORS, World, delegator};

fn same<T: Debug + PartialEq>(what: impl Debug, contract: T, model: T) -> Result<(), String> {
    if contract == model { Ok(()) } else { Err(format!("{what:?}: contract {contract:?}, model {model:?}")) }
}

impl World {
    /// The first difference there is.
    pub fn compare(&mut self) -> Result<(), String> {
        self.balances()?;
        let ids: Vec<u64> = self.model.operators.keys().copied().collect();
        for id in ids {
            self.operator(id)?;
            for number in 0..DELEGATORS {
                self.delegation(id, delegator(number))?;
            }
        }
        self.requests()?;
        self.totals()?;
        self.candidates()
    }

    fn balances(&mut self) -> Result<(), String> {
        let metis = self.chain.metis;
        for (&account, &balance) in &self.model.balances {
            same(("balance", account), self.chain.ask(metis, &DevnetMetis::balanceOfCall { account }), balance)?;
        }
        Ok(())
    }

    fn operator(&mut self, id: u64) -> Result<(), String> {
        let (model, staking) = (&self.model, self.model.staking);
        let expected = &model.operators[&id];
        let operator = self.chain.ask(staking, &Staking::operatorCall { operatorId: id });
        same(
            ("operator", id),
            (operator.owner, operator.pendingOwner, operator.signer, operator.recipient),
            (expected.owner, expected.pending_owner, expected.signer, expected.recipient),
        )?;
        same(
            ("stake, rewards", id),
            (U256::from(operator.stake), U256::from(operator.rewards)),
            (expected.stake, expected.rewards),
        )?;
        same(
            ("frozen, away, exited", id),
            (operator.frozen, operator.away, operator.exited),
            (expected.case.is_some(), expected.away, expected.exited),
        )?;
        let pool = self.chain.ask(staking, &Staking::poolCall { operatorId: id });
        let vested = expected.pool.vested(model.now);
        same(
            ("pool", id),
            (pool.series, pool.shares, pool.assets, pool.unvested),
            (
                expected.pool.series,
                expected.pool.shares,
                expected.pool.assets + vested,
                expected.pool.unvested - vested,
            ),
        )?;
        same(
            ("commission", id),
            (pool.commission, pool.nextCommission, pool.commissionFrom),
            (expected.commission_at(model.now), expected.next_commission, expected.commission_from),
        )?;
        same(
            ("case", id),
            self.chain.ask(staking, &Staking::caseOfCall { operatorId: id }),
            expected.case.unwrap_or(0),
        )?;
        same(("weight", id), self.chain.ask(staking, &Staking::weightOfCall { operatorId: id }), model.weight(id))?;
        let signer = expected.signer;
        let until = self.chain.ask(staking, &Staking::answersUntilCall { signer });
        same(("answers", id), until, model.signers[&signer].1)
    }

    fn delegation(&mut self, id: u64, by: Address) -> Result<(), String> {
        let held = self.chain.ask(self.model.staking, &Staking::delegationCall { operatorId: id, delegator: by });
        let expected = self.model.of(id, by);
        same(("delegation", id, by), (held.shares, held.locked), (expected.shares, expected.locked))
    }

    fn requests(&mut self) -> Result<(), String> {
        let (model, staking) = (&self.model, self.model.staking);
        for (&number, expected) in &model.requests {
            let request = self.chain.ask(staking, &Staking::unbondingCall { requestId: U256::from(number) });
            same(
                ("request", number),
                (request.operatorId, request.account, request.amount, request.releaseAt),
                (expected.id, expected.holder.unwrap_or_default(), expected.worth(), expected.release_at),
            )?;
            let date = self.chain.ask(staking, &Staking::claimableAtCall { requestId: U256::from(number) });
            same(("date", number), date, if model.blocked(expected) { u64::MAX } else { expected.release_at })?;
            let locked = expected.moved.as_ref().map_or(U256::ZERO, |moved| moved.locked);
            same(("locked", number), request.lockedShares, locked)?;
        }
        let delegators = (0..DELEGATORS).map(|number| (delegator(number), Some(delegator(number)), 0));
        let operators = model.operators.keys().map(|&id| (Address::left_padding_from(&id.to_be_bytes()), None, id));
        for (place, holder, id) in delegators.chain(operators) {
            let list = self.chain.ask(staking, &Staking::requestsOfCall { holder: place });
            same(("requests", place), list.into_iter().collect::<BTreeSet<_>>(), model.requests_of(holder, id))?;
        }
        Ok(())
    }

    fn totals(&mut self) -> Result<(), String> {
        let (model, staking) = (&self.model, self.model.staking);
        let chain = &mut self.chain;
        same("staked", chain.ask(staking, &Staking::totalStakedCall {}), model.staked())?;
        same("delegated", chain.ask(staking, &Staking::totalDelegatedCall {}), model.delegated())?;
        same("unbonding", chain.ask(staking, &Staking::totalUnbondingCall {}), model.unbonding)?;
        same("rewards", chain.ask(staking, &Staking::totalRewardsCall {}), model.undistributed())?;
        same("churn limit", chain.ask(staking, &Staking::churnLimitCall {}), model.churn_limit())?;
        let queue = chain.ask(staking, &Staking::exitQueueCall {});
        same("exit queue", (queue.slot, U256::from(queue.used)), model.queue)
    }

    /// The candidates, and the set a snapshot would take of them.
    fn candidates(&mut self) -> Result<(), String> {
        let (model, staking) = (&self.model, self.model.staking);
        let mut candidates = self.chain.ask(staking, &Staking::candidatesCall {});
        candidates.sort_by_key(|candidate| candidate.operatorId);
        let listed = model.operators.iter().filter(|(_, operator)| operator.listed);
        same(
            "candidates",
            candidates.iter().map(|candidate| (candidate.operatorId, candidate.signer, candidate.weight)).collect(),
            listed.map(|(&id, operator)| (id, operator.signer, model.weight(id))).collect::<Vec<_>>(),
        )?;
        let preview = self.chain.ask(self.chain.sequencer_set, &SequencerSet::previewCall {});
        let members = model.members();
        let words = members.iter().map(|&(signer, weight, _)| {
            // Signer in the upper 20 bytes, weight below.
            (U256::from_be_slice(signer.as_slice()) << 96) | U256::from(weight)
        });
        let found = preview.members.iter().map(|word| U256::from_be_bytes(word.0));
        same("members", found.collect::<Vec<_>>(), words.collect())?;
        let ids = preview.operatorIds.iter().map(|id| id.to::<u64>());
        same("operators of members", ids.collect::<Vec<_>>(), members.iter().map(|&(_, _, id)| id).collect())?;
        same("total weight", preview.totalWeight, members.iter().map(|&(_, weight, _)| weight).sum())
    }
}
