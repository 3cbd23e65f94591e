//! A tenant's invoices.

pub(crate) mod detail;
pub(crate) mod pay;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::id::InvoiceId;
use domain::money::Money;
use domain::problem::ProblemKind;
use http::HeaderMap;
use serde::Serialize;
use store::billing::finalize;
use store::invoices::{self, Invoice};
use store::{charges, subscriptions};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{PageQuery, PathId};
use crate::pdf;
use crate::problem::Problem;
use crate::routes::{List, MoneyBody};

use detail::InvoiceDetailBody;

/// An invoice.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvoiceBody {
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// Given when it is finalised.
    #[schema(example = "INV-2026-000042")]
    number: Option<String>,
    /// `Period`, `Adjustment` (of a change within a period), `Threshold`, `Final` or `Manual`.
    #[schema(example = "Period")]
    kind: String,
    /// `Draft`, `Open`, `Paid`, `Uncollectible` or `Void`.
    #[schema(example = "Open")]
    status: String,
    total: MoneyBody,
    /// What is still to be paid.
    due: MoneyBody,
    /// The day by which it is to be paid, once finalised.
    #[schema(example = "2026-12-15")]
    due_on: Option<String>,
    period_start: String,
    period_end: String,
    created_at: String,
}

impl InvoiceBody {
    pub(crate) fn new(invoice: Invoice) -> Self {
        // Of one that was withdrawn nothing is owed.
        let owed = if invoice.status == "Void" { 0 } else { invoice.due.amount_minor };
        let due = Money { amount_minor: owed, ..invoice.due };
        Self {
            id: invoice.id.to_string(),
            number: invoice.number,
            kind: invoice.kind,
            status: invoice.status,
            total: invoice.total.into(),
            due: due.into(),
            due_on: invoice.due_on.map(|day| day.to_string()),
            period_start: invoice.period.start.to_string(),
            period_end: invoice.period.end.to_string(),
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

/// Show an invoice
///
/// With its lines, each with what it was computed from. A draft is shown as it would be finalised now.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/invoices/{invoice_id}",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("invoice_id" = String, Path)),
    responses((status = 200, body = InvoiceDetailBody)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn show(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PathId(id): PathId<InvoiceId>,
) -> Result<Json<InvoiceDetailBody>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let full = invoices::get(&mut tx, id).await?;
    if full.invoice.number.is_some() {
        let attempts = charges::of_invoice(&mut tx, id).await?;
        return Ok(Json(InvoiceDetailBody::new(full, attempts)));
    }
    let running = subscriptions::get(&mut tx).await?;
    let now = app.tenant_now(&mut tx).await?;
    let preview = finalize::preview(&mut tx, &app.books, &running, &full.draft, now).await?;

    Ok(Json(InvoiceDetailBody::of_draft(full, preview)))
}

/// Download an invoice
///
/// As PDF; the same bytes each time. 202 with `Retry-After` until it is rendered.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/invoices/{invoice_id}/pdf",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("invoice_id" = String, Path),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, content_type = "application/pdf", body = String),
        (status = 202, description = "It is being rendered"),
        (status = 304, description = "It is the one that you have"),
    ),
    extensions(("x-permission" = json!("ViewBilling")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn document(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PathId(id): PathId<InvoiceId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let Some(number) = invoices::get(&mut tx, id).await?.invoice.number else {
        let detail = "The invoice is a draft; it can be downloaded once it is finalised.";
        return Err(Problem::new(ProblemKind::Conflict, detail));
    };

    pdf::respond(&mut tx, id.as_uuid(), &number, &headers).await
}
