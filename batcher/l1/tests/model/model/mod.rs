//! What the staking contract promises, written down plainly: lists that are walked, nothing summed ahead, no index by time.
//!
//! Every call answers with all the reasons for which it must be refused; the contract has to give one of them. Amounts are
//! METIS wei and rounded down for whoever holds a claim.

mod delegators;
mod operators;
mod seams;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256, uint};

pub const UNBONDING: u64 = 60;
pub const CHURN: u64 = 10;
pub const NOTICE: u64 = 20;
pub const VESTING: u64 = 50;
pub const MEMBERS: usize = 4;
pub const METIS: U256 = uint!(1_000_000_000_000_000_000_U256);
/// A slash of everything.
pub const ALL: U256 = METIS;
/// Slash index of a series without a loss.
const RAY: U256 = uint!(1_000_000_000_000_000_000_000_000_000_U256);
const SERIES_ENDS_BELOW: U256 = METIS;
const ENTRY_ENDS_BELOW: U256 = uint!(1_000_000_000_000_000_000_000_000_U256);
pub const MIN_STAKE: U256 = uint!(20_000_000_000_000_000_000_000_U256);
const MAX_STAKE: U256 = uint!(100_000_000_000_000_000_000_000_U256);
const VIRTUAL_SHARES: U256 = uint!(1_000_U256);

/// Names of the contract's errors, any of which may refuse the call. Empty: it must succeed.
pub type Reasons = Vec<&'static str>;

/// What a call does, with its caller where that matters.
#[derive(Clone, Debug)]
pub enum Call {
    Wait(u64),
    Register { owner: Address, amount: U256, signer: Address, recipient: Address },
    Increase { by: Address, id: u64, amount: U256 },
    Compound { by: Address, id: u64 },
    Decrease { by: Address, id: u64, amount: U256 },
    Exit { by: Address, id: u64 },
    Eject { by: Address, id: u64 },
    TakeLeave { by: Address, id: u64 },
    Rejoin { by: Address, id: u64 },
    Rotate { by: Address, id: u64, signer: Address },
    SetCommission { by: Address, id: u64, commission: u16 },
    Transfer { by: Address, id: u64, to: Address },
    Accept { by: Address, id: u64 },
    ClaimRewards { by: Address, id: u64 },
    Delegate { by: Address, id: u64, amount: U256, least: U256 },
    Undelegate { by: Address, id: u64, series: u32, shares: U256, least: U256 },
    Redelegate { by: Address, id: u64, to: u64, shares: U256 },
    Enforce { by: Address, request: u64 },
    Claim { by: Address, request: u64 },
    Freeze { id: u64 },
    Unfreeze { id: u64, at: u64 },
    Slash { id: u64, fraction: U256, at: u64 },
    AddReward { id: u64, amount: U256 },
    SetMaxWeight { weight: u64 },
}

#[derive(Clone, Default)]
pub struct Pool {
    pub series: u32,
    pub shares: U256,
    pub assets: U256,
    pub unvested: U256,
    pub vested_at: u64,
    pub vested_by: u64,
}

#[derive(Clone)]
pub struct Operator {
    pub owner: Address,
    pub pending_owner: Address,
    pub signer: Address,
    pub recipient: Address,
    pub stake: U256,
    pub rewards: U256,
    pub case: Option<u64>,
    pub away: bool,
    pub exited: bool,
    pub listed: bool,
    pub last_release: u64,
    pub commission: u16,
    pub next_commission: u16,
    pub commission_from: u64,
    pub pool: Pool,
    /// Slash index of the pool's series.
    pub index: U256,
    /// (slot, scaled): weight that counts until its slot begins.
    waiting: Vec<(u64, U256)>,
}

#[derive(Clone)]
pub struct Redelegation {
    pub to: u64,
    pub to_series: u32,
    pub locked: U256,
    /// Slash index it has paid for.
    paid: U256,
}

#[derive(Clone)]
pub struct Request {
    /// None: the self-stake of the operator.
    pub holder: Option<Address>,
    pub id: u64,
    pub series: u32,
    scaled: U256,
    /// Slash index of the last case it answers for.
    index: U256,
    pub release_at: u64,
    pub moved: Option<Redelegation>,
}

impl Request {
    pub fn worth(&self) -> U256 {
        self.scaled * self.index / RAY
    }

