//! An edge's part in one cell: permits already taken in Redis that it may spend by itself. Pure.
//!
//! A lease starts at one permit, doubles while it is spent in time, and shrinks to what was really spent when
//! it was not; so an idle or tightly limited cell costs exact single permits and a busy one a call a second.

use crate::rule::{Drain, Rule};
use crate::shared_cell::{Answer, Ask, Booked, Known};

/// Most permits asked for at once.
const LEASE_PERMITS_MAX: u64 = 1 << 20;
/// A refill is asked for when what is left lasts this long, or twice the last way to Redis if that is longer.
const REFILL_AHEAD_US: u64 = 20_000;
/// A denial holds for at least as long: so many permits a second as come back in a busy cell are not worth a
/// question each. They are only shifted.
const DENIAL_MIN_US: u64 = 50_000;
/// A spent quota is asked about again this often: others may give some back, or its limit be raised.
const DENIAL_OF_PERIOD_US: u64 = 1_000_000;

/// Permits of one cell held by this edge, and what it knows of the rest. Times are microseconds of its clock.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    since_us: u64,
    turn: u64,
    /// Permits that can be spent, until `until_us`.
    free: u64,
    until_us: u64,
    /// Slots taken and not yet given back, and the most of them since the lease was last renewed.
    in_use: u64,
    in_use_peak: u64,
    /// Permits spent since the edge began with the cell.
    spent: u64,
    size: u64,
    granted_us: u64,
    spent_when_granted: u64,
    refill_at: u64,
    denied_until_us: u64,
    /// What this edge tells Redis of the cell, should it be lost.
    known: Known,
    booked: Booked,
    /// The newest that is known of the cell, from whomever, and since when.
    newest: Known,
    newest_us: u64,
}

/// What a lease has for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Enough.
    Ready,
    /// Not enough here; ask Redis.
    Dry,
    /// Redis has none for the time being.
    Denied,
}

impl Lease {
    pub(crate) const fn new(now_us: u64) -> Self {
        Self {
            since_us: now_us,
            turn: 0,
            free: 0,
            until_us: 0,
            in_use: 0,
            in_use_peak: 0,
            spent: 0,
            size: 0,
            granted_us: now_us,
            spent_when_granted: 0,
            refill_at: 0,
            denied_until_us: 0,
            known: Known::NOTHING,
            booked: Booked { spent: 0, held: 0 },
            newest: Known::NOTHING,
            newest_us: 0,
        }
    }

    /// Whether `cost` permits can be spent.
    pub(crate) const fn supply(&self, cost: u64, now_us: u64) -> Supply {
        if self.free >= cost && now_us < self.until_us {
            Supply::Ready
        } else if now_us < self.denied_until_us {
            Supply::Denied
        } else {
            Supply::Dry
        }
    }

    /// Spends permits that [`Self::supply`] has shown. True when it is time to refill ahead of need.
    pub(crate) fn spend(&mut self, rule: Rule, cost: u64) -> bool {
        self.free = self.free.saturating_sub(cost);
        self.book(rule, cost);
        self.free < self.refill_at
    }

    /// Books permits that Redis has not granted: it hears of them with the next question.
    pub(crate) fn overspend(&mut self, rule: Rule, cost: u64) {
        self.book(rule, cost);
    }

    fn book(&mut self, rule: Rule, cost: u64) {
        if rule.drain() == Drain::AtOnce {
            self.in_use += cost;
            self.in_use_peak = self.in_use_peak.max(self.in_use);
        } else {
            self.spent += cost;
        }
    }

    /// Gives slots back that were in use. True when others may be waiting for them.
    pub(crate) fn release(&mut self, rule: Rule, cost: u64) -> bool {
        self.in_use = self.in_use.saturating_sub(cost);
        self.free += cost;
        self.is_crowded(rule)
    }

    /// Permits admitted without Redis that it has not heard of.
    pub(crate) const fn debt(&self) -> u64 {
        let used = self.spent - self.booked.spent + self.free + self.in_use;
        used.saturating_sub(self.booked.held)
    }

