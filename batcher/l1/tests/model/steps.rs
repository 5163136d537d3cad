//! Random steps, made into calls that mean something in the state they meet.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use l1::contracts::Staking;
use proptest::prelude::*;

use crate::chain::Chain;
use crate::model::{ALL, Call, METIS, Model};

pub const OWNERS: u8 = 4;
pub const DELEGATORS: u8 = 4;
const MOST_OPERATORS: usize = 6;
const START: u64 = 1_800_000_003;
const SLASHING: Address = Address::repeat_byte(0x51);
const REWARDS: Address = Address::repeat_byte(0x52);
const GOVERNANCE: Address = Address::repeat_byte(0x53);

/// Names of the calls and how often each is tried.
pub const KINDS: [(&str, u32); 24] = [
    ("Wait", 8),
    ("Register", 2),
    ("Increase", 3),
    ("Compound", 2),
    ("Decrease", 4),
    ("Exit", 2),
    ("Eject", 3),
    ("TakeLeave", 1),
    ("Rejoin", 4),
    ("Rotate", 2),
    ("SetCommission", 3),
    ("Transfer", 4),
    ("Accept", 6),
    ("ClaimRewards", 3),
    ("Delegate", 10),
    ("Undelegate", 10),
    ("Redelegate", 8),
    ("Enforce", 8),
    ("Claim", 8),
    ("Freeze", 4),
    ("Unfreeze", 2),
    ("Slash", 4),
    ("AddReward", 8),
    ("SetMaxWeight", 1),
];

/// Numbers that [`World::call`] reads as what its kind needs.
#[derive(Clone, Debug)]
pub struct Step {
    kind: &'static str,
    actor: u8,
    operator: u8,
    other: u16,
    amount: Amount,
    wait: u64,
}

#[derive(Clone, Debug)]
enum Amount {
    Wei(u64),
    Metis(u32, u32),
}

impl Amount {
    fn wei(&self) -> U256 {
        match *self {
            Self::Wei(wei) => U256::from(wei),
            Self::Metis(metis, wei) => U256::from(metis) * METIS + U256::from(wei),
        }
    }
}

pub fn step() -> impl Strategy<Value = Step> {
    let kinds = KINDS.iter().map(|&(name, weight)| (weight, Just(name)));
    let kind = proptest::strategy::Union::new_weighted(kinds.collect());
    let amount = prop_oneof![
        1 => (0..3_000_u64).prop_map(Amount::Wei),
        4 => (1..2_000_u32, any::<u32>()).prop_map(|(metis, wei)| Amount::Metis(metis, wei)),
        3 => (15_000..60_000_u32, 0..3_u32).prop_map(|(metis, wei)| Amount::Metis(metis, wei)),
    ];
    let wait = prop_oneof![4 => Just(0), 3 => 0..8_u64, 1 => 0..80_u64];
    (kind, any::<u8>(), any::<u8>(), any::<u16>(), amount, wait)
        .prop_map(|(kind, actor, operator, other, amount, wait)| Step { kind, actor, operator, other, amount, wait })
}

/// Both sides and what has been done to them.
pub struct World {
    pub chain: Chain,
    pub model: Model,
    pub calls: Vec<Call>,
    /// Names of the calls that succeeded.
    pub done: Vec<&'static str>,
    next_signer: u64,
}

pub fn owner(number: u8) -> Address {
    Address::repeat_byte(0x10 + number % OWNERS)
}

pub fn delegator(number: u8) -> Address {
    Address::repeat_byte(0x20 + number % DELEGATORS)
}

impl World {
    /// Three operators with delegations.
    pub fn new() -> Self {
        let mut chain = Chain::new(START, [SLASHING, REWARDS, GOVERNANCE]);
        let endowment = U256::from(100_000_000) * METIS;
        let mut balances = BTreeMap::new();
        let accounts = (0..OWNERS).map(owner).chain((0..DELEGATORS).map(delegator)).chain([REWARDS]);
        for account in accounts {
            chain.endow(account, endowment);
            balances.insert(account, endowment);
        }
        let model = Model::new(START, [chain.staking, SLASHING, REWARDS], balances);
        let mut world = Self { chain, model, calls: Vec::new(), done: Vec::new(), next_signer: 0 };
        for (number, stake) in [25_000_u64, 60_000, 100_000].into_iter().enumerate() {
            let number = number as u8;
            let amount = U256::from(stake) * METIS;
            let signer = world.fresh_signer();
            world.both(Call::Register { owner: owner(number), amount, signer, recipient: owner(number) }).unwrap();
            let id = u64::from(number) + 1;
            world.both(Call::Delegate { by: delegator(number), id, amount, least: U256::ZERO }).unwrap();
        }
        world
    }

