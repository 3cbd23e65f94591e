//! What an edge and a cell in Redis say to each other.

use crate::rule::Rule;

/// How long Redis reckons with a lease after it was granted, beside the lease's own life: an edge must have
/// stopped spending by then, whatever the way took.
const LAPSE_MARGIN_US: u64 = 1_000_000;
/// Least time that an unused cell is kept, in milliseconds.
const KEEP_MS: u64 = 10_000;
/// A period's cell outlives its period by a day, for what is late.
const KEEP_PERIOD_MS: u64 = 86_400_000;

/// What an edge was told last of a cell. Sent back with each question, so that a cell that was lost, or went
/// back in time with a failover, is what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    /// Which life of the cell, by Redis' clock; zero before anything was told.
    pub(crate) born: u64,
    /// How often it had been written.
    pub(crate) version: u64,
    /// Its level, in units.
    pub(crate) level: u64,
    /// When, in microseconds of Redis' clock.
    pub(crate) at: u64,
}

impl Known {
    pub(crate) const NOTHING: Self = Self { born: 0, version: 0, level: 0, at: 0 };

    pub(crate) const fn is_newer_than(&self, other: &Self) -> bool {
        self.born > other.born || (self.born == other.born && self.version > other.version)
    }
}

/// What Redis has written down of an edge's permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Booked {
    /// Permits spent since the edge began with the cell.
    pub(crate) spent: u64,
    /// Permits that it might hold.
    pub(crate) held: u64,
}

/// One question of one edge about one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) rule: Rule,
    /// When the edge began with the cell, by its clock.
    pub(crate) since: u64,
    /// Numbers the questions.
    pub(crate) turn: u64,
    /// Permits spent since it began.
    pub(crate) spent: u64,
    /// Permits that it holds and keeps.
    pub(crate) hold: u64,
    /// Permits that it would like.
    pub(crate) want: u64,
    /// Permits that are sure to be spent at once.
    pub(crate) need: u64,
    pub(crate) known: Known,
    pub(crate) booked: Booked,
}

/// What Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Permits leased, beside those held.
    pub(crate) granted: u64,
    /// Permits that are left for others.
    pub(crate) available: u64,
    /// What to know of the cell from now on.
    pub(crate) known: Known,
}

impl Ask {
    /// Arguments of `cell.lua`, but for the edge's name and the channel.
    pub(crate) fn arguments(&self, edges: u64) -> [i64; 18] {
        [
            integer(self.since),
            integer(self.turn),
            integer(self.rule.unit()),
            self.rule.drain().argument(),
            integer(self.rule.permits()),
            integer(self.keep_ms()),
            integer(self.lapse_us()),
            integer(edges.max(1)),
            integer(self.spent),
            integer(self.hold),
            integer(self.want),
            integer(self.need),
            integer(self.known.born),
            integer(self.known.version),
            integer(self.known.level),
            integer(self.known.at),
            integer(self.booked.spent),
            integer(self.booked.held),
        ]
    }

    /// Time after which Redis takes what the edge held for spent.
    pub(crate) fn lapse_us(&self) -> u64 {
        let life_us = u64::try_from(self.rule.lease_life().as_micros()).unwrap_or(u64::MAX);
        life_us.saturating_add(LAPSE_MARGIN_US)
    }

    /// How long to keep the cell; of a period, until when.
    const fn keep_ms(&self) -> u64 {
        match self.rule {
            Rule::PerMinute(_) | Rule::Concurrent(_) => KEEP_MS,
            Rule::PerPeriod { ends_at, .. } => {
                ends_at.saturating_mul(1000).saturating_add(KEEP_PERIOD_MS)
            }
        }
    }
}

impl Answer {
    /// Reads what the script returns; `None` if the question was overtaken by a later one.
    pub(crate) fn read(
        (granted, available, level, at, born, version): (i64, u64, u64, u64, u64, u64),
    ) -> Option<Self> {
        let granted = u64::try_from(granted).ok()?;
        Some(Self { granted, available, known: Known { born, version, level, at } })
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
