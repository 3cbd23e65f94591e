//! A person's sessions: list, end one, sign out.

use axum::Json;
use axum::extract::State;
use domain::event::Action;
use domain::id::SessionId;
use http::StatusCode;
use serde::Serialize;
use store::sessions::{self, Session};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::SignedIn;
use crate::extract::PathId;
use crate::problem::Problem;
use crate::routes::auth::login;

/// A signed-in device.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionBody {
    #[schema(example = "session_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// Whether it is the one that asks.
    current: bool,
    /// From where it was begun.
    address: Option<String>,
    /// By which program, as it names itself.
    user_agent: Option<String>,
    created_at: String,
    last_used_at: String,
    expires_at: String,
}

impl SessionBody {
    fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id.to_string(),
            current: session.id == current,
            address: session.address.map(|address| address.to_string()),
            user_agent: session.user_agent,
            created_at: session.created_at.to_string(),
            last_used_at: session.last_used_at.to_string(),
            expires_at: session.expires_at.to_string(),
        }
    }
}

/// Sessions in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sessions {
    data: Vec<SessionBody>,
}

/// List your sessions
#[utoipa::path(
    get,
    path = "/api/v1/auth/sessions",
    tag = "Authentication",
    responses((status = 200, body = Sessions)),
)]
pub(crate) async fn list(
    State(app): State<App>,
    signed_in: SignedIn,
) -> Result<Json<Sessions>, Problem> {
    let mut tx = app.store.control().await?;

    let sessions = sessions::list(&mut tx, signed_in.user_id, app.now()).await?;

    let current = signed_in.session_id;
    let data = sessions.into_iter().map(|session| SessionBody::new(session, current)).collect();
    Ok(Json(Sessions { data }))
}

/// End a session
///
/// Its access tokens are refused at every edge within moments.
#[utoipa::path(
    delete,
    path = "/api/v1/auth/sessions/{session_id}",
    tag = "Authentication",
    params(("session_id" = String, Path)),
    responses((status = 204)),
)]
pub(crate) async fn end(
    State(app): State<App>,
    signed_in: SignedIn,
    PathId(id): PathId<SessionId>,
) -> Result<StatusCode, Problem> {
    revoke(&app, &signed_in, id).await
}

/// Sign out
///
/// Ends the session that the access token came from.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "Authentication",
    responses((status = 204)),
)]
pub(crate) async fn logout(
    State(app): State<App>,
    signed_in: SignedIn,
) -> Result<StatusCode, Problem> {
    let id = signed_in.session_id;
    revoke(&app, &signed_in, id).await
}

async fn revoke(app: &App, signed_in: &SignedIn, id: SessionId) -> Result<StatusCode, Problem> {
    let mut tx = app.store.control().await?;

    if !sessions::revoke(&mut tx, signed_in.user_id, id, app.now()).await? {
        return Err(Problem::not_found());
    }
    let tenants = login::tenant_ids(&mut tx, signed_in.user_id).await?;
    let caller = &signed_in.caller;
    let tx = caller.audit_each(app, tx, &tenants, Action::SessionEnded, id).await?;

    caller.commit_control(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