    /// Waits as long as the step says, then does its call on both sides.
    pub fn take(&mut self, step: &Step) -> Result<(), String> {
        if step.wait != 0 {
            self.both(Call::Wait(step.wait))?;
        }
        match self.call(step) {
            Some(call) => self.both(call),
            None => Ok(()),
        }
    }

    /// Cases end, operators exit, delegators leave, all claims are paid: what is left is dust.
    pub fn everyone_leaves(&mut self) -> Result<(), String> {
        for id in self.ids() {
            let operator = self.model.operators[&id].clone();
            if let Some(at) = operator.case {
                self.must(Call::Unfreeze { id, at })?;
            }
            if !operator.exited {
                self.must(Call::Exit { by: operator.owner, id })?;
            }
        }
        self.after_all_dates()?;
        for (request, moved) in self.open_requests() {
            if moved {
                self.must(Call::Enforce { by: GOVERNANCE, request })?;
            }
        }
        for id in self.ids() {
            for number in 0..DELEGATORS {
                let (by, series) = (delegator(number), self.model.operators[&id].pool.series);
                let held = self.model.of(id, by);
                if !held.locked.is_zero() {
                    return Err(format!("shares of {by} are still locked in pool {id}"));
                }
                // A delegator with many requests has claimed those that were due.
                for request in self.model.requests_of(Some(by), 0) {
                    if self.model.requests[&request].release_at <= self.model.now {
                        self.must(Call::Claim { by, request })?;
                    }
                }
                if !held.shares.is_zero() {
                    self.must(Call::Undelegate { by, id, series, shares: held.shares, least: U256::ZERO })?;
                }
            }
        }
        self.after_all_dates()?;
        for (request, _) in self.open_requests() {
            let open = &self.model.requests[&request];
            let by = open.holder.unwrap_or(self.model.operators[&open.id].owner);
            self.must(Call::Claim { by, request })?;
        }
        for id in self.ids() {
            let operator = &self.model.operators[&id];
            if !operator.rewards.is_zero() {
                self.must(Call::ClaimRewards { by: operator.recipient, id })?;
            }
        }
        let left = self.model.balances[&self.model.staking];
        // A request loses less than a wei when it is scaled and one when it is paid; a slash leaves one.
        let bound = U256::from(2 * self.model.requests_made + 2 * self.model.slashes);
        if left > bound { Err(format!("{left} wei are left, more than {bound}")) } else { Ok(()) }
    }

    fn after_all_dates(&mut self) -> Result<(), String> {
        let last = self.model.requests.values().map(|request| request.release_at).max();
        self.must(Call::Wait(last.map_or(0, |last| last.saturating_sub(self.model.now))))
    }

    fn ids(&self) -> Vec<u64> {
        self.model.operators.keys().copied().collect()
    }

    fn open_requests(&self) -> Vec<(u64, bool)> {
        self.model.requests.iter().map(|(&number, request)| (number, request.moved.is_some())).collect()
    }

    fn fresh_signer(&mut self) -> Address {
        self.next_signer += 1;
        Address::left_padding_from(&(0x5167_0000_0000 + self.next_signer).to_be_bytes())
    }

    /// Does a call that both sides have to accept.
    pub fn must(&mut self, call: Call) -> Result<(), String> {
        let before = self.done.len();
        let what = format!("{call:?}");
        self.both(call)?;
        if self.done.len() == before { Err(format!("refused: {what}")) } else { Ok(()) }
    }

    /// Does the call on both sides and compares.
    fn both(&mut self, call: Call) -> Result<(), String> {
        self.calls.push(call.clone());
        let reasons = self.model.apply(&call);
        self.chain.wait_until(self.model.now);
        let answer = self.send(&call);
        match (&answer, reasons.is_empty()) {
            (Ok(()), true) => {
                let name = KINDS.iter().find(|kind| format!("{call:?}").split([' ', '(']).next() == Some(kind.0));
                self.done.extend(name.map(|kind| kind.0));
            }
            (Err(error), false) if reasons.contains(&error.as_str()) => {}
            _ => return Err(format!("{call:?}: contract {answer:?}, model against it {reasons:?}")),
        }
        self.compare().map_err(|difference| format!("{difference} after {call:?}"))
    }

