//! What an invoice depends on beside its draft: use, coupons, credit, tax. Read when it is finalised, or previewed.

use std::collections::BTreeMap;

use billing::{
    ChargeError, Draft, Facts, LateCap, LateUse, Offer, OutOfRange, Recipient, UsageTerm, Used,
};
use domain::meter::MeterName;
use domain::period::Period;
use domain::plan::BillingCycle;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::account::{recipient, tax};
use super::{BillingError, Books};
use crate::catalogue::MeterTerms;
use crate::error::Error;
use crate::subscriptions::Running;
use crate::tenant_tx::{TenantTx, Tx};
use crate::{coupons, meters, usage};

/// The facts for `draft`, and to whom it is made out.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn load(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    draft: &Draft,
    now: Timestamp,
) -> Result<(Facts, Recipient), BillingError> {
    let recipient = recipient(tx).await?;
    let mut facts = Facts {
        currency: running.currency,
        used: Vec::new(),
        late: Vec::new(),
        invoiced_minor: 0,
        cap_minor: None,
        coupons: held(tx).await?,
        tax: tax(books, &recipient, now),
        balance_minor: balance(tx, running).await?,
    };
    let late = late(tx, draft.usage.as_ref().map(|term| term.period)).await?;
    if draft.usage.is_none() && late.is_empty() {
        return Ok((facts, recipient));
    }
    let names: BTreeMap<MeterName, MeterTerms> = meters::list(tx).await?.into_iter().collect();
    if let Some(term) = &draft.usage {
        let offer = offer(tx, books, running, term).await?;
        let counted = usage::totals(tx, term.period.start).await?;
        facts.used = used(&offer, &names, |meter| counted.get(meter.as_str()).copied());
        facts.invoiced_minor = invoiced(tx, draft, term.period.start).await?;
        facts.cap_minor = running.spending_cap_minor.filter(|_| running.overage_allowed);
    }
    for Late { term, meter, billed, counted, cap_minor } in late {
        let offer = offer(tx, books, running, &term).await?;
        let used = used(&offer, &names, |one| (*one == meter).then_some(counted));
        let Some(used) = used.into_iter().find(|used| used.charge.meter == meter) else { continue };
        let cap = match cap_minor {
            Some(cap_minor) => {
                let billed_minor = came_to(tx, &offer, term.period).await?;
                Some(LateCap { cap_minor, billed_minor })
            }
            None => None,
        };
        let (period, plan) = (term.period, term.plan);
        facts.late.push(LateUse { used, billed, period, plan, cap });
    }
    Ok((facts, recipient))
}