    /// Forgets debts beyond `permits`: what was admitted so long ago that it has drained.
    pub(crate) fn forgive_beyond(&mut self, permits: u64) {
        let drained = self.debt().saturating_sub(permits);
        self.spent = self.spent.saturating_sub(drained).max(self.booked.spent);
    }

    /// Whether slots are held in reserve that others may be waiting for.
    pub(crate) fn holds_in_vain(&self, rule: Rule) -> bool {
        self.free > 0 && self.is_crowded(rule)
    }

    /// Whether all together hold so many slots that `cost` more would be too many, as was told lately.
    pub(crate) fn are_slots_taken(&self, rule: Rule, cost: u64, now_us: u64) -> bool {
        let of_others = self.newest.level.saturating_sub(self.booked.held);
        rule.drain() == Drain::AtOnce
            && self.newest.born > 0
            && now_us < self.newest_us + life_us(rule)
            && of_others + self.in_use + cost > rule.permits()
    }

    /// Slots in use.
    pub(crate) const fn in_use(&self) -> u64 {
        self.in_use
    }

    /// The question to ask now, for `waiting` permits that requests wait for.
    pub(crate) fn ask(&mut self, rule: Rule, waiting: u64, now_us: u64) -> Ask {
        self.lapse(now_us);
        if waiting == 0 && self.is_crowded(rule) {
            self.free = 0;
        }
        let (want, need) = self.appetite(rule, waiting, now_us);
        self.question(rule, want.max(waiting), need.max(waiting), now_us)
    }

    /// What is to be settled, if anything is: permits to give back, debts, slots whose lease must go on.
    pub(crate) fn settle(&mut self, rule: Rule, now_us: u64) -> Option<Ask> {
        self.lapse(now_us);
        let renew_us = self.granted_us + life_us(rule) / 2;
        if self.holds_in_vain(rule) {
            self.free = 0;
        } else if self.in_use + self.free > 0 && rule.drain() == Drain::AtOnce && now_us >= renew_us
        {
            // Of the slots that are free, keep what the last half life would have needed.
            self.free = self.free.min(self.in_use_peak - self.in_use);
            self.in_use_peak = self.in_use;
            self.granted_us = now_us;
            return Some(self.question(rule, 0, 0, now_us));
        }
        let held = self.booked.held.saturating_sub(self.spent - self.booked.spent);
        (self.debt() > 0 || held > self.free + self.in_use)
            .then(|| self.question(rule, 0, 0, now_us))
    }

    /// The last question: nothing is kept.
    pub(crate) fn surrender(&mut self, rule: Rule, now_us: u64) -> Option<Ask> {
        self.free = 0;
        self.in_use = 0;
        self.settle(rule, now_us)
    }

    /// Books the answer to a question that was asked at `asked_us`. After a later question it is void: what it
    /// granted was not among what that one said to be held, so it went back.
    pub(crate) fn answered(&mut self, ask: &Ask, answer: &Answer, asked_us: u64, now_us: u64) {
        if ask.turn != self.turn {
            return;
        }
        self.known = answer.known;
        self.newest = answer.known;
        self.newest_us = now_us;
        self.booked = Booked { spent: ask.spent, held: ask.hold + answer.granted };
        let life_us = life_us(ask.rule);
        if ask.want > 0 && answer.granted == 0 {
            let wait_us = match ask.rule.drain() {
                Drain::Steady(_) => ask.rule.wait_us(answer.known.level).unwrap_or(0),
                Drain::AtOnce => 0,
                Drain::Never => DENIAL_OF_PERIOD_US,
            };
            self.denied_until_us = now_us + wait_us.max(DENIAL_MIN_US);
        } else {
            self.denied_until_us = 0;
        }
        if answer.granted > 0 {
            let ahead_us = REFILL_AHEAD_US.max(2 * now_us.saturating_sub(asked_us));
            self.refill_at = self.pace(now_us).saturating_mul(ahead_us) / 1_000_000;
            self.free += answer.granted;
            // What was admitted meanwhile without Redis is paid first.
            self.free -= self.debt().min(self.free);
            self.size = answer.granted;
            self.spent_when_granted = self.spent;
            self.granted_us = now_us;
        }
        self.until_us = asked_us + life_us;
    }

