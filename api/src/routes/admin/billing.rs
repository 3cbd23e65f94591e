//! What could not be billed, and who pays no tax.

use axum::Json;
use axum::extract::State;
use domain::faults::Faults;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::billing::account;
use store::billing::runs::{self, Parked};
use store::{billing_profiles, operator_events};
use utoipa::ToSchema;

use crate::extract::{Body, PageQuery, PathTenant, Wire};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::List;

/// A subscription that could not be billed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ParkedBody {
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    tenant_id: String,
    #[schema(example = "sub_01h455vb4pex5vsknk084sn02q")]
    subscription_id: String,
    /// Since when. It is tried again each hour.
    parked_at: String,
    reason: String,
    /// When the period ends, or ended, that could not be closed.
    period_end: String,
}

impl From<Parked> for ParkedBody {
    fn from(parked: Parked) -> Self {
        Self {
            tenant_id: parked.tenant_id.to_string(),
            subscription_id: parked.subscription_id.to_string(),
            parked_at: parked.parked_at.to_string(),
            reason: parked.reason,
            period_end: parked.period_end.to_string(),
        }
    }
}

/// List what could not be billed
///
/// In the order of the tenants' ids.
#[utoipa::path(
    get,
    path = "/api/v1/admin/billing/parked",
    tag = "Billing",
    params(("limit" = Option<u8>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = List<ParkedBody>)),
)]
pub(crate) async fn parked(
    State(app): State<OperatorApp>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<ParkedBody>>, Problem> {
    let mut tx = app.store.control().await?;

    let rows = runs::parked(&mut tx, page).await?;

    Ok(Json(List::of(rows, ParkedBody::from)))
}

/// Whether a tenant pays tax.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetTaxExempt {
    /// `true` once you have seen the certificate.
    exempt: bool,
}

impl Wire for SetTaxExempt {
    type Parsed = bool;

    fn parse(self) -> Result<bool, Faults> {
        Ok(self.exempt)
    }
}

/// Whether a tenant pays tax, and under which name.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaxExemptBody {
    /// Whom its invoices are made out to.
    #[schema(example = "Acme Foundation")]
    name: String,
    tax_exempt: bool,
}

/// Set whether a tenant pays tax
///
/// Of invoices from now on; those that were finalised keep what they say.
#[utoipa::path(
    put,
    path = "/api/v1/admin/tenants/{tenant_id}/tax-exempt",
    tag = "Billing",
    params(("tenant_id" = String, Path)),
    request_body = SetTaxExempt,
    responses((status = 200, body = TaxExemptBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
pub(crate) async fn set_tax_exempt(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    body: Body<SetTaxExempt>,
) -> Result<Json<TaxExemptBody>, Problem> {
    let mut tx = app.store.begin(tenant_id).await?;
    let before = account::recipient(&mut tx).await?;
    let now = app.tenant_now(&mut tx).await?;

    billing_profiles::set_tax_exempt(&mut tx, body.value, now).await?;
    let details = json!({
        "tenant": tenant_id.to_string(), "before": before.tax_exempt, "after": body.value,
    });
    let event = operator.event(&app, "tax_exemption.set", details);
    operator_events::record(&mut tx, &event).await?;

    tx.commit().await?;
    Ok(Json(TaxExemptBody { name: before.name, tax_exempt: body.value }))
}
