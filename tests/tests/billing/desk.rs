//! What the tests of operators' acts and of revenue share: tenants that owe and pay, days that pass, and what must hold of
//! the books whatever was done.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use harness::{Actor, App, AppOptions, Owner, poll_async};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

pub(crate) const BOUND: Duration = Duration::from_secs(60);
/// In which the tests' issuer lives, where nothing else is said.
pub(crate) const ZONE: &str = "Europe/Berlin";

/// Nothing is charged, so that invoices stay open; the issuer is German, and a German customer pays 19 % tax.
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    [
        ("PYTAKE_PAYMENTS__SANDBOX", "false"),
        ("PYTAKE_BILLING__GRACE_MINUTES", "0"),
        ("PYTAKE_BILLING__ISSUER__COUNTRY", "DE"),
        ("PYTAKE_BILLING__ISSUER__TIME_ZONE", ZONE),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// An installation, and an operator of it.
pub(crate) struct Desk {
    pub(crate) app: App,
    pub(crate) operator: Actor,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        Self::with(AppOptions { settings: settings(), ..AppOptions::default() }).await
    }

    pub(crate) async fn with(options: AppOptions) -> Self {
        let app = App::start_with(options).await;
        let operator = app.operator();
        Self { app, operator }
    }

    /// A German tenant that pays for a plan from now on, and its first invoice: of Pro 99.00, and 18.81 tax.
    pub(crate) async fn customer(&self, subdomain: &str, plan: &str) -> (Owner, Invoice) {
        let owner = self.app.tenant(subdomain, plan).await;
        let profile = json!({ "name": "Acme GmbH", "country": "DE" });
        owner.put(&owner.path("/billing/profile"), profile).await.expect(200);
        self.all_pay_by_transfer().await;
        let billed = upgrade(&owner, plan, "Monthly").await;
        let invoice = Invoice::of(&owner, &billed["invoice"]);
        (owner, invoice)
    }

    /// Puts a way to pay on every tenant's file by which nobody collects: they pay by themselves.
    pub(crate) async fn all_pay_by_transfer(&self) {
        let on_file = "
            INSERT INTO payment_methods (tenant_id, id, provider, token_sealed, label, state, is_default, created_at)
            SELECT id, gen_random_uuid(), 'BankTransfer', '\\x00', '{}', 'Usable', true, now() FROM tenants
            ON CONFLICT DO NOTHING";
        self.alter(on_file).await;
    }

    /// What the database says to the administrator.
    pub(crate) async fn ask<T>(&self, sql: &str) -> Vec<T>
    where
        (T,): for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
        T: Send + Unpin,
    {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let mut admin = self.app.database().connect().await;
        let rows: Vec<(T,)> = sqlx::query_as(sql).fetch_all(&mut admin).await.expect("an answer");
        rows.into_iter().map(|(value,)| value).collect()
    }

    /// What the administrator changes.
    pub(crate) async fn alter(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let mut admin = self.app.database().connect().await;
        sqlx::raw_sql(sql).execute(&mut admin).await.expect("an answer");
    }

    /// The sums of accounts, in the order of their names: `Credit -100`.
    pub(crate) async fn accounts(&self) -> Vec<String> {
        let sums = "SELECT account || ' ' || sum(amount_minor) FROM ledger_entries
            GROUP BY account HAVING sum(amount_minor) <> 0 ORDER BY account";
        self.ask(sums).await
    }

    /// What operators did, oldest first.
    pub(crate) async fn acts(&self) -> Vec<String> {
        self.ask("SELECT action FROM operator_events ORDER BY at, id").await
    }

    /// Fails where the books do not add up, or say something else than the invoices do.
    pub(crate) async fn books_hold(&self) {
        assert_eq!(self.ask::<String>(FAULTS).await, Vec::<String>::new());
    }

    /// Lets so many days pass: all there is of billing becomes older. Periods that have ended by then stay open, and
    /// their subscriptions parked, until [`Self::bill`].
    pub(crate) async fn age(&self, days: u16) {
        self.app.wait_for_jobs().await;
        self.alter(&AGE.replace("{days}", &days.to_string())).await;
    }

    /// Has a run close what has ended, and waits until all of it is billed.
    pub(crate) async fn bill(&self) {
        self.alter(RUN).await;
        let billed = poll_async(BOUND, async || {
            let waiting: Vec<i64> = self
                .ask(
                    "SELECT (SELECT count(*) FROM subscriptions
                        WHERE NOT on_test_clock AND period_end <= now())
                    + (SELECT count(*) FROM invoices WHERE status = 'Draft')",
                )
                .await;
            (waiting == [0]).then_some(())
        });
        assert!(billed.await.is_some(), "a run bills all that is due");
        self.app.wait_for_jobs().await;
    }
}

