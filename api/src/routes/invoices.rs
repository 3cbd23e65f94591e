//! A tenant's invoices.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use store::invoices::{self, Invoice};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::PageQuery;
use crate::problem::Problem;
use crate::routes::{List, MoneyBody};

/// An invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvoiceBody {
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// Given when it is finalised.
    number: Option<String>,
    /// `Draft`, `Open`, `Paid`, `Uncollectible` or `Void`.
    #[schema(example = "Open")]
    status: String,
    total: MoneyBody,
    /// What is still to be paid.
    due: MoneyBody,
    period_start: String,
    period_end: String,
    created_at: String,
}

impl InvoiceBody {
    fn new(invoice: Invoice) -> Self {
        Self {
            id: invoice.id.to_string(),
            number: invoice.number,
            status: invoice.status,
            total: invoice.total.into(),
            due: invoice.due.into(),
            period_start: invoice.period_start.to_string(),
            period_end: invoice.period_end.to_string(),
            created_at: invoice.created_at.to_string(),
        }
    }
}

/// List invoices
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/invoices",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<InvoiceBody>)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<InvoiceBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = invoices::list(&mut tx, page).await?;

    Ok(Json(List::of(rows, InvoiceBody::new)))
}
