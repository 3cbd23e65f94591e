//! What operators do to invoices: payments that came otherwise, credit notes, withdrawal, giving up. What follows from it
//! for the tenant (webhooks, mail) is told by the billing job.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::faults::Faults;
use domain::id::{CreditNoteId, InvoiceId, PaymentId, TenantId};
use domain::money::Money;
use domain::problem::ProblemKind;
use http::StatusCode;
use jiff::Timestamp;
use jobs::catalog::Documents;
use jobs::{Options, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::billing::payment::{self, Provider, Recorded, Report};
use store::billing::{BillingError, finalize};
use store::credit_notes::{self, IssueError, Wish};
use store::{TenantTx, invoices, operator_events, subscriptions};
use utoipa::ToSchema;

use crate::account;
use crate::app::random;
use crate::extract::{Body, PathId, PathTenant, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::MoneyInput;
use crate::routes::admin::refunds;
use crate::routes::credit_notes::CreditNoteBody;
use crate::routes::invoices::InvoiceBody;
use crate::routes::invoices::detail::PaymentBody;

/// Longest reference of a payment.
const REFERENCE_CHARS_MAX: usize = 255;
/// Longest reason.
const REASON_CHARS_MAX: usize = 500;
/// Most lines of a credit note.
const LINES_MAX: usize = 1_000;

/// Money that came in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordPayment {
    /// How much; what is due when left out. What is more than due goes to the tenant's credit.
    amount: Option<MoneyInput>,
    /// By which the payment is known: of one reference, one is recorded.
    #[schema(example = "bank statement 2026-12-03, 17")]
    reference: String,
}

/// A checked [`RecordPayment`].
pub(crate) struct NewPayment {
    amount: Option<Money>,
    reference: String,
}

impl Wire for RecordPayment {
    type Parsed = NewPayment;

    fn parse(self) -> Result<NewPayment, Faults> {
        let mut faults = Faults::new();
        let amount = self.amount.and_then(|amount| amount.parse(&mut faults, "/amount", 1));
        let reference = text(&mut faults, "/reference", &self.reference, REFERENCE_CHARS_MAX);
        faults.finish(Some(NewPayment { amount, reference }))
    }
}

/// A line of 1 to `max` characters.
fn text(faults: &mut Faults, pointer: &str, text: &str, max: usize) -> String {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max || text.chars().any(char::is_control) {
        faults.push(pointer, format!("must be one line of 1 to {max} characters"));
    }
    text.to_owned()
}

/// A payment, and the invoice after it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordedBody {
    payment: PaymentBody,
    invoice: InvoiceBody,
}

