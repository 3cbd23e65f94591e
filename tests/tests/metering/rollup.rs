//! Any order, split and repetition of batches and events gives the same roll-up.
//!
//! Two tenants are told the same: one all at once and in order, the other shuffled, in pieces, with repetitions,
//! and rolled up in between. Then every table says the same of both, and what it says is what was told.

use std::collections::BTreeMap;

use harness::{Servers, variable};
use jiff::{Timestamp, ToSpan as _};
use jiff_sqlx::ToSqlx as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

const ZONES: [&str; 4] = ["UTC", "Asia/Kolkata", "America/New_York", "Not/AZone"];
const METERS: [&str; 3] = ["", "messages", "pages"];
const EVENT_METERS: [&str; 5] = ["automation_runs", "storage_mb", "peak", "visits", "readers"];

/// Requests of one minute that are alike.
#[derive(Debug, Clone)]
struct Count {
    minute: Timestamp,
    route: u8,
    meter: &'static str,
    outcome: i16,
    key: u128,
    user: u128,
    requests: i64,
}

#[derive(Debug, Clone)]
struct Event {
    at: Timestamp,
    meter: &'static str,
    quantity: i64,
    id: u64,
    value: u128,
}

struct Told {
    counts: Vec<Count>,
    events: Vec<Event>,
}

impl Told {
    fn random(dice: &mut StdRng) -> Self {
        // Around the end of summer time in New York, and over two ends of a period.
        let start: Timestamp = "2026-10-31T20:00:00Z".parse().expect("a time");
        let minute = |dice: &mut StdRng| start + dice.random_range(0..4 * 24 * 60).minutes();
        let counts = (0..dice.random_range(1..120)).map(|_| Count {
            minute: minute(dice),
            route: dice.random_range(0..3),
            meter: METERS[dice.random_range(0..METERS.len())],
            outcome: dice.random_range(0..5),
            key: dice.random_range(0..3),
            user: dice.random_range(0..4),
            requests: dice.random_range(1..50),
        });
        let counts = counts.collect();
        let events = (0..dice.random_range(1..120)).map(|id| Event {
            at: minute(dice) + dice.random_range(0..60_000_000_i64).microseconds(),
            meter: EVENT_METERS[dice.random_range(0..EVENT_METERS.len())],
            quantity: dice.random_range(0..1_000),
            id,
            value: dice.random_range(0..6),
        });
        Self { counts, events: events.collect() }
    }
}

struct Teller<'c> {
    connection: &'c mut PgConnection,
    tenant: Uuid,
    boot: Uuid,
    number: i64,
    total: i64,
}

impl Teller<'_> {
    /// Submits the counts of one minute as one batch; again under the same number if `twice`.
    async fn batch(&mut self, counts: &[Count], twice: bool) {
        let Some(first) = counts.first() else { return };
        self.number += 1;
        let texts = |text: fn(&Count) -> String| counts.iter().map(text).collect::<Vec<_>>();
        let ids = |id: fn(&Count) -> u128| {
            counts.iter().map(|count| Uuid::from_u128(id(count))).collect::<Vec<_>>()
        };
        let places: Vec<i32> = (1..=i32::try_from(counts.len()).expect("few")).collect();
        let requests: Vec<i64> = counts.iter().map(|count| count.requests).collect();
        for round in 0..=i32::from(twice) {
            let sql = "SELECT edge.submit_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
            let new: bool = sqlx::query_scalar(sql)
                .bind(Uuid::from_u128(7))
                .bind(self.boot)
                .bind(self.number)
                .bind(first.minute.to_sqlx())
                .bind(self.total)
                .bind(texts(|count| format!("/route/{}", count.route)))
                .bind(texts(|count| count.meter.to_owned()))
                .bind(counts.iter().map(weight).collect::<Vec<_>>())
                .bind(vec![self.tenant; counts.len()])
                .bind(places.clone())
                .bind(requests.clone())
                .bind(ids(|count| count.key))
                .bind(ids(|count| count.user))
                .bind(counts.iter().map(|count| count.outcome).collect::<Vec<_>>())
                .fetch_one(&mut *self.connection)
                .await
                .expect("a batch");
            assert_eq!(new, round == 0);
        }
        self.total += requests.iter().sum::<i64>();
    }

    async fn call(&mut self, events: &[Event]) {
        let sql = "SELECT submit_usage_events($1, $2, $3, $4, $5, $6, $7, $8)";
        // The tenant comes last, so that both tenants' events are in one order.
        let fingerprint = |event: &Event| {
            Uuid::from_u128((u128::from(event.id) << 64) | (self.tenant.as_u128() >> 64))
        };
        let values = events
            .iter()
            .map(|event| (event.meter == "readers").then(|| Uuid::from_u128(event.value)));
        let _: Vec<i16> = sqlx::query_scalar(sql)
            .bind(Uuid::from_u128(9))
            .bind(Uuid::from_u128(rand::random()))
            .bind(vec![self.tenant; events.len()])
            .bind(events.iter().map(|event| event.meter.to_owned()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.at.to_sqlx()).collect::<Vec<_>>())
            .bind(events.iter().map(|event| event.quantity).collect::<Vec<_>>())
            .bind(events.iter().map(fingerprint).collect::<Vec<_>>())
            .bind(values.collect::<Vec<_>>())
            .fetch_one(&mut *self.connection)
            .await
            .expect("a call");
    }

    async fn roll_up(&mut self, batches: i32) {
        for step in [format!("SELECT fold_usage({batches})"), "SELECT settle_usage(3)".to_owned()] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(step))
                .execute(&mut *self.connection)
                .await
                .expect("a step of the roll-up");
        }
    }
}

