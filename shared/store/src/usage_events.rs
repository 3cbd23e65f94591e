//! Usage that applications tell of: events, each accepted once, in a call of the database's own
//! (migration 0011). No table of it can be read or written here.

use domain::id::{PlatformCredentialId, TenantId};
use domain::meter::MeterName;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, Tx};

/// An event to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageEvent {
    /// Whose usage it is.
    pub tenant_id: TenantId,
    /// Of what.
    pub meter: MeterName,
    /// When.
    pub at: Timestamp,
    /// How much.
    pub quantity: u64,
    /// What tells it from any other: the same for the same tenant, source and id.
    pub fingerprint: Uuid,
    /// For meters of different values: which one.
    pub value: Option<Uuid>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// It is counted.
    Accepted,
    /// It was there before, and is counted once.
    Duplicate,
    /// There is no such tenant, or it was closed.
    NoTenant,
}

/// Takes in events that `credential` sent in the call `call`; what became of each, in their order.
///
/// # Errors
/// When the database is gone; then none is counted.
pub async fn submit(
    tx: &mut ControlTx,
    credential: PlatformCredentialId,
    call: Uuid,
    events: &[UsageEvent],
) -> Result<Vec<Intake>, Error> {
    let tenants: Vec<Uuid> = events.iter().map(|event| event.tenant_id.as_uuid()).collect();
    let meters: Vec<String> = events.iter().map(|event| event.meter.to_string()).collect();
    let times: Vec<_> = events.iter().map(|event| event.at.to_sqlx()).collect();
    let quantity = |event: &UsageEvent| i64::try_from(event.quantity).unwrap_or(i64::MAX);
    let quantities: Vec<i64> = events.iter().map(quantity).collect();
    let fingerprints: Vec<Uuid> = events.iter().map(|event| event.fingerprint).collect();
    let values: Vec<Option<Uuid>> = events.iter().map(|event| event.value).collect();
    let states = sqlx::query_scalar!(
        r#"SELECT submit_usage_events($1, $2, $3, $4, $5, $6, $7, $8) AS "states!""#,
        credential.as_uuid(),
        call,
        &tenants,
        &meters,
        &times as _,
        &quantities,
        &fingerprints,
        &values as _
    )
    .fetch_one(tx.connection())
    .await?;
    states
        .into_iter()
        .map(|state| match state {
            0 => Ok(Intake::Accepted),
            1 => Ok(Intake::Duplicate),
            2 => Ok(Intake::NoTenant),
            _ => Err(Error::Foreign("submit_usage_events")),
        })
        .collect()
}
