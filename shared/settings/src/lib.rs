//! Settings: `config/default.toml`, then a file, then the environment, parsed once into types.
//! No other module reads the environment. Faults name the key and, where it helps, the remedy.

mod key_file;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use domain::destination::DestinationPolicy;
use domain::host::HostName;
use domain::secret::Secret;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::Value;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use key_file::{KEY_BYTES, KeyFile, KeyFileError};

const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// Where the optional file's path is found, and what every variable starts with.
const PREFIX: &str = "PYTAKE_";

/// All settings of an installation; each process uses its own sections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Local or production.
    pub environment: Environment,
    /// What is logged, and how.
    pub log: Log,
    /// Postgres.
    pub database: Database,
    /// Redis.
    pub redis: Redis,
    /// Files that hold keys.
    pub secrets: Secrets,
    /// The proxy.
    pub edge: Edge,
    /// The API.
    pub api: Api,
    /// The operators' listener.
    pub operator: Operator,
    /// The workers.
    pub workers: Workers,
    /// Outgoing mail.
    pub mail: Mail,
    /// What customers pay, and to whom; read by [`Settings::billing`].
    billing: Value,
    /// Who takes money; read by [`Settings::payments`].
    payments: Value,
    /// Outgoing webhooks.
    pub webhooks: Webhooks,
}

/// What kind of installation this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// A developer's machine or a test.
    Local,
    /// Real customers.
    Production,
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Filter directives.
    pub filter: String,
    /// For people or machines.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection URL; may hold a password.
    pub url: Secret<String>,
    /// Most connections of this process.
    pub max_connections: u32,
    /// How long to wait for a free one.
    acquire_timeout_ms: u64,
}

impl Database {
    /// How long a request waits for a free connection.
    #[must_use]
    pub const fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.acquire_timeout_ms)
    }
}

/// `[redis]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Connection URL, or several of a cluster; may hold a password.
    pub url: Secret<String>,
    /// Put before every key.
    pub key_prefix: String,
    /// Edges that are taken to live at least, while Redis does not say.
    pub edges_min: NonZeroU64,
}

/// `[secrets]`: each a file of keys, read when a process needs it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Key-encryption key of the vault.
    pub kek_file: KeyFile,
    /// Pepper of API key hashes.
    pub api_key_pepper_file: KeyFile,
    /// Signs the edge's context.
    pub edge_context_key_file: KeyFile,
    /// Signs mailed tokens, hashes refresh tokens.
    pub token_key_file: KeyFile,
}

/// `[edge]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Public listeners.
    pub listen: Vec<SocketAddr>,
    /// Metrics and health listener.
    pub metrics_listen: SocketAddr,
    /// Tenants are reached under this name.
    #[serde(deserialize_with = "host")]
    pub base_domain: HostName,
    /// Hosts that name no tenant.
    #[serde(deserialize_with = "hosts")]
    pub platform_hosts: Vec<HostName>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The route table.
    pub routes_file: PathBuf,
    /// Where the policy is kept over a restart; each edge's own.
    pub state_dir: PathBuf,
    /// Bytes of counted usage that may wait for Postgres.
    pub usage_bytes_max: u64,
    /// Worker threads, 0 for one a core.
    pub threads: usize,
    /// How long running requests may go on at a stop.
    grace_period_seconds: u64,
    policy_stale_after_seconds: u64,
    /// Sampling of the access log.
    pub access_log_per_million: u32,
    /// Largest header block.
    pub header_bytes_max: usize,
    /// Peers by pool, instead of the route table's.
    pub upstreams: BTreeMap<String, Vec<String>>,
}

impl Edge {
    /// How long running requests may go on at a stop.
    #[must_use]
    pub const fn grace_period(&self) -> Duration {
        Duration::from_secs(self.grace_period_seconds)
    }

    /// Where usage is kept until it is handed over.
    #[must_use]
    pub fn usage_dir(&self) -> PathBuf {
        self.state_dir.join("usage")
    }