/// What the use that was billed of a period comes to, were there no cap.
async fn came_to(tx: &mut TenantTx, offer: &Offer, period: Period) -> Result<i64, BillingError> {
    let rows = sqlx::query!(
        "SELECT meter, quantity FROM billed_usage WHERE tenant_id = $1 AND period_start = $2",
        tx.tenant_id() as _,
        period.start.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut sum_minor = 0_i64;
    for charge in &offer.charges {
        let Some(row) = rows.iter().find(|row| row.meter == charge.meter.as_str()) else {
            continue;
        };
        let rated = charge.rate(row.quantity.unsigned_abs(), offer.currency)?;
        sum_minor =
            sum_minor.checked_add(rated.amount_minor).ok_or(ChargeError::from(OutOfRange))?;
    }
    Ok(sum_minor)
}

async fn offer(
    tx: &mut TenantTx,
    books: &Books,
    running: &Running,
    term: &UsageTerm,
) -> Result<Offer, BillingError> {
    let version = books.version(tx, term.plan, term.version).await?;
    version.offer(term.cycle, running.currency).ok_or(BillingError::NotOffered(term.plan))
}

fn used(
    offer: &Offer,
    names: &BTreeMap<MeterName, MeterTerms>,
    quantity: impl Fn(&MeterName) -> Option<u64>,
) -> Vec<Used> {
    let charges = offer.charges.iter().map(|charge| {
        let name = names.get(&charge.meter);
        let text =
            |text: Option<&String>| text.map_or(charge.meter.as_str(), String::as_str).to_owned();
        Used {
            title: text(name.map(|name| &name.title)),
            unit: text(name.map(|name| &name.unit)),
            quantity: quantity(&charge.meter).unwrap_or(0),
            charge: charge.clone(),
        }
    });
    charges.collect()
}

async fn held(tx: &mut TenantTx) -> Result<Vec<billing::Coupon>, Error> {
    let held = coupons::list(tx).await?;
    let held = held.into_iter().filter(|held| held.uses_left != Some(0));
    Ok(held.map(|held| held.coupon).collect())
}

/// What the tenant has in credit, in minor units of the subscription's currency.
///
/// # Errors
/// When the database is gone.
pub async fn balance(tx: &mut TenantTx, running: &Running) -> Result<i64, Error> {
    let balance = sqlx::query_scalar!(
        "SELECT balance_minor FROM credit_balances WHERE tenant_id = $1 AND currency = $2",
        tx.tenant_id() as _,
        running.currency.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(balance.unwrap_or(0))
}

/// What threshold invoices of the period have billed.
async fn invoiced(tx: &mut TenantTx, draft: &Draft, period: Timestamp) -> Result<i64, Error> {
    let sum = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(subtotal_minor), 0)::bigint AS "sum!" FROM invoices
        WHERE tenant_id = $1 AND subscription_id = $2 AND kind = 'Threshold' AND boundary = $3
            AND status NOT IN ('Draft', 'Void')"#,
        tx.tenant_id() as _,
        draft.subscription_id as _,
        period.to_sqlx() as _
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(sum)
}

/// Whether use of billed periods is counted otherwise by now.
///
/// # Errors
/// When the database is gone.
pub async fn any_late(tx: &mut TenantTx) -> Result<bool, Error> {
    Ok(!late(tx, None).await?.is_empty())
}

/// Use of a meter in a period that was billed, and is counted otherwise by now.
struct Late {
    term: UsageTerm,
    meter: MeterName,
    billed: u64,
    counted: u64,
    cap_minor: Option<i64>,
}

/// `but`: a period that is billed as a whole now.
async fn late(tx: &mut TenantTx, but: Option<Period>) -> Result<Vec<Late>, Error> {
    let rows = sqlx::query!(
        "SELECT billed_usage.meter, period_start, period_end, plan, plan_version, cycle, cap_minor,
            billed_usage.quantity AS billed, usage_periods.quantity AS counted
        FROM billed_usage
        JOIN usage_periods ON usage_periods.tenant_id = billed_usage.tenant_id
            AND usage_periods.meter = billed_usage.meter
            AND usage_periods.period = date_trunc('minute', period_start, 'UTC')
        WHERE billed_usage.tenant_id = $1 AND usage_periods.quantity <> billed_usage.quantity
            AND ($2::timestamptz IS NULL OR period_start <> $2)
        ORDER BY period_start, billed_usage.meter",
        tx.tenant_id() as _,
        but.map(|period| period.start.to_sqlx()) as _
    )
    .fetch_all(tx.connection())
    .await?;
    let late = rows.into_iter().map(|row| {
        let foreign = |_| Error::Foreign("billed_usage");
        let cycle: BillingCycle = row.cycle.parse().map_err(foreign)?;
        let term = UsageTerm {
            plan: row.plan.parse().map_err(foreign)?,
            version: row.plan_version,
            cycle,
            period: Period { start: row.period_start.to_jiff(), end: row.period_end.to_jiff() },
        };
        let meter = row.meter.try_into().map_err(|_| Error::Foreign("billed_usage.meter"))?;
        Ok(Late {
            term,
            meter,
            billed: row.billed.unsigned_abs(),
            counted: row.counted.unsigned_abs(),
            cap_minor: row.cap_minor,
        })
    });
    late.collect()
}