    /// Of a redelegation: what slashes have made due.
    pub fn owed(&self) -> U256 {
        self.moved.as_ref().map_or(U256::ZERO, |moved| self.scaled * (moved.paid - self.index) / RAY)
    }
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Held {
    pub shares: U256,
    pub locked: U256,
}

#[derive(Clone)]
pub struct Model {
    pub now: u64,
    pub staking: Address,
    pub slashing: Address,
    pub rewards: Address,
    pub max_weight: u64,
    pub operators: BTreeMap<u64, Operator>,
    pub requests: BTreeMap<u64, Request>,
    pub held: BTreeMap<(u64, u32, Address), Held>,
    /// Signer → operator, until when it answers.
    pub signers: BTreeMap<Address, (u64, u64)>,
    pub balances: BTreeMap<Address, U256>,
    /// What is kept for requests, roundings included.
    pub unbonding: U256,
    pub queue: (u64, U256),
    pub requests_made: u64,
    pub slashes: u64,
}

impl Model {
    pub fn new(now: u64, [staking, slashing, rewards]: [Address; 3], balances: BTreeMap<Address, U256>) -> Self {
        Self {
            now,
            staking,
            slashing,
            rewards,
            max_weight: 300_000,
            operators: BTreeMap::new(),
            requests: BTreeMap::new(),
            held: BTreeMap::new(),
            signers: BTreeMap::new(),
            balances,
            unbonding: U256::ZERO,
            queue: (0, U256::ZERO),
            requests_made: 0,
            slashes: 0,
        }
    }

    /// Does the call, or nothing if there is a reason against it.
    pub fn apply(&mut self, call: &Call) -> Reasons {
        let mut next = self.clone();
        let reasons = next.run(call);
        if reasons.is_empty() {
            *self = next;
        }
        reasons
    }

    fn run(&mut self, call: &Call) -> Reasons {
        match *call {
            Call::Wait(seconds) => {
                self.now += seconds;
                Vec::new()
            }
            Call::Register { owner, amount, signer, recipient } => self.register(owner, amount, signer, recipient),
            Call::Increase { by, id, amount } => self.increase(by, id, amount),
            Call::Compound { by, id } => self.compound(by, id),
            Call::Decrease { by, id, amount } => self.decrease(by, id, amount),
            Call::Exit { by, id } => self.exit(by, id),
            Call::Eject { id, .. } => self.eject(id),
            Call::TakeLeave { by, id } => self.owned(by, id, |operator| operator.away = true),
            Call::Rejoin { by, id } => self.rejoin(by, id),
            Call::Rotate { by, id, signer } => self.rotate(by, id, signer),
            Call::SetCommission { by, id, commission } => self.set_commission(by, id, commission),
            Call::Transfer { by, id, to } => {
                if self.operators.get(&id).is_some_and(|operator| operator.owner == by && operator.signer == to) {
                    return vec!["KeysNotApart"];
                }
                self.owned(by, id, |operator| operator.pending_owner = to)
            }
            Call::Accept { by, id } => self.accept(by, id),
            Call::ClaimRewards { by, id } => self.claim_rewards(by, id),
            Call::Delegate { by, id, amount, least } => {
                if amount.is_zero() {
                    return vec!["ZeroAmount"];
                }
                let reasons = self.mint(by, id, amount, least);
                self.pull(by, amount);
                reasons
            }
            Call::Undelegate { by, id, series, shares, least } => self.undelegate(by, id, series, shares, least),
            Call::Redelegate { by, id, to, shares } => self.redelegate(by, id, to, shares),
            Call::Enforce { request, .. } => self.enforce(request),
            Call::Claim { by, request } => self.claim(by, request),
            Call::Freeze { id } => self.freeze(id),
            Call::Unfreeze { id, at } => self.close(id, at),
            Call::Slash { id, fraction, at } => self.slash(id, fraction, at),
            Call::AddReward { id, amount } => self.add_reward(id, amount),
            Call::SetMaxWeight { weight } => {
                self.max_weight = weight;
                if (100_000..=10_000_000).contains(&weight) { Vec::new() } else { vec!["WeightOutOfRange"] }
            }
        }
    }

    // Views

    pub fn of(&self, id: u64, by: Address) -> Held {
        let series = self.operators.get(&id).map_or(0, |operator| operator.pool.series);
        self.held.get(&(id, series, by)).copied().unwrap_or_default()
    }

    pub fn staked(&self) -> U256 {
        self.operators.values().map(|operator| operator.stake).sum()
    }

