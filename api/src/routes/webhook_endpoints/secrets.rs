//! What signs an endpoint's messages: made here, shown once, rotated with an overlap in which both sign.

use axum::extract::State;
use axum::response::Response;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{TenantId, WebhookEndpointId};
use domain::secret::Secret;
use http::StatusCode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::webhook_endpoints;
use store::webhook_secrets::{self, SealedSecret, secret_place};
use utoipa::ToSchema;
use uuid::Uuid;
use vault::{DataKeys, Purpose};
use webhooks::signature::{SignatureKind, SigningSecret};

use crate::app::{App, random};
use crate::authorized::{Authorized, needs};
use crate::extract::{Body, PathId, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::problem::Problem;

/// Hours in which both secrets sign, unless something is said, and at most.
const OVERLAP_HOURS_DEFAULT: u16 = 24;
const OVERLAP_HOURS_MAX: u16 = 7 * 24;

/// A new secret, sealed; and in text, where it is one that both sides know.
pub(super) fn make(
    app: &App,
    keys: &DataKeys,
    tenant_id: TenantId,
    kind: SignatureKind,
) -> Result<(SealedSecret, Option<Secret<String>>), Problem> {
    let secret = SigningSecret::new(kind, random());
    let verifier = secret.verifier().map_err(Problem::internal)?;
    let id = Uuid::from_bytes(random());
    let place = secret_place(tenant_id, id);
    let sealed = keys.seal(place, secret.stored().expose(), app.keys.sealer.entropy())?;
    let (shown, public_key) = match kind {
        SignatureKind::Hmac => (Some(verifier), None),
        SignatureKind::Ed25519 => (None, Some(verifier.expose().clone())),
    };
    Ok((SealedSecret { id, kind, sealed, public_key, expires_at: None }, shown))
}

/// How a secret is replaced.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// Hours in which the old one signs, too, so that you can change over: 0 to 168, 24 when left out.
    #[schema(example = 24)]
    overlap_hours: Option<u16>,
    /// `Hmac` or `Ed25519`; as before when left out.
    signature: Option<String>,
}

/// A checked [`RotateSecret`].
pub(crate) struct Rotation {
    overlap: SignedDuration,
    signature: Option<SignatureKind>,
}

impl Wire for RotateSecret {
    type Parsed = Rotation;

    fn parse(self) -> Result<Rotation, Faults> {
        let mut faults = Faults::new();
        let hours = self.overlap_hours.unwrap_or(OVERLAP_HOURS_DEFAULT);
        if hours > OVERLAP_HOURS_MAX {
            faults.push("/overlap_hours", format!("must be 0 to {OVERLAP_HOURS_MAX} hours"));
        }
        let signature = self.signature.and_then(|text| faults.check("/signature", text.parse()));
        let overlap = SignedDuration::from_hours(i64::from(hours));
        faults.finish(Some(Rotation { overlap, signature }))
    }
}

/// A new secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedBody {
    #[schema(example = "Hmac")]
    signature: &'static str,
    /// What verifies from now on (`whsec_…`), of `Hmac`: here and never again.
    #[schema(example = "whsec_…")]
    secret: Option<String>,
    /// What verifies from now on (`whpk_…`), of `Ed25519`.
    public_key: Option<String>,
    /// Until then messages are signed with the old one, too.
    overlap_ends_at: String,
}

/// Rotate the secret of a webhook endpoint
///
/// Messages are signed with both until the overlap ends. One that was replaced before signs no more.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/webhook-endpoints/{endpoint_id}/rotate-secret",
    tag = "Webhooks",
    params(
        ("tenant_id" = String, Path),
        ("endpoint_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = RotateSecret,
    responses((status = 200, body = RotatedBody)),
    extensions(("x-permission" = json!("ManageWebhooks"))),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    auth: Authorized<needs::ManageWebhooks>,
    PathId(id): PathId<WebhookEndpointId>,
    key: IdempotencyKey,
    body: Body<RotateSecret>,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let endpoint = webhook_endpoints::get(&mut tx, id).await?;

    let now = app.now();
    let kind = body.value.signature.unwrap_or(endpoint.signature);
    let keys = app.keys.sealer.keys(&mut tx, Purpose::Webhooks, now).await?;
    let (sealed, shown) = make(&app, &keys, auth.tenant_id(), kind)?;
    let overlap_ends = now.checked_add(body.value.overlap).map_err(Problem::internal)?;

    webhook_secrets::rotate(&mut tx, id, &sealed, overlap_ends, now).await?;
    let changes = json!({ "signature": kind.as_str(), "overlap_ends_at": overlap_ends });
    auth.caller.audit(&app, &mut tx, Action::WebhookSecretRotated, id, changes).await?;

    let shown = RotatedBody {
        signature: kind.as_str(),
        secret: shown.map(|secret| secret.expose().clone()),
        public_key: sealed.public_key,
        overlap_ends_at: overlap_ends.to_string(),
    };
    let response = first.answer(&app, &mut tx, StatusCode::OK, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}
