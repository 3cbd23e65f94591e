//! Billing periods: half-open, computed from the anchor and never from the previous end, so that a
//! subscription anchored on the 31st ends February on its last day and March on the 31st again.

use jiff::civil::{DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::plan::BillingCycle;

/// A half-open stretch of time, `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// Its first instant.
    pub start: Timestamp,
    /// The first instant after it.
    pub end: Timestamp,
}

/// The period would leave the range of time that can be reckoned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the period is out of range")]
pub struct PeriodError;

impl Period {
    /// The first period of a subscription anchored at `anchor`.
    ///
    /// # Errors
    /// When it ends beyond the range of time.
    pub fn first(
        anchor: Timestamp,
        cycle: BillingCycle,
        zone: &TimeZone,
    ) -> Result<Self, PeriodError> {
        Self::nth(anchor, cycle, zone, 0)
    }

    /// The period number `index`, from 0, of a subscription anchored at `anchor`, in the tenant's time zone.
    ///
    /// # Errors
    /// When it ends beyond the range of time.
    pub fn nth(
        anchor: Timestamp,
        cycle: BillingCycle,
        zone: &TimeZone,
        index: u32,
    ) -> Result<Self, PeriodError> {
        let index = i64::from(index);
        let boundary = |index| boundary(anchor, cycle, zone, index);
        Ok(Self { start: boundary(index)?, end: boundary(index + 1)? })
    }

    /// Whether `at` lies within.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }

    /// Its length in whole seconds, leap seconds apart.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.end.as_second() - self.start.as_second()
    }
}

/// Where the month of `at` begins in `zone`: the anchor of what is billed by the calendar month.
///
/// # Errors
/// When that is beyond the range of time.
pub fn month_of(at: Timestamp, zone: &TimeZone) -> Result<Timestamp, PeriodError> {
    let first = at.to_zoned(zone.clone()).date().first_of_month();
    instant(first.to_datetime(Time::midnight()), zone)
}

fn boundary(
    anchor: Timestamp,
    cycle: BillingCycle,
    zone: &TimeZone,
    index: i64,
) -> Result<Timestamp, PeriodError> {
    if index == 0 {
        return Ok(anchor);
    }
    let span =
        Span::new().try_months(index * i64::from(cycle.months())).map_err(|_| PeriodError)?;
    let local = anchor.to_zoned(zone.clone()).datetime();
    instant(local.checked_add(span).map_err(|_| PeriodError)?, zone)
}

/// When the clocks of `zone` show `local`: of two such instants the earlier; where they skip it, the first
/// instant after the gap.
fn instant(local: DateTime, zone: &TimeZone) -> Result<Timestamp, PeriodError> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    // Of a skipped time this is one past the gap, by as much as was skipped.
    let instant = ambiguous.compatible().map_err(|_| PeriodError)?;
    if !gap {
        return Ok(instant);
    }
    let after = instant.checked_add(Span::new().nanoseconds(1)).map_err(|_| PeriodError)?;
    let transition = zone.preceding(after).next().ok_or(PeriodError)?;
    Ok(transition.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ends(anchor: &str, cycle: BillingCycle, count: u32) -> Vec<String> {
        let nth = |index| Period::nth(at(anchor), cycle, &TimeZone::UTC, index).unwrap();
        (0..count).map(|index| nth(index).end.to_string()[..10].to_owned()).collect()
    }

    #[test]
    fn february_period_of_a_tenant_anchored_on_the_31st_ends_on_its_last_day_and_march_on_the_31st()
    {
        assert_eq!(
            ends("2027-01-31T00:00:00Z", BillingCycle::Monthly, 4),
            ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]
        );
    }

    #[test]
    fn a_year_from_a_leap_day_ends_on_the_28th_and_returns_to_the_29th() {
        assert_eq!(
            ends("2028-02-29T12:00:00Z", BillingCycle::Yearly, 4),
            ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]
        );
    }

    #[test]
    fn a_month_with_a_clock_change_keeps_the_local_hour() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let anchor = at("2027-03-14T23:00:00Z");
        let period = Period::first(anchor, BillingCycle::Monthly, &zone).unwrap();
        assert_eq!(period.end, at("2027-04-14T22:00:00Z"));
    }

    #[test]
    fn a_boundary_that_the_clocks_skip_is_the_first_instant_after_and_of_two_the_earlier() {
        let zone = TimeZone::get("America/New_York").unwrap();
        for (anchor, index, end) in [
            // 02:30 and 02:00 do not exist on 14 March 2027; 03:00 is the first time that does.
            ("2027-02-14T02:30:00-05:00", 0, "2027-03-14T03:00:00-04:00"),
            ("2027-02-14T02:00:00-05:00", 0, "2027-03-14T03:00:00-04:00"),
            ("2027-02-14T02:30:00-05:00", 1, "2027-04-14T02:30:00-04:00"),
            // 01:30 comes twice on 7 November 2027.
            ("2027-10-07T01:30:00-04:00", 0, "2027-11-07T01:30:00-04:00"),
        ] {
            let period = Period::nth(at(anchor), BillingCycle::Monthly, &zone, index).unwrap();
            assert_eq!(period.end, at(end), "{anchor}");
        }
    }

    #[test]
    fn march_2026_in_new_york_has_743_hours() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let anchor = month_of(at("2026-03-20T12:00:00Z"), &zone).unwrap();
        assert_eq!(anchor, at("2026-03-01T00:00:00-05:00"));
        let march = Period::first(anchor, BillingCycle::PayAsYouGo, &zone).unwrap();
        assert_eq!(march.seconds(), 743 * 3600);
        assert_eq!(march.end, at("2026-04-01T00:00:00-04:00"));
    }

    proptest! {
        #[test]
        fn periods_follow_each_other_without_gap_or_overlap(
            seconds in 0_i64..4_000_000_000,
            index in 0_u32..600,
            zone in proptest::sample::select(vec!["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]),
        ) {
            let zone = TimeZone::get(zone).unwrap();
            let anchor = Timestamp::from_second(seconds).unwrap();
            let nth = |index| Period::nth(anchor, BillingCycle::Monthly, &zone, index).unwrap();
            prop_assert_eq!(nth(index).end, nth(index + 1).start);
            prop_assert!(nth(index).start < nth(index).end);
        }
    }
}
