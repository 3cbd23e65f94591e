//! The published keys of audit trails, for whoever verifies an export.

use axum::Json;
use axum::extract::State;
use credentials::access_token::PublicJwk;
use serde::Serialize;
use serde_json::Value;
use store::audit_keys;
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::Anyone;
use crate::problem::Problem;

/// A JSON Web Key Set of Ed25519 keys (RFC 8037).
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditKeySet {
    #[schema(
        value_type = Vec<Object>,
        example = json!([{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": "auditkey_01h455vb4pex5vsknk084sn02q",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }])
    )]
    keys: Vec<Value>,
}

/// Published keys of audit trails
#[utoipa::path(
    get,
    path = "/.well-known/audit-keys.json",
    tag = "Audit",
    responses((status = 200, body = AuditKeySet)),
    security(()),
)]
pub(crate) async fn show_audit_keys(
    State(app): State<App>,
    _caller: Anyone,
) -> Result<Json<AuditKeySet>, Problem> {
    let mut tx = app.store.control().await?;
    let keys = audit_keys::public(&mut tx).await?.into_iter();
    let keys = keys.map(|key| serde_json::to_value(PublicJwk::ed25519(key.id(), key.public())));
    let keys = keys.collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Json(AuditKeySet { keys }))
}