    fn send(&mut self, call: &Call) -> Result<(), String> {
        let chain = &mut self.chain;
        match call.clone() {
            Call::Wait(_) => Ok(()),
            Call::Register { owner, amount, signer, recipient } => {
                chain.send(owner, &Staking::registerCall { amount: amount.to(), signer, recipient })
            }
            Call::Increase { by, id, amount } => {
                chain.send(by, &Staking::increaseCall { operatorId: id, amount: amount.to() })
            }
            Call::Compound { by, id } => chain.send(by, &Staking::compoundCall { operatorId: id }),
            Call::Decrease { by, id, amount } => {
                chain.send(by, &Staking::decreaseCall { operatorId: id, amount: amount.to() })
            }
            Call::Exit { by, id } => chain.send(by, &Staking::exitCall { operatorId: id }),
            Call::Eject { by, id } => chain.send(by, &Staking::ejectCall { operatorId: id }),
            Call::TakeLeave { by, id } => chain.send(by, &Staking::takeLeaveCall { operatorId: id }),
            Call::Rejoin { by, id } => chain.send(by, &Staking::rejoinCall { operatorId: id }),
            Call::Rotate { by, id, signer } => chain.send(by, &Staking::rotateSignerCall { operatorId: id, signer }),
            Call::SetCommission { by, id, commission } => {
                chain.send(by, &Staking::setCommissionCall { operatorId: id, commission })
            }
            Call::Transfer { by, id, to } => {
                chain.send(by, &Staking::transferOperatorCall { operatorId: id, newOwner: to })
            }
            Call::Accept { by, id } => chain.send(by, &Staking::acceptOperatorCall { operatorId: id }),
            Call::ClaimRewards { by, id } => chain.send(by, &Staking::claimRewardsCall { operatorId: id }),
            Call::Delegate { by, id, amount, least } => {
                chain.send(by, &Staking::delegateCall { operatorId: id, amount: amount.to(), minShares: least })
            }
            Call::Undelegate { by, id, series, shares, least } => {
                chain.send(by, &Staking::undelegateCall { operatorId: id, series, shares, minAssets: least })
            }
            Call::Redelegate { by, id, to, shares } => {
                let call = Staking::redelegateCall { operatorId: id, toOperatorId: to, shares, minShares: U256::ZERO };
                chain.send(by, &call)
            }
            Call::Enforce { by, request } => chain.send(by, &Staking::enforceCall { requestId: U256::from(request) }),
            Call::Claim { by, request } => chain.send(by, &Staking::claimCall { requestId: U256::from(request) }),
            Call::Freeze { id } => chain.send(SLASHING, &Staking::freezeCall { operatorId: id }),
            Call::Unfreeze { id, at } => chain.send(SLASHING, &Staking::unfreezeCall { operatorId: id, caseAt: at }),
            Call::Slash { id, fraction, at } => {
                chain.send(SLASHING, &Staking::slashCall { operatorId: id, fraction, caseAt: at, to: SLASHING })
            }
            Call::AddReward { id, amount } => chain.send(REWARDS, &Staking::addRewardCall { operatorId: id, amount }),
            Call::SetMaxWeight { weight } => chain.send(GOVERNANCE, &Staking::setMaxWeightCall { maxWeight_: weight }),
        }
    }

