//! What becomes of attempts that end well, badly, by a panic, or not at all.

use std::time::Duration;
use store::sealer::Sealer;
use vault::FileKeyProvider;

use apalis_core::error::AbortError;
use credentials::SymmetricKey;
use credentials::mail_token::MailTokenKey;
use domain::clock::SystemClock;
use domain::secret::Secret;
use jobs::catalog::Job;
use jobs::queue::Retention;
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use settings::{Mail, MailTransport};
use store::Store;
use store::billing::Books;
use uuid::Uuid;

use super::*;
use crate::app::{BillingNotices, Limits};
use crate::jobs::usage::roll_up::OneAtATime;
use crate::mail::outbox::Outbox;
use crate::metrics::Metrics;
use crate::runtime::fleet::Fleet;
use crate::webhooks::Courier;

#[derive(Serialize, Deserialize)]
enum Trial {
    Done,
    Error,
    Panic,
    Hang,
    Discard,
}

impl Job for Trial {
    const QUEUE: &'static str = "trial";
    const VERSION: u16 = 1;
    const ATTEMPTS_MAX: u16 = 3;
    const TIMEOUT: Duration = Duration::from_millis(20);
}

impl Perform for Trial {
    async fn perform(self, _: &App, _: &Attempt) -> anyhow::Result<Outcome> {
        match self {
            Self::Done => Ok(Outcome::Done),
            Self::Error => Err(anyhow::anyhow!("below").context("above")),
            Self::Panic => panic!("at the {}", "disco"),
            Self::Hang => std::future::pending().await,
            Self::Discard => Ok(Outcome::Discard("old".to_owned())),
        }
    }
}

/// An app whose database and Redis are never reached.
fn app(registry: &Registry, dir: &std::path::Path) -> Arc<App> {
    let url = Secret::new("postgres://nobody@127.0.0.1:1/none".to_owned());
    let mail = Mail {
        transport: MailTransport::File,
        dir: dir.to_owned(),
        smtp_url: Secret::new(String::new()),
        from: "a@example.com".to_owned(),
        account_url: String::new(),
    };
    let nowhere = limits::Server::parse("redis://127.0.0.1:1").unwrap();
    let store = Store::connect_lazy(&url, 1, Duration::from_millis(10)).unwrap();
    let settings = settings::Settings::load().unwrap();
    let installation: billing::Installation = settings.billing().unwrap();
    let payments: payments::PaymentSettings = settings.payments().unwrap();
    let retention = Retention { done: Duration::ZERO, dead: Duration::ZERO };
    Arc::new(App {
        store: store.clone(),
        runtime: store.clone(),
        upkeep: store,
        limits: Limits { silence: Duration::from_secs(30), retention },
        mail_tokens: MailTokenKey::new(&SymmetricKey::new(Secret::new([1; 32]))),
        public_url: "http://localhost".to_owned(),
        account_url: None,
        books: Books::new(installation.terms(false).unwrap()),
        providers: payments.open(false, "http://localhost").unwrap(),
        statements_dir: None,
        billing: BillingNotices {
            trial_notice: Duration::ZERO,
            reminder_days: Vec::new(),
            expiry_notice_days: 30,
        },
        webhooks: Courier::idle(),
        sealer: Sealer::new(Box::new(FileKeyProvider::new(vec![Secret::new([1; 32])]))),
        outbox: Outbox::open(&mail).unwrap(),
        quotas: limits::Raiser::new(nowhere, "pytake:"),
        roll_up: OneAtATime::default(),
        clock: Box::new(SystemClock),
        metrics: Metrics::register(registry).unwrap(),
    })
}

#[tokio::test]
async fn every_ending_is_told_apart() {
    let registry = Registry::new();
    let dir = tempfile::tempdir().unwrap();
    let app = app(&registry, dir.path());
    let (worker, _) = Fleet::new([Trial::QUEUE]).enlist(Trial::QUEUE);
    for (job, number, expected) in [
        (r#""Done""#, 1, None),
        (r#""Error""#, 1, Some(("above: below", false))),
        (r#""Error""#, 3, Some(("above: below", false))),
        (r#""Panic""#, 1, Some(("panicked: at the disco", false))),
        (r#""Hang""#, 1, Some(("took longer than 20ms", false))),
        (r#""Discard""#, 1, Some(("AbortError: old", true))),
        ("1", 1, Some(("AbortError: the payload cannot be read", true))),
    ] {
        let attempt = Attempt {
            job_id: JobId::from_uuid(Uuid::nil()),
            number,
            last: 3,
            waited: Duration::from_millis(7),
            traceparent: None,
        };
        let payload = format!(r#"{{"version":1,"job":{job}}}"#).into_bytes();
        let ended = make::<Trial>(app.clone(), worker.begin(), payload, attempt).await;
        match (ended, expected) {
            (Ok(()), None) => {}
            (Err(error), Some((text, aborts))) => {
                assert!(error.to_string().starts_with(text), "{job}: {error}");
                assert_eq!(error.is::<AbortError>(), aborts, "{job}");
            }
            (ended, expected) => panic!("{job} ended as {ended:?}, expected {expected:?}"),
        }
    }
    let counted = String::from_utf8(telemetry::render(&registry).unwrap()).unwrap();
    for line in [
        "done\",queue=\"trial\"} 1",
        "retry\",queue=\"trial\"} 3",
        "dead\",queue=\"trial\"} 1",
        "pytake_job_attempts_started_total{queue=\"trial\"} 7",
        "pytake_job_wait_seconds_bucket{queue=\"trial\",le=\"0.005\"} 0",
        "pytake_job_wait_seconds_bucket{queue=\"trial\",le=\"0.01\"} 7",
    ] {
        assert!(counted.contains(line), "{line} is not in {counted}");
    }
}
