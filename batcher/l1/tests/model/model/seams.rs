//! What Slashing and Rewards do.

use alloy_primitives::U256;

use super::{ALL, Model, RAY, Reasons, SERIES_ENDS_BELOW, VESTING};

impl Model {
    pub(super) fn freeze(&mut self, id: u64) -> Reasons {
        let now = self.now;
        let Some(operator) = self.operators.get_mut(&id) else { return vec!["UnknownOperator"] };
        if operator.case.is_some() {
            return vec!["IsFrozen"];
        }
        operator.case = Some(now);
        Vec::new()
    }

    pub(super) fn close(&mut self, id: u64, at: u64) -> Reasons {
        match self.operators.get_mut(&id) {
            Some(operator) if operator.case == Some(at) && at != 0 => {
                operator.case = None;
                Vec::new()
            }
            _ => vec!["UnknownCase"],
        }
    }

    pub(super) fn slash(&mut self, id: u64, fraction: U256, at: u64) -> Reasons {
        let mut reasons = self.close(id, at);
        if fraction > ALL {
            reasons.push("FractionOutOfRange");
        }
        if !reasons.is_empty() {
            return reasons;
        }
        self.settle(id);
        let operator = self.operator(id);
        operator.away = true;
        let from_stake = operator.stake * fraction / ALL;
        operator.stake -= from_stake;

        let (series, index) = (operator.pool.series, operator.index);
        let left = index * (ALL - fraction) / ALL;
        let (left, fraction) = if left < SERIES_ENDS_BELOW { (U256::ZERO, ALL) } else { (left, fraction) };
        let from_assets = operator.pool.assets * fraction / ALL;
        let from_unvested = operator.pool.unvested * fraction / ALL;
        operator.pool.assets -= from_assets;
        operator.pool.unvested -= from_unvested;
        operator.index = left;
        if left.is_zero() {
            operator.pool.series += 1;
            operator.pool.shares = U256::ZERO;
            operator.index = RAY;
            operator.waiting.clear();
        }

        let mut liable = U256::ZERO;
        for request in self.requests.values_mut() {
            if request.id == id && request.series == series && request.release_at > at {
                request.index = left;
                if request.moved.is_none() {
                    liable += request.scaled;
                }
            }
        }
        let kept = (liable * left).div_ceil(RAY);
        let from_requests = (liable * index / RAY).saturating_sub(kept);
        self.unbonding -= from_requests;
        self.slashes += 1;
        self.pay(self.slashing, from_stake + from_assets + from_unvested + from_requests);
        reasons
    }

    pub(super) fn add_reward(&mut self, id: u64, amount: U256) -> Reasons {
        let now = self.now;
        if !self.operators.contains_key(&id) {
            return vec!["UnknownOperator"];
        }
        self.settle(id);
        let operator = self.operator(id);
        let mut to_pool = U256::ZERO;
        if !operator.pool.shares.is_zero() {
            to_pool = amount * operator.pool.assets / (operator.stake + operator.pool.assets + U256::ONE);
            to_pool -= to_pool * U256::from(operator.commission_at(now)) / U256::from(10_000);
        }
        operator.rewards += amount - to_pool;
        if !to_pool.is_zero() {
            operator.pool.unvested += to_pool;
            operator.pool.vested_at = now;
            operator.pool.vested_by = now + VESTING;
        }
        self.pull(self.rewards, amount);
        Vec::new()
    }
}
