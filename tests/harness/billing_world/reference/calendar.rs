//! Boundaries of periods, reckoned from year, month and day (§2.1).

use anyhow::{Context, Result};
use domain::plan::BillingCycle;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The end of period `index`, from 0, of what is anchored at `anchor`.
pub(super) fn boundary(
    anchor: Timestamp,
    cycle: BillingCycle,
    zone: &TimeZone,
    index: i32,
) -> Result<Timestamp> {
    let local = anchor.to_zoned(zone.clone()).datetime();
    let step = if cycle == BillingCycle::Yearly { 12 } else { 1 };
    let months = i32::from(local.year()) * 12 + i32::from(local.month()) - 1 + (index + 1) * step;
    let (year, month) = (i16::try_from(months / 12)?, i8::try_from(months % 12 + 1)?);
    let day = local.day().min(days_of(year, month));
    first_shown(Date::new(year, month, day)?.to_datetime(local.time()), zone)
}

/// The first of the month of `at`, midnight.
pub(super) fn month_start(at: Timestamp, zone: &TimeZone) -> Result<Timestamp> {
    let date = at.to_zoned(zone.clone()).date();
    first_shown(Date::new(date.year(), date.month(), 1)?.at(0, 0, 0, 0), zone)
}

const fn days_of(year: i16, month: i8) -> i8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The first instant at which clocks show `local`; where they skip it, the first at which they show more.
fn first_shown(local: DateTime, zone: &TimeZone) -> Result<Timestamp> {
    let utc = local.to_zoned(TimeZone::UTC)?.timestamp();
    let shown = |at: Timestamp| at.to_zoned(zone.clone()).datetime();
    // The offsets in force about then: of each, the instant that it would be.
    let days = SignedDuration::from_hours(36);
    let (mut before, mut after) = (utc - days, utc + days);
    let offsets = [before, after].map(|at| zone.to_offset(at));
    let exact =
        offsets.iter().map(|offset| utc - SignedDuration::from_secs(offset.seconds().into()));
    if let Some(found) = exact.filter(|at| shown(*at) == local).min() {
        return Ok(found);
    }
    // In a gap: clocks only go forward here, so it is found by halves.
    while after.duration_since(before) > SignedDuration::from_secs(1) {
        let half = after.duration_since(before).as_secs() / 2;
        let middle = before + SignedDuration::from_secs(half);
        if shown(middle) < local { before = middle } else { after = middle }
    }
    let second = after.as_second();
    Timestamp::from_second(second).context("out of range")
}
