//! Each line of an invoice against the slow reckoning, within what rounding may do.

use anyhow::{Context, Result};
use billing::{Discount, Facts, Invoice, Line, Rule};
use domain::id::InvoiceId;

use super::exact::Exact;
use super::rating::cost;
use crate::billing_world::catalogue::Catalogue;
use crate::billing_world::documents::{Issued, Status};
use crate::billing_world::metered::place_of;
use crate::billing_world::tenant::{Pending, Tenant};

/// What the lines' amounts should be, and by how many halves of a minor unit they may differ.
struct Expected {
    amount: Exact,
    halves: i64,
}

impl Tenant {
    /// What is wrong with an invoice that is to be issued now.
    pub(in crate::billing_world) fn compare(
        &self,
        catalogue: &Catalogue,
        pending: &Pending,
        facts: &Facts,
        invoice: &Invoice,
    ) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        let mut usage = (Exact::ZERO, 0);
        for line in &invoice.lines {
            let expected = match &line.rule {
                Rule::SpendingCap { cap_minor } => {
                    let beyond = Exact::whole(*cap_minor).minus(usage.0)?;
                    Some(Expected { amount: beyond, halves: usage.1 })
                }
                _ => self.expected(catalogue, pending, line)?,
            };
            let Some(Expected { amount, halves }) = expected else {
                faults.push(format!("a line for a time of no such plan: {line:?}"));
                continue;
            };
            if matches!(line.rule, Rule::Usage { .. }) {
                usage = (usage.0.plus(amount)?, usage.1 + halves);
            }
            if !amount.is_near(line.amount_minor, halves)? {
                let (billed, rule) = (line.amount_minor, &line.rule);
                faults.push(format!("{billed} is billed, {amount} is owed: {rule:?}"));
            }
        }
        faults.extend(discounts(invoice, facts)?);
        faults.extend(taxes(invoice)?);
        Ok(faults)
    }

    /// `None` where nothing that was agreed makes such a line.
    fn expected(
        &self,
        catalogue: &Catalogue,
        pending: &Pending,
        line: &Line,
    ) -> Result<Option<Expected>> {
        match &line.rule {
            Rule::Fee(_) => {
                let Some(stretch) = self.history.starting(line.period.start) else {
                    return Ok(None);
                };
                let whole = stretch.whole;
                if line.period.end != whole.end || catalogue.offer(stretch.offer)?.fee_minor == 0 {
                    return Ok(None);
                }
                let amount = stretch.cost(catalogue, line.period.start, whole.end)?;
                Ok(Some(Expected { amount, halves: 2 }))
            }
            Rule::Credit { invoice_id, line: number } => {
                if line.period.start != pending.boundary {
                    return Ok(None);
                }
                self.credit(*invoice_id, *number, line)
            }
            Rule::Usage { charge, quantity } => {
                let Some((period, place)) = self.history.used_from(line.period.start) else {
                    return Ok(None);
                };
                let meter = place_of(charge.meter.as_str()).context("no such meter")?;
                let counted = self.metered.counted(line.period)[meter];
                let known = catalogue.offer(place)?.charges.contains(charge);
                if period != line.period || counted != *quantity || !known {
                    return Ok(None);
                }
                let amount = cost(charge, counted, self.currency())?;
                Ok(Some(Expected { amount, halves: 1 }))
            }
            Rule::LateUsage { charge, quantity, billed, .. } => {
                let meter = place_of(charge.meter.as_str()).context("no such meter")?;
                if self.metered.counted(line.period)[meter] != *quantity {
                    return Ok(None);
                }
                let now = cost(charge, *quantity, self.currency())?;
                let amount = now.minus(cost(charge, *billed, self.currency())?)?;
                // Under a cap a line is cut; the period's sum tells whether rightly (`invariants::amounts`).
                let billed = self.metered.billed.get(&line.period.start);
                if billed.is_some_and(|billed| billed.cap_minor.is_some()) {
                    let cut = Exact::whole(line.amount_minor);
                    let cut =
                        if line.amount_minor < 0 { cut.most(amount)? } else { cut.least(amount)? };
                    return Ok(Some(Expected { amount: cut, halves: 2 }));
                }
                Ok(Some(Expected { amount, halves: 2 }))
            }
            Rule::SpendingCap { .. } | Rule::AlreadyInvoiced | Rule::Manual => Ok(None),
        }
    }

    /// The unused part of what was really paid for a fee: its price by the second, without what was taken off it, and
    /// no more than was not given back yet.
    fn credit(&self, id: InvoiceId, number: u32, line: &Line) -> Result<Option<Expected>> {
        // What was withdrawn was never paid for.
        let valid = |invoice: &&Issued| invoice.id == id && invoice.status != Status::Void;
        let found = self.invoices.iter().find(valid);
        let Some((billed, back)) = found.and_then(|invoice| invoice.line(number)) else {
            return Ok(None);
        };
        let Rule::Fee(term) = &billed.rule else { return Ok(None) };
        if line.period.end != billed.period.end || line.tax != billed.tax {
            return Ok(None);
        }
        let unused = line.period.end.as_second() - line.period.start.as_second();
        let whole = term.whole.end.as_second() - term.whole.start.as_second();
        let (amount, off) = (billed.amount_minor, billed.discount_minor);
        let unused = Exact::whole(term.price_minor).times(unused.into(), whole.into())?;
        let paid = unused.times((amount - off).into(), amount.max(1).into())?;
        let tax_minor = if billed.tax.inclusive { back.tax_minor() } else { 0 };
        let left = (amount - off - back.net_minor() - tax_minor).max(0);
        let owed = paid.least(Exact::whole(left))?;
        let halves = if off == 0 { 1 } else { 3 };
        Ok(Some(Expected { amount: Exact::ZERO.minus(owed)?, halves }))
    }
}

