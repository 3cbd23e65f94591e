//! Usage over time: which series is asked for, and how it is shown.

use std::collections::BTreeSet;

use billing::Subscription;
use domain::faults::Faults;
use domain::meter::MeterName;
use domain::time_zone::NamedTimeZone;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use store::usage::{Granularity, GroupBy, Point, SeriesQuery};
use utoipa::{IntoParams, ToSchema};

/// Longest span of a series by the hour, in days.
const HOURS_DAYS_MAX: i64 = 62;
/// Longest span of any series, in days.
const DAYS_MAX: i64 = 800;

/// Which series is wanted. Without any of these there is none.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct UsageQuery {
    /// Buckets that begin here or later: a time (RFC 3339), or a date in the tenant's time zone. The running period's
    /// begin when left out.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Buckets that begin before. Now when left out.
    #[param(example = "2026-12-01")]
    to: Option<String>,
    /// `hour`, `day` (the default) or `period`, in the tenant's time zone.
    #[param(example = "day")]
    granularity: Option<String>,
    /// One meter; all when left out.
    #[param(example = "api_calls")]
    meter: Option<String>,
    /// `key`, `route` or `status`. By status, what was refused or failed is shown, too, which is not billed. How many
    /// different values there were (`unique`) is not told apart.
    #[param(example = "route")]
    group_by: Option<String>,
}

/// One figure.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointBody {
    /// When the bucket begins. A billing period's begin is also one of its hours and days.
    #[schema(example = "2026-11-24T00:00:00Z")]
    starts_at: String,
    #[schema(example = "api_calls")]
    meter: String,
    #[schema(example = 120)]
    quantity: u64,
    /// With `group_by=key`: the API key; `null` for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<Option<String>>,
    /// With `group_by=route`: its path; `null` for what was not a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/api/v1/dashboard")]
    route: Option<Option<String>>,
    /// With `group_by=status`: `2xx`, `3xx`, `4xx`, `5xx` or `refused`; `null` for what was not a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Option<String>>,
}

/// Usage over time. Buckets without usage are left out.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeriesBody {
    from: String,
    to: String,
    #[schema(example = "day")]
    granularity: &'static str,
    data: Vec<PointBody>,
}

impl UsageQuery {
    /// Whether a series is asked for.
    pub(super) fn wants_series(&self) -> bool {
        let Self { from, to, granularity, meter, group_by } = self;
        [from, to, granularity, meter, group_by].into_iter().any(Option::is_some)
    }

    /// The series that is asked for, of a tenant in `zone` with the meters `known`.
    pub(super) fn parse(
        self,
        zone: &str,
        subscription: &Subscription,
        known: &BTreeSet<MeterName>,
        now: Timestamp,
    ) -> Result<SeriesQuery, Faults> {
        let mut faults = Faults::new();
        let zone = zone.parse::<NamedTimeZone>();
        let zone = zone.map_or(TimeZone::UTC, |zone| zone.zone().clone());
        let mut time = |pointer, text: Option<String>, default| match text {
            None => Some(default),
            Some(text) => faults.check(
                pointer,
                instant(&text, &zone)
                    .ok_or("must be a time such as `2026-11-01T00:00:00Z`, or a date"),
            ),
        };
        // The minute in which a period begins belongs to it.
        let second = subscription.period.start.as_second();
        let minute = Timestamp::from_second(second - second.rem_euclid(60));
        let period_start = minute.unwrap_or(subscription.period.start);
        let from = time("/from", self.from, period_start);
        let to = time("/to", self.to, now);
        let granularity = match self.granularity.as_deref() {
            None | Some("day") => Some(Granularity::Day),
            Some("hour") => Some(Granularity::Hour),
            Some("period") => Some(Granularity::Period),
            Some(_) => faults.check("/granularity", Err("must be `hour`, `day` or `period`")),
        };
        let group_by = match self.group_by.as_deref() {
            None => Some(None),
            Some("key") => Some(Some(GroupBy::Key)),
            Some("route") => Some(Some(GroupBy::Route)),
            Some("status") => Some(Some(GroupBy::Status)),
            Some(_) => faults.check("/group_by", Err("must be `key`, `route` or `status`")),
        };
        if let Some(meter) = &self.meter
            && !known.contains(meter.as_str())
        {
            let names: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            faults.push("/meter", format!("must be one of {}", names.join(", ")));
        }
        if let (Some(from), Some(to), Some(granularity)) = (from, to, granularity) {
            let days_max = match granularity {
                Granularity::Hour => HOURS_DAYS_MAX,
                Granularity::Day | Granularity::Period => DAYS_MAX,
            };
            if from > to {
                faults.push("/to", "must not be before `from`");
            } else if to.duration_since(from).as_hours() > days_max * 24 {
                faults.push("/from", format!("must be at most {days_max} days before `to`"));
            }
        }
        let meter = self.meter;
        let query = from.zip(to).zip(granularity.zip(group_by)).map(
            |((from, to), (granularity, group_by))| SeriesQuery {
                from,
                to,
                granularity,
                meter,
                group_by,
            },
        );
        faults.finish(query)
    }
}

/// A time, or the first instant of a date in `zone`.
fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let instant = text.parse::<Timestamp>().ok();
    let date = || text.parse::<Date>().ok()?.to_zoned(zone.clone()).ok();
    let instant = instant.or_else(|| date().map(|zoned| zoned.timestamp()));
    // What the database reckons with.
    instant.filter(|instant| (0..253_370_764_800).contains(&instant.as_second()))
}

impl SeriesBody {
    pub(super) fn new(query: &SeriesQuery, points: Vec<Point>) -> Self {
        let granularity = match query.granularity {
            Granularity::Hour => "hour",
            Granularity::Day => "day",
            Granularity::Period => "period",
        };
        let by = |group| query.group_by == Some(group);
        let body = |point: Point| PointBody {
            starts_at: point.starts_at.to_string(),
            meter: point.meter,
            quantity: point.quantity,
            api_key_id: by(GroupBy::Key).then(|| point.api_key_id.map(|id| id.to_string())),
            route: by(GroupBy::Route).then(|| point.group.clone()),
            status: by(GroupBy::Status).then_some(point.group),
        };
        Self {
            from: query.from.to_string(),
            to: query.to.to_string(),
            granularity,
            data: points.into_iter().map(body).collect(),
        }
    }
}
