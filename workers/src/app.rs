//! What jobs need, made once at the start.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use billing::Installation;
use credentials::SymmetricKey;
use credentials::mail_token::MailTokenKey;
use domain::clock::{Clock, SystemClock};
use jobs::queue::Retention;
use payments::{PaymentSettings, Providers};
use settings::{Environment, Settings};
use store::Store;
use store::billing::Books;
use store::sealer::Sealer;
use vault::FileKeyProvider;

use crate::jobs::usage::roll_up::OneAtATime;
use crate::mail::outbox::Outbox;
use crate::metrics::Metrics;
use crate::webhooks::Courier;

/// Connections that keeping the queues needs: one listens, one tells of life, one looks after them.
const UPKEEP_CONNECTIONS: u32 = 3;
/// Connections by which deliveries are leased and settled.
const DISPATCH_CONNECTIONS: u32 = 2;
/// How long the runtime waits for a connection. It ends a worker that gets none, and jobs would be done twice.
const RUNTIME_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// What jobs need.
pub struct App {
    /// Postgres, as `pytake_worker`: for what jobs do.
    pub store: Store,
    /// The same for what the runtime does: jobs that take all connections must not keep it from its own.
    pub(crate) runtime: Store,
    /// The same for what keeps the queues.
    pub(crate) upkeep: Store,
    /// How long things may last.
    pub(crate) limits: Limits,
    /// Makes the tokens of mailed links.
    pub(crate) mail_tokens: MailTokenKey,
    /// What mailed links start with.
    pub(crate) public_url: String,
    /// Where people see their account, plan and invoices.
    pub(crate) account_url: Option<String>,
    /// By which terms is billed.
    pub(crate) books: Books,
    /// Who takes money.
    pub(crate) providers: Providers,
    /// Where files of bank statements come in.
    pub(crate) statements_dir: Option<PathBuf>,
    /// What is told of it, and when.
    pub(crate) billing: BillingNotices,
    /// What delivers webhooks.
    pub(crate) webhooks: Courier,
    /// The vault's keys of tenants.
    pub(crate) sealer: Sealer,
    /// Where mail goes.
    pub(crate) outbox: Outbox,
    /// Where quotas are kept by what was counted.
    pub(crate) quotas: limits::Raiser,
    /// The one roll-up of this process.
    pub(crate) roll_up: OneAtATime,
    /// Time.
    pub(crate) clock: Box<dyn Clock>,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

/// What is told, and when.
#[derive(Debug, Clone)]
pub(crate) struct BillingNotices {
    /// How long before a trial's end its owners are told.
    pub(crate) trial_notice: Duration,
    /// On which days, from the one on which an invoice is due, its owners are reminded of it.
    pub(crate) reminder_days: Vec<i16>,
    /// So many days before a way to pay runs out its owners are told.
    pub(crate) expiry_notice_days: u16,
}

/// How long things may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A worker that is silent.
    pub(crate) silence: Duration,
    /// Jobs that have ended.
    pub(crate) retention: Retention,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Reads keys, opens the outbox, connects when first used; to work so many queues.
    pub(crate) fn start(settings: &Settings, queues: usize) -> anyhow::Result<Self> {
        let database = &settings.database;
        let connect = |connections, timeout| {
            Store::connect_lazy(&database.url, connections, timeout)
                .context("settings: database.url")
        };
        let workers = &settings.workers;
        let billing: Installation = settings.billing()?;
        let production = settings.environment == Environment::Production;
        let payments: PaymentSettings = settings.payments()?;
        let providers = payments.open(production, &settings.api.public_url).context("settings")?;
        let redis =
            limits::Server::parse(settings.redis.url.expose()).context("settings: redis.url")?;
        let mut keys = settings.secrets.token_key_file.read()?;
        let key = keys.pop().context("the token key file holds no key")?;
        Ok(Self {
            store: connect(database.max_connections, database.acquire_timeout())?,
            // Of each queue's worker, one thing at a time.
            runtime: connect(
                u32::try_from(queues)? + DISPATCH_CONNECTIONS,
                RUNTIME_ACQUIRE_TIMEOUT,
            )?,
            upkeep: connect(UPKEEP_CONNECTIONS, database.acquire_timeout())?,
            limits: Limits {
                silence: workers.silence(),
                retention: Retention { done: workers.done_kept(), dead: workers.dead_kept() },
            },
            mail_tokens: MailTokenKey::new(&SymmetricKey::new(key)),
            public_url: settings.api.public_url.clone(),
            account_url: Some(settings.mail.account_url.clone()).filter(|url| !url.is_empty()),
            books: Books::new(billing.terms(production).context("settings")?),
            providers,
            statements_dir: payments.statements_dir(),
            billing: BillingNotices {
                trial_notice: billing.trial_notice(),
                reminder_days: billing.reminder_days,
                expiry_notice_days: billing.expiry_notice_days,
            },
            webhooks: Courier::open(settings)?,
            sealer: Sealer::new(Box::new(FileKeyProvider::new(settings.secrets.kek_file.read()?))),
            outbox: Outbox::open(&settings.mail)?,
            quotas: limits::Raiser::new(redis, &settings.redis.key_prefix),
            roll_up: OneAtATime::default(),
            clock: Box::new(SystemClock),
            metrics: Metrics::register(prometheus::default_registry())?,
        })
    }
}