/// Coupons, one after the other, each by its share of what the ones before left.
fn discounts(invoice: &Invoice, facts: &Facts) -> Result<Vec<String>> {
    let is_use = |line: &Line| matches!(line.rule, Rule::Usage { .. });
    let used: i64 =
        invoice.lines.iter().filter(|line| is_use(line)).map(|line| line.amount_minor).sum();
    let capped = facts.cap_minor.map_or(used, |cap| used.min(cap));
    let mut left = Vec::with_capacity(invoice.lines.len());
    for line in &invoice.lines {
        let whole = Exact::whole(line.amount_minor.max(0));
        let scaled = is_use(line) && used > 0;
        left.push(if scaled { whole.times(capped.into(), used.into())? } else { whole });
    }
    let full = left.clone();
    for coupon in &facts.coupons {
        let sum = left.iter().try_fold(Exact::ZERO, |sum, one| sum.plus(*one))?;
        let kept = match coupon.discount {
            Discount::Percent(off) => Exact::of(i128::from(10_000 - off.hundredths()), 10_000)?,
            Discount::Amount { amount_minor, currency } => {
                let off = if currency == facts.currency { amount_minor } else { 0 };
                let rest = sum.minus(Exact::whole(off))?.most(Exact::ZERO)?;
                if sum == Exact::ZERO { rest } else { rest.over(sum)? }
            }
        };
        for one in &mut left {
            *one = one.by(kept)?;
        }
    }
    let mut faults = Vec::new();
    let halves = 2 * i64::try_from(facts.coupons.len())? + 1;
    for ((line, full), left) in invoice.lines.iter().zip(full).zip(left) {
        let off = full.minus(left)?;
        if !off.is_near(line.discount_minor, halves)? {
            faults.push(format!("{} was taken off, {off} would be right", line.discount_minor));
        }
    }
    Ok(faults)
}

/// Each group's tax is that of its lines together, rounded once.
fn taxes(invoice: &Invoice) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for group in &invoice.tax_groups {
        let same = |line: &&Line| {
            (line.tax.category, line.tax.rate, line.tax.inclusive, &line.tax.jurisdiction)
                == (
                    group.terms.category,
                    group.terms.rate,
                    group.terms.inclusive,
                    &group.terms.jurisdiction,
                )
        };
        let lines = invoice.lines.iter().filter(same);
        let base: i64 = lines.map(|line| line.amount_minor - line.discount_minor).sum();
        let rate = i128::from(group.terms.rate.millionths());
        let under = 1_000_000 + if group.terms.inclusive { rate } else { 0 };
        let tax = Exact::whole(base).times(rate, under)?.nearest()?;
        if tax != group.tax_minor {
            faults.push(format!("{} of tax on {base}, {tax} would be right", group.tax_minor));
        }
    }
    Ok(faults)
}
