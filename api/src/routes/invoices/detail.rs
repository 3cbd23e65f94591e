//! All that is on an invoice, as it is shown.

use billing::{Bank, Issuer, Line, Recipient, TaxGroup, TaxTerms};
use domain::creditor_reference::CreditorReference;
use domain::id::InvoiceId;
use domain::money::{Currency, Money};
use serde::Serialize;
use serde_json::Value;
use store::TenantTx;
use store::charges::{self, Charge};
use store::invoices::{self, Full, Payment};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::routes::MoneyBody;
use crate::routes::invoices::InvoiceBody;
use crate::routes::invoices::pay::AttemptBody;

/// An invoice with all that is on it.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvoiceDetailBody {
    #[serde(flatten)]
    invoice: InvoiceBody,
    /// The day of issue, once finalised.
    #[schema(example = "2026-12-01")]
    issued_on: Option<String>,
    /// When a draft is finalised; until then use that comes late is on it. `null` once it is.
    finalizes_at: Option<String>,
    /// What to name in a transfer (ISO 11649), to the account in `issuer`: money that names it is found to be for this
    /// invoice. `null` in a draft.
    #[schema(example = "RF98INV2026000123")]
    payment_reference: Option<String>,
    #[serde(flatten)]
    bill: BillBody,
    paid: MoneyBody,
    /// Taken back by credit notes before it was paid.
    credited: MoneyBody,
    payments: Vec<PaymentBody>,
    /// Attempts to collect it, first to last.
    attempts: Vec<AttemptBody>,
    /// Who issued it, as it was then.
    issuer: Option<PartyBody>,
    /// To whom, as it was then.
    customer: Option<PartyBody>,
}

/// An invoice as it would be.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewInvoiceBody {
    /// `Period` or `Adjustment` (of a change within a period).
    #[schema(example = "Adjustment")]
    kind: &'static str,
    period_start: String,
    period_end: String,
    total: MoneyBody,
    /// What would be to be paid.
    due: MoneyBody,
    #[serde(flatten)]
    bill: BillBody,
}

/// How an invoice's sums came about.
#[derive(Serialize, ToSchema)]
pub(crate) struct BillBody {
    lines: Vec<LineBody>,
    /// Before discounts.
    subtotal: MoneyBody,
    discount: MoneyBody,
    /// After discounts, without tax.
    net: MoneyBody,
    tax: MoneyBody,
    /// Tax, by rate and category.
    tax_groups: Vec<TaxGroupBody>,
    /// Taken from what is in credit; negative where the invoice gives back, and the credit grows.
    credit_applied: MoneyBody,
}

/// A line.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineBody {
    /// From 1.
    #[schema(example = 1)]
    line: usize,
    #[schema(example = "Pro, monthly")]
    description: String,
    /// How the amount came about, in words.
    #[schema(example = "15 of 30 days")]
    detail: String,
    period_start: String,
    period_end: String,
    #[schema(example = 1)]
    quantity: u64,
    #[schema(example = "month")]
    unit: String,
    /// Price of one, where one price was all there is to it.
    #[schema(example = "99.00")]
    unit_price: Option<String>,
    /// Before discounts; with tax where prices include it.
    amount: MoneyBody,
    discount: MoneyBody,
    net: MoneyBody,
    tax: MoneyBody,
    tax_terms: TaxTermsBody,
    /// How the amount came about, for programs: `rule` says which of the rules, the rest what it was applied to.
    #[schema(value_type = Object)]
    rule: Value,
}

/// How something is taxed.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaxTermsBody {
    /// `standard`, `zero_rated`, `exempt`, `reverse_charge` or `outside_scope`.
    #[schema(example = "standard")]
    category: &'static str,
    /// In per cent.
    #[schema(example = "19 %")]
    rate: String,
    /// Whether prices include it.
    inclusive: bool,
    /// Whose tax it is.
    #[schema(example = "DE")]
    jurisdiction: Option<String>,
    /// What the law wants said.
    note: Option<String>,
}

/// A row of the tax table.
#[derive(Serialize, ToSchema)]
pub(crate) struct TaxGroupBody {
    #[serde(flatten)]
    terms: TaxTermsBody,
    /// What it is levied on.
    base: MoneyBody,
    tax: MoneyBody,
}

/// A payment.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentBody {
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// `Stripe`, `PayPal`, `BankTransfer`, `BtcPay`, `Manual` (an operator says so), `Balance` (from what was in credit), or
    /// `Sandbox` on a local installation.
    #[schema(example = "Sandbox")]
    provider: String,
    amount: MoneyBody,
    /// What of it was more than was due, and is in credit.
    excess: MoneyBody,
    received_at: String,
}

/// Who issued an invoice, or to whom.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartyBody {
    name: String,
    address: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    /// ISO 3166-1 alpha-2.
    country: Option<String>,
    region: Option<String>,
    tax_id: Option<String>,
    email: Option<String>,
    /// Where transfers go; of issuers.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<BankBody>,
}

/// Where transfers go.
#[derive(Serialize, ToSchema)]
pub(crate) struct BankBody {
    name: String,
    account_holder: String,
    iban: String,
    bic: String,
}

fn money(amount_minor: i64, currency: Currency) -> MoneyBody {
    Money { amount_minor, currency }.into()
}