/// What contradicts itself, in words.
const FAULTS: &str = "
    SELECT 'a transaction is off by ' || sum(amount_minor) FROM ledger_entries
        GROUP BY tenant_id, transaction_id HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT number || ' is ' || status || ' with ' || due_minor || ' due, and the books say ' || booked.owed || ' owed and '
        || booked.lost || ' given up'
    FROM invoices
    JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE account = 'Receivable'), 0) AS owed,
            coalesce(sum(amount_minor) FILTER (WHERE account = 'BadDebt'), 0) AS lost
        FROM ledger_transactions AS posted
        JOIN ledger_entries AS entries
            ON (entries.tenant_id, entries.transaction_id) = (posted.tenant_id, posted.id)
        WHERE (posted.tenant_id, posted.invoice_id) = (invoices.tenant_id, invoices.id)
    ) AS booked ON true
    WHERE (owed, lost) <> (CASE status WHEN 'Open' THEN due_minor ELSE 0 END,
        CASE status WHEN 'Uncollectible' THEN due_minor ELSE 0 END)
    UNION ALL
    SELECT 'in credit are ' || coalesce(sum(balance_minor), 0) || ' and not ' || booked.credit
    FROM (SELECT coalesce(-sum(amount_minor), 0) AS credit FROM ledger_entries WHERE account = 'Credit') AS booked
    LEFT JOIN credit_balances ON true
    GROUP BY booked.credit HAVING coalesce(sum(balance_minor), 0) <> booked.credit
    UNION ALL
    SELECT 'paid were ' || coalesce(sum(payments.amount_minor), 0) || ' and not ' || booked.cash
    FROM (SELECT coalesce(sum(amount_minor), 0) AS cash FROM ledger_entries WHERE account LIKE 'Cash%') AS booked
    LEFT JOIN payments ON provider <> 'Balance'
    GROUP BY booked.cash HAVING coalesce(sum(payments.amount_minor), 0) <> booked.cash";

/// As a replica: what never changes is what programs write, and not when it is that they wrote it.
pub(crate) const AGE: &str = "
    BEGIN;
    SET LOCAL session_replication_role = replica;
    SET LOCAL TIME ZONE 'UTC';
    UPDATE revenue_movements SET at = at - interval '{days} days';
    UPDATE ledger_transactions SET posted_at = posted_at - interval '{days} days';
    UPDATE payments SET received_at = received_at - interval '{days} days';
    UPDATE credit_notes SET created_at = created_at - interval '{days} days', issued_on = issued_on - {days};
    UPDATE invoice_lines SET period_start = period_start - interval '{days} days',
        period_end = period_end - interval '{days} days';
    UPDATE invoices SET boundary = boundary - interval '{days} days',
        period_start = period_start - interval '{days} days', period_end = period_end - interval '{days} days',
        finalize_at = finalize_at - interval '{days} days', created_at = created_at - interval '{days} days',
        finalized_at = finalized_at - interval '{days} days', ended_at = ended_at - interval '{days} days',
        issued_on = issued_on - {days}, due_on = due_on - {days};
    UPDATE subscription_changes SET requested_at = requested_at - interval '{days} days',
        effective_at = effective_at - interval '{days} days';
    UPDATE subscriptions SET started_at = started_at - interval '{days} days',
        trial_ends_at = trial_ends_at - interval '{days} days', anchor = anchor - interval '{days} days',
        period_start = period_start - interval '{days} days',
        -- Boundary k is the anchor and k cycles, of the anchor as it is now.
        period_end = CASE
            WHEN status = 'Trialing' THEN period_end - interval '{days} days'
            ELSE anchor - interval '{days} days'
                + (period_index + 1) * CASE cycle WHEN 'Yearly' THEN interval '1 year' ELSE interval '1 month' END
        END
    WHERE NOT on_test_clock;
    UPDATE subscriptions SET parked_at = now(), parked_reason = 'the test holds it'
    WHERE NOT on_test_clock AND period_end <= now();
    COMMIT";

const RUN: &str = r#"
    UPDATE subscriptions SET parked_at = NULL, parked_reason = NULL;
    SELECT apalis.enqueue('billing', '{"version": 1, "job": {"step": "run"}}', 25, priority => 9)"#;

/// Changes the plan; what was answered.
pub(crate) async fn upgrade(owner: &Owner, plan: &str, cycle: &str) -> Value {
    let wish = json!({
        "new_plan": plan, "billing_cycle": cycle, "accept_over_limit": true,
    });
    owner.post(&owner.path("/upgrade"), wish).await.expect(200).json()
}

/// An invoice, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    tenant_id: String,
}

impl Invoice {
    pub(crate) fn of(owner: &Owner, shown: &Value) -> Self {
        let id = shown["id"].as_str().unwrap_or_else(|| panic!("no invoice: {shown}")).to_owned();
        Self { id, tenant_id: owner.tenant_id.clone() }
    }

    /// Where operators act on it, e.g. `/payments`.
    pub(crate) fn act(&self, act: &str) -> String {
        format!("/api/v1/admin/tenants/{}/invoices/{}{act}", self.tenant_id, self.id)
    }

    /// As its tenant sees it.
    pub(crate) async fn shown(&self, owner: &Owner) -> Value {
        owner.get(&owner.path(&format!("/invoices/{}", self.id))).await.expect(200).json()
    }

    /// How it stands, e.g. `Open 11781`: what is due of it.
    pub(crate) async fn stands(&self, owner: &Owner) -> String {
        let shown = self.shown(owner).await;
        format!("{} {}", shown["status"].as_str().unwrap_or_default(), minor(&shown["due"]))
    }
}

/// An amount's minor units.
pub(crate) fn minor(money: &Value) -> i64 {
    money["amount_minor"].as_i64().unwrap_or_else(|| panic!("no amount: {money}"))
}

pub(crate) fn usd(amount_minor: i64) -> Value {
    json!({ "amount_minor": amount_minor, "currency": "USD" })
}

/// What a tenant has in credit.
pub(crate) async fn balance(owner: &Owner) -> i64 {
    minor(&owner.get(&owner.path("/billing")).await.expect(200).json()["balance"])
}

/// Today, in a time zone.
pub(crate) fn today(zone: &str) -> Date {
    SystemClock.now().to_zoned(TimeZone::get(zone).expect("a time zone")).date()
}
