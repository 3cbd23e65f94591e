//! A tenant's credit notes: what was taken back of invoices.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use billing::CreditNoteLine;
use domain::id::CreditNoteId;
use domain::money::{Currency, Money};
use http::HeaderMap;
use serde::Serialize;
use store::credit_notes::{self, Issued};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Authorized, needs};
use crate::extract::{PageQuery, PathId};
use crate::pdf;
use crate::problem::Problem;
use crate::routes::invoices::detail::TaxTermsBody;
use crate::routes::{List, MoneyBody};

/// A credit note.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreditNoteBody {
    #[schema(example = "cn_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "CN-2026-000007")]
    number: String,
    #[schema(example = "inv_01h455vb4pex5vsknk084sn02q")]
    invoice_id: String,
    #[schema(example = "2026-12-15")]
    issued_on: String,
    reason: String,
    /// What is given back, with tax.
    total: MoneyBody,
    /// Tax in it.
    tax: MoneyBody,
    /// What of it is in credit now; the rest was taken off what was still due.
    balance: MoneyBody,
    lines: Vec<CreditNoteLineBody>,
}

/// A line of a credit note.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreditNoteLineBody {
    /// The line of the invoice.
    #[schema(example = 1)]
    line: u32,
    description: String,
    net: MoneyBody,
    tax: MoneyBody,
    /// How the line was taxed.
    tax_terms: TaxTermsBody,
}

impl CreditNoteBody {
    pub(crate) fn new(note: Issued) -> Self {
        let currency = note.total.currency;
        let lines = note.lines.into_iter().map(|line| CreditNoteLineBody::new(line, currency));
        Self {
            id: note.id.to_string(),
            number: note.number,
            invoice_id: note.invoice_id.to_string(),
            issued_on: note.issued_on.to_string(),
            reason: note.reason,
            total: note.total.into(),
            tax: note.tax.into(),
            balance: note.balance.into(),
            lines: lines.collect(),
        }
    }
}

impl CreditNoteLineBody {
    fn new(line: CreditNoteLine, currency: Currency) -> Self {
        Self {
            line: line.line,
            description: line.description,
            net: Money { amount_minor: line.net_minor, currency }.into(),
            tax: Money { amount_minor: line.tax_minor, currency }.into(),
            tax_terms: TaxTermsBody::new(&line.tax),
        }
    }
}

/// List credit notes
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/credit-notes",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<CreditNoteBody>)),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<CreditNoteBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = credit_notes::list(&mut tx, page).await?;

    Ok(Json(List::of(rows, CreditNoteBody::new)))
}

/// Download a credit note
///
/// As PDF; the same bytes each time. 202 with `Retry-After` until it is rendered.
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/credit-notes/{credit_note_id}/pdf",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("credit_note_id" = String, Path),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, content_type = "application/pdf", body = String),
        (status = 202, description = "It is being rendered"),
        (status = 304, description = "It is the one that you have"),
    ),
    extensions(("x-permission" = json!("ViewBilling"))),
)]
pub(crate) async fn document(
    State(app): State<App>,
    auth: Authorized<needs::ViewBilling>,
    PathId(id): PathId<CreditNoteId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;

    let note = credit_notes::get(&mut tx, id).await?;

    pdf::respond(&mut tx, id.as_uuid(), &note.number, &headers).await
}
