//! The chasing of who does not pay: what happens on which day after the first failure, and at what time of that day
//! (`BILLING.md`, "Dunning"). Pure: who carries the steps out stores that they were.

use domain::time_zone::NamedTimeZone;
use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Below this, in minor units, nobody is charged or chased: it is carried forward to a later charge.
pub const CHASED_MIN_MINOR: i64 = 50;

/// Hours of the tenant's day at which it may hear from us.
const WAKING_HOURS: std::ops::Range<i8> = 8..20;

/// On which days, counted from that of the first failure, what happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Days", into = "Days")]
pub struct DunningSchedule(Days);

/// As it is written in settings and stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    /// What is owed is charged again; each time it fails there is a notice.
    retry_days: Vec<u16>,
    /// Nothing can be changed any more.
    read_only_day: u16,
    /// Nothing can be done any more but pay.
    billing_only_day: u16,
    /// The last notice.
    final_notice_day: u16,
    /// The subscription ends, and what is owed is given up.
    cancel_day: u16,
}

/// A schedule that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "days of dunning must ascend from 1: retry_days, then read_only_day (not before the last of them), billing_only_day, \
     final_notice_day and cancel_day, which may not be later than day 365"
)]
pub struct DunningScheduleError;

impl TryFrom<Days> for DunningSchedule {
    type Error = DunningScheduleError;

    fn try_from(days: Days) -> Result<Self, DunningScheduleError> {
        let ascending = days.retry_days.windows(2).all(|pair| pair[0] < pair[1]);
        let retried = days.retry_days.last().copied().unwrap_or(1);
        let order = [
            retried,
            days.read_only_day,
            days.billing_only_day,
            days.final_notice_day,
            days.cancel_day,
        ];
        let begins = days.retry_days.first().is_none_or(|first| *first >= 1);
        let rest = order.windows(2).all(|pair| pair[0] <= pair[1]);
        // The last notice is worth something only if there is a day left.
        let warned = days.final_notice_day < days.cancel_day && days.cancel_day <= 365;
        if ascending && begins && rest && warned {
            Ok(Self(days))
        } else {
            Err(DunningScheduleError)
        }
    }
}

impl From<DunningSchedule> for Days {
    fn from(schedule: DunningSchedule) -> Self {
        schedule.0
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DunningStep {
    /// What is owed is charged again; where nobody can charge it, who pays is asked again.
    Retry,
    /// The tenant can change nothing any more.
    ReadOnly,
    /// The tenant can do nothing any more but pay.
    BillingOnly,
    /// The last notice.
    FinalNotice,
    /// The subscription ends.
    Cancel,
}

impl DunningStep {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "Retry",
            Self::ReadOnly => "ReadOnly",
            Self::BillingOnly => "BillingOnly",
            Self::FinalNotice => "FinalNotice",
            Self::Cancel => "Cancel",
        }
    }
}

impl DunningSchedule {
    /// The steps in their order, each with its day.
    #[must_use]
    pub fn steps(&self) -> Vec<(u16, DunningStep)> {
        let days = &self.0;
        let retries = days.retry_days.iter().map(|day| (*day, DunningStep::Retry));
        let rest = [
            (days.read_only_day, DunningStep::ReadOnly),
            (days.billing_only_day, DunningStep::BillingOnly),
            (days.final_notice_day, DunningStep::FinalNotice),
            (days.cancel_day, DunningStep::Cancel),
        ];
        let mut steps: Vec<_> = retries.chain(rest).collect();
        steps.sort_unstable();
        steps
    }