fn weight(count: &Count) -> i64 {
    if count.meter == "pages" { 7 } else { i64::from(!count.meter.is_empty()) }
}

/// All rows of a table about a tenant, as text without the tenant.
async fn rows(connection: &mut PgConnection, table: &str, tenant: Uuid) -> Vec<String> {
    let sql = format!(
        "SELECT (to_jsonb(told) - 'tenant_id' - 'latest_id')::text
         FROM {table} AS told WHERE tenant_id = '{tenant}' ORDER BY 1"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await.expect("rows")
}

async fn tenant(connection: &mut PgConnection, id: Uuid, zone: &str) {
    let sql = format!(
        "INSERT INTO tenants (id, name, subdomain, status, time_zone, created_at, updated_at)
         VALUES ('{id}', 'T', 't{}', 'Active', '{zone}', now(), now());
         INSERT INTO subscription_periods (tenant_id, starts_at, ends_at)
         VALUES ('{id}', '2026-10-02 07:11:13+00', '2026-11-02 07:11:13+00'),
             ('{id}', '2026-11-03 00:30:59+00', '2026-12-03 00:30:59+00')",
        id.simple()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.expect("a tenant");
}

/// One of each aggregation that the shipped catalogue lacks.
async fn meters(connection: &mut PgConnection) {
    let more = "INSERT INTO meters (name, aggregation, source, title, unit, created_at) VALUES
        ('peak', 'max', 'events', 'Peak', 'unit', now()), ('visits', 'count', 'events', 'Visits', 'visit', now()),
        ('readers', 'unique', 'events', 'Readers', 'reader', now())";
    sqlx::raw_sql(more).execute(connection).await.expect("meters");
}

/// What the counts and events come to over all time, by meter.
fn expected(told: &Told) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for count in told.counts.iter().filter(|count| count.outcome <= 2) {
        *sums.entry("api_calls".to_owned()).or_default() += count.requests;
        if !count.meter.is_empty() {
            *sums.entry(count.meter.to_owned()).or_default() += count.requests * weight(count);
        }
    }
    for event in &told.events {
        match event.meter {
            "automation_runs" => *sums.entry(event.meter.to_owned()).or_default() += event.quantity,
            "visits" => *sums.entry(event.meter.to_owned()).or_default() += 1,
            _ => {}
        }
    }
    sums
}

async fn one_world(connection: &mut PgConnection, dice: &mut StdRng, zone: &str) {
    let told = Told::random(dice);
    // Of one high half: shared fingerprints then keep the order of the events.
    let ids = [Uuid::from_u128(dice.random()), Uuid::from_u128(dice.random())];
    for id in ids {
        tenant(connection, id, zone).await;
    }

    let boot = |dice: &mut StdRng| Uuid::from_u128(dice.random());
    let mut plain = Teller { connection, tenant: ids[0], boot: boot(dice), number: 0, total: 0 };
    for count in &told.counts {
        plain.batch(std::slice::from_ref(count), false).await;
    }
    plain.call(&told.events).await;
    plain.roll_up(10_000).await;

    let mut pieces = Vec::new();
    for count in &told.counts {
        let first = dice.random_range(0..=count.requests);
        for requests in [first, count.requests - first] {
            pieces.extend((requests > 0).then(|| Count { requests, ..count.clone() }));
        }
    }
    pieces.shuffle(dice);
    let mut events = told.events.clone();
    events.extend(told.events.iter().filter(|event| event.id % 3 == 0).cloned());
    events.shuffle(dice);
    let mut shuffled = Teller { connection, tenant: ids[1], boot: boot(dice), number: 0, total: 0 };
    let (mut pieces, mut events) = (pieces.as_slice(), events.as_slice());
    while !(pieces.is_empty() && events.is_empty()) {
        // Batches are of one minute.
        let alike = pieces.iter().take_while(|count| count.minute == pieces[0].minute).count();
        let (batch, rest) = pieces.split_at(alike);
        shuffled.batch(batch, dice.random_bool(0.3)).await;
        pieces = rest;
        let (call, rest) = events.split_at(dice.random_range(0..=events.len().min(9)));
        if !call.is_empty() {
            shuffled.call(call).await;
        }
        events = rest;
        if dice.random_bool(0.1) {
            shuffled.roll_up(dice.random_range(1..5)).await;
        }
    }
    shuffled.roll_up(10_000).await;
    for _ in 0..60 {
        shuffled.roll_up(1).await;
    }

    for table in ["usage_hours", "usage_uniques", "usage_days", "usage_periods"] {
        let (one, other) =
            (rows(connection, table, ids[0]).await, rows(connection, table, ids[1]).await);
        assert!(!one.is_empty() || table == "usage_uniques", "{table} is empty");
        assert_eq!(one, other, "{table} in {zone}");
    }
    let expected = expected(&told);
    for (table, column) in
        [("usage_hours", "outcome"), ("usage_days", "outcome"), ("usage_periods", "''")]
    {
        let sql = format!(
            "SELECT meter, sum(quantity)::bigint FROM {table} LEFT JOIN meters ON name = meter
             WHERE tenant_id = '{}' AND {column} NOT IN ('5xx', 'refused')
                 AND coalesce(aggregation, 'sum') IN ('sum', 'count')
             GROUP BY 1 HAVING sum(quantity) > 0",
            ids[1]
        );
        let found = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await;
        let found: BTreeMap<String, i64> =
            found.expect("sums").into_iter().map(|row| (row.get(0), row.get(1))).collect();
        let expected: BTreeMap<_, _> =
            expected.clone().into_iter().filter(|(_, sum)| *sum > 0).collect();
        assert_eq!(found, expected, "{table} in {zone}");
    }
}

/// At full scale: 400 worlds.
#[tokio::test]
async fn order_split_and_repetition_do_not_matter() {
    let given = variable("HARNESS_SEED").and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let database = Servers::shared().await.database().await;
    let connection = &mut database.connect().await;
    meters(connection).await;
    let worlds = if variable("HARNESS_SOAK").is_some() { 400 } else { 8 };
    for world in 0..worlds {
        one_world(connection, &mut dice, ZONES[world % ZONES.len()]).await;
    }
    let wrong: Vec<String> = sqlx::query_scalar(
        "SELECT to_jsonb(wrong)::text FROM check_usage('2026-10-01 00:00+00') AS wrong",
    )
    .fetch_all(connection)
    .await
    .expect("a check");
    assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
}

/// The check itself: each stage that is tampered with is named with its bucket.
#[tokio::test]
async fn a_wrong_sum_is_found_at_its_stage() {
    let database = Servers::shared().await.database().await;
    let connection = &mut database.connect().await;
    let mut dice = StdRng::seed_from_u64(5);
    meters(connection).await;
    one_world(connection, &mut dice, "Asia/Kolkata").await;
    let tampering = [
        ("hours", "UPDATE usage_hours SET quantity = quantity + 1
            WHERE meter = 'api_calls' AND starts_at = (SELECT max(starts_at) FROM usage_hours WHERE meter = 'api_calls')"),
        ("hours", "DELETE FROM usage_hours WHERE meter = 'api_calls'
            AND starts_at = (SELECT min(starts_at) FROM usage_hours WHERE meter = 'api_calls')"),
        ("days", "UPDATE usage_days SET quantity = 0 WHERE meter = 'api_calls'
            AND day = (SELECT max(day) FROM usage_days WHERE meter = 'api_calls')"),
        ("days", "DELETE FROM usage_days WHERE meter = 'api_calls'"),
        ("periods", "UPDATE usage_periods SET quantity = quantity - 1 WHERE meter = 'api_calls'"),
        ("spool", "DELETE FROM usage_batches WHERE kind = 'edge' AND number = 1"),
        ("spool", "UPDATE usage_batches SET requests = requests + 1 WHERE kind = 'edge' AND number = 1"),
    ];
    for (stage, sql) in tampering {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await.expect("a transaction");
        sqlx::raw_sql(sql).execute(&mut *connection).await.expect("a change");
        let stages: Vec<String> =
            sqlx::query_scalar("SELECT stage FROM check_usage('2026-10-01 00:00+00')")
                .fetch_all(&mut *connection)
                .await
                .expect("a check");
        assert!(stages.iter().any(|found| found == stage), "{sql}: {stages:?}");
        sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await.expect("as it was");
    }
}
