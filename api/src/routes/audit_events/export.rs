//! A tenant's audit trail as a file that anybody can verify.

use audit_log::Line;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::id::TenantId;
use futures::stream::try_unfold;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::value::RawValue;
use store::audit_tree as tree;
use tokio::sync::OwnedSemaphorePermit;

use super::trail::{Step, Trail};
use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::problem::Problem;
use crate::routes::usage::live::too_many_streams;

/// Lines that are sent together.
const LINES: usize = 500;

/// Export the audit trail
///
/// A line of JSON for each event, `{"event": …}`, in the order of their places, and after the last event that it is of, each
/// signed head, `{"head": …}`. `pytake-api verify-audit` verifies it with the keys of `/.well-known/audit-keys.json` alone.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/audit-events/export",
    tag = "Audit",
    params(("tenant_id" = String, Path)),
    responses((status = 200, body = String, content_type = "application/jsonl")),
    extensions(("x-permission" = json!("ViewAuditEvents"))),
)]
pub(crate) async fn export(
    State(app): State<App>,
    auth: Authorized<needs::ViewAuditEvents>,
) -> Result<Response, Problem> {
    let permit = app.streams.clone().try_acquire_owned().map_err(|_| too_many_streams())?;
    let mut tx = auth.begin(&app).await?;
    let extent = tree::extent(&mut tx).await?;
    drop(tx);
    let tenant_id = auth.tenant_id();
    let state = Export { app, tenant_id, trail: Trail::until(extent.signed), _permit: permit };
    let headers = [
        (CONTENT_TYPE, "application/jsonl".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{tenant_id}-audit.jsonl\"")),
    ];
    let lines = try_unfold(state, async |mut export| {
        Ok::<_, std::io::Error>(export.lines().await?.map(|lines| (lines, export)))
    });
    Ok((headers, Body::from_stream(lines)).into_response())
}

struct Export {
    app: App,
    tenant_id: TenantId,
    trail: Trail,
    _permit: OwnedSemaphorePermit,
}

impl Export {
    /// The next lines. What cannot be read ends the answer within, so that nobody takes a part for all of it.
    async fn lines(&mut self) -> std::io::Result<Option<Bytes>> {
        let failed = |error: &dyn std::fmt::Display| std::io::Error::other(error.to_string());
        let mut tx = self.app.store.begin(self.tenant_id).await.map_err(|error| failed(&error))?;
        let mut text = String::new();
        for _ in 0..LINES {
            let step = self.trail.next(&mut tx).await;
            let Some(step) = step.map_err(|_| failed(&"the trail cannot be read"))? else { break };
            let line = match step {
                Step::Head(signed) => Line::Head(signed),
                Step::Leaf(leaf) => {
                    let Some(event) = &leaf.event else { continue };
                    Line::Event(RawValue::from_string(event.entry().line()?)?)
                }
            };
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        Ok((!text.is_empty()).then(|| text.into()))
    }
}
