//! Mail to owners about their plan and money: what is true when it is sent, and nothing that is not any more.

use domain::id::{InvoiceId, SubscriptionId, TenantId};
use domain::secret::Secret;
use harness::{App, AppOptions, Owner};
use jobs::catalog::{Owner as Recipient, Payer, SendEmail};
use jobs::{Options, enqueue};
use sqlx::Row as _;
use std::time::Duration;
use store::Store;
use uuid::Uuid;

const ACCOUNT: &str = "https://app.example.com/account";

struct Sender<'a> {
    app: &'a App,
    owner: &'a Owner,
    store: Store,
    recipient: Recipient,
}

impl<'a> Sender<'a> {
    fn new(app: &'a App, owner: &'a Owner) -> Self {
        let url = Secret::new(app.database().url_as("pytake_api"));
        let store = Store::connect_lazy(&url, 2, Duration::from_secs(5)).expect("a store");
        let id = |pointer: &str| {
            let found = owner.signed_up.pointer(pointer).and_then(serde_json::Value::as_str);
            found.expect("an id").to_owned()
        };
        let recipient = Recipient {
            tenant_id: owner.tenant_id.parse().expect("an id"),
            membership_id: id("/owner/id").parse().expect("an id"),
        };
        Self { app, owner, store, recipient }
    }

    /// Sends it; the mail with this phrase, if there is one once all jobs are done.
    async fn send(&self, job: SendEmail, phrase: &str) -> Option<String> {
        let tenant_id: TenantId = self.recipient.tenant_id;
        let mut tx = self.store.begin(tenant_id).await.expect("a transaction");
        enqueue(&mut tx, &job, Options::default()).await.expect("a job");
        tx.commit().await.expect("a commit");
        self.app.wait_for_jobs().await;
        let mails = self.app.mailbox().all_to(&self.owner.email);
        mails.into_iter().map(|mail| mail.text).find(|text| text.contains(phrase))
    }

    async fn run(&self, sql: &'static str) {
        let admin = &mut self.app.database().connect().await;
        sqlx::raw_sql(sql).execute(admin).await.expect("an answer");
    }
}

async fn start() -> (App, Owner) {
    let settings = vec![("PYTAKE_MAIL__ACCOUNT_URL", ACCOUNT.to_owned())];
    let app = App::start_with(AppOptions { settings, ..AppOptions::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    (app, owner)
}

#[tokio::test]
async fn a_trial_that_ends_is_announced_while_it_runs() {
    let (app, owner) = start().await;
    let sender = Sender::new(&app, &owner);
    let sql = "SELECT id, period_start FROM subscriptions";
    let row = sqlx::query(sql).fetch_one(&mut app.database().connect().await).await.expect("one");
    let subscription_id = SubscriptionId::from_uuid(row.get::<Uuid, _>(0));
    let job = SendEmail::TrialEnding { owner: sender.recipient, subscription_id };
    let mail = sender.send(job.clone(), "on the Pro plan ends on").await.expect("a mail");
    assert!(mail.contains("USD 99.00 a month") && mail.contains(ACCOUNT), "{mail}");

    std::fs::remove_dir_all(app.mail_dir()).expect("a folder");
    std::fs::create_dir(app.mail_dir()).expect("a folder");
    sender.run("UPDATE subscriptions SET status = 'Active'").await;
    assert_eq!(sender.send(job, "").await, None, "it is over");
}

#[tokio::test]
async fn an_invoice_is_told_of_as_it_stands() {
    let (app, owner) = start().await;
    let sender = Sender::new(&app, &owner);
    let invoice_id = InvoiceId::from_uuid(Uuid::from_u128(7));
    sender
        .run(
            "INSERT INTO invoices (tenant_id, id, subscription_id, kind, boundary, number, status, currency,
                 net_minor, total_minor, period_start, period_end, draft, finalize_at, finalized_at, created_at,
                 issued_on, due_on, issuer, customer)
             SELECT tenant_id, '00000000-0000-0000-0000-000000000007', id, 'Manual', now(), 'PT-17', 'Open', 'USD',
                 9900, 9900, now(), now(), '{}', now(), now(), now(), current_date, current_date + 14, '{}', '{}'
             FROM subscriptions",
        )
        .await;
    let payer = Payer::Owner(sender.recipient);
    let failed = SendEmail::PaymentFailed { payer, invoice_id };
    let receipt = SendEmail::Receipt { payer, invoice_id };
    assert_eq!(sender.send(receipt.clone(), "is paid").await, None, "it is not paid");
    let mail = sender.send(failed.clone(), "could not be collected").await.expect("a mail");
    assert!(mail.contains("USD 99.00 for invoice PT-17"), "{mail}");

    sender.run("UPDATE invoices SET status = 'Paid', paid_minor = 9900").await;
    assert!(sender.send(receipt.clone(), "is paid").await.is_some());

    // The billing profile's address is told beside the owners; an owner's own is not told twice.
    let contact = Payer::Contact { tenant_id: sender.recipient.tenant_id };
    let beside = SendEmail::Receipt { payer: contact, invoice_id };
    sender
        .run(
            "INSERT INTO billing_profiles (tenant_id, name, email, updated_at)
             SELECT id, 'Acme Accounts', 'books@acme.example', now() FROM tenants",
        )
        .await;
    sender.send(beside.clone(), "").await;
    let mail = app.mailbox().wait_for("books@acme.example", "is paid").await;
    assert!(mail.text.contains("Hello Acme Accounts"), "{}", mail.text);
    sender.run("UPDATE billing_profiles SET email = (SELECT email FROM memberships LIMIT 1)").await;
    let before = app.mailbox().all_to(&sender.owner.email).len();
    sender.send(beside, "").await;
    assert_eq!(app.mailbox().all_to(&sender.owner.email).len(), before, "they have their own");
    sender.run("UPDATE memberships SET role = 'Admin'").await;
    let before = app.mailbox().all_to(&sender.owner.email).len();
    sender.send(failed, "").await;
    sender.send(receipt, "").await;
    assert_eq!(app.mailbox().all_to(&sender.owner.email).len(), before, "no owner any more");
}

#[tokio::test]
async fn usage_is_told_with_its_figures_in_the_period_that_runs() {
    let (app, owner) = start().await;
    let sender = Sender::new(&app, &owner);
    sender
        .run(
            "INSERT INTO usage_periods (tenant_id, meter, period, quantity)
             SELECT tenant_id, 'messages', date_trunc('minute', period_start, 'UTC'), 81234
             FROM subscriptions",
        )
        .await;
    let sql = "SELECT (extract(epoch FROM period_start) * 1000000)::bigint FROM subscriptions";
    let start: i64 =
        sqlx::query_scalar(sql).fetch_one(&mut app.database().connect().await).await.expect("one");
    let alert = |period_start| SendEmail::UsageAlert {
        owner: sender.recipient,
        meter: "messages".parse().expect("a meter"),
        percent: 80,
        period_start,
    };
    let period_start = jiff::Timestamp::from_microsecond(start).expect("a time");
    let mail = sender.send(alert(period_start), "has used 81234 of 100000").await.expect("a mail");
    assert!(mail.contains("are refused until then"), "{mail}");
    let before = app.mailbox().all_to(&sender.owner.email).len();
    sender.send(alert(period_start - jiff::SignedDuration::from_hours(1)), "").await;
    assert_eq!(app.mailbox().all_to(&sender.owner.email).len(), before, "of another period");
}