/// Record a payment
///
/// Money that came in otherwise than by card. Of one reference, a payment is recorded once: whoever repeats it gets the
/// same answer.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tenants/{tenant_id}/invoices/{invoice_id}/payments",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("invoice_id" = String, Path)),
    request_body = RecordPayment,
    responses((status = 200, body = RecordedBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn record_payment(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    PathId(invoice_id): PathId<InvoiceId>,
    body: Body<RecordPayment>,
) -> Result<Json<RecordedBody>, Problem> {
    let NewPayment { amount, reference } = body.value;
    let mut tx = app.store.begin(tenant_id).await?;
    let now = app.tenant_now(&mut tx).await?;
    // Locked first, as whoever changes what a tenant owes does: nobody waits for the other in turn.
    subscriptions::get_for_update(&mut tx).await?;

    let id = PaymentId::new(now, random());
    let provider = Provider::Manual;
    let report = Report { id, invoice_id, provider, reference, amount };
    let id = match payment::record(&mut tx, &report, now).await? {
        Recorded::New { id, amount, .. } => {
            let details = json!({
                "tenant": tenant_id.to_string(), "invoice": invoice_id.to_string(),
                "payment": id.to_string(), "reference": report.reference, "amount": amount,
            });
            let event = operator.event(&app, "payment.recorded", details);
            operator_events::record(&mut tx, &event).await?;
            account::collect(&mut tx, invoice_id).await?;
            id
        }
        Recorded::Before(id) => id,
        Recorded::NothingDue => return Err(conflict("Nothing of the invoice is to be paid.")),
        Recorded::OtherCurrency => {
            let mut faults = Faults::new();
            faults.push("/amount/currency", "must be the invoice's");
            return Err(faults.into());
        }
    };
    let recorded = recorded(&mut tx, &report, id).await?;

    tx.commit().await?;
    Ok(Json(recorded))
}

/// What is on record under a report's reference; refused where that is another payment.
async fn recorded(
    tx: &mut TenantTx,
    report: &Report,
    id: PaymentId,
) -> Result<RecordedBody, Problem> {
    let full = invoices::get(tx, report.invoice_id).await?;
    let payment = full.payments.into_iter().find(|payment| payment.id == id);
    let same = |amount| report.amount.is_none_or(|wished| wished == amount);
    match payment.filter(|payment| same(payment.amount)) {
        Some(payment) => {
            let invoice = InvoiceBody::new(full.invoice);
            Ok(RecordedBody { payment: PaymentBody::new(payment), invoice })
        }
        None => {
            Err(conflict("The reference is that of another payment, which was recorded before."))
        }
    }
}

/// What is to be taken back of an invoice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueCreditNote {
    /// Of which lines how much; all that is left of the invoice when left out.
    lines: Option<Vec<CreditLine>>,
    /// It is printed on the credit note.
    #[schema(example = "Outage of 12 November")]
    reason: String,
    /// Whether what was paid goes back the way it came, and not to the tenant's credit. What was paid from credit does.
    #[serde(default)]
    refund: bool,
}

/// What is to be taken back of a line.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreditLine {
    /// The line of the invoice, from 1.
    line: u32,
    /// Without tax, in minor units of the invoice's currency; its tax is taken back with it.
    amount_minor: i64,
}

/// A checked [`IssueCreditNote`].
pub(crate) struct NewCreditNote {
    lines: Vec<(u32, i64)>,
    reason: String,
    refund: bool,
}

impl Wire for IssueCreditNote {
    type Parsed = NewCreditNote;

    fn parse(self) -> Result<NewCreditNote, Faults> {
        let mut faults = Faults::new();
        let reason = text(&mut faults, "/reason", &self.reason, REASON_CHARS_MAX);
        // None at all would mean all of them.
        if self.lines.as_ref().is_some_and(|lines| !(1..=LINES_MAX).contains(&lines.len())) {
            faults.push("/lines", format!("must be 1 to {LINES_MAX}, or left out"));
        }
        let lines = self.lines.unwrap_or_default().into_iter();
        let lines = lines.map(|line| (line.line, line.amount_minor)).collect();
        faults.finish(Some(NewCreditNote { lines, reason, refund: self.refund }))
    }
}