    /// The step of a number, and when it is due for who failed first at `began_at`: at the same time of the tenant's day,
    /// or as near to it as people are awake. `spread`: any number of the tenant's, so that not all fall on one minute.
    ///
    /// `None` when there is no such step, or no such time.
    #[must_use]
    pub fn step(
        &self,
        number: usize,
        began_at: Timestamp,
        zone: &NamedTimeZone,
        spread: u128,
    ) -> Option<(DunningStep, Timestamp)> {
        let (day, step) = self.steps().get(number).copied()?;
        let began = began_at.to_zoned(zone.zone().clone());
        let on = began.date().checked_add(i64::from(day).days()).ok()?;
        let minute = i8::try_from(spread % 60).unwrap_or(0);
        let time = match began.hour() {
            early if early < WAKING_HOURS.start => {
                Time::new(WAKING_HOURS.start, minute, 0, 0).ok()?
            }
            late if late >= WAKING_HOURS.end => {
                Time::new(WAKING_HOURS.end - 1, minute, 0, 0).ok()?
            }
            _ => began.time(),
        };
        let at = on.to_datetime(time).to_zoned(zone.zone().clone()).ok()?.timestamp();
        Some((step, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule() -> DunningSchedule {
        let text = "retry_days = [1, 3, 5, 7, 10, 14]\nread_only_day = 14\nbilling_only_day = 21\n\
            final_notice_day = 27\ncancel_day = 30";
        toml::from_str(text).unwrap()
    }

    fn zone(name: &str) -> NamedTimeZone {
        name.parse().unwrap()
    }

    fn at(number: usize, began: &str, place: &str) -> String {
        let (step, at) = schedule().step(number, began.parse().unwrap(), &zone(place), 7).unwrap();
        format!("{step:?} {at}")
    }

    /// §2.9: finalised 2026-03-02 10:00, and the card fails.
    #[test]
    fn the_worked_example() {
        let all: Vec<_> = (0..10).map(|number| at(number, "2026-03-02T10:00:00Z", "UTC")).collect();
        expect_test::expect![[r#"
            [
                "Retry 2026-03-03T10:00:00Z",
                "Retry 2026-03-05T10:00:00Z",
                "Retry 2026-03-07T10:00:00Z",
                "Retry 2026-03-09T10:00:00Z",
                "Retry 2026-03-12T10:00:00Z",
                "Retry 2026-03-16T10:00:00Z",
                "ReadOnly 2026-03-16T10:00:00Z",
                "BillingOnly 2026-03-23T10:00:00Z",
                "FinalNotice 2026-03-29T10:00:00Z",
                "Cancel 2026-04-01T10:00:00Z",
            ]
        "#]]
        .assert_debug_eq(&all);
        let none = schedule().step(10, Timestamp::UNIX_EPOCH, &zone("UTC"), 0);
        assert_eq!(none, None);
    }

    #[test]
    fn nobody_is_called_at_night() {
        // 03:00 in Berlin.
        assert_eq!(at(0, "2026-03-02T02:00:00Z", "Europe/Berlin"), "Retry 2026-03-03T07:07:00Z");
        // 23:00 there; and the clocks go forward before the last day.
        assert_eq!(at(0, "2026-03-02T22:00:00Z", "Europe/Berlin"), "Retry 2026-03-03T18:07:00Z");
        assert_eq!(at(9, "2026-03-02T10:00:00Z", "Europe/Berlin"), "Cancel 2026-04-01T09:00:00Z");
    }

    #[test]
    fn schedules_that_make_no_sense_are_refused() {
        let days = |retry: &str, rest: [u16; 4]| {
            let [read_only, billing_only, notice, cancel] = rest;
            toml::from_str::<DunningSchedule>(&format!(
                "retry_days = {retry}\nread_only_day = {read_only}\nbilling_only_day = {billing_only}\n\
                 final_notice_day = {notice}\ncancel_day = {cancel}"
            ))
        };
        assert!(days("[]", [1, 1, 1, 2]).is_ok());
        for (retry, rest) in [
            ("[0, 1]", [14, 21, 27, 30]),
            ("[3, 1]", [14, 21, 27, 30]),
            ("[1, 15]", [14, 21, 27, 30]),
            ("[1]", [14, 13, 27, 30]),
            ("[1]", [14, 21, 30, 30]),
            ("[1]", [14, 21, 27, 366]),
        ] {
            assert!(days(retry, rest).is_err(), "{retry} {rest:?}");
        }
    }

    proptest! {
        #[test]
        fn steps_follow_each_other_by_day(
            began in 0_i64..4_000_000_000,
            spread: u128,
            place in proptest::sample::select(vec!["UTC", "Asia/Kathmandu", "America/St_Johns"]),
        ) {
            let began = Timestamp::from_second(began).unwrap();
            let zone = zone(place);
            let steps: Vec<_> =
                (0..10).map_while(|number| schedule().step(number, began, &zone, spread)).collect();
            prop_assert_eq!(steps.len(), 10);
            prop_assert!(steps.windows(2).all(|pair| pair[0].1 <= pair[1].1));
            prop_assert!(steps[0].1 > began);
            for (_, at) in steps {
                let hour = at.to_zoned(zone.zone().clone()).hour();
                prop_assert!(WAKING_HOURS.contains(&hour), "{}", hour);
            }
        }
    }
}
