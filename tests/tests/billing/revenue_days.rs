//! Revenue by its edges, from facts that an administrator wrote: on which day something was, how long it had been due,
//! which ranges there are, and who may ask at all.

use harness::{AppOptions, TestDatabase};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::desk::{Desk, settings};

/// Tenants by their number, each on Pro since long ago, in euros if the number is odd.
async fn tenants(desk: &Desk, count: u32) {
    let sql = format!(
        "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
        SELECT {id}, 'Tenant ' || n, 'tenant-' || n, 'Active', now(), now() FROM generate_series(0, {count} - 1) AS n;
        INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at, anchor,
            period_start, period_end)
        SELECT {id}, {id}, 'Pro', (SELECT max(version) FROM plan_versions WHERE plan = 'Pro'), 'Monthly',
            CASE n % 2 WHEN 1 THEN 'EUR' ELSE 'USD' END, 'Active', now(), now(), now(), now() + interval '20 days'
        FROM generate_series(0, {count} - 1) AS n",
        id = id("n")
    );
    desk.alter(&sql).await;
}

fn id(number: &str) -> String {
    format!("('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid")
}

/// The tenant pays so much a month from an instant on.
async fn pays(desk: &Desk, tenant: u32, at: &str, minor: i64) {
    let id = id(&tenant.to_string());
    desk.alter(&format!(
        "INSERT INTO revenue_movements (tenant_id, subscription_id, at, kind, currency, from_plan, to_plan,
            from_minor, to_minor)
        SELECT tenant_id, id, '{at}', 'New', currency, 'Free', 'Pro', 0, {minor}
        FROM subscriptions WHERE tenant_id = {id}"
    ))
    .await;
}

/// The tenant owes so much since an instant, to be paid by a day. Of each tenant one.
async fn owes(desk: &Desk, tenant: u32, at: &str, due_on: Date, minor: i64) {
    let id = id(&tenant.to_string());
    desk.alter(&format!(
        "INSERT INTO invoices (tenant_id, id, subscription_id, kind, boundary, status, currency, period_start,
            period_end, draft, finalize_at, created_at, number, issued_on, due_on, finalized_at, net_minor,
            total_minor, issuer)
        SELECT tenant_id, id, id, 'Manual', '{at}', 'Open', currency, '{at}', '{at}'::timestamptz + interval '1 month',
            '{{}}', '{at}', '{at}', 'INV-2025-' || {tenant}, '{at}', '{due_on}', '{at}', {minor}, {minor}, '{{}}'
        FROM subscriptions WHERE tenant_id = {id};
        WITH booked AS (
            INSERT INTO ledger_transactions (tenant_id, kind, source_id, invoice_id, currency, posted_at)
            SELECT tenant_id, 'Invoice', id, id, currency, '{at}' FROM subscriptions WHERE tenant_id = {id}
            RETURNING tenant_id, id)
        INSERT INTO ledger_entries (tenant_id, transaction_id, account, amount_minor)
        SELECT tenant_id, id, account, amount
        FROM booked, (VALUES ('Receivable', {minor}), ('Revenue', -{minor})) AS moves (account, amount)"
    ))
    .await;
}

async fn asked(desk: &Desk, below: &str) -> Value {
    desk.operator.get(&format!("/api/v1/admin/revenue{below}")).await.expect(200).json()
}

/// What is owed at a day's end, by bucket: its invoices and what is due of them.
async fn ages(desk: &Desk, on: Date) -> Vec<(String, [(u64, u64); 6])> {
    let report = asked(desk, &format!("/receivables?on={on}")).await;
    assert_eq!(report["on"], on.to_string());
    let number = |of: &Value| of.as_u64().expect("a number");
    let ages = report["data"].as_array().expect("currencies").iter().map(|of| {
        let buckets = ["not_due", "days_1_30", "days_31_60", "days_61_90", "over_90", "total"];
        let bucket = |name| (number(&of[name]["invoices"]), number(&of[name]["due_minor"]));
        (of["currency"].as_str().expect("a currency").to_owned(), buckets.map(bucket))
    });
    ages.collect()
}

