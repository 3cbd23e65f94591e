//! Applications of the operator's, as an argument of the handler. Their service keys belong to no tenant, so the edge
//! cannot look at them; they are looked up before a body is read: what strangers send is not worth it.

use axum::extract::FromRequestParts;
use domain::credential::PlatformCredentialKind;
use domain::id::PlatformCredentialId;
use domain::problem::ProblemKind;
use http::request::Parts;
use store::platform_credentials;

use crate::app::App;
use crate::authorized::Anyone;
use crate::extract::bearer_key;
use crate::problem::Problem;

/// An application that sent a service key in force.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) caller: Anyone,
    pub(crate) credential: PlatformCredentialId,
}

impl FromRequestParts<App> for Service {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let kind = PlatformCredentialKind::Service;
        let caller = Anyone::from_request_parts(parts, app).await?;
        let key = bearer_key(&parts.headers, kind).ok_or_else(unauthenticated)?;
        let hash = key.hash(&app.keys.platform_keys);
        let mut tx = app.store.control().await?;
        let credential = platform_credentials::find(&mut tx, kind, &hash, app.now()).await?;
        Ok(Self { caller, credential: credential.ok_or_else(unauthenticated)? })
    }
}

/// One answer for a key that is missing, malformed, unknown or revoked.
fn unauthenticated() -> Problem {
    Problem::new(
        ProblemKind::Unauthenticated,
        "This needs a service key in force, as `Authorization: Bearer svc_…`; operators make one with \
         `pytake-api service-credential create`.",
    )
}
