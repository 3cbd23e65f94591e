//! A month's end of many tenants, as rows, and the workers that bill it: each has a fee and the use of four meters.
//!
//! Dropped: the workers are killed.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::PgConnection;

use crate::wait::poll_async;
use crate::worker_fleet::{FleetOptions, WorkerFleet};

/// What the fee and the use of one tenant come to, in minor units: 29,900, and 4.00 + 0.02 + 2.50 + 12.34.
const TOTAL_MINOR: i64 = 29_900 + 400 + 2 + 250 + 1_234;

/// A plan with a fee and four charges, five lines an invoice. Its version is one that no catalogue has.
const PLAN: &str = r#"
    INSERT INTO plan_versions (plan, version, api_calls_per_minute, trial_days, created_at)
    VALUES ('Enterprise', 900, 10000, 0, now());
    INSERT INTO plan_prices (plan, version, cycle, currency, amount_minor)
    VALUES ('Enterprise', 900, 'Monthly', 'USD', 29900);
    INSERT INTO plan_charges (plan, version, cycle, currency, position, charge) VALUES
        ('Enterprise', 900, 'Monthly', 'USD', 0,
            '{"meter": "messages", "included": 1000, "model": "per_unit", "unit": "0.004", "minimum_minor": 0}'),
        ('Enterprise', 900, 'Monthly', 'USD', 1,
            '{"meter": "api_calls", "included": 0, "model": "per_unit", "unit": "0.00001", "minimum_minor": 0}'),
        ('Enterprise', 900, 'Monthly', 'USD', 2,
            '{"meter": "storage_mb", "included": 0, "model": "package", "size": 1000, "price": "0.5",
              "minimum_minor": 0}'),
        ('Enterprise', 900, 'Monthly', 'USD', 3,
            '{"meter": "automation_runs", "included": 0, "model": "graduated", "minimum_minor": 0,
              "tiers": [{"up_to": 100, "unit": "0.1"}, {"unit": "0.02"}]}')"#;

/// Tenants, and the workers.
#[derive(Debug)]
pub struct MonthEnd {
    fleet: WorkerFleet,
    tenants: u64,
}

impl Deref for MonthEnd {
    type Target = WorkerFleet;

    fn deref(&self) -> &WorkerFleet {
        &self.fleet
    }
}

impl DerefMut for MonthEnd {
    fn deref_mut(&mut self) -> &mut WorkerFleet {
        &mut self.fleet
    }
}

/// What has come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Came {
    /// Subscriptions whose period is not closed.
    pub due: i64,
    /// Invoices that are not finalised.
    pub drafts: i64,
    /// Invoices that are.
    pub finalized: i64,
    /// Subscriptions that could not be billed.
    pub parked: i64,
}