    pub fn delegated(&self) -> U256 {
        self.operators.values().map(|operator| operator.pool.assets).sum()
    }

    pub fn undistributed(&self) -> U256 {
        self.operators.values().map(|operator| operator.rewards + operator.pool.unvested).sum()
    }

    pub fn churn_limit(&self) -> U256 {
        ((self.staked() + self.delegated()) / U256::from(6)).max(MIN_STAKE)
    }

    pub fn weight(&self, id: u64) -> u64 {
        let Some(operator) = self.operators.get(&id) else { return 0 };
        if operator.away || operator.case.is_some() || (!operator.exited && operator.stake < MIN_STAKE) {
            return 0;
        }
        let mut amount = operator.stake + self.waiting(id);
        if !operator.exited {
            amount += operator.pool.assets + operator.pool.vested(self.now);
        }
        (amount / METIS).to::<u64>().min(self.max_weight)
    }

    /// The set a snapshot would take: (signer, weight, operator) by word.
    pub fn members(&self) -> Vec<(Address, u64, u64)> {
        let mut list: Vec<_> = self.operators.iter().filter(|(_, operator)| operator.listed).collect();
        list.sort_by_key(|&(&id, _)| (u64::MAX - self.weight(id), id));
        list.retain(|&(&id, _)| self.weight(id) != 0);
        list.truncate(MEMBERS);
        let mut members: Vec<_> = list.iter().map(|&(&id, operator)| (operator.signer, self.weight(id), id)).collect();
        members.sort();
        members
    }

    pub fn requests_of(&self, holder: Option<Address>, id: u64) -> BTreeSet<u64> {
        let is_theirs = |request: &Request| request.holder == holder && (holder.is_some() || request.id == id);
        self.requests.iter().filter(|(_, request)| is_theirs(request)).map(|(&number, _)| number).collect()
    }

    pub fn blocked(&self, request: &Request) -> bool {
        let case = self.operators.get(&request.id).and_then(|operator| operator.case);
        case.is_some_and(|at| at < request.release_at)
    }

    /// Weight whose slot has not begun.
    fn waiting(&self, id: u64) -> U256 {
        let Some(operator) = self.operators.get(&id) else { return U256::ZERO };
        let later = operator.waiting.iter().filter(|(slot, _)| *slot > self.now / CHURN);
        later.map(|(_, scaled)| *scaled).sum::<U256>() * operator.index / RAY
    }

    // Parts

    /// The operator, known to be there.
    fn operator(&mut self, id: u64) -> &mut Operator {
        self.operators.get_mut(&id).expect("checked before")
    }

    fn owned(&mut self, by: Address, id: u64, change: impl FnOnce(&mut Operator)) -> Reasons {
        let reasons = self.owner_reasons(by, id);
        if let Some(operator) = self.operators.get_mut(&id) {
            change(operator);
        }
        reasons
    }

    fn owner_reasons(&self, by: Address, id: u64) -> Reasons {
        let owner = self.operators.get(&id).map(|operator| operator.owner);
        if owner == Some(by) { Vec::new() } else { vec!["NotOwner"] }
    }

    fn active_reasons(&self, id: u64) -> Reasons {
        let active = self.operators.get(&id).is_some_and(|operator| !operator.exited);
        if active { Vec::new() } else { vec!["NotActive"] }
    }

    fn entry_reasons(&self, id: u64) -> Reasons {
        let mut reasons = self.active_reasons(id);
        if let Some(operator) = self.operators.get(&id) {
            if operator.case.is_some() {
                reasons.push("IsFrozen");
            }
            if operator.index < ENTRY_ENDS_BELOW {
                reasons.push("NotActive");
            }
        }
        reasons
    }

    fn signer_reasons(&self, owner: Address, signer: Address) -> Reasons {
        let mut reasons = Vec::new();
        if owner == signer {
            reasons.push("KeysNotApart");
        }
        if self.signers.contains_key(&signer) {
            reasons.push("SignerTaken");
        }
        reasons
    }

    fn burn_reasons(&self, by: Address, id: u64, series: u32, shares: U256) -> Reasons {
        let held = self.held.get(&(id, series, by)).copied().unwrap_or_default();
        let mut reasons = Vec::new();
        if shares.is_zero() {
            reasons.push("ZeroAmount");
        }
        if shares > held.shares - held.locked {
            reasons.push("NotEnoughShares");
        }
        reasons
    }

