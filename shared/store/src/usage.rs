//! What was counted of a tenant's use, for whoever shows it or goes by it. Written by the roll-up alone.

use std::collections::BTreeMap;

use domain::id::ApiKeyId;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{TenantTx, Tx};

/// Most points of a series that are read.
const POINTS_MAX: i64 = 20_000;

/// How long a bucket of a series is. In the tenant's time zone, and cut where a billing period begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A billing period.
    Period,
}

impl Granularity {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Period => "period",
        }
    }
}

/// What the points of a bucket are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The API key.
    Key,
    /// The route.
    Route,
    /// What became of the request: the class of its status, or that it was refused.
    Status,
}

impl GroupBy {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Route => "route",
            Self::Status => "status",
        }
    }
}

/// Which series is wanted.
#[derive(Debug, Clone)]
pub struct SeriesQuery {
    /// Buckets that begin here or later.
    pub from: Timestamp,
    /// Buckets that begin before.
    pub to: Timestamp,
    /// How long they are.
    pub granularity: Granularity,
    /// Of this meter only.
    pub meter: Option<String>,
    /// Told apart by this.
    pub group_by: Option<GroupBy>,
}

/// One figure of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When its bucket begins.
    pub starts_at: Timestamp,
    /// The meter.
    pub meter: String,
    /// The API key; `None` for people, and where points are not told apart by it.
    pub api_key_id: Option<ApiKeyId>,
    /// The route or the status; `None` where points are not told apart by one.
    pub group: Option<String>,
    /// How much.
    pub quantity: u64,
}

/// What was used in the period that began at `period_start`, by meter. Levels, which stay until another is told,
/// are those that were told last, in whichever period.
///
/// # Errors
/// When the database is gone.
pub async fn totals(
    tx: &mut TenantTx,
    period_start: Timestamp,
) -> Result<BTreeMap<String, u64>, Error> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT ON (meter) meter AS "meter!", quantity AS "quantity!"
        FROM usage_periods
        LEFT JOIN meters ON meters.name = meter
        WHERE tenant_id = $1
            AND (period = date_trunc('minute', $2::timestamptz, 'UTC')
                OR (aggregation = 'latest' AND period <= $2))
        ORDER BY meter, period DESC"#,
        tx.tenant_id() as _,
        period_start.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.meter, row.quantity.unsigned_abs())).collect())
}

/// A series. What was refused or failed is in it only where points are told apart by the status. `None`: it would
/// have too many points.
///
/// # Errors
/// When the database is gone.
pub async fn series(tx: &mut TenantTx, query: &SeriesQuery) -> Result<Option<Vec<Point>>, Error> {
    let points = match (query.group_by, query.granularity) {
        (None, Granularity::Day) => days(tx, query).await?,
        (None, Granularity::Period) => periods(tx, query).await?,
        _ => from_hours(tx, query).await?,
    };
    let full = i64::try_from(points.len()).is_ok_and(|points| points >= POINTS_MAX);
    Ok((!full).then_some(points))
}

