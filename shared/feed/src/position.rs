//! Where the feed stands: which transactions a policy has seen (Postgres, "System Information Functions",
//! `pg_snapshot`), and of which database. How the edge knows what it has missed, and that a write has
//! reached it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transaction's number (`xid8`): never reused within a lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Xid(pub u64);

/// A snapshot: everything below `xmin` is seen, nothing from `xmax` on, and between them all but `running`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Snapshot {
    text: String,
    xmin: Xid,
    xmax: Xid,
    running: Box<[Xid]>,
}

/// The moment of a database that a policy shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// What was committed.
    pub snapshot: Snapshot,
    /// Which database, in which of its lives.
    pub lineage: String,
    /// The newest transaction whose changes were listed no more.
    pub forgotten: Xid,
}

/// The text is no snapshot or transaction number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a Postgres snapshot `xmin:xmax:running,…` or a transaction number")]
pub struct SnapshotError;

impl Snapshot {
    /// Whether the effects of `xid`, if it committed, were seen.
    #[must_use]
    pub fn sees(&self, xid: Xid) -> bool {
        xid < self.xmin || (xid < self.xmax && self.running.binary_search(&xid).is_err())
    }

    /// As Postgres writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Position {
    /// Whether the changes that are listed at `now` lead from here to there.
    #[must_use]
    pub(crate) fn leads_to(&self, now: &Self) -> bool {
        // What was forgotten before this position was seen by it. Of what was forgotten since, a transaction
        // below xmin is seen, so its changes are not needed; any other might be.
        let is_gap = now.forgotten != self.forgotten && now.forgotten >= self.snapshot.xmin;
        self.lineage == now.lineage && self.snapshot.xmax <= now.snapshot.xmax && !is_gap
    }
}

impl FromStr for Xid {
    type Err = SnapshotError;

    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        text.parse().map(Self).map_err(|_| SnapshotError)
    }
}

impl FromStr for Snapshot {
    type Err = SnapshotError;

    fn from_str(text: &str) -> Result<Self, SnapshotError> {
        let mut parts = text.splitn(3, ':');
        let mut next = || parts.next().ok_or(SnapshotError);
        let (xmin, xmax, running) = (next()?.parse()?, next()?.parse()?, next()?);
        let mut running = running
            .split(',')
            .filter(|part| !part.is_empty())
            .map(Xid::from_str)
            .collect::<Result<Vec<_>, _>>()?;
        running.sort_unstable();
        Ok(Self { text: text.to_owned(), xmin, xmax, running: running.into() })
    }
}

impl TryFrom<String> for Snapshot {
    type Error = SnapshotError;

    fn try_from(text: String) -> Result<Self, SnapshotError> {
        text.parse()
    }
}

impl From<Snapshot> for String {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.text
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn running_and_later_transactions_are_not_seen() {
        let snapshot: Snapshot = "10:20:10,14,15".parse().unwrap();
        for (xid, seen) in
            [(9, true), (10, false), (11, true), (14, false), (19, true), (20, false)]
        {
            assert_eq!(snapshot.sees(Xid(xid)), seen, "{xid}");
        }
        let quiet: Snapshot = "7:7:".parse().unwrap();
        assert!(quiet.sees(Xid(6)) && !quiet.sees(Xid(7)));
    }

    #[test]
    fn a_forgotten_change_another_database_and_an_earlier_moment_are_gaps() {
        let position = |snapshot: &str, lineage: &str, forgotten| Position {
            snapshot: snapshot.parse().unwrap(),
            lineage: lineage.to_owned(),
            forgotten: Xid(forgotten),
        };
        let here = position("10:20:10,14", "a", 0);
        assert!(here.leads_to(&position("30:30:", "a", 9)));
        assert!(here.leads_to(&here));
        assert!(!here.leads_to(&position("30:30:", "a", 10)));
        assert!(!here.leads_to(&position("30:30:", "b", 0)));
        assert!(!here.leads_to(&position("15:15:", "a", 0)));
        // A transaction that stays open holds xmin down; what had been forgotten is no gap for that.
        let after = position("10:20:10,14", "a", 15);
        assert!(after.leads_to(&position("10:30:10", "a", 15)));
        assert!(!after.leads_to(&position("10:30:10", "a", 16)));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "[0-9:,a ]{0,30}") {
            let _ = text.parse::<Snapshot>();
        }
    }
}
