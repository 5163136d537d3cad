//! What delegators do, and claims.

use alloy_primitives::{Address, U256};

use super::{Model, RAY, Reasons, Redelegation, Request, UNBONDING, VIRTUAL_SHARES};

impl Model {
    pub(super) fn undelegate(&mut self, by: Address, id: u64, series: u32, shares: U256, least: U256) -> Reasons {
        let reasons = self.burn_reasons(by, id, series, shares);
        if !reasons.is_empty() {
            return reasons;
        }
        self.settle(id);
        let operator = self.operator(id);
        let (exited, earliest) = (operator.exited, operator.last_release);
        let amount = if series == operator.pool.series { operator.pool.pays(shares) } else { U256::ZERO };
        let release_at = if exited {
            (self.now + UNBONDING).max(earliest)
        } else if series == self.operator(id).pool.series {
            self.enqueue(id, amount)
        } else {
            0
        };
        self.burn(by, id, series, shares);
        if amount < least {
            return vec!["Slippage"];
        }
        if amount.is_zero() { Vec::new() } else { self.unbond(id, Some(by), amount, release_at) }
    }

    pub(super) fn redelegate(&mut self, by: Address, id: u64, to: u64, shares: U256) -> Reasons {
        let mut reasons = Vec::new();
        if id == to {
            reasons.push("SameOperator");
        }
        let (series, frozen) =
            self.operators.get(&id).map_or((0, false), |operator| (operator.pool.series, operator.case.is_some()));
        if frozen {
            reasons.push("IsFrozen");
        }
        if self.operators.get(&id).is_some_and(|operator| operator.exited) && !self.waiting(id).is_zero() {
            reasons.push("StillWaiting");
        }
        reasons.extend(self.burn_reasons(by, id, series, shares));
        reasons.extend(self.entry_reasons(to));
        if !reasons.is_empty() {
            return reasons;
        }
        self.settle(id);
        let amount = self.operator(id).pool.pays(shares);
        self.burn(by, id, series, shares);
        if amount.is_zero() {
            return vec!["ZeroAmount"];
        }
        let before = self.of(to, by).shares;
        let reasons = self.mint(by, to, amount, U256::ZERO);
        if !reasons.is_empty() {
            return reasons;
        }
        let locked = self.of(to, by).shares - before;
        let to_series = self.operator(to).pool.series;
        self.held.entry((to, to_series, by)).or_default().locked += locked;
        let operator = self.operator(id);
        let (index, exited, earliest) = (operator.index, operator.exited, operator.last_release);
        let date = self.now + UNBONDING;
        let release_at = if exited { date.max(earliest) } else { date };
        let moved = Some(Redelegation { to, to_series, locked, paid: index });
        let scaled = amount * RAY / index;
        self.open(Request { holder: Some(by), id, series, scaled, index, release_at, moved })
    }

    pub(super) fn enforce(&mut self, number: u64) -> Reasons {
        let Some(request) = self.requests.get(&number).cloned() else { return vec!["UnknownRequest"] };
        let Some(moved) = request.moved.clone() else { return vec!["UnknownRequest"] };
        let released = self.now >= request.release_at && !self.blocked(&request);
        let owed = request.owed();
        if !released && owed.is_zero() {
            return vec!["StillUnbonding"];
        }
        let by = request.holder.unwrap_or_default();
        let mut burned = U256::ZERO;
        if !owed.is_zero() && self.operator(moved.to).pool.series == moved.to_series {
            self.settle(moved.to);
            let pool = &self.operator(moved.to).pool;
            let due = (owed * (pool.shares + VIRTUAL_SHARES)).div_ceil(pool.assets + U256::ONE);
            burned = due.min(moved.locked);
            let amount = pool.pays(burned).min(owed);
            let held = self.held.entry((moved.to, moved.to_series, by)).or_default();
            held.shares -= burned;
            held.locked -= burned;
            self.take(moved.to, burned, amount);
            self.pay(self.slashing, amount);
        }
        if released {
            self.held.entry((moved.to, moved.to_series, by)).or_default().locked -= moved.locked - burned;
            self.requests.remove(&number);
        } else if let Some(Redelegation { locked, paid, .. }) =
            self.requests.get_mut(&number).and_then(|request| request.moved.as_mut())
        {
            *locked -= burned;
            *paid = request.index;
        }
        Vec::new()
    }

    pub(super) fn claim(&mut self, by: Address, number: u64) -> Reasons {
        let Some(request) = self.requests.get(&number).cloned() else { return vec!["UnknownRequest"] };
        if request.moved.is_some() {
            return vec!["UnknownRequest"];
        }
        let mut reasons = Vec::new();
        match request.holder {
            Some(holder) if holder != by => reasons.push("NotAllowed"),
            None if self.operator(request.id).owner != by => reasons.push("NotOwner"),
            _ => {}
        }
        if self.now < request.release_at {
            reasons.push("StillUnbonding");
        }
        if self.blocked(&request) {
            reasons.push("IsFrozen");
        }
        self.requests.remove(&number);
        self.unbonding -= request.worth();
        self.pay(by, request.worth());
        reasons
    }
}