    /// Buys shares; the tokens are the caller's matter.
    fn mint(&mut self, by: Address, id: u64, amount: U256, least: U256) -> Reasons {
        let mut reasons = self.entry_reasons(id);
        if !reasons.is_empty() {
            return reasons;
        }
        self.settle(id);
        let pool = &mut self.operator(id).pool;
        let shares = pool.buys(amount);
        if shares < least {
            reasons.push("Slippage");
        }
        if shares.is_zero() {
            reasons.push("ZeroAmount");
        }
        pool.shares += shares;
        pool.assets += amount;
        let series = pool.series;
        self.held.entry((id, series, by)).or_default().shares += shares;
        reasons
    }

    /// Burns shares and takes what they stand for out of the settled pool.
    fn burn(&mut self, by: Address, id: u64, series: u32, shares: U256) {
        self.held.entry((id, series, by)).or_default().shares -= shares;
        let pool = &self.operator(id).pool;
        if series == pool.series {
            let amount = pool.pays(shares);
            self.take(id, shares, amount);
        }
    }

    fn take(&mut self, id: u64, shares: U256, amount: U256) {
        let operator = self.operator(id);
        operator.pool.shares -= shares;
        operator.pool.assets -= amount;
        if operator.pool.shares.is_zero() {
            operator.rewards += operator.pool.assets + operator.pool.unvested;
            operator.pool.assets = U256::ZERO;
            operator.pool.unvested = U256::ZERO;
        }
    }

    fn settle(&mut self, id: u64) {
        let now = self.now;
        let Some(operator) = self.operators.get_mut(&id) else { return };
        let vested = operator.pool.vested(now);
        if !vested.is_zero() {
            operator.pool.assets += vested;
            operator.pool.unvested -= vested;
            operator.pool.vested_at = now;
        }
    }

    /// Fills slot after slot, at most the limit in each.
    fn enqueue(&mut self, id: u64, amount: U256) -> u64 {
        let limit = self.churn_limit();
        let current = self.now / CHURN;
        let (mut slot, mut used) = if self.queue.0 < current { (current, U256::ZERO) } else { self.queue };
        let mut rest = amount;
        loop {
            let part = rest.min(limit.saturating_sub(used));
            let operator = self.operator(id);
            operator.waiting.push((slot, part * RAY / operator.index));
            used += part;
            rest -= part;
            if rest.is_zero() {
                break;
            }
            (slot, used) = (slot + 1, U256::ZERO);
        }
        self.queue = (slot, used);
        (slot + 1) * CHURN + UNBONDING
    }

    fn unbond(&mut self, id: u64, holder: Option<Address>, amount: U256, release_at: u64) -> Reasons {
        let operator = self.operator(id);
        operator.last_release = release_at;
        let (series, index) = (operator.pool.series, operator.index);
        let scaled = amount * RAY / index;
        self.unbonding += amount;
        self.open(Request { holder, id, series, scaled, index, release_at, moved: None })
    }

    fn open(&mut self, request: Request) -> Reasons {
        let full = self.requests_of(request.holder, request.id).len() >= 32;
        self.requests_made += 1;
        self.requests.insert(self.requests_made, request);
        if full { vec!["TooManyRequests"] } else { Vec::new() }
    }

    fn pay(&mut self, to: Address, amount: U256) {
        self.transfer(self.staking, to, amount);
    }

    fn pull(&mut self, from: Address, amount: U256) {
        self.transfer(from, self.staking, amount);
    }

    fn transfer(&mut self, from: Address, to: Address, amount: U256) {
        *self.balances.entry(from).or_default() -= amount;
        *self.balances.entry(to).or_default() += amount;
    }
}

impl Operator {
    pub fn commission_at(&self, now: u64) -> u16 {
        if now < self.commission_from { self.commission } else { self.next_commission }
    }
}

impl Pool {
    pub fn vested(&self, now: u64) -> U256 {
        if now >= self.vested_by {
            return self.unvested;
        }
        self.unvested * U256::from(now - self.vested_at) / U256::from(self.vested_by - self.vested_at)
    }

    /// Shares for an amount.
    pub fn buys(&self, amount: U256) -> U256 {
        amount * (self.shares + VIRTUAL_SHARES) / (self.assets + U256::ONE)
    }

    /// Amount for shares.
    pub fn pays(&self, shares: U256) -> U256 {
        shares * (self.assets + U256::ONE) / (self.shares + VIRTUAL_SHARES)
    }
}