#[tokio::test]
async fn what_is_owed_is_as_old_as_the_days_past_its_due_day() {
    let desk = Desk::open().await;
    let on = date(2025, 8, 15);
    // Dollars and euros of each age, in amounts whose sums tell them apart.
    let ages_of = [-20, 0, 1, 30, 31, 60, 61, 90, 91, 400];
    tenants(&desk, 22).await;
    for (index, age) in (0_u32..).zip(ages_of) {
        let due_on = on - age.days();
        owes(&desk, 2 * index, "2024-06-01T00:00:00Z", due_on, 1 << index).await;
        owes(&desk, 2 * index + 1, "2024-06-01T00:00:00Z", due_on, 1_000_000 << index).await;
    }
    // Booked in the last moment of the day in Berlin, and in the first one after it.
    owes(&desk, 20, "2025-08-15T21:59:59.999999Z", date(2025, 8, 29), 1 << 20).await;
    owes(&desk, 21, "2025-08-15T22:00:00Z", date(2025, 8, 29), 1_000_000 << 20).await;

    let of_eur = [
        (2, 0b11),
        (2, 0b1100),
        (2, 0b11_0000),
        (2, 0b1100_0000),
        (2, 0b11_0000_0000),
        (10, 1_023),
    ];
    let mut of_usd = of_eur;
    of_usd[0] = (3, 0b11 + (1 << 20));
    of_usd[5] = (11, 1_023 + (1 << 20));
    let of_eur = of_eur.map(|(invoices, due)| (invoices, due * 1_000_000));
    assert_eq!(ages(&desk, on).await, [("EUR".to_owned(), of_eur), ("USD".to_owned(), of_usd)]);

    // A day later, whatever was the last of its age is the first of the next.
    let next = ages(&desk, on.tomorrow().expect("a day")).await;
    let of_usd = [
        (2, 1 + (1 << 20)),
        (2, 0b110),
        (2, 0b1_1000),
        (2, 0b110_0000),
        (3, 0b11_1000_0000),
        (11, 1_023 + (1 << 20)),
    ];
    assert_eq!(next[1], ("USD".to_owned(), of_usd));
    assert_eq!(next[0].1[0], (2, 1_000_000 + (1_000_000 << 20)));
    // Before all of it was billed nothing was owed.
    assert_eq!(ages(&desk, date(2024, 5, 31)).await, []);
}

#[tokio::test]
async fn amounts_of_two_currencies_never_meet() {
    let desk = Desk::open().await;
    tenants(&desk, 4).await;
    for (tenant, minor) in [(0, 1), (1, 1_000), (2, 20), (3, 30_000)] {
        pays(&desk, tenant, "2025-05-05T12:00:00Z", minor).await;
    }
    let range = "?from=2025-05-01&to=2025-05-31";

    let all = asked(&desk, range).await["data"].clone();

    let currencies = all.as_array().expect("a list");
    assert_eq!(currencies.len(), 2, "{all}");
    for (of, currency, mrr) in [(&all[0], "EUR", 31_000), (&all[1], "USD", 21)] {
        assert_eq!(of["currency"], currency);
        assert_eq!(of["end"]["mrr_minor"], mrr);
        assert_eq!(of["end"]["tenants"], 2);
        assert_eq!(of["movements"]["new_minor"], mrr);
        assert_eq!(of["plans"][0]["end"]["mrr_minor"], mrr);
        let day =
            json!([{ "on": "2025-05-05", "kind": "New", "movements": 2, "delta_minor": mrr }]);
        assert_eq!(of["days"], day);
        let one = asked(&desk, &format!("{range}&currency={currency}")).await["data"].clone();
        assert_eq!(one, json!([of]));
    }
    assert_eq!(asked(&desk, &format!("{range}&currency=CHF")).await["data"], json!([]));
}

