//! A desk whose cards are taken by a Stripe that keeps state.

use harness::stripe_simulator::{Card, SECRET_KEY, StripeSimulator, WEBHOOK_SECRET};
use harness::{AppOptions, Owner, poll_async};
use serde_json::json;

use crate::desk::{BOUND, Desk, Invoice};

/// What is younger is not compared with the provider's.
const SETTLED_HOURS: i64 = 2;

pub(crate) struct CardDesk {
    pub(crate) desk: Desk,
    pub(crate) stripe: StripeSimulator,
    pub(crate) owner: Owner,
}

impl CardDesk {
    /// An installation with one tenant. Nobody is told of what happens at the provider until it [tells](StripeSimulator::tells).
    pub(crate) async fn open() -> Self {
        let stripe = StripeSimulator::start(1).await;
        let settings = vec![
            ("PYTAKE_PAYMENTS__SANDBOX", "false".to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__SECRET_KEY", SECRET_KEY.to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__BASE_URL", stripe.url().to_owned()),
            ("PYTAKE_PAYMENTS__STRIPE__WEBHOOK_SECRETS", format!("[{WEBHOOK_SECRET:?}]")),
            ("PYTAKE_PAYMENTS__TIMEOUT_SECONDS", "5".to_owned()),
            ("PYTAKE_WORKERS__SILENCE_SECONDS", "3".to_owned()),
            ("PYTAKE_BILLING__GRACE_MINUTES", "0".to_owned()),
        ];
        let desk = Desk::with(AppOptions { settings, ..AppOptions::default() }).await;
        let owner = desk.app.tenant("acme", "Free").await;
        Self { desk, stripe, owner }
    }

    /// The same, told of what happens at the provider.
    pub(crate) async fn told() -> Self {
        let stage = Self::open().await;
        stage.stripe.tells(&stage.desk.app.url());
        stage
    }

    /// Changes to a plan, to be paid by a new card; the invoice for it.
    pub(crate) async fn buy(&self, plan: &str, card: Card) -> Invoice {
        let card = self.stripe.card(card);
        let wish = json!({ "new_plan": plan, "payment_method": card });
        let billed = self.owner.post(&self.owner.path("/upgrade"), wish).await.expect(200).json();
        Invoice::of(&self.owner, &billed["invoice"])
    }

    /// The same, and it is paid.
    pub(crate) async fn pay(&self, plan: &str) -> Invoice {
        let invoice = self.buy(plan, Card::Pays).await;
        self.desk.app.wait_for_jobs().await;
        assert_eq!(invoice.stands(&self.owner).await, "Paid 0");
        invoice
    }

    /// Waits until a query counts something.
    pub(crate) async fn until(&self, sql: &str) {
        let found =
            poll_async(BOUND, async || (self.desk.ask::<i64>(sql).await[0] > 0).then_some(()));
        assert!(found.await.is_some(), "never: {sql}");
    }

    /// What was audited of an action, and how often.
    pub(crate) async fn audited(&self, action: &str) -> usize {
        let path = self.owner.path(&format!("/audit-events?limit=100&action={action}"));
        let events = self.owner.get(&path).await.expect(200).json();
        events["data"].as_array().expect("a list").len()
    }

    /// Hours pass, for us and the provider.
    pub(crate) async fn pass(&self, hours: i64) {
        self.desk.app.wait_for_jobs().await;
        self.desk
            .alter(&format!(
                "BEGIN;
                SET LOCAL session_replication_role = replica;
                UPDATE charges SET created_at = created_at - interval '{hours} hours';
                UPDATE refunds SET created_at = created_at - interval '{hours} hours', begun_at = begun_at - interval '{hours} hours';
                UPDATE disputes SET opened_at = opened_at - interval '{hours} hours';
                UPDATE reconciliations SET from_at = from_at - interval '{hours} hours',
                    to_at = to_at - interval '{hours} hours';
                UPDATE reconciliation_differences SET begun_at = begun_at - interval '{hours} hours';
                COMMIT"
            ))
            .await;
        self.stripe.ages(hours * 3600);
    }

    /// Two hours pass, and both sides are compared; what differs.
    pub(crate) async fn reconciled(&self) -> Vec<Difference> {
        self.pass(SETTLED_HOURS).await;
        let job = r#"SELECT apalis.enqueue('payments', '{"version": 1, "job": {"step": "reconcile"}}', 25)"#;
        self.desk.alter(job).await;
        self.desk.app.wait_for_jobs().await;
        let path = "/api/v1/admin/reconciliation/differences?open=true";
        let found = self.desk.operator.get(path).await.expect(200).json();
        let found = found["data"].as_array().expect("a list").iter();
        let differences = found.map(|one| Difference {
            id: one["id"].as_str().expect("an id").to_owned(),
            what: one["what"].as_str().expect("what it is of").to_owned(),
            ours: one["ours_minor"].as_i64(),
            theirs: one["theirs_minor"].as_i64(),
            is_of_us: one["tenant_id"] == self.owner.tenant_id.as_str(),
        });
        differences.collect()
    }
}

/// A difference that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) ours: Option<i64>,
    pub(crate) theirs: Option<i64>,
    pub(crate) is_of_us: bool,
}

impl Difference {
    /// Where operators act on it.
    pub(crate) fn act(&self, act: &str) -> String {
        format!("/api/v1/admin/reconciliation/differences/{}{act}", self.id)
    }

    /// What it is of, and how much it is on either side.
    pub(crate) fn says(&self) -> (&str, Option<i64>, Option<i64>) {
        (&self.what, self.ours, self.theirs)
    }
}