    /// Permits that can be had now, as far as is known: those held, and those that Redis would have.
    pub(crate) fn left(&self, rule: Rule, now_us: u64) -> u64 {
        let free = if now_us < self.until_us { self.free } else { 0 };
        let elsewhere = match rule.drain() {
            Drain::AtOnce => rule.permits().saturating_sub(self.newest.level),
            _ => rule.available(self.level(rule, now_us)),
        };
        (free + elsewhere).min(rule.permits())
    }

    /// The cell's level now, as far as is known and with what Redis has not heard of.
    pub(crate) fn level(&self, rule: Rule, now_us: u64) -> u64 {
        let debt = self.debt().saturating_mul(rule.unit());
        self.known_level(rule, now_us).saturating_add(debt)
    }

    /// The cell's level now, as it follows from what was told last.
    pub(crate) fn known_level(&self, rule: Rule, now_us: u64) -> u64 {
        rule.drained(self.newest.level, now_us.saturating_sub(self.newest_us))
    }

    /// Another limit than before: what was denied may no longer be, and of a smaller one nothing is held that
    /// was leased under the greater.
    pub(crate) const fn limit_changed(&mut self, before: Rule, after: Rule) {
        self.denied_until_us = 0;
        if after.permits() < before.permits() {
            self.free = 0;
        }
    }

    /// What others tell of the cell.
    pub(crate) const fn heard(&mut self, told: Known, now_us: u64) {
        if told.is_newer_than(&self.newest) {
            self.newest = told;
            self.newest_us = now_us;
        }
        // Of another life than this edge knows, it may know more than the others have told Redis yet.
        if self.known.born == 0 || (told.born == self.known.born && told.is_newer_than(&self.known))
        {
            self.known = told;
        }
    }

    /// The newest that is known of the cell.
    pub(crate) const fn newest(&self) -> Known {
        self.newest
    }

    /// Whether nothing is lost by forgetting it.
    pub(crate) const fn is_settled(&self) -> bool {
        self.free == 0 && self.in_use == 0 && self.debt() == 0
    }

    /// Whether slots are so few that nobody should hold one in reserve.
    fn is_crowded(&self, rule: Rule) -> bool {
        rule.drain() == Drain::AtOnce && 2 * self.newest.level >= rule.permits()
    }

    fn lapse(&mut self, now_us: u64) {
        if self.free > 0 && now_us >= self.until_us {
            self.free = 0;
            self.size = self.spent.saturating_sub(self.spent_when_granted).max(1);
        }
    }

    /// How many permits to ask for, and how many are sure to be spent: a life's worth at the present pace and
    /// at most twice the last lease; what a denial's time would take.
    fn appetite(&self, rule: Rule, waiting: u64, now_us: u64) -> (u64, u64) {
        if rule.drain() == Drain::AtOnce {
            return if waiting > 0 { (self.in_use.max(1), 1) } else { (0, 0) };
        }
        let pace = self.pace(now_us);
        let lasting = pace.saturating_mul(life_us(rule).min(1_000_000)) / 1_000_000;
        let want = lasting.min(self.size * 2).saturating_sub(self.free);
        let need = (pace * DENIAL_MIN_US / 1_000_000).saturating_sub(self.free);
        (want.clamp(1, LEASE_PERMITS_MAX), need.clamp(1, LEASE_PERMITS_MAX))
    }

    /// Permits a second since the last grant. Two at once do not make a thousand a second.
    fn pace(&self, now_us: u64) -> u64 {
        let elapsed_us = now_us.saturating_sub(self.granted_us).max(DENIAL_MIN_US);
        let spent = self.spent.saturating_sub(self.spent_when_granted);
        spent.saturating_mul(1_000_000) / elapsed_us
    }

    fn question(&mut self, rule: Rule, want: u64, need: u64, now_us: u64) -> Ask {
        self.turn = now_us.max(self.turn + 1);
        Ask {
            rule,
            since: self.since_us,
            turn: self.turn,
            spent: self.spent,
            hold: self.free + self.in_use,
            want,
            need,
            known: self.known,
            booked: self.booked,
        }
    }
}

fn life_us(rule: Rule) -> u64 {
    u64::try_from(rule.lease_life().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