/// Issue a credit note
///
/// Takes back part of an invoice, or all of it. What is still due of it is less then; what was paid goes to the tenant's
/// credit, or back the way it came.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tenants/{tenant_id}/invoices/{invoice_id}/credit-notes",
    tag = "Billing",
    params(
        ("tenant_id" = String, Path),
        ("invoice_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = IssueCreditNote,
    responses((status = 201, body = CreditNoteBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn issue_credit_note(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    PathId(invoice_id): PathId<InvoiceId>,
    key: IdempotencyKey,
    body: Body<IssueCreditNote>,
) -> Result<Response, Problem> {
    let NewCreditNote { lines, reason, refund } = body.value;
    let mut tx = app.store.begin(tenant_id).await?;
    let first = match key.attempt(&app, &mut tx, body.hash).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    let now = app.tenant_now(&mut tx).await?;
    subscriptions::get_for_update(&mut tx).await?;

    let id = CreditNoteId::new(now, random());
    let wish = Wish { id, invoice_id, lines, reason };
    let issued = credit_notes::issue(&mut tx, &app.books, &wish, now).await;
    let issued = issued.map_err(|error| not_issued(error, &wish))?;
    let document = Documents::CreditNote { tenant_id, credit_note_id: id };
    let once = Options { idempotency_key: Some(id.to_string()), ..Options::default() };
    enqueue(&mut tx, &document, once).await?;
    // Before it can be spent on anything else.
    if refund {
        refunds::begin_of_note(&mut tx, id, now).await?;
    }
    account::collect(&mut tx, invoice_id).await?;
    let details = json!({
        "tenant": tenant_id.to_string(), "invoice": invoice_id.to_string(), "refund": refund,
        "credit_note": id.to_string(), "total": issued.total,
    });
    let event = operator.event(&app, "credit_note.issued", details);
    operator_events::record(&mut tx, &event).await?;

    let shown = CreditNoteBody::new(issued);
    let response = first.answer(&app, &mut tx, StatusCode::CREATED, &shown).await?;
    tx.commit().await?;
    Ok(response)
}

fn not_issued(error: IssueError, wish: &Wish) -> Problem {
    match error {
        IssueError::Store(store::Error::Stale) => {
            conflict("The invoice is a draft, or void; nothing of it can be taken back.")
        }
        IssueError::Store(error) => error.into(),
        IssueError::Wish(_) if wish.lines.is_empty() => {
            conflict("Nothing is left of the invoice that could be taken back.")
        }
        IssueError::Wish(error) => {
            let mut faults = Faults::new();
            faults.push("/lines", error);
            faults.into()
        }
    }
}

/// Withdraw an invoice
///
/// One of which nothing was paid or credited. What it took from the tenant's credit goes back there.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tenants/{tenant_id}/invoices/{invoice_id}/void",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("invoice_id" = String, Path)),
    responses((status = 200, body = InvoiceBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn void(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    PathId(id): PathId<InvoiceId>,
) -> Result<Json<InvoiceBody>, Problem> {
    let (mut tx, now) = begin(&app, tenant_id, id).await?;

    let refusal =
        "The invoice is a draft, or withdrawn already, or something of it was paid or credited.";
    finalize::void(&mut tx, id, now).await.map_err(|error| stale(error, refusal))?;
    end(&app, &operator, tx, id, "invoice.voided").await
}

/// Give an invoice up
///
/// What is due of it will not be paid. Should it be after all, record the payment.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tenants/{tenant_id}/invoices/{invoice_id}/uncollectible",
    tag = "Billing",
    params(("tenant_id" = String, Path), ("invoice_id" = String, Path)),
    responses((status = 200, body = InvoiceBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn give_up(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathTenant(tenant_id): PathTenant,
    PathId(id): PathId<InvoiceId>,
) -> Result<Json<InvoiceBody>, Problem> {
    let (mut tx, now) = begin(&app, tenant_id, id).await?;

    let refusal = "The invoice is not open.";
    finalize::give_up(&mut tx, id, now).await.map_err(|error| stale(error, refusal))?;
    end(&app, &operator, tx, id, "invoice.given_up").await
}

/// A transaction in the tenant that has the invoice, and the tenant's time.
async fn begin(
    app: &OperatorApp,
    tenant_id: TenantId,
    id: InvoiceId,
) -> Result<(TenantTx, Timestamp), Problem> {
    let mut tx = app.store.begin(tenant_id).await?;
    subscriptions::get_for_update(&mut tx).await?;
    invoices::get(&mut tx, id).await?;
    let now = app.tenant_now(&mut tx).await?;
    Ok((tx, now))
}

/// Records what was done to the invoice, commits, and shows it.
async fn end(
    app: &OperatorApp,
    operator: &Operator,
    mut tx: TenantTx,
    id: InvoiceId,
    action: &'static str,
) -> Result<Json<InvoiceBody>, Problem> {
    let tenant_id = tx.tenant_id();
    let details = json!({ "tenant": tenant_id.to_string(), "invoice": id.to_string() });
    operator_events::record(&mut tx, &operator.event(app, action, details)).await?;
    account::collect(&mut tx, id).await?;
    let invoice = invoices::get(&mut tx, id).await?.invoice;
    tx.commit().await?;
    Ok(Json(InvoiceBody::new(invoice)))
}

fn stale(error: BillingError, refusal: &str) -> Problem {
    match error {
        BillingError::Store(store::Error::Stale) => conflict(refusal),
        other => other.into(),
    }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(ProblemKind::Conflict, detail)
}