impl MonthEnd {
    /// No worker yet: the month has ended for `tenants`, and nobody has seen it.
    pub async fn start(
        tenants: u64,
        own_postgres: bool,
        settings: &[(&'static str, String)],
    ) -> Self {
        let mut all = vec![("PYTAKE_BILLING__GRACE_MINUTES", "0".to_owned())];
        all.extend_from_slice(settings);
        let fleet = WorkerFleet::start(FleetOptions {
            program: "pytake-workers",
            processes: 0,
            arguments: vec!["--queues", "billing", "--concurrency", "1"],
            settings: all,
            own_postgres,
        })
        .await;
        let admin = &mut fleet.admin().await;
        run(admin, PLAN).await;
        // In parts: one statement of a hundred thousand would keep all its triggers' events until its end.
        for first in (0..tenants).step_by(10_000) {
            run(admin, &insert(first, tenants.min(first + 10_000))).await;
        }
        run(admin, "ANALYZE").await;
        Self { fleet, tenants }
    }

    /// How many tenants there are.
    #[must_use]
    pub const fn tenants(&self) -> u64 {
        self.tenants
    }

    /// Has `runs` runs done, beside those that come by the clock.
    pub async fn enqueue(&self, runs: u32) {
        let job = r#"SELECT apalis.enqueue('billing', '{"version": 1, "job": {"step": "run"}}', 25, priority => 9)"#;
        for _ in 0..runs {
            run(&mut self.admin().await, job).await;
        }
    }

    /// What has come of it by now.
    pub async fn came(&self) -> Came {
        came(&mut self.admin().await).await
    }

    /// Waits until every tenant has its invoice; what there is when that takes too long.
    pub async fn wait(&self, within: Duration) -> Came {
        let admin = tokio::sync::Mutex::new(self.admin().await);
        let billed = poll_async(within, async || {
            let came = came(&mut *admin.lock().await).await;
            (came.due == 0 && came.drafts == 0).then_some(came)
        });
        match billed.await {
            Some(came) => came,
            None => came(&mut *admin.lock().await).await,
        }
    }

    /// What is wrong with what was billed, in words; nothing in a perfect world.
    pub async fn faults(&self) -> Vec<String> {
        let sql = format!(
            "SELECT 'two invoices of one period: ' || tenant_id FROM invoices GROUP BY tenant_id HAVING count(*) > 1
            UNION ALL
            SELECT 'no invoice: ' || tenant_id FROM subscriptions
                WHERE NOT EXISTS (SELECT FROM invoices WHERE invoices.tenant_id = subscriptions.tenant_id)
            UNION ALL
            SELECT 'not ' || {TOTAL_MINOR} || ' but ' || total_minor || ': ' || number FROM invoices
                WHERE total_minor <> {TOTAL_MINOR}
            UNION ALL
            SELECT 'not five lines but ' || count(*) FROM invoice_lines GROUP BY tenant_id, invoice_id HAVING count(*) <> 5
            UNION ALL
            SELECT 'numbers have holes: ' || count(*) || ' up to ' || max(right(number, 6)) FROM invoices
                HAVING count(*) <> max(split_part(number, '-', 3)::integer)
            UNION ALL
            SELECT 'the series says ' || last FROM document_series
                WHERE last <> (SELECT count(*) FROM invoices)
            UNION ALL
            SELECT 'the period went on twice: ' || tenant_id FROM subscriptions WHERE period_index <> 1
            UNION ALL
            SELECT 'the ledger is off by ' || sum(amount_minor) FROM ledger_entries HAVING sum(amount_minor) <> 0
            UNION ALL
            SELECT 'not owed what is due: ' || sum(amount_minor) FROM ledger_entries WHERE account = 'Receivable'
                HAVING sum(amount_minor) <> (SELECT sum(due_minor) FROM invoices)
            UNION ALL
            SELECT 'use is marked ' || count(*) || ' times' FROM billed_usage
                HAVING count(*) <> 4 * (SELECT count(*) FROM invoices)
            UNION ALL
            SELECT 'collected ' || count(*) || ' times: ' || min(convert_from(job, 'UTF8')) FROM apalis.jobs
                WHERE convert_from(job, 'UTF8') LIKE '%collect%'
                GROUP BY job HAVING count(*) > 1"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(&mut self.admin().await)
            .await
            .expect("the database answers")
    }
}

fn insert(first: u64, end: u64) -> String {
    let id = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid";
    let tenants = format!("generate_series({first}, {end} - 1) AS n");
    let ended = "date_trunc('hour', now() - interval '1 hour', 'UTC')";
    format!(
        "INSERT INTO tenants (id, name, subdomain, status, created_at, updated_at)
        SELECT {id}, 'Tenant ' || n, 'tenant-' || n, 'Active', now(), now() FROM {tenants};
        INSERT INTO subscriptions (tenant_id, id, plan, plan_version, cycle, currency, status, started_at, anchor,
            period_start, period_end)
        SELECT {id}, {id}, 'Enterprise', 900, 'Monthly', 'USD', 'Active', {ended} - interval '1 month',
            {ended} - interval '1 month', {ended} - interval '1 month', {ended}
        FROM {tenants};
        INSERT INTO usage_periods (tenant_id, meter, period, quantity)
        SELECT {id}, meter, {ended} - interval '1 month', quantity
        FROM {tenants}, (VALUES ('messages', 2000), ('api_calls', 2000), ('storage_mb', 4001),
            ('automation_runs', 217)) AS used (meter, quantity)"
    )
}

async fn came(admin: &mut PgConnection) -> Came {
    let sql = "SELECT
            (SELECT count(*) FROM subscriptions WHERE period_end <= now()) AS due,
            (SELECT count(*) FROM invoices WHERE status = 'Draft') AS drafts,
            (SELECT count(*) FROM invoices WHERE status <> 'Draft') AS finalized,
            (SELECT count(*) FROM subscriptions WHERE parked_at IS NOT NULL) AS parked";
    sqlx::query_as(sql).fetch_one(admin).await.expect("the database answers")
}

async fn run(admin: &mut PgConnection, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(admin).await.expect("the database answers");
}