impl InvoiceDetailBody {
    /// An invoice that is finalised.
    pub(crate) fn new(full: Full, attempts: Vec<Charge>) -> Self {
        let currency = full.invoice.total.currency;
        let sums = full.sums;
        let draft = full.invoice.number.is_none();
        let bill = BillBody {
            lines: lines(&full.lines, currency),
            subtotal: money(sums.subtotal_minor, currency),
            discount: money(sums.discount_minor, currency),
            net: money(sums.net_minor, currency),
            tax: money(sums.tax_minor, currency),
            tax_groups: tax_groups(&full.tax_groups, currency),
            credit_applied: money(sums.credit_applied_minor, currency),
        };
        Self {
            issued_on: full.issued_on.map(|day| day.to_string()),
            payment_reference: payment_reference(full.invoice.number.as_deref()),
            finalizes_at: draft.then(|| full.finalize_at.to_string()),
            bill,
            paid: money(sums.paid_minor, currency),
            credited: money(sums.credited_minor, currency),
            payments: full.payments.into_iter().map(PaymentBody::new).collect(),
            attempts: attempts.into_iter().map(AttemptBody::new).collect(),
            issuer: full.issuer.map(PartyBody::issuer),
            customer: full.customer.map(PartyBody::customer),
            invoice: InvoiceBody::new(full.invoice),
        }
    }

    /// A draft, as it would be finalised now; `None`: there would be no invoice.
    pub(super) fn of_draft(mut full: Full, preview: Option<billing::Invoice>) -> Self {
        let Some(preview) = preview else { return Self::new(full, Vec::new()) };
        full.invoice.total.amount_minor = preview.total_minor;
        full.invoice.due.amount_minor = preview.due_minor;
        Self { bill: BillBody::of(&preview), ..Self::new(full, Vec::new()) }
    }

    /// The invoice `id` of the tenant of `tx`, if there is one.
    pub(crate) async fn load(
        tx: &mut TenantTx,
        id: Option<InvoiceId>,
    ) -> Result<Option<Self>, Problem> {
        let Some(id) = id else { return Ok(None) };
        let attempts = charges::of_invoice(tx, id).await?;
        Ok(Some(Self::new(invoices::get(tx, id).await?, attempts)))
    }
}

impl PreviewInvoiceBody {
    pub(crate) fn new(invoice: &billing::Invoice) -> Self {
        Self {
            kind: invoice.kind.as_str(),
            period_start: invoice.period.start.to_string(),
            period_end: invoice.period.end.to_string(),
            total: money(invoice.total_minor, invoice.currency),
            due: money(invoice.due_minor, invoice.currency),
            bill: BillBody::of(invoice),
        }
    }
}

impl BillBody {
    fn of(invoice: &billing::Invoice) -> Self {
        let currency = invoice.currency;
        Self {
            lines: lines(&invoice.lines, currency),
            subtotal: money(invoice.subtotal_minor, currency),
            discount: money(invoice.discount_minor, currency),
            net: money(invoice.net_minor, currency),
            tax: money(invoice.tax_minor, currency),
            tax_groups: tax_groups(&invoice.tax_groups, currency),
            credit_applied: money(invoice.credit_applied_minor, currency),
        }
    }
}

fn payment_reference(number: Option<&str>) -> Option<String> {
    Some(CreditorReference::of_number(number?)?.as_str().to_owned())
}

fn lines(lines: &[Line], currency: Currency) -> Vec<LineBody> {
    let body = |(index, line): (usize, &Line)| LineBody {
        line: index + 1,
        description: line.description.clone(),
        detail: line.detail.clone(),
        period_start: line.period.start.to_string(),
        period_end: line.period.end.to_string(),
        quantity: line.quantity,
        unit: line.unit.clone(),
        unit_price: line.unit_price.clone(),
        amount: money(line.amount_minor, currency),
        discount: money(line.discount_minor, currency),
        net: money(line.net_minor, currency),
        tax: money(line.tax_minor, currency),
        tax_terms: TaxTermsBody::new(&line.tax),
        rule: serde_json::to_value(&line.rule).unwrap_or_default(),
    };
    lines.iter().enumerate().map(body).collect()
}

fn tax_groups(groups: &[TaxGroup], currency: Currency) -> Vec<TaxGroupBody> {
    let body = |group: &TaxGroup| TaxGroupBody {
        terms: TaxTermsBody::new(&group.terms),
        base: money(group.base_minor, currency),
        tax: money(group.tax_minor, currency),
    };
    groups.iter().map(body).collect()
}

impl TaxTermsBody {
    pub(crate) fn new(terms: &TaxTerms) -> Self {
        Self {
            category: terms.category.as_str(),
            rate: terms.rate.to_string(),
            inclusive: terms.inclusive,
            jurisdiction: terms.jurisdiction.clone(),
            note: terms.note.clone(),
        }
    }
}

impl PaymentBody {
    pub(crate) fn new(payment: Payment) -> Self {
        Self {
            id: payment.id.to_string(),
            provider: payment.provider,
            excess: money(payment.excess_minor, payment.amount.currency),
            amount: payment.amount.into(),
            received_at: payment.received_at.to_string(),
        }
    }
}

impl PartyBody {
    fn issuer(issuer: Issuer) -> Self {
        Self {
            name: issuer.name,
            address: issuer.address,
            postal_code: None,
            city: None,
            country: Some(issuer.country.to_string()),
            region: issuer.region,
            tax_id: issuer.tax_id.map(|id| id.as_str().to_owned()),
            email: issuer.email,
            bank: issuer.bank.map(|Bank { name, account_holder, iban, bic }| BankBody {
                name,
                account_holder,
                iban,
                bic,
            }),
        }
    }

    fn customer(customer: Recipient) -> Self {
        Self {
            name: customer.name,
            address: customer.address,
            postal_code: customer.postal_code,
            city: customer.city,
            country: customer.country.map(|country| country.to_string()),
            region: customer.region,
            tax_id: customer.tax_id.map(|id| id.as_str().to_owned()),
            email: customer.email,
            bank: None,
        }
    }
}
