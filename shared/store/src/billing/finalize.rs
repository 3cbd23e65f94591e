//! From a draft to an invoice that never changes: lines, number, books, in one transaction.

use billing::{Draft, Invoice, LedgerAccount, Posting, Recipient, compose};
use domain::id::InvoiceId;
use domain::plan::PlanName;
use jiff::{Timestamp, ToSpan};
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use super::{BillingError, Books, facts};
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::subscriptions::Running;
use crate::tenant_tx::{TenantTx, Tx};
use crate::{coupons, document_numbers};

/// An invoice that was just finalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalized {
    /// Its id.
    pub id: InvoiceId,
    /// Its number.
    pub number: String,
    /// What it says.
    pub invoice: Invoice,
}

/// What the invoice of a draft will be, as things stand; `None`: there would be none.
///
/// # Errors
/// As [`finalize`].
pub async fn preview(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    draft: &Draft,
    now: Timestamp,
) -> Result<Option<Invoice>, BillingError> {
    let (facts, _) = facts::load(tx, books, running, draft, now).await?;
    Ok(compose(draft, &facts)?)
}

/// Finalises a draft; `None` where it was finalised before, or where nothing is to be billed: then the draft goes.
///
/// The number is the last thing that is taken: its series is locked until the transaction ends.
///
/// # Errors
/// When the database is gone, or an amount is out of range. Nothing of the transaction may then be committed.
pub async fn finalize(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    id: InvoiceId,
    now: Timestamp,
) -> Result<Option<Finalized>, BillingError> {
    let draft = sqlx::query_scalar!(
        r#"SELECT draft AS "draft: Json<Draft>" FROM invoices
        WHERE tenant_id = $1 AND id = $2 AND status = 'Draft'
        FOR UPDATE"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_optional(tx.connection())
    .await?;
    let Some(Json(draft)) = draft else { return Ok(None) };
    let (facts, recipient) = facts::load(tx, books, running, &draft, now).await?;
    let invoice = compose(&draft, &facts)?;
    note_usage(tx, &draft, &facts).await?;
    let Some(invoice) = invoice else {
        sqlx::query!(
            "DELETE FROM invoices WHERE tenant_id = $1 AND id = $2",
            tx.tenant_id() as _,
            id as _
        )
        .execute(tx.connection())
        .await?;
        return Ok(None);
    };
    coupons::use_up(tx, &invoice.coupons_used).await?;
    insert_lines(tx, id, &invoice).await?;
    let number = issue(tx, books, running, id, &invoice, &recipient, now).await?;
    let booked = Booked::Invoice(id);
    ledger::post(tx, booked, id, &Posting::invoice(&invoice), now).await?;
    Ok(Some(Finalized { id, number, invoice }))
}

/// Gives the draft its number and its sums. What is paid already, by credit, is paid.
async fn issue(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    id: InvoiceId,
    invoice: &Invoice,
    recipient: &Recipient,
    now: Timestamp,
) -> Result<String, BillingError> {
    let terms = &books.terms;
    let issued_on = terms.issuer.time_zone.day_of(now);
    let days = i64::from(terms.payment_days);
    let due_on = issued_on.checked_add(days.days()).unwrap_or(issued_on);
    let series = if running.on_test_clock { &terms.series.tests } else { &terms.series.invoices };
    let number = document_numbers::next(tx, series, issued_on).await?.to_string();
    let paid = invoice.due_minor == 0;
    sqlx::query!(
        "UPDATE invoices
        SET status = $3, number = $4, issued_on = $5, due_on = $6, finalized_at = $7, subtotal_minor = $8,
            discount_minor = $9, net_minor = $10, tax_minor = $11, total_minor = $12, credit_applied_minor = $13,
            tax_groups = $14, issuer = $15, customer = $16, ended_at = CASE WHEN $17 THEN $7::timestamptz END,
            charged = EXISTS (SELECT FROM payment_methods AS methods
                WHERE methods.tenant_id = $1 AND is_default AND provider IN ('Sandbox', 'Stripe', 'PayPal'))
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        if paid { "Paid" } else { "Open" },
        number,
        issued_on.to_sqlx() as _,
        due_on.to_sqlx() as _,
        now.to_sqlx() as _,
        invoice.subtotal_minor,
        invoice.discount_minor,
        invoice.net_minor,
        invoice.tax_minor,
        invoice.total_minor,
        invoice.credit_applied_minor,
        Json(&invoice.tax_groups) as _,
        Json(&terms.issuer) as _,
        Json(recipient) as _,
        paid
    )
    .execute(tx.connection())
    .await?;
    Ok(number)
}

async fn insert_lines(tx: &mut TenantTx, id: InvoiceId, invoice: &Invoice) -> Result<(), Error> {
    let lines = &invoice.lines;
    let texts = |of: fn(&billing::Line) -> String| lines.iter().map(of).collect::<Vec<_>>();
    let amounts = |of: fn(&billing::Line) -> i64| lines.iter().map(of).collect::<Vec<_>>();
    let json =
        |value: Result<serde_json::Value, _>| value.map_err(|_| Error::Foreign("billing::Line"));
    let mut taxes = Vec::with_capacity(lines.len());
    let mut rules = Vec::with_capacity(lines.len());
    for line in lines {
        taxes.push(json(serde_json::to_value(&line.tax))?);
        rules.push(json(serde_json::to_value(&line.rule))?);
    }
    let starts: Vec<_> = lines.iter().map(|line| line.period.start.to_sqlx()).collect();
    let ends: Vec<_> = lines.iter().map(|line| line.period.end.to_sqlx()).collect();
    let prices: Vec<Option<String>> = lines.iter().map(|line| line.unit_price.clone()).collect();
    let plans: Vec<_> = lines.iter().map(|line| line.plan.map(PlanName::as_str)).collect();
    sqlx::query!(
        "INSERT INTO invoice_lines (tenant_id, invoice_id, line, description, detail, plan, period_start, period_end,
            quantity, unit, unit_price, amount_minor, discount_minor, net_minor, tax_minor, tax, rule)
        SELECT $1, $2, line::integer, description, detail, plan, period_start, period_end, quantity, unit, unit_price,
            amount_minor, discount_minor, net_minor, tax_minor, tax, rule
        FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[], $8::text[],
                $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::jsonb[], $15::jsonb[], $16::text[])
            WITH ORDINALITY AS added (description, detail, period_start, period_end, quantity, unit, unit_price,
                amount_minor, discount_minor, net_minor, tax_minor, tax, rule, plan, line)",
        tx.tenant_id() as _,
        id as _,
        &texts(|line| line.description.clone()),
        &texts(|line| line.detail.clone()),
        &starts as _,
        &ends as _,
        &amounts(|line| i64::try_from(line.quantity).unwrap_or(i64::MAX)),
        &texts(|line| line.unit.clone()),
        &prices as _,
        &amounts(|line| line.amount_minor),
        &amounts(|line| line.discount_minor),
        &amounts(|line| line.net_minor),
        &amounts(|line| line.tax_minor),
        &taxes,
        &rules,
        &plans as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Marks which use is billed by this, so that what is counted later is told from it. Late use is billed now, too.
async fn note_usage(tx: &mut TenantTx, draft: &Draft, facts: &billing::Facts) -> Result<(), Error> {
    for late in &facts.late {
        sqlx::query!(
            "UPDATE billed_usage SET quantity = $4
            WHERE tenant_id = $1 AND meter = $2 AND period_start = $3",
            tx.tenant_id() as _,
            late.used.charge.meter.as_str(),
            late.period.start.to_sqlx() as _,
            i64::try_from(late.used.quantity).unwrap_or(i64::MAX)
        )
        .execute(tx.connection())
        .await?;
    }
    // A threshold bills a part; the period is billed, and marked, when it closes.
    let term = draft.usage.as_ref().filter(|_| draft.kind != billing::InvoiceKind::Threshold);
    let Some(term) = term else { return Ok(()) };
    let meters: Vec<_> = facts.used.iter().map(|used| used.charge.meter.to_string()).collect();
    let quantity = |used: &billing::Used| i64::try_from(used.quantity).unwrap_or(i64::MAX);
    let quantities: Vec<_> = facts.used.iter().map(quantity).collect();
    sqlx::query!(
        "INSERT INTO billed_usage (tenant_id, meter, period_start, period_end, plan, plan_version, cycle, currency,
            cap_minor, quantity)
        SELECT $1, meter, $2, $3, $4, $5, $6, $7, $8, quantity
        FROM unnest($9::text[], $10::bigint[]) AS billed (meter, quantity)
        ON CONFLICT (tenant_id, meter, period_start) DO NOTHING",
        tx.tenant_id() as _,
        term.period.start.to_sqlx() as _,
        term.period.end.to_sqlx() as _,
        term.plan.as_str(),
        term.version,
        term.cycle.as_str(),
        facts.currency.as_str(),
        facts.cap_minor,
        &meters,
        &quantities
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An invoice is withdrawn: nothing of it was paid or credited. What it took from the balance goes back. One that gives
/// unused time back stays, or that would be billed twice; and so does one of which time was given back.
///
/// # Errors
/// `Stale` when it is a draft, something of it was paid, or it is tied to another by unused time.
pub async fn void(tx: &mut TenantTx, id: InvoiceId, now: Timestamp) -> Result<(), BillingError> {
    let before = sqlx::query_scalar!(
        "SELECT status FROM invoices WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let row = sqlx::query!(
        "UPDATE invoices SET status = 'Void', ended_at = $3
        WHERE tenant_id = $1 AND id = $2 AND status IN ('Open', 'Uncollectible') AND paid_minor = 0
            AND credited_minor = 0
            AND NOT EXISTS (SELECT FROM invoice_lines AS lines
                WHERE lines.tenant_id = $1 AND rule ->> 'rule' = 'credit'
                    AND (lines.invoice_id = $2 OR rule ->> 'invoice_id' = $4))
        RETURNING currency, net_minor, tax_minor, credit_applied_minor, due_minor",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _,
        id.to_string()
    )
    .fetch_optional(tx.connection())
    .await?;
    let row = row.ok_or(Error::Stale)?;
    let currency = row.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
    let from = ledger::due_of(&before);
    let posting =
        Posting::void(currency, from, row.net_minor, row.tax_minor, row.credit_applied_minor);
    ledger::post(tx, Booked::Void(id), id, &posting, now).await?;
    Ok(())
}

/// What is due of an invoice will not be paid.
///
/// # Errors
/// `Stale` when it is not open.
pub async fn give_up(tx: &mut TenantTx, id: InvoiceId, now: Timestamp) -> Result<(), BillingError> {
    let row = sqlx::query!(
        r#"UPDATE invoices SET status = 'Uncollectible', ended_at = $3
        WHERE tenant_id = $1 AND id = $2 AND status = 'Open'
        RETURNING currency, due_minor AS "due_minor!""#,
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    let row = row.ok_or(Error::Stale)?;
    let currency = row.currency.parse().map_err(|_| Error::Foreign("invoices.currency"))?;
    let posting =
        Posting::moved(currency, LedgerAccount::BadDebt, LedgerAccount::Receivable, row.due_minor);
    ledger::post(tx, Booked::Uncollectible(id), id, &posting, now).await?;
    Ok(())
}
