//! Exchanging a refresh token for the next pair.
//!
//! A token is good once. A client whose answer got lost presents it again within seconds and is handed the
//! same successor; after that, a repeat means that somebody else has the token, and the session ends.

use axum::Json;
use axum::extract::State;
use credentials::refresh_token::RefreshToken;
use domain::event::Action;
use domain::faults::Faults;
use domain::problem::ProblemKind;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use store::ControlTx;
use store::sessions::{self as stored, Session, StoredRefreshToken};
use utoipa::ToSchema;

use crate::app::{App, random};
use crate::authorized::Anyone;
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::routes::auth::login;
use crate::sessions::{self, Tokens};

/// How long a used token still yields its successor: naive reuse detection logs real users out.
const GRACE: SignedDuration = SignedDuration::from_secs(30);

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    #[schema(example = "rt_aP1P5mEYZhFP12TLiPeXBTXpM3a7j6sC4qkhBvk4iQn")]
    refresh_token: String,
}

impl Wire for Refresh {
    type Parsed = RefreshToken;

    fn parse(self) -> Result<RefreshToken, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/refresh_token", RefreshToken::parse(&self.refresh_token));
        faults.finish(token)
    }
}

/// Refresh the tokens
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "Authentication",
    request_body = Refresh,
    responses((status = 200, body = Tokens)),
    extensions(("x-problems" = json!(["token-invalid"]))),
    security(()),
)]
pub(crate) async fn refresh(
    State(app): State<App>,
    caller: Anyone,
    body: Body<Refresh>,
) -> Result<Json<Tokens>, Problem> {
    let presented = body.value;
    let hash = app.keys.refresh_tokens.hash(&presented);
    let now = app.now();

    let mut tx = app.store.control().await?;
    let token = match stored::refresh_token_for_update(&mut tx, &hash).await {
        Err(store::Error::NotFound) => return Err(refused()),
        other => other?,
    };
    let session = stored::get(&mut tx, token.session_id).await?;
    if session.revoked_at.is_some() || session.expires_at <= now {
        return Err(refused());
    }

    let successor = match exchange(&token, &presented, now)? {
        Exchange::New => {
            let successor = RefreshToken::generate(random());
            let sealed = presented.seal_successor(&successor).map_err(Problem::internal)?;
            stored::rotate(&mut tx, &hash, &sealed, now).await?;
            let successor_hash = app.keys.refresh_tokens.hash(&successor);
            stored::insert_refresh_token(&mut tx, session.id, &successor_hash, now).await?;
            successor
        }
        Exchange::Again(successor) => successor,
        Exchange::Reused => {
            end_family(&app, &caller, tx, &session).await?;
            return Err(refused());
        }
    };
    stored::extend(&mut tx, session.id, now, sessions::expiry(&app, now)?).await?;
    caller.commit_control(tx).await?;
    Ok(Json(sessions::tokens(&app, &session, &successor)?))
}

enum Exchange {
    New,
    Again(RefreshToken),
    Reused,
}

fn exchange(
    token: &StoredRefreshToken,
    presented: &RefreshToken,
    now: Timestamp,
) -> Result<Exchange, Problem> {
    let Some(rotated_at) = token.rotated_at else { return Ok(Exchange::New) };
    match &token.successor_sealed {
        Some(sealed) if now.duration_since(rotated_at) <= GRACE => {
            Ok(Exchange::Again(presented.open_successor(sealed).map_err(Problem::internal)?))
        }
        _ => Ok(Exchange::Reused),
    }
}

/// One answer for unknown, used and ended tokens.
fn refused() -> Problem {
    Problem::new(ProblemKind::TokenInvalid, "The refresh token is no longer good; sign in again.")
}

/// Ends the session whose token was stolen or replayed, and leaves a trace with every tenant concerned.
async fn end_family(
    app: &App,
    caller: &Anyone,
    mut tx: ControlTx,
    session: &Session,
) -> Result<(), Problem> {
    stored::revoke(&mut tx, session.user_id, session.id, app.now()).await?;
    let mut tenants = login::tenant_ids(&mut tx, session.user_id).await?;
    if let Some(only) = session.tenant_id {
        tenants.retain(|id| *id == only);
    }
    tracing::warn!(session.id = %session.id, "a used refresh token came again; its session is ended");
    let tx = caller.audit_each(app, tx, &tenants, Action::RefreshTokenReused, session.id).await?;
    caller.commit_control(tx).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::SessionId;
    use uuid::Uuid;

    #[test]
    fn a_used_token_yields_its_successor_for_a_moment_and_is_a_theft_after() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let [old, new] = [1, 2].map(|byte| RefreshToken::generate([byte; 32]));
        let stored = |rotated_at| StoredRefreshToken {
            session_id: SessionId::from_uuid(Uuid::nil()),
            rotated_at,
            successor_sealed: Some(old.seal_successor(&new).unwrap()),
        };
        assert!(matches!(exchange(&stored(None), &old, at(0)).unwrap(), Exchange::New));
        let used = stored(Some(at(100)));
        let Exchange::Again(again) = exchange(&used, &old, at(130)).unwrap() else { panic!() };
        assert_eq!(again.expose(), new.expose());
        assert!(matches!(exchange(&used, &old, at(131)).unwrap(), Exchange::Reused));
    }
}
