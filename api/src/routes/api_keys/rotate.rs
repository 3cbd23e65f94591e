//! A new key in the place of one: both are good for a while, so that whoever uses it can change over without a gap.

use axum::extract::State;
use axum::response::Response;
use credentials::api_key::ApiKey;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::ApiKeyId;
use domain::problem::ProblemKind;
use http::StatusCode;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;
use store::api_keys::{self, ApiKeyRecord};
use utoipa::ToSchema;

use super::{ApiKeyBody, check_scopes, creator, keep};
use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, PathId, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;

/// For so long both are good, where nothing else is said.
const OVERLAP_HOURS: u16 = 24;
/// At most: a key that leaks should not be good for longer because it was rotated.
const OVERLAP_HOURS_MAX: u16 = 30 * 24;

/// How a key is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateApiKey {
    /// Hours for which the old one is good beside the new one, up to 720; 24 when left out, 0: it ends at once.
    #[schema(example = 24, maximum = 720)]
    overlap_hours: Option<u16>,
}

impl Wire for RotateApiKey {
    type Parsed = SignedDuration;

    fn parse(self) -> Result<SignedDuration, Faults> {
        let mut faults = Faults::new();
        let hours = self.overlap_hours.unwrap_or(OVERLAP_HOURS);
        if hours > OVERLAP_HOURS_MAX {
            faults.push("/overlap_hours", format!("must be 0 to {OVERLAP_HOURS_MAX}"));
        }
        faults.finish(Some(SignedDuration::from_hours(i64::from(hours))))
    }
}

/// Rotate an API key
///
/// A new key with the name, scopes, limit, networks and life of the old one; the old one ends after the overlap, unless it
/// ends sooner. The new key is in the answer, once.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/api-keys/{key_id}/rotate",
    tag = "API keys",
    params(
        ("tenant_id" = String, Path),
        ("key_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = RotateApiKey,
    responses((status = 201, body = ApiKeyBody)),
    extensions(
        ("x-permission" = json!("ManageApiKeys")),
        ("x-problems" = json!(["conflict"])),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    auth: Authorized<needs::ManageApiKeys>,
    PathId(id): PathId<ApiKeyId>,
    key: IdempotencyKey,
    body: Body<RotateApiKey>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let now = app.now();
    let old = api_keys::get_for_update(&mut tx, id).await?;
    if old.revoked_at.is_some() {
        return Err(Problem::not_found());
    }
    if old.expires_at.is_some_and(|end| end <= now) {
        let detail = "The key has ended; create another one.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    }
    check_scopes(&auth, &old.scopes)?;
    let life = old.expires_at.map(|end| end.duration_since(old.created_at));
    let after = |time| now.checked_add(time).map_err(Problem::internal);

    let secret = ApiKey::generate(random());
    let record = ApiKeyRecord {
        id: ApiKeyId::new(now, random()),
        last_four: secret.last_four().to_owned(),
        created_by: creator(&auth)?,
        created_at: now,
        expires_at: life.map(after).transpose()?,
        last_used_at: None,
        ..old
    };
    let shown = keep(&app, &auth, &mut tx, &record, &secret, Some(id)).await?;
    let ends = after(body.value)?;
    let ends = old.expires_at.map_or(ends, |end| end.min(ends));
    api_keys::end_at(&mut tx, id, ends).await?;
    let changes = json!({ "expires_at": ends, "replaced_by": record.id });
    auth.caller.audit(&app, &mut tx, Action::ApiKeyRotated, id, changes).await?;

    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}
