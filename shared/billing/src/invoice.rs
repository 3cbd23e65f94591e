//! From a draft and the facts to an invoice: lines, discounts, tax, credit, and what is due. The same function
//! makes the preview, the invoice, and the simulation's.
//!
//! Order (§2.7): use → included units → tiers → coupons → tax → credit balance.

use std::collections::BTreeMap;

use domain::id::InvoiceId;
use domain::money::Currency;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::charge::{Charge, ChargeError, counted, grouped, late};
use crate::coupon::Coupon;
use crate::draft::{CreditTerm, Draft, FeeTerm, InvoiceKind, UsageTerm};
use crate::proration::fragment;
use crate::rounding::{OutOfRange, allocate};
use crate::tax::{TaxError, TaxGroup, TaxTerms, levy};

/// What was used of a meter in the draft's period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// What it costs.
    pub charge: Charge,
    /// What the meter is called: `Messages sent`.
    pub title: String,
    /// What one of it is: `message`.
    pub unit: String,
    /// How much.
    pub quantity: u64,
}

/// Use of a period that was billed before, as it is counted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateUse {
    /// The meter, its terms in that period, and how much is counted now.
    pub used: Used,
    /// How much of it was billed.
    pub billed: u64,
    /// That period.
    pub period: Period,
    /// The plan that was used then.
    pub plan: PlanName,
    /// The spending cap that held then.
    pub cap: Option<LateCap>,
}

/// A spending cap of a period that was billed: what comes late costs no more than it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateCap {
    /// The cap.
    pub cap_minor: i64,
    /// What all use of the period that was billed comes to, were there no cap.
    pub billed_minor: i64,
}

/// All that an invoice depends on beside its draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The subscription's currency.
    pub currency: Currency,
    /// The use of the draft's period, by meter, in the catalogue's order.
    pub used: Vec<Used>,
    /// Use that came late.
    pub late: Vec<LateUse>,
    /// What threshold invoices of the period have billed of its use, before discounts.
    pub invoiced_minor: i64,
    /// The most that the tenant allowed its use to cost in the period.
    pub cap_minor: Option<i64>,
    /// What the tenant has, oldest first.
    pub coupons: Vec<Coupon>,
    /// How what is billed today is taxed.
    pub tax: TaxTerms,
    /// What the tenant has in credit.
    pub balance_minor: i64,
}

/// What a line is, and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// A plan's fee, ahead.
    Fee(FeeTerm),
    /// The unused part of a fee, given back.
    Credit {
        /// The invoice that billed it.
        invoice_id: InvoiceId,
        /// The line of it.
        line: u32,
    },
    /// A period's use of a meter.
    Usage {
        /// How much, and at which price.
        charge: Charge,
        /// How much was used.
        quantity: u64,
    },
    /// Use that came late into a period that was billed.
    LateUsage {
        /// How much, and at which price.
        charge: Charge,
        /// How much is counted now.
        quantity: u64,
        /// How much of it was billed.
        billed: u64,
        /// The cap that kept it from costing more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap_minor: Option<i64>,
    },
    /// What threshold invoices have billed of the period's use.
    AlreadyInvoiced,
    /// What is beyond the tenant's spending cap, not billed.
    SpendingCap {
        /// The cap.
        cap_minor: i64,
    },
    /// As an operator wrote it.
    Manual,
}

/// A line of an invoice. `net + tax` is what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub description: String,
    /// For which plan; `None`: as an operator wrote it.
    pub plan: Option<PlanName>,
    /// How the amount came about, in words.
    pub detail: String,
    /// The time that it is for.
    pub period: Period,
    /// How many.
    pub quantity: u64,
    /// Of what.
    pub unit: String,
    /// Price of one, where one price was all there is to it.
    pub unit_price: Option<String>,
    /// Before discounts; with tax where prices include it.
    pub amount_minor: i64,
    /// Taken off by coupons.
    pub discount_minor: i64,
    /// After discounts, without tax.
    pub net_minor: i64,
    /// Tax on that.
    pub tax_minor: i64,
    /// How it is taxed.
    pub tax: TaxTerms,
    /// What made it.
    pub rule: Rule,
}

