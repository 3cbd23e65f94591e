//! A tenant's audit trail.

use axum::Json;
use axum::extract::{Query, State};
use domain::faults::Faults;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit_events::{self, AuditEvent, AuditFilter};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::PageQuery;
use crate::problem::Problem;
use crate::routes::List;

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
            let time = text?.parse::<Timestamp>();
            faults.check(pointer, time.map_err(|_| "must be a time such as `2026-11-01T00:00:00Z`"))
        };
        let (from, to) = (time("/from", self.from), time("/to", self.to));
        let (action, actor_id) = (self.action, self.actor_id);
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
    Query(query): Query<AuditQuery>,
) -> Result<Json<List<AuditEventBody>>, Problem> {
    let filter = query.parse()?;
    let mut tx = auth.begin(&app).await?;

    let rows = audit_events::list(&mut tx, &filter, page).await?;

    Ok(Json(List::of(rows, AuditEventBody::new)))
}
