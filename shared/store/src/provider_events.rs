//! `provider_events`: what providers told by their webhooks, as it came, each once. A control table: whose it is shows only
//! when it is looked into.

use domain::payment::ProviderName;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use sqlx::types::Json;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// An event as it came in.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Whose.
    pub provider: ProviderName,
    /// By which it is known as the same when it comes again.
    pub event_id: &'a str,
    /// The provider's word for it.
    pub kind: &'a str,
    /// What it is about, as the provider's client reads it.
    pub about: Value,
    /// Its body, byte for byte.
    pub payload: &'a [u8],
}

/// Keeps an event; whether it had not been there.
///
/// # Errors
/// When the database is gone.
pub async fn insert(
    tx: &mut ControlTx,
    event: &NewEvent<'_>,
    now: Timestamp,
) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "INSERT INTO provider_events (provider, event_id, kind, about, payload, received_at)
        VALUES ($1, $2, left($3, 255), $4, $5, $6)
        ON CONFLICT (provider, event_id) DO NOTHING",
        event.provider.as_str(),
        event.event_id,
        event.kind,
        Json(&event.about) as _,
        event.payload,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// What an event is about; `None` once it was looked into.
///
/// # Errors
/// `NotFound` when there is none such.
pub async fn about(
    tx: &mut ControlTx,
    provider: ProviderName,
    event_id: &str,
) -> Result<Option<Value>, Error> {
    let row = sqlx::query!(
        r#"SELECT about AS "about: Json<Value>", processed_at FROM provider_events
        WHERE provider = $1 AND event_id = $2"#,
        provider.as_str(),
        event_id
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(row.processed_at.is_none().then_some(row.about.0))
}

/// What came of looking into an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was of ours.
    Applied,
    /// It was not, or nothing that concerns us.
    Ignored,
}

/// Marks that an event was looked into.
///
/// # Errors
/// When the database is gone.
pub async fn note_processed(
    tx: &mut impl Tx,
    provider: ProviderName,
    event_id: &str,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), Error> {
    let outcome = match outcome {
        Outcome::Applied => "Applied",
        Outcome::Ignored => "Ignored",
    };
    sqlx::query!(
        "UPDATE provider_events SET processed_at = $3, outcome = $4
        WHERE provider = $1 AND event_id = $2 AND processed_at IS NULL",
        provider.as_str(),
        event_id,
        now.to_sqlx() as _,
        outcome
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Forgets events that came in before `before` and were looked into: providers send none again so late.
///
/// # Errors
/// When the database is gone.
pub async fn forget(tx: &mut ControlTx, before: Timestamp) -> Result<u64, Error> {
    let forgotten = sqlx::query!(
        "DELETE FROM provider_events WHERE received_at < $1 AND processed_at IS NOT NULL",
        before.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(forgotten.rows_affected())
}