/// An invoice as it will be finalised. Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Why there is one.
    pub kind: InvoiceKind,
    /// The currency of every amount.
    pub currency: Currency,
    /// The period that it names.
    pub period: Period,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Its tax, by rate and category.
    pub tax_groups: Vec<TaxGroup>,
    /// Sum of the lines' amounts.
    pub subtotal_minor: i64,
    /// Sum of the discounts.
    pub discount_minor: i64,
    /// Sum of the nets.
    pub net_minor: i64,
    /// Sum of the tax.
    pub tax_minor: i64,
    /// Net and tax.
    pub total_minor: i64,
    /// Taken from the credit balance; negative where the invoice gives back and the balance grows (§2.3).
    pub credit_applied_minor: i64,
    /// What is to be paid; never negative.
    pub due_minor: i64,
    /// The codes of the coupons of which it uses one time up.
    pub coupons_used: Vec<String>,
}

/// Why no invoice can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// A rate times a quantity.
    #[error(transparent)]
    Charge(#[from] ChargeError),
    /// Tax.
    #[error(transparent)]
    Tax(#[from] TaxError),
    /// An amount.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
}

/// The invoice of `draft`; `None` where nothing is to be billed or given back.
///
/// # Errors
/// When an amount is out of range.
pub fn compose(draft: &Draft, facts: &Facts) -> Result<Option<Invoice>, InvoiceError> {
    let mut lines = Vec::new();
    if let Some(credit) = &draft.credit {
        lines.extend(credit_line(credit)?);
    }
    if let Some(fee) = &draft.fee {
        lines.push(fee_line(fee, facts)?);
    }
    if let Some(usage) = &draft.usage {
        usage_lines(usage, facts, &mut lines)?;
    }
    late_lines(facts, &mut lines)?;
    if lines.iter().all(|line| line.amount_minor == 0) {
        return Ok(None);
    }
    total(draft.kind, draft.period, lines, facts).map(Some)
}

/// The invoice of lines that are given: discounts, tax, credit, and what is due.
///
/// # Errors
/// When an amount is out of range.
pub fn total(
    kind: InvoiceKind,
    period: Period,
    mut lines: Vec<Line>,
    facts: &Facts,
) -> Result<Invoice, InvoiceError> {
    let coupons_used = discount(kind, &mut lines, facts)?;
    let taxable: Vec<_> =
        lines.iter().map(|line| (&line.tax, line.amount_minor - line.discount_minor)).collect();
    let levied = levy(&taxable)?;
    for (line, taxed) in lines.iter_mut().zip(&levied.lines) {
        line.net_minor = taxed.net_minor;
        line.tax_minor = taxed.tax_minor;
    }
    let net_minor = sum(&lines, |line| line.net_minor)?;
    let tax_minor = sum(&lines, |line| line.tax_minor)?;
    let total_minor = net_minor.checked_add(tax_minor).ok_or(OutOfRange)?;
    // What it gives back goes to the balance; what it asks for is taken from there first.
    let credit_applied_minor = total_minor.min(facts.balance_minor.max(0));
    Ok(Invoice {
        kind,
        currency: facts.currency,
        period,
        subtotal_minor: sum(&lines, |line| line.amount_minor)?,
        discount_minor: sum(&lines, |line| line.discount_minor)?,
        net_minor,
        tax_minor,
        total_minor,
        credit_applied_minor,
        due_minor: total_minor - credit_applied_minor,
        tax_groups: levied.groups,
        lines,
        coupons_used,
    })
}

fn credit_line(credit: &CreditTerm) -> Result<Option<Line>, InvoiceError> {
    let fee = &credit.fee;
    let amount_minor = fee.unused(credit.unused.start)?;
    // A fee that is used up, or was credited already, leaves no line (§4.3, 16).
    if amount_minor == 0 {
        return Ok(None);
    }
    let name = plan_name(fee.plan, fee.cycle);
    let share = share(credit.unused, fee.whole);
    Ok(Some(Line {
        description: format!("Unused time on {name}"),
        plan: Some(fee.plan),
        detail: format!("{share}, billed by invoice {} line {}", fee.invoice_number, fee.line),
        tax: fee.tax.clone(),
        rule: Rule::Credit { invoice_id: fee.invoice_id, line: fee.line },
        ..Line::plain(-amount_minor, credit.unused, fee.cycle.noun())
    }))
}

fn fee_line(fee: &FeeTerm, facts: &Facts) -> Result<Line, InvoiceError> {
    let amount_minor = fragment(fee.price_minor, fee.whole, fee.service)?;
    let name = plan_name(fee.plan, fee.cycle);
    let whole = fee.service == fee.whole;
    Ok(Line {
        description: if whole { name } else { format!("Remaining time on {name}") },
        plan: Some(fee.plan),
        detail: if whole { String::new() } else { share(fee.service, fee.whole) },
        unit_price: whole.then(|| decimal(fee.price_minor, facts.currency)),
        tax: facts.tax.clone(),
        rule: Rule::Fee(fee.clone()),
        ..Line::plain(amount_minor, fee.service, fee.cycle.noun())
    })
}

fn usage_lines(term: &UsageTerm, facts: &Facts, lines: &mut Vec<Line>) -> Result<(), InvoiceError> {
    let (plan, period) = (Some(term.plan), term.period);
    let mut sum_minor = 0_i64;
    for used in &facts.used {
        let rated = used.charge.rate(used.quantity, facts.currency)?;
        if used.quantity == 0 && rated.amount_minor == 0 {
            continue;
        }
        sum_minor = sum_minor.checked_add(rated.amount_minor).ok_or(OutOfRange)?;
        let rule = Rule::Usage { charge: used.charge.clone(), quantity: used.quantity };
        lines.push(Line {
            description: used.title.clone(),
            plan,
            detail: rated.explain(&used.unit),
            quantity: used.quantity,
            tax: facts.tax.clone(),
            rule,
            ..Line::plain(rated.amount_minor, period, &used.unit)
        });
    }
    let taken_off = |description: &str, amount_minor: i64, rule| Line {
        description: description.to_owned(),
        plan,
        tax: facts.tax.clone(),
        rule,
        ..Line::plain(-amount_minor, period, "period")
    };
    if let Some(cap_minor) = facts.cap_minor.filter(|cap| sum_minor > *cap) {
        let rule = Rule::SpendingCap { cap_minor };
        lines.push(taken_off("Beyond your spending cap", sum_minor - cap_minor, rule));
    }
    if facts.invoiced_minor > 0 {
        lines.push(taken_off("Already invoiced", facts.invoiced_minor, Rule::AlreadyInvoiced));
    }
    Ok(())
}

fn late_lines(facts: &Facts, lines: &mut Vec<Line>) -> Result<(), InvoiceError> {
    // What came late for a period so far, as if there were no cap.
    let mut grown: BTreeMap<Timestamp, i64> = BTreeMap::new();
    for late_use in &facts.late {
        let (used, billed) = (&late_use.used, late_use.billed);
        let whole_minor = late(&used.charge, billed, used.quantity, facts.currency)?;
        let grown = grown.entry(late_use.period.start).or_insert(0);
        let amount_minor = within(late_use.cap, *grown, whole_minor)?;
        *grown = grown.checked_add(whole_minor).ok_or(OutOfRange)?;
        if amount_minor != 0 {
            lines.push(late_line(late_use, facts, amount_minor, amount_minor != whole_minor));
        }
    }
    Ok(())
}

/// How much of `whole_minor` counts under the cap, after what is billed and `grown_minor` more.
fn within(cap: Option<LateCap>, grown_minor: i64, whole_minor: i64) -> Result<i64, OutOfRange> {
    let Some(LateCap { cap_minor, billed_minor }) = cap else { return Ok(whole_minor) };
    let before = billed_minor.checked_add(grown_minor).ok_or(OutOfRange)?;
    let after = before.checked_add(whole_minor).ok_or(OutOfRange)?;
    after.min(cap_minor).checked_sub(before.min(cap_minor)).ok_or(OutOfRange)
}

fn late_line(late_use: &LateUse, facts: &Facts, amount_minor: i64, cut: bool) -> Line {
    let (used, billed) = (&late_use.used, late_use.billed);
    let cap_minor = late_use.cap.filter(|_| cut).map(|cap| cap.cap_minor);
    let charge = used.charge.clone();
    let now = counted(used.quantity, &used.unit);
    let beyond = if cut { "; what is beyond your spending cap is not billed" } else { "" };
    Line {
        description: format!("{}, counted late for an earlier period", used.title),
        detail: format!("{now} counted, {} of them billed before{beyond}", grouped(billed)),
        plan: Some(late_use.plan),
        quantity: used.quantity.abs_diff(billed),
        tax: facts.tax.clone(),
        rule: Rule::LateUsage { charge, quantity: used.quantity, billed, cap_minor },
        ..Line::plain(amount_minor, late_use.period, &used.unit)
    }
}

/// Spreads each coupon over what is billed, in the order in which they were redeemed; answers which were used.
fn discount(
    kind: InvoiceKind,
    lines: &mut [Line],
    facts: &Facts,
) -> Result<Vec<String>, InvoiceError> {
    let mut used = Vec::new();
    let billed = billed(lines)?;
    for coupon in &facts.coupons {
        let left = lines.iter().zip(&billed).map(|(line, billed)| billed - line.discount_minor);
        let weights: Vec<i64> = left.collect();
        let eligible = weights
            .iter()
            .try_fold(0_i64, |sum, weight| sum.checked_add(*weight))
            .ok_or(OutOfRange)?;
        let off = coupon.off(eligible, facts.currency)?;
        if off == 0 {
            continue;
        }
        for (line, share) in lines.iter_mut().zip(allocate(off, &weights)?) {
            line.discount_minor += share;
        }
        if coupon.duration.is_used_up_by(kind) {
            used.push(coupon.code.clone());
        }
    }
    Ok(used)
}

/// What is billed of each line, for coupons to be taken off: of use, less what is beyond the cap and what threshold
/// invoices have billed, at a discount of their own.
fn billed(lines: &[Line]) -> Result<Vec<i64>, OutOfRange> {
    let amount = |line: &Line, wanted: bool| if wanted { line.amount_minor } else { 0 };
    let is_use = |line: &Line| matches!(line.rule, Rule::Usage { .. });
    let is_off =
        |line: &Line| matches!(line.rule, Rule::SpendingCap { .. } | Rule::AlreadyInvoiced);
    let use_minor = sum(lines, |line| amount(line, is_use(line)))?;
    let off_minor = sum(lines, |line| amount(line, is_off(line)))?;
    let left_minor = use_minor.checked_add(off_minor).ok_or(OutOfRange)?.max(0);
    let weights: Vec<i64> = lines.iter().map(|line| amount(line, is_use(line))).collect();
    let shares = allocate(left_minor, &weights)?;
    let billed = lines.iter().zip(shares);
    Ok(billed
        .map(|(line, share)| if is_use(line) { share } else { line.amount_minor.max(0) })
        .collect())
}

impl Line {
    /// How many of what, in words: `13,000 messages`.
    #[must_use]
    pub fn counted(&self) -> String {
        counted(self.quantity, &self.unit)
    }

    /// One of something, before discounts and tax.
    #[must_use]
    pub fn plain(amount_minor: i64, period: Period, unit: &str) -> Self {
        Self {
            description: String::new(),
            plan: None,
            detail: String::new(),
            period,
            quantity: 1,
            unit: unit.to_owned(),
            unit_price: None,
            amount_minor,
            discount_minor: 0,
            net_minor: 0,
            tax_minor: 0,
            tax: TaxTerms::none(),
            rule: Rule::Manual,
        }
    }
}

fn sum(lines: &[Line], amount: impl Fn(&Line) -> i64) -> Result<i64, OutOfRange> {
    lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(amount(line))).ok_or(OutOfRange)
}

fn plan_name(plan: PlanName, cycle: BillingCycle) -> String {
    match cycle {
        BillingCycle::Monthly => format!("{plan}, monthly"),
        BillingCycle::Yearly => format!("{plan}, yearly"),
        BillingCycle::PayAsYouGo => format!("{plan}, pay as you go"),
    }
}

/// `15 of 30 days`, or by the second where days do not say it.
fn share(part: Period, whole: Period) -> String {
    const DAY: i64 = 86_400;
    let (part, whole) = (part.seconds(), whole.seconds());
    if part % DAY == 0 && whole % DAY == 0 {
        format!("{} of {} days", part / DAY, whole / DAY)
    } else {
        format!("{part} of {whole} seconds")
    }
}

/// `99.00`: an amount in its currency's unit.
fn decimal(amount_minor: i64, currency: Currency) -> String {
    let money = domain::money::Money { amount_minor, currency };
    // The amount follows the code and a space.
    money.to_string().split_off(4)
}
