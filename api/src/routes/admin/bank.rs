//! What banks tell of our accounts: statements are taken in, and what nobody could match is matched by hand.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Query, Request, State};
use domain::bank::EntryState;
use domain::faults::Faults;
use domain::id::{BankEntryId, InvoiceId, TenantId};
use domain::problem::ProblemKind;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jobs::bank::{self, Clerk, Imported, SettleError};
use payments::bank::BYTES_MAX;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::bank_entries::{self, Kept};
use utoipa::{IntoParams, ToSchema};

use crate::app::random;
use crate::extract::{Body, PageQuery, PathId, Wire, malformed_query};
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;
use crate::routes::{List, MoneyBody};

/// Longest reason.
const REASON_CHARS_MAX: usize = 500;

/// A body of XML, as it came.
pub(crate) struct Xml(Bytes);

impl<S: Send + Sync> FromRequest<S> for Xml {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        let xml = |known: &str| media_type.trim().eq_ignore_ascii_case(known);
        if !xml("application/xml") && !xml("text/xml") {
            let detail = "Send the statement as XML, with `Content-Type: application/xml`.";
            return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let detail = format!("A statement may have {BYTES_MAX} bytes.");
                Problem::new(ProblemKind::PayloadTooLarge, detail)
            } else {
                Problem::new(ProblemKind::MalformedRequest, "The body broke off; send it again.")
            }
        })?;
        Ok(Self(bytes))
    }
}

/// What came of a file of statements.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedBody {
    statements: Vec<ImportedStatementBody>,
}

/// What came of a statement.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedStatementBody {
    #[schema(example = "DE89370400440532013000")]
    iban: String,
    /// The bank's name of it.
    #[schema(example = "2026-12-03")]
    statement_id: String,
    /// Whether it was imported before.
    before: bool,
    /// Entries that became payments now.
    #[schema(example = 41)]
    matched: u32,
    /// Entries that wait for an operator now.
    #[schema(example = 1)]
    unmatched: u32,
    /// Entries that were known.
    #[schema(example = 0)]
    known: u32,
    /// What you should look at.
    problems: Vec<String>,
}

impl From<Imported> for ImportedStatementBody {
    fn from(imported: Imported) -> Self {
        Self {
            iban: imported.iban,
            statement_id: imported.statement_id,
            before: imported.before,
            matched: imported.matched,
            unmatched: imported.unmatched,
            known: imported.known,
            problems: imported.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Import bank statements
///
/// A camt.053 or camt.054 file. What names an invoice becomes a payment of it; the rest waits to be matched. Imported
/// again, nothing more happens.
#[utoipa::path(
    post,
    path = "/api/v1/admin/bank-statements",
    tag = "Bank",
    request_body(content = String, content_type = "application/xml"),
    responses((status = 200, body = ImportedBody)),
    extensions(("x-problems" = json!(["malformed-request", "payload-too-large", "unsupported-media-type",
        "validation-failed"]))),
)]
pub(crate) async fn import(
    State(app): State<OperatorApp>,
    operator: Operator,
    Xml(bytes): Xml,
) -> Result<Json<ImportedBody>, Problem> {
    // A large file takes a while.
    let parsed = tokio::task::spawn_blocking(move || payments::bank::parse(&bytes)).await;
    let statements = parsed.map_err(Problem::internal)?.map_err(|error| {
        let mut faults = Faults::new();
        faults.push("", error);
        Problem::from(faults)
    })?;

    let mut imported = Vec::new();
    for statement in &statements {
        let details = json!({
            "iban": statement.iban, "statement": statement.id, "entries": statement.entries.len(),
        });
        let event = operator.event(&app, "bank_statement.imported", details);
        imported.push(bank::import(clerk(&app), statement, Some(event)).await?.into());
    }

    Ok(Json(ImportedBody { statements: imported }))
}

fn clerk(app: &OperatorApp) -> Clerk<'_> {
    let account = app.books.terms.issuer.bank.as_ref().map(|bank| bank.iban.as_str());
    Clerk { store: &app.store, now: app.now(), random, account }
}

/// Money on the bank account.
#[derive(Serialize, ToSchema)]
pub(crate) struct BankEntryBody {
    #[schema(example = "bankentry_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// `Unmatched`, `Matched` or `Ignored`.
    #[schema(example = "Unmatched")]
    state: &'static str,
    /// Why it is not matched, or ignored.
    note: Option<String>,
    /// `Credit`, `Lump` (several payments that the bank does not tell apart), `Reversal` (of money that came in) or
    /// `Return` (of money that we sent).
    #[schema(example = "Credit")]
    kind: &'static str,
    amount: MoneyBody,
    #[schema(example = "2026-12-03")]
    booked_on: Option<String>,
    payer_name: Option<String>,
    payer_iban: Option<String>,
    /// The creditor reference that came with it.
    reference: Option<String>,
    end_to_end_id: Option<String>,
    /// What the payer wrote.
    text: String,
    /// The account.
    iban: String,
    statement_id: String,
    imported_at: String,
    /// When it was matched or ignored.
    settled_at: Option<String>,
    /// What it paid.
    matched: Option<MatchBody>,
}

/// What an entry paid.
#[derive(Serialize, ToSchema)]
pub(crate) struct MatchBody {
    tenant_id: String,
    invoice_id: String,
    payment_id: String,
    /// By what it was found: `Reference`, `Text`, `Payer` (whose account has paid before) or `Operator`.
    #[schema(example = "Reference")]
    by: &'static str,
}

