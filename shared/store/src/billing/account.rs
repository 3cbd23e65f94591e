//! What a step needs to know of a tenant, loaded at once.

use std::sync::Arc;

use billing::{Account, Fee, Offer, Recipient, Rule, Scheduled, TaxTerms};
use domain::id::{InvoiceId, SubscriptionId};
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use domain::time_zone::NamedTimeZone;
use jiff::Timestamp;
use sqlx::types::Json;

use super::{BillingError, Books};
use crate::catalogue::{self, PlanVersion};
use crate::error::Error;
use crate::subscriptions::{self, Running};
use crate::tenant_tx::{TenantTx, Tx};

/// A tenant's subscription with all that the engine asks of it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The subscription.
    pub running: Running,
    /// The version of the plan that it keeps.
    pub version: Arc<PlanVersion>,
    /// What it has of it.
    pub offer: Offer,
    /// The fee of the running period, where one was billed.
    pub fee: Option<Fee>,
    /// The tenant's time zone.
    pub zone: NamedTimeZone,
}

impl Loaded {
    /// As the engine takes it; `payable`: whether there is a way to pay.
    #[must_use]
    pub fn account(&self, payable: bool) -> Account<'_> {
        Account {
            subscription: &self.running.state,
            offer: &self.offer,
            fee: self.fee.as_ref(),
            zone: self.zone.zone(),
            payable,
        }
    }

    /// Whether a way to pay is on file.
    #[must_use]
    pub const fn payable(&self) -> bool {
        self.running.pays_by.is_some()
    }
}

/// The running subscription of the tenant of `tx`; nobody else changes it until the transaction ends. With its fee,
/// where one is asked for: a change within the period gives credit for it.
///
/// # Errors
/// `NotFound` when there is none; when the catalogue has not what it has.
pub async fn load(
    tx: &mut TenantTx,
    books: &Books,
    with_fee: bool,
) -> Result<Loaded, BillingError> {
    let running = subscriptions::get_for_update(tx).await?;
    let version = books.version(tx, running.plan, running.plan_version).await?;
    let offer = version.offer(running.cycle, running.currency);
    let offer = offer.ok_or(BillingError::NotOffered(running.plan))?;
    let fee = if with_fee { current_fee(tx, running.id).await? } else { None };
    let zone = time_zone(tx).await?;
    Ok(Loaded { running, version, offer, fee, zone })
}

/// The offer of what is scheduled for the period's end, in the newest version of its plan.
///
/// # Errors
/// When the catalogue has it no more, or the database is gone.
pub async fn following(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
) -> Result<Option<Offer>, BillingError> {
    match running.scheduled {
        Some(Scheduled::Change(plan, cycle)) => {
            newest(tx, books, running, plan, cycle).await.map(Some)
        }
        Some(Scheduled::Cancel) | None => Ok(None),
    }
}

/// What a plan offers today, in the subscription's currency.
///
/// # Errors
/// When it does not offer that, or the database is gone.
pub async fn newest(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    plan: PlanName,
    cycle: BillingCycle,
) -> Result<Offer, BillingError> {
    let version = catalogue::newest_version(tx, plan).await?;
    let version = books.version(tx, plan, version).await?;
    version.offer(cycle, running.currency).ok_or(BillingError::NotOffered(plan))
}

/// The tenant's time zone.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn time_zone(tx: &mut TenantTx) -> Result<NamedTimeZone, Error> {
    let zone =
        sqlx::query_scalar!("SELECT time_zone FROM tenants WHERE id = $1", tx.tenant_id() as _)
            .fetch_one(tx.connection())
            .await?;
    zone.parse().map_err(|_| Error::Foreign("tenants.time_zone"))
}

/// To whom the tenant's invoices are made out: its profile, or its name.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn recipient(tx: &mut TenantTx) -> Result<Recipient, Error> {
    let row = sqlx::query!(
        r#"SELECT coalesce(billing_profiles.name, tenants.name) AS "name!", email,
            coalesce(address, '{}') AS "address!", postal_code, city, country, region, tax_id,
            coalesce(tax_exempt, false) AS "tax_exempt!"
        FROM tenants LEFT JOIN billing_profiles ON billing_profiles.tenant_id = tenants.id
        WHERE tenants.id = $1"#,
        tx.tenant_id() as _
    )
    .fetch_one(tx.connection())
    .await?;
    let country = row.country.map(|text| text.parse()).transpose();
    let tax_id = row.tax_id.map(|text| text.parse()).transpose();
    Ok(Recipient {
        name: row.name,
        email: row.email,
        address: row.address,
        postal_code: row.postal_code,
        city: row.city,
        country: country.map_err(|_| Error::Foreign("billing_profiles.country"))?,
        region: row.region,
        tax_id: tax_id.map_err(|_| Error::Foreign("billing_profiles.tax_id"))?,
        tax_exempt: row.tax_exempt,
    })
}

/// The last fee that was billed and not given back by a later line.
async fn current_fee(tx: &mut TenantTx, id: SubscriptionId) -> Result<Option<Fee>, Error> {
    let rows = sqlx::query!(
        r#"SELECT invoices.id AS "invoice_id: InvoiceId", number AS "number!", line,
            lines.period_start, lines.period_end, amount_minor, lines.discount_minor,
            tax AS "tax: Json<TaxTerms>", rule AS "rule: Json<Rule>",
            -- As the line counts: with tax where the price includes it.
            coalesce((SELECT sum(notes.net_minor
                        + CASE WHEN (lines.tax -> 'inclusive')::boolean THEN notes.tax_minor ELSE 0 END)
                FROM credit_note_lines AS notes
                WHERE (notes.tenant_id, notes.invoice_id, notes.line)
                    = (lines.tenant_id, lines.invoice_id, lines.line)), 0)::bigint AS "credited!"
        FROM invoices
        JOIN invoice_lines AS lines
            ON (lines.tenant_id, lines.invoice_id) = (invoices.tenant_id, invoices.id)
        WHERE invoices.tenant_id = $1 AND subscription_id = $2
            AND status IN ('Open', 'Paid', 'Uncollectible') AND rule ->> 'rule' IN ('fee', 'credit')
        ORDER BY finalized_at DESC, number DESC, line DESC
        LIMIT 4"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut given_back = Vec::new();
    for row in rows {
        match row.rule.0 {
            Rule::Credit { invoice_id, line } => given_back.push((invoice_id, line)),
            Rule::Fee(term) => {
                let line = row.line.unsigned_abs();
                let kept = !given_back.contains(&(row.invoice_id, line));
                let service =
                    Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() };
                return Ok(kept.then_some(Fee {
                    invoice_id: row.invoice_id,
                    invoice_number: row.number,
                    line,
                    plan: term.plan,
                    cycle: term.cycle,
                    price_minor: term.price_minor,
                    whole: term.whole,
                    service,
                    gross_minor: row.amount_minor,
                    discount_minor: row.discount_minor,
                    credited_minor: row.credited,
                    tax: row.tax.0,
                }));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// How a tenant's use is taxed on a day.
#[must_use]
pub fn tax(books: &Books, recipient: &Recipient, at: Timestamp) -> TaxTerms {
    let terms = &books.terms;
    let day = terms.issuer.time_zone.day_of(at);
    terms.taxes.terms(
        &terms.issuer.seller(),
        &recipient.customer(),
        billing::ProductCategory::Software,
        day,
        terms.prices_include_tax,
    )
}