    /// Age of the policy past which the edge answers 503.
    #[must_use]
    pub const fn policy_stale_after(&self) -> Duration {
        Duration::from_secs(self.policy_stale_after_seconds)
    }
}

/// `[api]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where the edge reaches it.
    pub listen: SocketAddr,
    /// Metrics and health listener.
    pub metrics_listen: SocketAddr,
    /// What mailed links start with, without a slash at the end.
    pub public_url: String,
    /// `iss` of access tokens.
    pub token_issuer: String,
    /// `aud` of access tokens.
    pub token_audience: String,
    access_token_seconds: u64,
    refresh_token_days: u64,
    /// Password hashes computed at the same time.
    pub password_hashes_at_once: usize,
    grace_period_seconds: u64,
}

impl Api {
    /// Life of an access token.
    #[must_use]
    pub const fn access_token_life(&self) -> Duration {
        Duration::from_secs(self.access_token_seconds)
    }

    /// Life of a session without use.
    #[must_use]
    pub const fn refresh_token_life(&self) -> Duration {
        Duration::from_secs(self.refresh_token_days * 86_400)
    }

    /// How long running requests may go on at a stop.
    #[must_use]
    pub const fn grace_period(&self) -> Duration {
        Duration::from_secs(self.grace_period_seconds)
    }
}

/// `[operator]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Where operators reach it.
    pub listen: SocketAddr,
    /// Connection URL of the operators' role; may hold a password. Empty: nothing is served.
    pub database_url: Secret<String>,
}

/// `[workers]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workers {
    /// Metrics and health listener.
    pub metrics_listen: SocketAddr,
    /// Jobs of one queue at the same time.
    pub concurrency: NonZeroUsize,
    /// The same for single queues.
    pub concurrency_of: BTreeMap<String, NonZeroUsize>,
    grace_period_seconds: u64,
    silence_seconds: NonZeroU64,
    done_kept_hours: u64,
    dead_kept_days: u64,
}

impl Workers {
    /// How long a worker may be silent before it is taken for dead.
    #[must_use]
    pub const fn silence(&self) -> Duration {
        Duration::from_secs(self.silence_seconds.get())
    }

    /// How long finished jobs are kept.
    #[must_use]
    pub const fn done_kept(&self) -> Duration {
        Duration::from_hours(self.done_kept_hours)
    }

    /// How long dead and discarded jobs are kept.
    #[must_use]
    pub const fn dead_kept(&self) -> Duration {
        Duration::from_hours(24 * self.dead_kept_days)
    }

    /// How long running jobs may go on at a stop.
    #[must_use]
    pub const fn grace_period(&self) -> Duration {
        Duration::from_secs(self.grace_period_seconds)
    }
}

/// `[webhooks]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Networks that tenants' addresses may lead to although they are private.
    pub allowed_networks: Vec<IpNet>,
    /// Whether public addresses may be called by plain http.
    pub allow_http: bool,
    /// Ports of public addresses; empty: all.
    pub ports: Vec<u16>,
    /// Deliveries of a process at the same time, those apart that take longer than a second.
    pub concurrency: NonZeroU32,
    timeout_seconds: NonZeroU64,
}

impl Webhooks {
    /// What tenants may reach.
    #[must_use]
    pub fn policy(&self) -> DestinationPolicy {
        DestinationPolicy {
            allowed_networks: self.allowed_networks.clone(),
            allow_http: self.allow_http,
            ports: self.ports.clone(),
        }
    }

    /// How long an attempt may take, the answer's body included.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.get())
    }
}

/// `[mail]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// How mail leaves.
    pub transport: MailTransport,
    /// Where `file` puts it.
    pub dir: PathBuf,
    /// Where `smtp` sends it; may hold a password.
    pub smtp_url: Secret<String>,
    /// Sender of every message.
    pub from: String,
    /// Where people see their account; empty: nowhere.
    pub account_url: String,
}

/// How mail leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// One `.eml` file a message.
    File,
    /// SMTP.
    Smtp,
}

