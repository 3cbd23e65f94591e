//! A tenant's audit trail.

pub(crate) mod export;
pub(crate) mod keys;
mod trail;
pub(crate) mod verification;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use domain::event::Action;
use domain::faults::Faults;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit_events::{self, AuditEvent, AuditFilter};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{PageQuery, malformed_query};
use crate::problem::Problem;
use crate::routes::List;

/// Longest id of an actor: a prefix and 26 characters.
const ACTOR_ID_LEN_MAX: usize = 64;

/// An event.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEventBody {
    #[schema(example = "audit_01h455vb4pex5vsknk084sn02q")]
    id: String,
    at: String,
    /// `User`, `ApiKey`, `Anonymous` or `System`.
    #[schema(example = "User")]
    actor_kind: String,
    /// The membership, key or user that acted.
    actor_id: Option<String>,
    #[schema(example = "api_key.created")]
    action: String,
    /// The id of what it was done to.
    target: String,
    /// Before and after, secrets left out.
    #[schema(value_type = Object)]
    changes: Value,
    address: Option<String>,
    request_id: Option<String>,
}

impl AuditEventBody {
    fn new(event: AuditEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: event.at.to_string(),
            actor_kind: event.actor_kind,
            actor_id: event.actor_id,
            action: event.action,
            target: event.target,
            changes: event.changes,
            address: event.address.map(|address| address.to_string()),
            request_id: event.request_id,
        }
    }
}

/// Which events are wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct AuditQuery {
    /// This action only, such as `api_key.created`.
    action: Option<String>,
    /// This actor's only.
    actor_id: Option<String>,
    /// Not before (RFC 3339).
    from: Option<String>,
    /// Before (RFC 3339).
    to: Option<String>,
}

impl AuditQuery {
    fn parse(self) -> Result<AuditFilter, Faults> {
        let mut faults = Faults::new();
        let mut time = |pointer, text: Option<String>| {
            let time = text?.parse::<Timestamp>().ok().filter(|time| time.as_second() >= 0);
            faults.check(pointer, time.ok_or("must be a time such as `2026-11-01T00:00:00Z`"))
        };
        let (from, to) = (time("/from", self.from), time("/to", self.to));
        let known =
            |name: &String| Action::ALL.iter().any(|action| action.as_str() == name.as_str());
        let action = self.action;
        if action.as_ref().is_some_and(|name| !known(name)) {
            faults.push("/action", "must be an action such as `api_key.created`");
        }
        let id = |text: &String| {
            text.len() <= ACTOR_ID_LEN_MAX
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let actor_id = self.actor_id;
        if actor_id.as_ref().is_some_and(|text| !id(text)) {
            faults.push("/actor_id", "must be the id of a member, a user or an API key");
        }
        faults.finish(Some(AuditFilter { action, actor_id, from, to }))
    }
}

/// Read the audit trail
///
/// One event for each change, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/audit-events",
    tag = "Audit",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
        AuditQuery,
    ),
    responses((status = 200, body = List<AuditEventBody>)),
    extensions(("x-permission" = json!("ViewAuditEvents"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewAuditEvents>,
    PageQuery(page): PageQuery,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Json<List<AuditEventBody>>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let filter = query.parse()?;
    let mut tx = auth.begin(&app).await?;

    let rows = audit_events::list(&mut tx, &filter, page).await?;

    Ok(Json(List::of(rows, AuditEventBody::new)))
}
