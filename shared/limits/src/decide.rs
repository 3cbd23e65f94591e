//! The decision on all limits of one request together: a permit of each, or of none. Pure.

use std::ops::DerefMut;
use std::time::Duration;

use crate::lease::{Lease, Supply};
use crate::rule::Rule;
use crate::share::{Place, Share};
use crate::shared_cell::Ask;

/// Most limits of one request.
pub const DEMANDS_MAX: usize = 5;
/// When to come back after a refusal that no lapse of time ends.
const RETRY_SLOT: Duration = Duration::from_secs(1);

/// A limit that a request counts against, without whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) rule: Rule,
    pub(crate) cost: u64,
    pub(crate) shadow: bool,
}

/// How one limit stands after the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What may be had in the limit's window, at the same time, or in its period.
    pub quota: u64,
    /// What can be had at once.
    pub remaining: u64,
    /// Time until it is whole again; for a violated limit, until the next call. `None`: when the period ends.
    pub reset: Option<Duration>,
}

/// Which limit refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Its place among the demands.
    pub demand: usize,
    /// Time after which one call will pass; `None`: when the period ends.
    pub retry_after: Option<Duration>,
}

/// The decision: how every limit stands, and which one refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// One for each demand.
    pub standings: [Option<Standing>; DEMANDS_MAX],
    /// `None`: a permit of each was taken. Else nothing was.
    pub refusal: Option<Refusal>,
    /// The demands that would have refused, were they not in shadow mode.
    pub shadowed: [bool; DEMANDS_MAX],
    /// The demands of which permits were taken: all, but for those in shadow mode that had none.
    pub taken: [bool; DEMANDS_MAX],
}

/// What an edge keeps of one cell.
#[derive(Debug)]
pub(crate) struct CellState {
    pub(crate) rule: Rule,
    pub(crate) lease: Lease,
    /// Whether Redis has been asked and has not answered.
    pub(crate) asked: bool,
    /// Permits that requests wait for.
    pub(crate) waiting: u64,
    /// Permits that a request would have taken, whether it waits or not.
    wanted: u64,
    /// The share taken of, and during which outage.
    share: Option<(u64, Share)>,
    pub(crate) used_us: u64,
}

impl CellState {
    pub(crate) const fn new(rule: Rule, now_us: u64) -> Self {
        Self {
            rule,
            lease: Lease::new(now_us),
            asked: false,
            waiting: 0,
            wanted: 0,
            share: None,
            used_us: now_us,
        }
    }

    fn touch(&mut self, rule: Rule, now_us: u64) {
        self.used_us = now_us;
        if self.rule != rule {
            if self.rule.permits() != rule.permits() {
                self.lease.limit_changed(self.rule, rule);
                // Another part of another limit, whatever was taken of the last one.
                if let Some((outage, _)) = &mut self.share {
                    *outage = u64::MAX;
                }
            }
            self.rule = rule;
        }
    }

    /// The question to ask Redis now.
    pub(crate) fn ask(&mut self, now_us: u64) -> Ask {
        self.forgive(now_us);
        self.asked = true;
        let wanted = std::mem::take(&mut self.wanted).max(self.waiting);
        self.lease.ask(self.rule, wanted, now_us)
    }

    /// Whether Redis must be asked for `cost` permits.
    pub(crate) fn is_dry(&mut self, cost: u64, now_us: u64) -> bool {
        let dry = self.lease.supply(cost, now_us) == Supply::Dry;
        if dry {
            self.wanted = self.wanted.max(cost);
        }
        dry
    }

    /// What is to be settled with Redis, if anything is and nothing is under way.
    pub(crate) fn settle(&mut self, now_us: u64) -> Option<Ask> {
        if self.asked {
            return None;
        }
        self.forgive(now_us);
        let ask = self.lease.settle(self.rule, now_us)?;
        self.asked = true;
        Some(ask)
    }

    /// The last question about the cell, if there is anything to say.
    pub(crate) fn surrender(&mut self, now_us: u64) -> Option<Ask> {
        self.forgive(now_us);
        self.lease.surrender(self.rule, now_us)
    }

    fn forgive(&mut self, now_us: u64) {
        if let Some((_, share)) = &self.share {
            self.lease.forgive_beyond(share.undrained(now_us));
        }
    }

    fn share(&mut self, outage: u64, place: Place, cell: u64, now_us: u64) -> &mut Share {
        let rule = self.rule;
        let (number, share) =
            self.share.get_or_insert_with(|| (outage, Share::new(rule, place, cell)));
        if *number != outage {
            *number = outage;
            share.renew(rule, place, cell, now_us);
        }
        share.reckon(rule, place, cell, self.lease.known_level(rule, now_us), now_us);
        share
    }
}

/// The decision from what is leased.
pub(crate) enum Step {
    /// It is made.
    Settled(Verdict),
    /// Redis has to be asked first, for those that are dry.
    Dry,
}

/// The cells of a request's demands, in their places.
pub(crate) type Held<S> = [Option<(Part, S)>; DEMANDS_MAX];

