//! What every handler may use: the store, the keys, the clock. Built once at start.

use std::sync::Arc;

use anyhow::Context;
use billing::Installation;
use credentials::SymmetricKey;
use credentials::access_token::{PublicJwk, TokenIssuer};
use credentials::api_key::Pepper;
use credentials::mail_token::MailTokenKey;
use credentials::platform_key::PlatformPepper;
use credentials::refresh_token::RefreshTokenKey;
use domain::clock::{Clock, SystemClock};
use domain::destination::DestinationPolicy;
use domain::secret::Secret;
use jiff::Timestamp;
use payments::{PaymentSettings, Providers};
use rand::Rng;
use settings::{Api, Environment, KEY_BYTES, KeyFile, Settings};
use store::billing::Books;
use store::sealer::Sealer;
use store::{Store, TenantTx, test_clocks};
use tokio::sync::Semaphore;
use vault::FileKeyProvider;

use crate::edge_keys::EdgeKeys;
use crate::passwords::PasswordHasher;
use crate::routes::usage::live::STREAMS_MAX;
use crate::signing_keys;

/// Shared by all handlers; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

/// What [`App`] holds.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) settings: Api,
    pub(crate) keys: Keys,
    pub(crate) edge: EdgeKeys,
    pub(crate) limits: limits::Reader,
    /// Where tenants' webhooks may go.
    pub(crate) destinations: DestinationPolicy,
    pub(crate) passwords: PasswordHasher,
    /// A permit for each live view that may be open.
    pub(crate) streams: Arc<Semaphore>,
    /// By which terms invoices are made.
    pub(crate) books: Arc<Books>,
    /// Who takes money.
    pub(crate) providers: Providers,
    /// Whether tenants may sign up with a time of their own.
    pub(crate) test_clocks: bool,
    pub(crate) issuer: TokenIssuer,
    pub(crate) published_keys: Vec<PublicJwk>,
    clock: Box<dyn Clock>,
}

/// Keys from files.
pub(crate) struct Keys {
    pub(crate) api_keys: Pepper,
    pub(crate) platform_keys: PlatformPepper,
    pub(crate) mail_tokens: MailTokenKey,
    pub(crate) refresh_tokens: RefreshTokenKey,
    /// Seals stored answers; see `idempotency`.
    pub(crate) answers: SymmetricKey,
    /// Names subjects of failed sign-ins; see `routes::auth::login`.
    pub(crate) login_subjects: SymmetricKey,
    pub(crate) sealer: Sealer,
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// Reads the keys and loads the key that signs tokens.
    pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let keys = Keys::read(settings)?;
        let edge = EdgeKeys::watch(settings.secrets.edge_context_key_file.clone())?;
        let redis =
            limits::Server::parse(settings.redis.url.expose()).context("settings: redis.url")?;
        let database = &settings.database;
        let store = Store::connect_lazy(
            &database.url,
            database.max_connections,
            database.acquire_timeout(),
        )?;
        let (issuer, published_keys) = signing_keys::load(&store, &keys)
            .await
            .context("no key to sign tokens with; has `pytake-api migrate` been run?")?;
        let billing: Installation = settings.billing()?;
        Ok(Self(Arc::new(Inner {
            store,
            settings: settings.api.clone(),
            passwords: PasswordHasher::new(settings.api.password_hashes_at_once)?,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            keys,
            edge,
            destinations: settings.webhooks.policy(),
            limits: limits::Reader::new(redis, &settings.redis.key_prefix),
            books: books(settings)?,
            providers: providers(settings)?,
            test_clocks: billing.test_clocks,
            issuer,
            published_keys,
            clock: Box::new(SystemClock),
        })))
    }

    /// The current instant, in the microseconds that the database keeps: an answer that makes something
    /// and one that reads it again say the same.
    pub(crate) fn now(&self) -> Timestamp {
        stored(self.clock.now())
    }

    /// What time it is for the tenant of `tx`: all of its billing happens then.
    pub(crate) async fn tenant_now(&self, tx: &mut TenantTx) -> Result<Timestamp, store::Error> {
        tenant_now(self.now(), tx).await
    }
}

/// What time it is for the tenant of `tx`, when it is `now` for everybody else: a test clock may say otherwise.
pub(crate) async fn tenant_now(
    now: Timestamp,
    tx: &mut TenantTx,
) -> Result<Timestamp, store::Error> {
    Ok(test_clocks::get(tx).await?.map_or(now, |clock| clock.now))
}

/// The instant in the microseconds that the database keeps.
pub(crate) fn stored(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// By which terms invoices are made.
pub(crate) fn books(settings: &Settings) -> anyhow::Result<Arc<Books>> {
    let billing: Installation = settings.billing()?;
    let production = settings.environment == Environment::Production;
    Ok(Arc::new(Books::new(billing.terms(production).context("settings")?)))
}

/// Who takes money.
pub(crate) fn providers(settings: &Settings) -> anyhow::Result<Providers> {
    let payments: PaymentSettings = settings.payments()?;
    let production = settings.environment == Environment::Production;
    payments.open(production, &settings.api.public_url).context("settings")
}

impl Keys {
    /// Reads every key file that the API needs.
    pub(crate) fn read(settings: &Settings) -> anyhow::Result<Self> {
        let secrets = &settings.secrets;
        let token_key = current(&secrets.token_key_file)?;
        let pepper = current(&secrets.api_key_pepper_file)?;
        Ok(Self {
            platform_keys: PlatformPepper::of(&pepper),
            api_keys: Pepper::new(pepper),
            mail_tokens: MailTokenKey::new(&token_key),
            refresh_tokens: RefreshTokenKey::new(&token_key),
            answers: token_key.derive("pytake 2026-11 idempotent answer"),
            login_subjects: token_key.derive("pytake 2026-11 login subject"),
            sealer: Sealer::new(Box::new(FileKeyProvider::new(secrets.kek_file.read()?))),
        })
    }
}

/// The key that new values are made under: the file's last.
fn current(file: &KeyFile) -> anyhow::Result<SymmetricKey> {
    let last: Option<Secret<[u8; KEY_BYTES]>> = file.read()?.pop();
    last.map(SymmetricKey::new).context("a key file holds no key")
}

/// Random bytes for ids and secrets, from the operating system's generator.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill(&mut bytes[..]);
    bytes
}
