//! Where messages of an endpoint go and what signs them: opened once, kept for moments, for one version of the endpoint.

use std::sync::Arc;
use std::time::Duration;

use domain::destination::Destination;
use domain::id::{TenantId, WebhookEndpointId};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use moka::sync::Cache;
use store::TenantTx;
use store::webhook_endpoints::{self, Endpoint, headers_place};
use store::webhook_secrets::{self, secret_place};
use vault::{DataKeys, Purpose};
use webhooks::signature::SigningSecret;

use crate::app::App;

/// How long opened secrets are kept: as long may a key be used after it was destroyed.
const KEPT: Duration = Duration::from_secs(60);
/// Endpoints that are kept.
const ENDPOINTS_MAX: u64 = 20_000;

/// An endpoint, opened.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Destination,
    /// Its tenant's own headers.
    pub(super) headers: HeaderMap,
    /// What signs, and until when.
    secrets: Vec<(SigningSecret, Option<Timestamp>)>,
    /// The keys of its tenant.
    pub(super) keys: Arc<DataKeys>,
}

impl Target {
    /// What signs at `now`.
    pub(super) fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        self.secrets
            .iter()
            .filter(move |(_, expires)| expires.is_none_or(|at| at > now))
            .map(|(secret, _)| secret)
    }
}

/// Why an endpoint cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    /// It was deleted, or its keys were destroyed: nothing will ever be sent to it.
    #[error("the endpoint, or the key to what is sent, is gone")]
    Gone,
    /// Another time it may be known.
    #[error(transparent)]
    Failed(#[from] store::Error),
}

/// Endpoints that were opened lately.
pub(super) struct Targets {
    opened: Cache<(WebhookEndpointId, i64), Arc<Target>>,
}

impl Default for Targets {
    fn default() -> Self {
        Self { opened: Cache::builder().max_capacity(ENDPOINTS_MAX).time_to_live(KEPT).build() }
    }
}

impl Targets {
    /// The endpoint as it is in this version, or a later one.
    pub(super) async fn get(
        &self,
        app: &App,
        tenant_id: TenantId,
        id: WebhookEndpointId,
        version: i64,
    ) -> Result<Arc<Target>, Unknown> {
        if let Some(target) = self.opened.get(&(id, version)) {
            return Ok(target);
        }
        let target = Arc::new(open(app, tenant_id, id).await?);
        self.opened.insert((id, version), target.clone());
        Ok(target)
    }
}

async fn open(app: &App, tenant_id: TenantId, id: WebhookEndpointId) -> Result<Target, Unknown> {
    let mut tx = app.store.begin(tenant_id).await?;
    let endpoint = match webhook_endpoints::get(&mut tx, id).await {
        Err(store::Error::NotFound) => return Err(Unknown::Gone),
        other => other?,
    };
    let keys = app.sealer.keys_there(&mut tx, Purpose::Webhooks).await?;
    if keys.is_empty() {
        return Err(Unknown::Gone);
    }
    let secrets = secrets(app, &mut tx, &keys, id).await?;
    Ok(Target {
        headers: headers(&keys, tenant_id, &endpoint)?,
        url: endpoint.settings.url,
        secrets,
        keys: Arc::new(keys),
    })
}

async fn secrets(
    app: &App,
    tx: &mut TenantTx,
    keys: &DataKeys,
    id: WebhookEndpointId,
) -> Result<Vec<(SigningSecret, Option<Timestamp>)>, store::Error> {
    let tenant_id = tx.tenant_id();
    webhook_secrets::in_force(tx, id, app.clock.now())
        .await?
        .into_iter()
        .map(|secret| {
            let bytes = keys.open(secret_place(tenant_id, secret.id), &secret.sealed)?;
            let opened = SigningSecret::from_stored(secret.kind, bytes)
                .map_err(|_| store::Error::Foreign("webhook_secrets.secret_sealed"))?;
            Ok((opened, secret.expires_at))
        })
        .collect()
}

/// The tenant's own headers: names and values were checked when they were stored.
fn headers(
    keys: &DataKeys,
    tenant_id: TenantId,
    endpoint: &Endpoint,
) -> Result<HeaderMap, store::Error> {
    let mut headers = HeaderMap::new();
    let Some(sealed) = &endpoint.settings.headers_sealed else { return Ok(headers) };
    let foreign = || store::Error::Foreign("webhook_endpoints.headers_sealed");
    let text = keys.open(headers_place(tenant_id, endpoint.id), sealed)?;
    let pairs: Vec<(String, String)> =
        serde_json::from_slice(text.expose()).map_err(|_| foreign())?;
    for (name, value) in pairs {
        let name = HeaderName::try_from(name).map_err(|_| foreign())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| foreign())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