/// Decides from leases. `refill` marks the cells whose lease is to be refilled ahead of need.
pub(crate) fn from_leases<S: DerefMut<Target = CellState>>(
    held: &mut Held<S>,
    refill: &mut [bool; DEMANDS_MAX],
    now_us: u64,
) -> Step {
    let mut verdict = Verdict::default();
    let mut dry = false;
    for (place, slot) in held.iter_mut().enumerate() {
        let Some((part, state)) = slot else { continue };
        state.touch(part.rule, now_us);
        match state.lease.supply(part.cost, now_us) {
            Supply::Ready => {}
            Supply::Denied if part.shadow => verdict.shadowed[place] = true,
            Supply::Denied => refuse(&mut verdict, place, state, now_us),
            Supply::Dry => dry = true,
        }
    }
    if verdict.refusal.is_none() {
        if dry {
            return Step::Dry;
        }
        for (place, slot) in held.iter_mut().enumerate() {
            let Some((part, state)) = slot else { continue };
            // Not ready now: in shadow mode, and denied.
            if state.lease.supply(part.cost, now_us) == Supply::Ready {
                let rule = state.rule;
                refill[place] = state.lease.spend(rule, part.cost);
                verdict.taken[place] = true;
            }
        }
    }
    stand(held, &mut verdict, now_us);
    Step::Settled(verdict)
}

/// Where a decision without Redis is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    /// Which outage.
    pub(crate) outage: u64,
    /// This edge among those that live.
    pub(crate) place: Place,
    pub(crate) now_us: u64,
}

/// Decides alone: leases while they last, then this edge's share of each limit. `cells` are numbers that are
/// the same at every edge.
pub(crate) fn from_shares<S: DerefMut<Target = CellState>>(
    held: &mut Held<S>,
    cells: [u64; DEMANDS_MAX],
    alone: Alone,
) -> Verdict {
    let now_us = alone.now_us;
    let mut verdict = Verdict::default();
    let mut shared = [false; DEMANDS_MAX];
    for (place, slot) in held.iter_mut().enumerate() {
        let Some((part, state)) = slot else { continue };
        state.touch(part.rule, now_us);
        let refusal = match state.lease.supply(part.cost, now_us) {
            Supply::Ready => continue,
            Supply::Denied => None,
            // What was told of slots is soon past, but until then it is better than the share alone.
            Supply::Dry if state.lease.are_slots_taken(part.rule, part.cost, now_us) => None,
            Supply::Dry => {
                let in_use = state.lease.in_use();
                let share = state.share(alone.outage, alone.place, cells[place], now_us);
                match share.take(part.cost, in_use, now_us) {
                    Ok(()) => {
                        shared[place] = true;
                        continue;
                    }
                    Err(wait_us) => Some(wait_us),
                }
            }
        };
        if part.shadow {
            verdict.shadowed[place] = true;
            continue;
        }
        refuse(&mut verdict, place, state, now_us);
        if let (Some(Some(wait_us)), Some(refusal)) = (refusal, &mut verdict.refusal) {
            refusal.retry_after = Some(Duration::from_micros(wait_us));
        }
        break;
    }
    let admitted = verdict.refusal.is_none();
    for (place, slot) in held.iter_mut().enumerate() {
        let Some((part, state)) = slot else { continue };
        let rule = state.rule;
        match (admitted, shared[place]) {
            (true, true) => {
                state.lease.overspend(rule, part.cost);
                verdict.taken[place] = true;
            }
            (true, false) if state.lease.supply(part.cost, now_us) == Supply::Ready => {
                state.lease.spend(rule, part.cost);
                verdict.taken[place] = true;
                state
                    .share(alone.outage, alone.place, cells[place], now_us)
                    .book(part.cost, now_us);
            }
            (false, true) => {
                state.share(alone.outage, alone.place, cells[place], now_us).put_back(part.cost);
            }
            _ => {}
        }
    }
    stand(held, &mut verdict, now_us);
    verdict
}

/// Notes a refusal, unless another limit's lasts longer.
fn refuse(verdict: &mut Verdict, demand: usize, state: &CellState, now_us: u64) {
    let retry_after = match state.rule {
        Rule::PerMinute(_) => {
            let wait_us = state.rule.wait_us(state.lease.level(state.rule, now_us));
            Some(Duration::from_micros(wait_us.unwrap_or(0).max(1)))
        }
        Rule::Concurrent(_) => Some(RETRY_SLOT),
        Rule::PerPeriod { .. } => None,
    };
    let lasts = |wait: Option<Duration>| wait.unwrap_or(Duration::MAX);
    if verdict.refusal.is_none_or(|other| lasts(retry_after) > lasts(other.retry_after)) {
        verdict.refusal = Some(Refusal { demand, retry_after });
    }
}

/// Notes how every limit stands.
fn stand<S: DerefMut<Target = CellState>>(held: &Held<S>, verdict: &mut Verdict, now_us: u64) {
    for (place, slot) in held.iter().enumerate() {
        let Some((_, state)) = slot else { continue };
        let rule = state.rule;
        let refusal = verdict.refusal.filter(|refusal| refusal.demand == place);
        let level = state.lease.level(rule, now_us);
        let reset = match rule {
            Rule::PerMinute(_) => {
                Some(Duration::from_micros(level.div_ceil(rule.permits().max(1))))
            }
            Rule::Concurrent(_) => Some(Duration::ZERO),
            Rule::PerPeriod { .. } => None,
        };
        verdict.standings[place] = Some(Standing {
            quota: rule.permits(),
            remaining: if refusal.is_some() { 0 } else { state.lease.left(rule, now_us) },
            reset: refusal.map_or(reset, |refusal| refusal.retry_after),
        });
    }
}
