//! `operator_events`: what operators did, recorded in the transaction that does it. Append-only.

use std::net::IpAddr;

use domain::id::{OperatorEventId, RequestId};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::error::Error;
use crate::tenant_tx::Tx;

/// One thing that an operator did.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorEvent {
    /// Its id.
    pub id: OperatorEventId,
    /// When.
    pub at: Timestamp,
    /// Who: a credential, or the account on the machine where a command was run.
    pub operator: String,
    /// What, as `noun.past_participle`.
    pub action: &'static str,
    /// To what, and how much of it.
    pub details: Value,
    /// From where; a command has no address.
    pub address: Option<IpAddr>,
    /// The request; a command is none.
    pub request_id: Option<RequestId>,
}

/// Records `event`.
///
/// # Errors
/// When the database is gone.
pub async fn record(tx: &mut impl Tx, event: &OperatorEvent) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO operator_events (id, at, operator, action, details, address, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7)",
        event.id as _,
        event.at.to_sqlx() as _,
        event.operator,
        event.action,
        event.details,
        event.address.map(IpNet::from) as _,
        event.request_id.map(|id| id.to_string())
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
