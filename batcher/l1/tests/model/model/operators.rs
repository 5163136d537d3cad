//! What owners do with their operators.

use alloy_primitives::{Address, U256};

use super::{MAX_STAKE, MIN_STAKE, Model, NOTICE, Operator, Pool, RAY, Reasons, UNBONDING};

impl Model {
    pub(super) fn register(&mut self, owner: Address, amount: U256, signer: Address, recipient: Address) -> Reasons {
        let mut reasons = self.signer_reasons(owner, signer);
        if amount < MIN_STAKE {
            reasons.push("StakeBelowMinimum");
        }
        if amount > MAX_STAKE {
            reasons.push("StakeAboveMaximum");
        }
        let id = self.operators.len() as u64 + 1;
        self.signers.insert(signer, (id, u64::MAX));
        self.operators.insert(
            id,
            Operator {
                owner,
                pending_owner: Address::ZERO,
                signer,
                recipient,
                stake: amount,
                rewards: U256::ZERO,
                case: None,
                away: false,
                exited: false,
                listed: true,
                last_release: 0,
                commission: 0,
                next_commission: 0,
                commission_from: 0,
                pool: Pool::default(),
                index: RAY,
                waiting: Vec::new(),
            },
        );
        self.pull(owner, amount);
        reasons
    }

    pub(super) fn increase(&mut self, by: Address, id: u64, amount: U256) -> Reasons {
        let mut reasons = self.entry_reasons(id);
        if amount.is_zero() {
            reasons.push("ZeroAmount");
        }
        let Some(operator) = self.operators.get_mut(&id) else { return reasons };
        operator.stake += amount;
        if operator.stake > MAX_STAKE {
            reasons.push("StakeAboveMaximum");
        }
        self.pull(by, amount);
        reasons
    }

    pub(super) fn compound(&mut self, by: Address, id: u64) -> Reasons {
        let mut reasons = self.owner_reasons(by, id);
        reasons.extend(self.entry_reasons(id));
        let Some(operator) = self.operators.get_mut(&id) else { return reasons };
        let amount = operator.rewards.min(MAX_STAKE - operator.stake);
        if amount.is_zero() {
            reasons.push("ZeroAmount");
        }
        operator.rewards -= amount;
        operator.stake += amount;
        reasons
    }

    pub(super) fn decrease(&mut self, by: Address, id: u64, amount: U256) -> Reasons {
        let mut reasons = self.owner_reasons(by, id);
        reasons.extend(self.active_reasons(id));
        if amount.is_zero() {
            reasons.push("ZeroAmount");
        }
        if self.requests_of(None, id).len() >= 15 {
            reasons.push("TooManyRequests");
        }
        let stake = self.operators.get(&id).map_or(U256::ZERO, |operator| operator.stake);
        if stake.saturating_sub(amount) < MIN_STAKE {
            reasons.push("StakeBelowMinimum");
        }
        if reasons.is_empty() {
            let release_at = self.enqueue(id, amount);
            self.operator(id).stake -= amount;
            reasons.extend(self.unbond(id, None, amount, release_at));
        }
        reasons
    }

    pub(super) fn exit(&mut self, by: Address, id: u64) -> Reasons {
        let mut reasons = self.owner_reasons(by, id);
        reasons.extend(self.active_reasons(id));
        if !reasons.is_empty() {
            return reasons;
        }
        self.settle(id);
        let operator = self.operator(id);
        let (stake, signer, leaving) = (operator.stake, operator.signer, operator.stake + operator.pool.assets);
        let release_at = self.enqueue(id, leaving);
        let operator = self.operator(id);
        operator.stake = U256::ZERO;
        operator.exited = true;
        operator.last_release = release_at;
        self.signers.insert(signer, (id, release_at));
        if !stake.is_zero() {
            reasons.extend(self.unbond(id, None, stake, release_at));
        }
        if self.waiting(id).is_zero() {
            self.operator(id).listed = false;
        }
        reasons
    }

    pub(super) fn eject(&mut self, id: u64) -> Reasons {
        let waits = self.operators.contains_key(&id) && !self.waiting(id).is_zero();
        let Some(operator) = self.operators.get_mut(&id) else { return vec!["NotEjectable"] };
        let due = if operator.exited { !waits } else { operator.stake < MIN_STAKE };
        if !due || !operator.listed {
            return vec!["NotEjectable"];
        }
        operator.listed = false;
        operator.away = true;
        Vec::new()
    }

    pub(super) fn rejoin(&mut self, by: Address, id: u64) -> Reasons {
        let mut reasons = self.owner_reasons(by, id);
        reasons.extend(self.active_reasons(id));
        let Some(operator) = self.operators.get_mut(&id) else { return reasons };
        if operator.stake < MIN_STAKE {
            reasons.push("StakeBelowMinimum");
        }
        operator.listed = true;
        operator.away = false;
        reasons
    }

    pub(super) fn rotate(&mut self, by: Address, id: u64, signer: Address) -> Reasons {
        let mut reasons = self.owner_reasons(by, id);
        reasons.extend(self.active_reasons(id));
        reasons.extend(self.signer_reasons(by, signer));
        let until = self.now + UNBONDING;
        let Some(operator) = self.operators.get_mut(&id) else { return reasons };
        self.signers.insert(operator.signer, (id, until));
        self.signers.insert(signer, (id, u64::MAX));
        operator.signer = signer;
        reasons
    }

    pub(super) fn set_commission(&mut self, by: Address, id: u64, commission: u16) -> Reasons {
        let now = self.now;
        let mut high = false;
        let mut reasons = self.owned(by, id, |operator| {
            let current = operator.commission_at(now);
            high = commission > (current + 100).min(2_000);
            let rises = commission > current;
            operator.commission = if rises { current } else { commission };
            operator.next_commission = commission;
            operator.commission_from = if rises { now + NOTICE } else { now };
        });
        if high {
            reasons.push("CommissionTooHigh");
        }
        reasons
    }

    pub(super) fn accept(&mut self, by: Address, id: u64) -> Reasons {
        let Some(operator) = self.operators.get_mut(&id) else { return vec!["NotPendingOwner"] };
        if operator.pending_owner != by {
            return vec!["NotPendingOwner"];
        }
        if operator.signer == by {
            return vec!["KeysNotApart"];
        }
        operator.owner = by;
        operator.pending_owner = Address::ZERO;
        Vec::new()
    }

    pub(super) fn claim_rewards(&mut self, by: Address, id: u64) -> Reasons {
        let Some(operator) = self.operators.get_mut(&id) else { return vec!["NotOwner"] };
        let mut reasons = Vec::new();
        if by != operator.owner && by != operator.recipient {
            reasons.push("NotOwner");
        }
        if operator.rewards.is_zero() {
            reasons.push("ZeroAmount");
        }
        let (to, amount) = (operator.recipient, operator.rewards);
        operator.rewards = U256::ZERO;
        self.pay(to, amount);
        reasons
    }
}