/// A zone, and days of it: each with the instant at which it begins.
async fn days_begin(zone: &str, days: &[(&str, &str)]) {
    let mut settings = settings();
    settings.push(("PYTAKE_BILLING__ISSUER__TIME_ZONE", zone.to_owned()));
    let desk = Desk::with(AppOptions { settings, ..AppOptions::default() }).await;
    let count = u32::try_from(days.len()).expect("few");
    tenants(&desk, 4 * count).await;
    let mut expected = Vec::new();
    for (index, (day, start)) in (0_u32..).zip(days) {
        // The last moment before the day, and the first of it; amounts tell them apart.
        let before = format!("'{start}'::timestamptz - interval '1 microsecond'");
        let before: Vec<String> = desk
            .ask(&format!(
                "SELECT to_char(({before}) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            ))
            .await;
        let (last, first) = (1 << (2 * index), 2 << (2 * index));
        pays(&desk, 4 * index, &before[0], last).await;
        pays(&desk, 4 * index + 2, start, first).await;
        let day: Date = day.parse().expect("a day");
        owes(&desk, 4 * index, &before[0], day, last).await;
        owes(&desk, 4 * index + 2, start, day, first).await;
        expected.push((day.yesterday().expect("a day"), last));
        expected.push((day, first));
    }
    let (from, to) = (expected[0].0, expected[expected.len() - 1].0);

    let report = asked(&desk, &format!("?from={from}&to={to}")).await;

    assert_eq!(report["time_zone"], zone);
    let shown = report["data"][0]["days"].as_array().expect("days").iter().map(|day| {
        let on: Date = day["on"].as_str().expect("a day").parse().expect("a day");
        (on, day["delta_minor"].as_i64().expect("an amount"))
    });
    assert_eq!(shown.collect::<Vec<_>>(), expected, "{zone}: {report}");
    // Each day by itself begins and ends there too, and so does what was owed at its end.
    let mut sum = 0;
    for (day, minor) in expected {
        let of = asked(&desk, &format!("?from={day}&to={day}")).await["data"][0].clone();
        assert_eq!(of["start"]["mrr_minor"], sum, "{zone} {day}");
        sum += minor;
        assert_eq!(of["end"]["mrr_minor"], sum, "{zone} {day}");
        let owed = ages(&desk, day).await[0].1[5].1;
        assert_eq!(owed, sum.unsigned_abs(), "{zone} {day}");
    }
}

#[tokio::test]
async fn days_begin_in_the_issuers_time_zone_where_clocks_change_at_night() {
    // Berlin: days of 24, 23 and 25 hours.
    let days = [
        ("2025-03-30", "2025-03-29T23:00:00Z"),
        ("2025-07-01", "2025-06-30T22:00:00Z"),
        ("2025-10-26", "2025-10-25T22:00:00Z"),
    ];
    days_begin("Europe/Berlin", &days).await;
}

#[tokio::test]
async fn a_day_begins_where_its_clock_does_though_there_is_no_midnight() {
    // Santiago: on this day the clock goes from midnight to one o'clock; in April one hour before midnight comes twice.
    let days = [("2025-04-06", "2025-04-06T04:00:00Z"), ("2025-09-07", "2025-09-07T04:00:00Z")];
    days_begin("America/Santiago", &days).await;
}

#[tokio::test]
async fn days_that_cannot_be_meant_are_refused_by_name() {
    let desk = Desk::open().await;
    let ranges = [
        ("", vec!["/from", "/to"]),
        ("?from=2026-01-01", vec!["/to"]),
        ("?to=2026-01-01", vec!["/from"]),
        ("?from=2026-01-02&to=2026-01-01", vec!["/to"]),
        ("?from=2026-02-30&to=2026-03-01", vec!["/from"]),
        ("?from=yesterday&to=today", vec!["/from", "/to"]),
        ("?from=2026-1-1&to=2026-01-02", vec!["/from"]),
        ("?from=&to=2026-01-02", vec!["/from"]),
        ("?from=2024-01-01&to=2025-01-01", vec!["/to"]),
        ("?from=2026-01-01&to=8999-12-31", vec!["/to"]),
        ("?from=1969-12-31&to=1970-01-01", vec!["/from"]),
        ("?from=9001-01-01&to=9999-12-31", vec!["/from", "/to"]),
        ("?from=-000001-01-01&to=1970-01-01", vec!["/from"]),
        ("?from=2026-01-01&to=2026-01-31&currency=usd", vec!["/currency"]),
        ("?from=2026-01-01&to=2026-01-31&currency=", vec!["/currency"]),
        ("?from=2026-01-01&to=x&currency=DOLLARS", vec!["/to", "/currency"]),
        ("/receivables", vec!["/on"]),
        ("/receivables?on=2026-02-29", vec!["/on"]),
        ("/receivables?on=9001-01-01", vec!["/on"]),
        ("/receivables?on=1969-12-31", vec!["/on"]),
    ];
    for (below, pointers) in ranges {
        let refused = desk.operator.get(&format!("/api/v1/admin/revenue{below}")).await;
        assert_eq!(refused.problem(), "422 validation-failed", "{below}");
        assert_eq!(refused.fault_pointers(), pointers, "{below}");
    }
    // The widest that there are.
    for below in [
        "?from=2024-01-01&to=2024-12-31",
        "?from=1970-01-01&to=1970-01-01",
        "?from=9000-12-31&to=9000-12-31",
        "/receivables?on=1970-01-01",
        "/receivables?on=9000-12-31",
    ] {
        assert_eq!(asked(&desk, below).await["data"], json!([]), "{below}");
    }
    let twice = "/api/v1/admin/revenue?from=2026-01-01&from=2026-01-02&to=2026-01-03";
    assert_eq!(desk.operator.get(twice).await.problem(), "400 malformed-request");
    let nobody = desk.app.stranger().calling(&desk.app.operator_url());
    assert_eq!(nobody.get("/api/v1/admin/revenue").await.problem(), "401 unauthenticated");
}

const FUNCTIONS: [&str; 6] = [
    "SELECT count(*) FROM revenue_by_day(ARRAY['2025-05-01', '2025-06-01']::timestamptz[])",
    "SELECT count(*) FROM recurring_revenue('2025-06-01')",
    "SELECT count(*) FROM revenue_kept('2025-05-01', '2025-06-01')",
    "SELECT count(*) FROM revenue_by_plan('2024-01-01', '2025-06-01')",
    "SELECT count(*) FROM receivables('2025-06-01', '2025-05-31')",
    "SELECT count(*) FROM trials('2025-05-01', '2025-06-01')",
];

async fn count(role: &mut PgConnection, sql: &str) -> Result<i64, String> {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::query_scalar(sql).fetch_one(role).await.map_err(|error| error.to_string())
}

async fn denied(database: &TestDatabase, role: &str, sql: &str) {
    let mut connection = database.connect_as(role).await;
    let answer = count(&mut connection, sql).await;
    let error = answer.expect_err(sql);
    assert!(error.contains("permission denied"), "{role}: {sql}: {error}");
}

#[tokio::test]
async fn the_operators_role_is_told_sums_and_reads_no_tenants_rows() {
    let desk = Desk::open().await;
    tenants(&desk, 2).await;
    for tenant in [0, 1] {
        pays(&desk, tenant, "2025-05-05T12:00:00Z", 100).await;
        owes(&desk, tenant, "2025-05-05T12:00:00Z", date(2025, 5, 6), 100).await;
    }
    let database = desk.app.database();
    let mut operator = database.connect_as("pytake_operator").await;
    // Told of both, in one sum a currency.
    for sql in [FUNCTIONS[0], FUNCTIONS[1], FUNCTIONS[4]] {
        assert_eq!(count(&mut operator, sql).await, Ok(2), "{sql}");
    }
    for sql in FUNCTIONS {
        assert!(count(&mut operator, sql).await.is_ok(), "{sql}");
        for role in ["pytake_api", "pytake_worker", "pytake_edge"] {
            denied(database, role, sql).await;
        }
    }
    // What the sums are made of is not theirs to read.
    for relation in ["revenue_movements", "subscription_changes", "billed_usage"] {
        denied(database, "pytake_operator", &format!("SELECT count(*) FROM {relation}")).await;
    }
    let named = "SELECT count(*) FROM recurring_subscriptions('2025-06-01')";
    for role in ["pytake_operator", "pytake_api", "pytake_worker", "pytake_edge"] {
        denied(database, role, named).await;
    }
    // Tables that they act on have no rows for whoever has not entered a tenant, and then that one's alone.
    let acted_on = [
        "ledger_transactions",
        "ledger_entries",
        "invoices",
        "subscriptions",
        "payments",
        "credit_notes",
        "credit_balances",
        "billing_profiles",
    ];
    for relation in acted_on {
        let rows = count(&mut operator, &format!("SELECT count(*) FROM {relation}")).await;
        assert_eq!(rows, Ok(0), "{relation}");
    }
    let enter = format!("SELECT set_config('app.tenant_id', {}::text, false)", id("1"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(enter)).execute(&mut operator).await.expect("an answer");
    assert_eq!(count(&mut operator, "SELECT count(*) FROM invoices").await, Ok(1));
    assert_eq!(count(&mut operator, "SELECT count(*) FROM ledger_transactions").await, Ok(1));
    let rewrite = "UPDATE ledger_entries SET amount_minor = 0 RETURNING 1::bigint";
    denied(database, "pytake_operator", rewrite).await;
    denied(database, "pytake_operator", "UPDATE invoices SET total_minor = 0 RETURNING 1::bigint")
        .await;
}
