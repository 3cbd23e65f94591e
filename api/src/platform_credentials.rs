//! `pytake-api service-credential` and `operator-credential`: make, list and revoke what belongs to no tenant.

use anyhow::{Context, bail};
use clap::Subcommand;
use credentials::platform_key::{PlatformKey, prefix};
use domain::clock::{Clock, SystemClock};
use domain::credential::PlatformCredentialKind;
use domain::id::PlatformCredentialId;
use jiff::{SignedDuration, Timestamp};
use settings::Settings;
use store::platform_credentials::{self, PlatformCredential};
use store::{Error, Store};

use crate::app::{Keys, random};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;
/// How long an operator's credential is good unless it is said.
const OPERATOR_DAYS: u16 = 90;

#[derive(Debug, Subcommand)]
pub(crate) enum CredentialCommand {
    /// Make a credential, and print its id and its key. The key is shown this once.
    Create {
        /// Whose it is or what it is for, such as `billing-importer`.
        name: String,
        /// Days that it is good. Left out, an operator's is good for 90, a service's until it is revoked.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=3650))]
        days: Option<u16>,
    },
    /// List all credentials, also those that are not in force any more.
    List,
    /// End a credential: it is refused from the next call on.
    Revoke {
        /// Its id.
        id: PlatformCredentialId,
    },
}

/// Does it, as the owner of the schema; what is to be printed.
pub(crate) async fn run(
    settings: &Settings,
    kind: PlatformCredentialKind,
    command: CredentialCommand,
) -> anyhow::Result<String> {
    let store = Store::connect_as_owner(&settings.database.url)?;
    let now = SystemClock.now();
    let mut tx = store.control().await?;
    let printed = match command {
        CredentialCommand::Create { name, days } => {
            if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
                bail!("a name has 1 to {NAME_CHARS_MAX} characters");
            }
            let key = PlatformKey::generate(kind, random());
            let credential = PlatformCredential {
                id: PlatformCredentialId::new(now, random()),
                name,
                last_four: key.last_four().to_owned(),
                created_at: now,
                expires_at: expiry(kind, days, now)?,
                revoked_at: None,
            };
            let hash = key.hash(&Keys::read(settings)?.platform_keys);
            platform_credentials::insert(&mut tx, kind, &credential, &hash).await?;
            format!("{}\n{}", credential.id, key.expose())
        }
        CredentialCommand::List => {
            let credentials = platform_credentials::list(&mut tx, kind).await?;
            let lines: Vec<_> = credentials.iter().map(|row| line(kind, row, now)).collect();
            lines.join("\n")
        }
        CredentialCommand::Revoke { id } => {
            match platform_credentials::revoke(&mut tx, kind, id, now).await {
                Err(Error::NotFound) => bail!("there is no credential {id} in force"),
                revoked => revoked.context("it is still in force")?,
            }
            format!("{id} is revoked")
        }
    };
    tx.commit().await?;
    Ok(printed)
}

fn expiry(
    kind: PlatformCredentialKind,
    days: Option<u16>,
    now: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    let days = match kind {
        PlatformCredentialKind::Service => days,
        PlatformCredentialKind::Operator => Some(days.unwrap_or(OPERATOR_DAYS)),
    };
    let expiry = days.map(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days))));
    Ok(expiry.transpose()?)
}

fn line(kind: PlatformCredentialKind, credential: &PlatformCredential, now: Timestamp) -> String {
    let PlatformCredential { id, name, last_four, created_at, expires_at, revoked_at } = credential;
    let state = match (revoked_at, expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if *at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("in force until {at}"),
        (None, None) => "in force".to_owned(),
    };
    format!("{id}  {}…{last_four}  {created_at}  {state}  {name}", prefix(kind))
}
