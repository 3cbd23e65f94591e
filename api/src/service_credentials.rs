//! `pytake-api service-credential`: makes, lists and revokes the credentials of the operator's applications.

use anyhow::{Context, bail};
use clap::Subcommand;
use credentials::service_key::ServiceKey;
use domain::clock::{Clock, SystemClock};
use domain::id::ServiceCredentialId;
use settings::Settings;
use store::service_credentials::{self, ServiceCredential};
use store::{Error, Store};

use crate::app::{Keys, random};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Make a credential, and print its id and its key. The key is shown this once.
    Create {
        /// What it is for, such as `billing-importer`.
        name: String,
    },
    /// List all credentials, revoked ones too.
    List,
    /// End a credential: it is refused from the next call on.
    Revoke {
        /// Its id.
        id: ServiceCredentialId,
    },
}

/// Does it, as the owner of the schema; what is to be printed.
pub(crate) async fn run(settings: &Settings, command: ServiceCommand) -> anyhow::Result<String> {
    let store = Store::connect_as_owner(&settings.database.url)?;
    let now = SystemClock.now();
    let mut tx = store.control().await?;
    let printed = match command {
        ServiceCommand::Create { name } => {
            if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
                bail!("a name has 1 to {NAME_CHARS_MAX} characters");
            }
            let key = ServiceKey::generate(random());
            let credential = ServiceCredential {
                id: ServiceCredentialId::new(now, random()),
                name,
                last_four: key.last_four().to_owned(),
                created_at: now,
                revoked_at: None,
            };
            let hash = key.hash(&Keys::read(settings)?.service_keys);
            service_credentials::insert(&mut tx, &credential, &hash).await?;
            format!("{}\n{}", credential.id, key.expose())
        }
        ServiceCommand::List => {
            let credentials = service_credentials::list(&mut tx).await?;
            let lines: Vec<_> = credentials.iter().map(line).collect();
            lines.join("\n")
        }
        ServiceCommand::Revoke { id } => {
            match service_credentials::revoke(&mut tx, id, now).await {
                Err(Error::NotFound) => bail!("there is no credential {id} in force"),
                revoked => revoked.context("it is still in force")?,
            }
            format!("{id} is revoked")
        }
    };
    tx.commit().await?;
    Ok(printed)
}

fn line(credential: &ServiceCredential) -> String {
    let ServiceCredential { id, name, last_four, created_at, revoked_at } = credential;
    let state = revoked_at.map_or_else(|| "in force".to_owned(), |at| format!("revoked {at}"));
    format!("{id}  svc_…{last_four}  {created_at}  {state}  {name}")
}
