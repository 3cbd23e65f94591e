//! What jobs need, made once at the start.

use anyhow::Context;
use credentials::SymmetricKey;
use credentials::mail_token::MailTokenKey;
use domain::clock::{Clock, SystemClock};
use settings::Settings;
use store::Store;

use crate::jobs::usage::roll_up::OneAtATime;
use crate::mail::outbox::Outbox;
use crate::metrics::Metrics;

/// What jobs need.
pub(crate) struct App {
    /// Postgres, as `pytake_worker`.
    pub(crate) store: Store,
    /// Makes the tokens of mailed links.
    pub(crate) mail_tokens: MailTokenKey,
    /// What mailed links start with.
    pub(crate) public_url: String,
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

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

impl App {
    /// Reads keys, opens the outbox, connects when first used.
    pub(crate) fn start(settings: &Settings) -> anyhow::Result<Self> {
        let database = &settings.database;
        let store = Store::connect_lazy(
            &database.url,
            database.max_connections,
            database.acquire_timeout(),
        )
        .context("settings: database.url")?;
        let redis =
            limits::Server::parse(settings.redis.url.expose()).context("settings: redis.url")?;
        let mut keys = settings.secrets.token_key_file.read()?;
        let key = keys.pop().context("the token key file holds no key")?;
        Ok(Self {
            store,
            mail_tokens: MailTokenKey::new(&SymmetricKey::new(key)),
            public_url: settings.api.public_url.clone(),
            outbox: Outbox::open(&settings.mail)?,
            quotas: limits::Raiser::new(redis, &settings.redis.key_prefix),
            roll_up: OneAtATime::default(),
            clock: Box::new(SystemClock),
            metrics: Metrics::register(prometheus::default_registry())?,
        })
    }
}