/// The settings cannot be used. The message lists every fault that was found.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file, a variable or a value is wrong.
    #[error("settings: {0}")]
    Unreadable(#[from] Box<figment::Error>),
    /// A combination that must not be.
    #[error("settings: {0}")]
    Refused(&'static str),
}

impl Settings {
    /// Reads defaults, file and environment.
    ///
    /// # Errors
    /// When something is unknown, missing, malformed or refused; the message names the key.
    pub fn load() -> Result<Self, SettingsError> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(path) = Env::var("PYTAKE_CONFIG") {
            figment = figment.merge(Toml::file_exact(path));
        }
        // PYTAKE_CONFIG names the file; it is not a setting.
        let environment = Env::prefixed(PREFIX).ignore(&["config"]).split("__");
        Self::from_figment(&figment.merge(environment))
    }

    /// `[billing]`, as `T` knows it: the edge, which does not bill, never links what does.
    ///
    /// # Errors
    /// When something is unknown, missing or malformed; the message names the key.
    pub fn billing<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        section("billing", &self.billing)
    }

    /// `[payments]`, in the same way.
    ///
    /// # Errors
    /// When something is unknown, missing or malformed; the message names the key.
    pub fn payments<T: DeserializeOwned>(&self) -> Result<T, SettingsError> {
        section("payments", &self.payments)
    }

    fn from_figment(figment: &Figment) -> Result<Self, SettingsError> {
        let settings: Self = figment.extract().map_err(Box::new)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |reason| Err(SettingsError::Refused(reason));
        if self.environment == Environment::Production && self.mail.transport == MailTransport::File
        {
            return refuse("mail.transport = \"file\" sends nothing; set \"smtp\" in production");
        }
        if self.mail.transport == MailTransport::Smtp && self.mail.smtp_url.expose().is_empty() {
            return refuse("mail.smtp_url is needed for mail.transport = \"smtp\"");
        }
        if self.edge.listen.is_empty() {
            return refuse("edge.listen needs at least one address");
        }
        if self.api.public_url.ends_with('/') || !self.api.public_url.starts_with("http") {
            return refuse("api.public_url must be an http(s) URL without a slash at the end");
        }
        if self.api.password_hashes_at_once == 0 {
            return refuse("api.password_hashes_at_once must be at least 1");
        }
        Ok(())
    }
}

fn section<T: DeserializeOwned>(name: &str, section: &Value) -> Result<T, SettingsError> {
    Figment::from(Serialized::defaults(section))
        .extract()
        .map_err(|error| SettingsError::Unreadable(Box::new(error.with_path(name))))
}

fn host<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<HostName, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

fn hosts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<HostName>, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(toml: &str) -> Result<Settings, SettingsError> {
        Settings::from_figment(&Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(toml)))
    }

    #[test]
    fn defaults_are_complete_and_local() {
        let settings = with("").unwrap();
        assert_eq!(settings.environment, Environment::Local);
        assert_eq!(settings.edge.base_domain.as_str(), "api.localhost");
    }

    #[test]
    fn a_misspelt_key_is_named() {
        let error = with("[edge]\nlisten_adress = []").unwrap_err().to_string();
        assert!(error.contains("listen_adress"), "{error}");
    }

    #[test]
    fn production_refuses_mail_into_files() {
        let error = with("environment = \"production\"").unwrap_err().to_string();
        assert!(error.contains("mail.transport"), "{error}");
    }

    #[test]
    fn a_section_of_another_layer_is_read_by_whom_it_concerns() {
        #[derive(Debug, Deserialize)]
        struct Ways {
            sandbox: bool,
        }
        assert!(with("").unwrap().payments::<Ways>().unwrap().sandbox);
        let error =
            with("[payments]\nsandbox = 7").unwrap().payments::<Ways>().unwrap_err().to_string();
        assert!(error.contains("payments") && error.contains("sandbox"), "{error}");
    }

    #[test]
    fn debug_shows_no_password() {
        let settings = with("[database]\nurl = \"postgres://a:canary@h/d\"").unwrap();
        assert!(!format!("{settings:?}").contains("canary"));
    }
}