    /// What the step's numbers mean here; none if there is nothing to do it to.
    fn call(&mut self, step: &Step) -> Option<Call> {
        let model = &self.model;
        // One beyond the last is an operator that nobody registered.
        let id = u64::from(step.operator) % (model.operators.len() as u64 + u64::from(step.operator == u8::MAX)) + 1;
        let operator = model.operators.get(&id);
        let stranger = step.actor % 16 == 15;
        let its_owner = operator.filter(|_| !stranger).map_or(owner(step.actor), |operator| operator.owner);
        let amount = step.amount.wei();
        let least = |expected: U256| match step.other % 8 {
            0 => expected,
            1 => expected + U256::ONE,
            _ => U256::ZERO,
        };
        // Of those who hold something there, one.
        let held: Vec<_> = model.held.iter().filter(|(_, held)| held.shares > held.locked).collect();
        let position = held.get(usize::from(step.operator) % held.len().max(1)).copied();
        // All of it, a part, or a share too many.
        let some_of = |free: U256| match step.other % 8 {
            0 => free + U256::ONE,
            1 | 2 => free,
            3 => U256::from(step.other),
            _ => free * U256::from(step.other) / U256::from(u16::MAX),
        };
        let requests = |moved: bool| -> Vec<u64> {
            // Mostly those that something can be done with.
            let due = |at: u64| step.other.is_multiple_of(4) || at <= model.now;
            let all = model.requests.iter().filter(|(_, open)| open.moved.is_some() == moved || step.other == 1);
            all.filter(|(_, open)| moved || due(open.release_at)).map(|(&number, _)| number).collect()
        };
        let pick = |list: &[u64]| list.get(usize::from(step.other) % list.len().max(1)).copied();
        let at = operator.and_then(|operator| operator.case).unwrap_or(u64::from(step.other));
        Some(match step.kind {
            "Wait" => Call::Wait(u64::from(step.other) % 100),
            "Register" => {
                if model.operators.len() >= MOST_OPERATORS {
                    return None;
                }
                let signer = if stranger { its_owner } else { self.fresh_signer() };
                Call::Register { owner: owner(step.actor), amount, signer, recipient: owner(step.actor) }
            }
            "Increase" => Call::Increase { by: delegator(step.actor), id, amount },
            "Compound" => Call::Compound { by: its_owner, id },
            "Decrease" => {
                let spare =
                    operator.map_or(U256::ZERO, |operator| operator.stake.saturating_sub(crate::model::MIN_STAKE));
                Call::Decrease { by: its_owner, id, amount: some_of(spare) }
            }
            "Exit" => Call::Exit { by: its_owner, id },
            "Eject" => Call::Eject { by: delegator(step.actor), id },
            "TakeLeave" => Call::TakeLeave { by: its_owner, id },
            "Rejoin" => Call::Rejoin { by: its_owner, id },
            "Rotate" => {
                let taken = operator.map_or(its_owner, |operator| operator.signer);
                let signer = if step.other.is_multiple_of(8) { taken } else { self.fresh_signer() };
                Call::Rotate { by: its_owner, id, signer }
            }
            "SetCommission" => {
                let now = operator.map_or(0, |operator| operator.commission_at(model.now));
                Call::SetCommission { by: its_owner, id, commission: (now + 102).saturating_sub(step.other % 204) }
            }
            "Transfer" => Call::Transfer { by: its_owner, id, to: owner(step.other as u8) },
            "Accept" => {
                let pending = operator.map(|operator| operator.pending_owner).filter(|to| !to.is_zero() && !stranger);
                Call::Accept { by: pending.unwrap_or(owner(step.actor)), id }
            }
            "ClaimRewards" => Call::ClaimRewards { by: its_owner, id },
            "Delegate" => {
                let shares = operator.map_or(U256::ZERO, |operator| {
                    let mut pool = operator.pool.clone();
                    pool.assets += pool.vested(model.now);
                    pool.buys(amount)
                });
                Call::Delegate { by: delegator(step.actor), id, amount, least: least(shares) }
            }
            "Undelegate" => {
                let (&(id, series, by), held) = position?;
                let shares = some_of(held.shares - held.locked);
                let expected = model.operators.get(&id).filter(|operator| operator.pool.series == series);
                let expected = expected.map_or(U256::ZERO, |operator| {
                    let mut pool = operator.pool.clone();
                    pool.assets += pool.vested(model.now);
                    pool.pays(shares)
                });
                let least =
                    if step.actor.is_multiple_of(4) { expected + U256::from(step.actor % 8 / 4) } else { U256::ZERO };
                Call::Undelegate { by, id, series, shares, least }
            }
            "Redelegate" => {
                let (&(from, _, by), held) = position?;
                let to = u64::from(step.actor) % model.operators.len() as u64 + 1;
                Call::Redelegate { by, id: from, to, shares: some_of(held.shares - held.locked) }
            }
            "Enforce" => {
                let all = requests(true);
                let mut due = all.clone();
                due.retain(|number| !model.requests[number].owed().is_zero());
                Call::Enforce { by: delegator(step.actor), request: pick(if due.is_empty() { &all } else { &due })? }
            }
            "Claim" => {
                let request = pick(&requests(false))?;
                let open = &model.requests[&request];
                let by = open.holder.unwrap_or(model.operators[&open.id].owner);
                Call::Claim { by: if stranger { REWARDS } else { by }, request }
            }
            "Freeze" => {
                // Every other time an operator that redelegations have left.
                let left = requests(true).into_iter().map(|number| model.requests[&number].id).collect::<Vec<_>>();
                Call::Freeze { id: pick(&left).filter(|_| step.actor.is_multiple_of(2)).unwrap_or(id) }
            }
            "Unfreeze" | "Slash" => {
                // Mostly an operator with a case.
                let cases: Vec<u64> =
                    model.operators.iter().filter(|(_, operator)| operator.case.is_some()).map(|(&id, _)| id).collect();
                let id = if stranger { id } else { pick(&cases)? };
                let at = model.operators.get(&id).and_then(|operator| operator.case).unwrap_or(at);
                if step.kind == "Unfreeze" {
                    return Some(Call::Unfreeze { id, at });
                }
                let fraction = match step.actor % 8 {
                    0 => ALL,
                    1 => ALL - U256::from(step.other),
                    2 => ALL + U256::from(step.other % 2),
                    3 => U256::from(step.other),
                    _ => ALL * U256::from(step.other) / U256::from(u16::MAX),
                };
                Call::Slash { id, fraction, at }
            }
            "AddReward" => Call::AddReward { id, amount },
            _ => Call::SetMaxWeight { weight: 99_999 + u64::from(step.other) * 4 },
        })
    }
}
