//! An installation in front of an application that sends messages, and customers whose messages they are: use takes its
//! real way, from the edge to the invoice.

use std::time::Duration;

use domain::id::TenantId;
use harness::{Actor, Answer, App, AppOptions, Application, Owner, poll_async, routes_with};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::life::{BOUND, CARD};

/// Messages of one call: ten of them are what Starter includes.
pub(crate) const BATCH: i64 = 1_000;
/// Calls that an edge may let through beyond a count where Redis is too slow to say how it stands: an eighth, begun.
const BEYOND_MAX: i64 = 2;
const SEND: &str = "/api/v1/send";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";
/// How long an edge may take to learn of a change, on a busy machine.
const LEARNT_WITHIN: Duration = Duration::from_secs(15);

/// The installation. Periods that ended are billed without grace.
pub(crate) struct Shop {
    pub(crate) app: App,
    application: Application,
    _routes: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let application = Application::answering(ANSWER).await;
        let folder = tempfile::tempdir().expect("a folder");
        let pool = format!("upstreams.sender = {{ peers = [\"{}\"] }}", application.address());
        let row = format!(
            "{{ methods = [\"POST\"], path = \"{SEND}\", upstream = \"sender\", auth = \"any\", \
             tenant = \"required\", permission = \"SendMessages\", meter = \"messages\", weight = {BATCH} }},"
        );
        let settings = vec![
            ("PYTAKE_EDGE__ROUTES_FILE", routes_with(folder.path(), &pool, &row)),
            ("PYTAKE_BILLING__GRACE_MINUTES", "0".to_owned()),
        ];
        let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
        Self { app, application, _routes: folder }
    }

    /// As the administrator of the database.
    async fn sql(&self, sql: &str) {
        let connection = &mut self.app.database().connect().await;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(connection).await.expect("the database answers");
    }

    async fn number(&self, sql: &str) -> i64 {
        let connection = &mut self.app.database().connect().await;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(connection).await.expect("the database answers")
    }

    /// Calls that were let through to the application.
    pub(crate) fn sent(&self) -> i64 {
        i64::try_from(self.application.requests().len()).expect("few")
    }

    /// Has a step of billing done, and all that follows from it.
    pub(crate) async fn bill(&self, step: &str) {
        let job = format!(r#"{{"version": 1, "job": {{"step": "{step}"}}}}"#);
        self.sql(&format!("SELECT apalis.enqueue('billing', '{job}', 25, priority => 9)")).await;
        self.app.wait_for_jobs().await;
    }

    /// Whether the edge decides by what Redis says.
    async fn is_leasing(&self) -> bool {
        self.metric("pytake_edge_limit_mode{mode=\"leasing\"}").await > 0.0
    }

    /// Whether it ever had to decide without.
    async fn fell_back(&self) -> bool {
        self.metric("pytake_edge_limit_fallbacks_total").await > 0.0
    }

    async fn metric(&self, name: &str) -> f64 {
        let edge = self.app.stranger().calling(&self.app.metrics_url("pytake-proxy"));
        let metrics = edge.get("/metrics").await.expect(200).body;
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

/// A tenant, and the program that sends for it.
pub(crate) struct Customer<'s> {
    shop: &'s Shop,
    pub(crate) owner: Owner,
    program: Actor,
}

impl<'s> Customer<'s> {
    /// Signs up on the free plan.
    pub(crate) async fn free(shop: &'s Shop, subdomain: &str) -> Self {
        let owner = shop.app.tenant(subdomain, "Free").await;
        let program = owner.actor();
        Self { shop, owner, program }
    }

    /// Has paid for Starter since ten days.
    pub(crate) async fn paying(shop: &'s Shop, subdomain: &str, cycle: &str) -> Self {
        let owner = shop.app.tenant(subdomain, "Starter").await;
        let wish = json!({ "new_plan": "Starter", "billing_cycle": cycle, "payment_method": CARD });
        owner.post(&owner.path("/upgrade"), wish).await.expect(200);
        let mut this = Self { shop, program: owner.actor(), owner };
        // What is used now is of that period, whatever the day of the month.
        this.sql(
            "DELETE FROM subscription_periods WHERE tenant_id = $1;
             UPDATE subscriptions SET period_start = date_trunc('day', now(), 'UTC') - interval '10 days',
                 period_end = date_trunc('day', now(), 'UTC') + interval '20 days'
             WHERE tenant_id = $1",
        )
        .await;
        // Changes reach the edge in their order: one that knows the key knows the period.
        let key = this.owner.api_key(&["whatsapp.send", "usage.read"]).await;
        this.program = shop.app.stranger().bearing(&key);
        let known = poll_async(LEARNT_WITHIN, async || {
            (this.program.get("/api/v1/dashboard").await.status == 200).then_some(())
        });
        assert!(known.await.is_some(), "the edge does not learn of {subdomain}");
        this
    }

    /// As the administrator; `$1` is the tenant.
    async fn sql(&self, sql: &str) {
        self.shop.sql(&sql.replace("$1", &self.stored_id())).await;
    }

    /// A number of the database; `$1` is the tenant.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.shop.number(&sql.replace("$1", &self.stored_id())).await
    }

    fn stored_id(&self) -> String {
        let id: TenantId = self.owner.tenant_id.parse().expect("an id");
        format!("'{}'", id.as_uuid())
    }

    async fn send(&self) -> Answer {
        self.program.post(SEND, json!({})).await
    }

    /// Sends until so many more were let through: as soon as the edge knows that it may.
    pub(crate) async fn send_all(&self, times: usize) {
        for number in 0..times {
            let sent =
                poll_async(LEARNT_WITHIN, async || (self.send().await.status == 200).then_some(()));
            assert!(sent.await.is_some(), "{number} of {times} are sent, and no more");
        }
    }

    /// Sends as long as it is let through: `calls` of all that were sent by now.
    pub(crate) async fn stops_at(&self, calls: i64) {
        let stopped = poll_async(LEARNT_WITHIN, async || {
            // Only while Redis answers is a refusal the last word.
            let leasing = self.shop.is_leasing().await;
            let answer = self.send().await;
            let refused = answer.status == 429 && answer.problem() == "429 quota-exceeded";
            let certain = leasing && self.shop.is_leasing().await;
            (refused && certain && self.shop.sent() >= calls).then_some(answer)
        });
        let stopped = stopped.await;
        let sent = self.shop.sent();
        let refusal = stopped.unwrap_or_else(|| panic!("{sent} are sent, and {calls} were to be"));
        assert_eq!(refusal.json()["violated-policies"], json!(["messages"]));
        let beyond = if self.shop.fell_back().await { BEYOND_MAX } else { 0 };
        assert!(sent <= calls + beyond, "{sent} are sent, more than {calls}");
    }

    /// Sends until the edge knows that nothing more is allowed.
    pub(crate) async fn stops(&self) {
        let stopped =
            poll_async(LEARNT_WITHIN, async || (self.send().await.status == 429).then_some(()));
        assert!(stopped.await.is_some(), "the edge does not stop");
    }

    /// Says what use may cost.
    pub(crate) async fn allow(&self, allowed: bool, cap_minor: Option<i64>) -> Value {
        let cap = cap_minor.map(|minor| json!({ "amount_minor": minor, "currency": "USD" }));
        let body = json!({ "allowed": allowed, "spending_cap": cap });
        let path = self.owner.path("/billing/overage");
        self.owner.put(&path, body).await.expect(200).json()
    }

    /// Waits until so much of a meter is counted in the running period.
    pub(crate) async fn counted(&self, meter: &str, expected: i64) {
        let sql = format!(
            "SELECT coalesce(sum(quantity), 0)::bigint FROM usage_periods JOIN subscriptions USING (tenant_id)
             WHERE tenant_id = $1 AND meter = '{meter}' AND period = date_trunc('minute', period_start, 'UTC')"
        );
        let seen = poll_async(BOUND, async || (self.number(&sql).await == expected).then_some(()));
        assert!(seen.await.is_some(), "{meter}: {} and not {expected}", self.number(&sql).await);
    }

    /// Has the running period end some minutes ago, and billed: the invoice that comes of it.
    pub(crate) async fn end_period(&self, minutes_ago: u32) -> Value {
        self.sql(&format!(
            "UPDATE subscriptions SET period_end = date_trunc('minute', now()) - interval '{minutes_ago} minutes'
             WHERE tenant_id = $1"
        ))
        .await;
        let open = "SELECT (SELECT count(*) FROM invoices WHERE tenant_id = $1 AND status = 'Draft')
                + (SELECT count(*) FROM subscriptions WHERE tenant_id = $1 AND period_end <= now())";
        // A draft waits while anything that was used before is not counted.
        let billed = poll_async(BOUND, async || {
            self.shop.bill("run").await;
            (self.number(open).await == 0).then_some(())
        });
        assert!(billed.await.is_some(), "the period is not billed");
        self.last_invoice().await
    }

    /// Its invoices, in the order of their numbers.
    pub(crate) async fn invoices(&self) -> Vec<Value> {
        let list = self.owner.get(&self.owner.path("/invoices")).await.expect(200).json();
        let mut all = list["data"].as_array().expect("a list").clone();
        all.sort_by_key(|invoice| invoice["number"].as_str().map(str::to_owned));
        all
    }

    /// The last of them, with its lines.
    pub(crate) async fn last_invoice(&self) -> Value {
        let all = self.invoices().await;
        let id = all.last().expect("an invoice")["id"].as_str().expect("an id").to_owned();
        self.owner.get(&self.owner.path(&format!("/invoices/{id}"))).await.expect(200).json()
    }
}
