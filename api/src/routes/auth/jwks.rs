//! The published keys (RFC 7517), for whoever verifies access tokens.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::Anyone;
use crate::problem::Problem;

/// A JSON Web Key Set.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeySet {
    #[schema(
        value_type = Vec<Object>,
        example = json!([{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": "sigkey_01h455vb4pex5vsknk084sn02q",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }])
    )]
    keys: Vec<Value>,
}

/// Published keys
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "Authentication",
    responses((status = 200, body = KeySet)),
    security(()),
)]
pub(crate) async fn show(State(app): State<App>, _caller: Anyone) -> Result<Json<KeySet>, Problem> {
    let keys = app.published_keys.iter().map(serde_json::to_value).collect::<Result<_, _>>();
    Ok(Json(KeySet { keys: keys.map_err(Problem::internal)? }))
}