async fn days(tx: &mut TenantTx, query: &SeriesQuery) -> Result<Vec<Point>, Error> {
    let rows = sqlx::query!(
        r#"SELECT day AS "starts_at!", meter AS "meter!", sum(quantity)::bigint AS "quantity!"
        FROM usage_days
        WHERE tenant_id = $1 AND day >= $2 AND day < $3 AND ($4::text IS NULL OR meter = $4)
            AND outcome NOT IN ('5xx', 'refused')
        GROUP BY day, meter
        ORDER BY day, meter
        LIMIT $5"#,
        tx.tenant_id() as _,
        query.from.to_sqlx() as _,
        query.to.to_sqlx() as _,
        query.meter,
        POINTS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(|row| (row.starts_at.to_jiff(), row.meter, row.quantity));
    Ok(rows.map(plain).collect())
}

async fn periods(tx: &mut TenantTx, query: &SeriesQuery) -> Result<Vec<Point>, Error> {
    let rows = sqlx::query!(
        r#"SELECT period AS "starts_at!", meter AS "meter!", quantity AS "quantity!"
        FROM usage_periods
        WHERE tenant_id = $1 AND period >= $2 AND period < $3 AND ($4::text IS NULL OR meter = $4)
        ORDER BY period, meter
        LIMIT $5"#,
        tx.tenant_id() as _,
        query.from.to_sqlx() as _,
        query.to.to_sqlx() as _,
        query.meter,
        POINTS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows.into_iter().map(|row| (row.starts_at.to_jiff(), row.meter, row.quantity));
    Ok(rows.map(plain).collect())
}

fn plain((starts_at, meter, quantity): (Timestamp, String, i64)) -> Point {
    Point { starts_at, meter, api_key_id: None, group: None, quantity: quantity.unsigned_abs() }
}

/// Hours, and whatever is told apart: days and periods are not kept by key, route and status. How many different
/// values there were is not told apart either.
async fn from_hours(tx: &mut TenantTx, query: &SeriesQuery) -> Result<Vec<Point>, Error> {
    let rows = sqlx::query!(
        r#"SELECT bucket AS "starts_at!", meter AS "meter!", api_key_id AS "api_key_id: ApiKeyId",
            "group", quantity AS "quantity!"
        FROM (
            SELECT
                CASE $5 WHEN 'hour' THEN starts_at WHEN 'day' THEN day ELSE period END AS bucket,
                meter,
                CASE WHEN $6 = 'key'
                    THEN nullif(api_key_id, '00000000-0000-0000-0000-000000000000') END AS api_key_id,
                CASE $6 WHEN 'route' THEN nullif(route, '') WHEN 'status' THEN nullif(outcome, '') END AS "group",
                CASE max(aggregation)
                    WHEN 'max' THEN max(quantity)
                    WHEN 'latest' THEN (array_agg(quantity ORDER BY latest_at DESC, latest_id DESC))[1]
                    ELSE sum(quantity)::bigint
                END AS quantity
            FROM usage_hours
            LEFT JOIN meters ON meters.name = meter
            WHERE tenant_id = $1 AND starts_at >= $2 AND starts_at < $3 AND ($4::text IS NULL OR meter = $4)
                AND ($6 = 'status' OR outcome NOT IN ('5xx', 'refused'))
            GROUP BY 1, 2, 3, 4
            UNION ALL
            SELECT starts_at, meter, NULL, NULL, count(*)
            FROM usage_uniques
            WHERE tenant_id = $1 AND starts_at >= $2 AND starts_at < $3 AND ($4::text IS NULL OR meter = $4)
                AND $6 = ''
            GROUP BY starts_at, meter
        ) AS points
        ORDER BY bucket, meter, quantity DESC
        LIMIT $7"#,
        tx.tenant_id() as _,
        query.from.to_sqlx() as _,
        query.to.to_sqlx() as _,
        query.meter,
        query.granularity.as_str(),
        query.group_by.map_or("", GroupBy::as_str),
        POINTS_MAX
    )
    .fetch_all(tx.connection())
    .await?;
    let points = rows.into_iter().map(|row| Point {
        starts_at: row.starts_at.to_jiff(),
        meter: row.meter,
        api_key_id: row.api_key_id,
        group: row.group,
        quantity: row.quantity.unsigned_abs(),
    });
    Ok(points.collect())
}

/// Everything that was counted before this moment is in the figures.
///
/// # Errors
/// When the database is gone.
pub async fn complete_until(tx: &mut impl Tx) -> Result<Timestamp, Error> {
    let until =
        sqlx::query_scalar!(r#"SELECT usage_complete_until() AS "until!: jiff_sqlx::Timestamp""#)
            .fetch_one(tx.connection())
            .await?;
    Ok(until.to_jiff())
}