impl From<Kept> for BankEntryBody {
    fn from(entry: Kept) -> Self {
        let matched = entry.matched.map(|(target, payment)| MatchBody {
            tenant_id: target.tenant_id.to_string(),
            invoice_id: target.invoice_id.to_string(),
            payment_id: payment.to_string(),
            by: target.by.as_str(),
        });
        Self {
            id: entry.id.to_string(),
            state: entry.state.as_str(),
            note: entry.note,
            kind: entry.kind.as_str(),
            amount: entry.amount.into(),
            booked_on: entry.booked_on.map(|day| day.to_string()),
            payer_name: entry.payer_name,
            payer_iban: entry.payer_iban,
            reference: entry.reference,
            end_to_end_id: entry.end_to_end_id,
            text: entry.text,
            iban: entry.iban,
            statement_id: entry.statement_id,
            imported_at: entry.imported_at.to_string(),
            settled_at: entry.settled_at.map(|at| at.to_string()),
            matched,
        }
    }
}

/// Which entries are wanted.
#[derive(Deserialize, IntoParams)]
pub(crate) struct BankEntriesQuery {
    /// `Unmatched`, `Matched` or `Ignored`.
    state: Option<String>,
}

/// List money on the bank account
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/bank-entries",
    tag = "Bank",
    params(
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
        BankEntriesQuery,
    ),
    responses((status = 200, body = List<BankEntryBody>)),
)]
pub(crate) async fn list(
    State(app): State<OperatorApp>,
    PageQuery(page): PageQuery,
    query: Result<Query<BankEntriesQuery>, QueryRejection>,
) -> Result<Json<List<BankEntryBody>>, Problem> {
    let Query(query) = query.map_err(|_| malformed_query())?;
    let mut faults = Faults::new();
    let state = query.state.and_then(|text| faults.check("/state", text.parse::<EntryState>()));
    let state = faults.finish(Some(state))?;
    let mut tx = app.store.control().await?;

    let rows = bank_entries::list(&mut tx, state, page).await?;

    Ok(Json(List::of(rows, BankEntryBody::from)))
}

/// Which invoice an entry pays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatchEntry {
    tenant_id: String,
    invoice_id: String,
}

impl Wire for MatchEntry {
    type Parsed = (TenantId, InvoiceId);

    fn parse(self) -> Result<(TenantId, InvoiceId), Faults> {
        let mut faults = Faults::new();
        let tenant_id = faults.check("/tenant_id", self.tenant_id.parse());
        let invoice_id = faults.check("/invoice_id", self.invoice_id.parse());
        faults.finish(tenant_id.zip(invoice_id))
    }
}

/// Match an entry to an invoice
///
/// It becomes a payment of it; what is more than due goes to the tenant's credit. Said again, nothing more happens.
#[utoipa::path(
    post,
    path = "/api/v1/admin/bank-entries/{entry_id}/match",
    tag = "Bank",
    params(("entry_id" = String, Path)),
    request_body = MatchEntry,
    responses((status = 200, body = BankEntryBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn match_entry(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathId(id): PathId<BankEntryId>,
    body: Body<MatchEntry>,
) -> Result<Json<BankEntryBody>, Problem> {
    let (tenant_id, invoice_id) = body.value;
    let details = json!({
        "entry": id.to_string(), "tenant": tenant_id.to_string(), "invoice": invoice_id.to_string(),
    });
    let event = operator.event(&app, "bank_entry.matched", details);

    let settled = bank::settle(clerk(&app), id, tenant_id, invoice_id, event).await;

    Ok(Json(settled.map_err(refused)?.into()))
}

/// Why an entry is no payment.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IgnoreEntry {
    #[schema(example = "Interest of the bank")]
    reason: String,
}

impl Wire for IgnoreEntry {
    type Parsed = String;

    fn parse(self) -> Result<String, Faults> {
        let mut faults = Faults::new();
        let reason = self.reason.trim();
        if reason.is_empty()
            || reason.chars().count() > REASON_CHARS_MAX
            || reason.chars().any(char::is_control)
        {
            let limit = format!("must be one line of 1 to {REASON_CHARS_MAX} characters");
            faults.push("/reason", limit);
        }
        faults.finish(Some(reason.to_owned()))
    }
}

/// Ignore an entry
///
/// It is no payment of an invoice. It may still be matched later.
#[utoipa::path(
    post,
    path = "/api/v1/admin/bank-entries/{entry_id}/ignore",
    tag = "Bank",
    params(("entry_id" = String, Path)),
    request_body = IgnoreEntry,
    responses((status = 200, body = BankEntryBody)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn ignore(
    State(app): State<OperatorApp>,
    operator: Operator,
    PathId(id): PathId<BankEntryId>,
    body: Body<IgnoreEntry>,
) -> Result<Json<BankEntryBody>, Problem> {
    let reason = body.value;
    let details = json!({ "entry": id.to_string(), "reason": reason });
    let event = operator.event(&app, "bank_entry.ignored", details);

    let ignored = bank::ignore(clerk(&app), id, &reason, event).await;

    Ok(Json(ignored.map_err(refused)?.into()))
}

fn refused(error: SettleError) -> Problem {
    match error {
        SettleError::Billing(error) => error.into(),
        refusal => Problem::new(ProblemKind::Conflict, refusal.to_string()),
    }
}
