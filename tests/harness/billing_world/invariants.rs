//! What must hold after each step, and what must hold of all at a month's end (BILLING, "Invariants"; §4.2).

use std::collections::BTreeMap;

use anyhow::Result;
use billing::{Invoice, LedgerAccount, Rule};
use jiff::Timestamp;

use super::books::{Balances, Books, Number, Series};
use super::catalogue::Catalogue;
use super::documents::{Issued, Status, print};
use super::metered::Billed;
use super::reference::came_to;
use super::tenant::Tenant;

/// A list of what is wrong.
#[derive(Debug, Default)]
pub(super) struct Faults(pub(super) Vec<String>);

impl Faults {
    fn unless(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }
}

/// What must hold of a tenant after each of its steps.
pub(super) fn after_step(
    tenant: &Tenant,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<Vec<String>> {
    let mut faults = Faults::default();
    books(tenant, &mut faults);
    for invoice in &tenant.invoices {
        settled(invoice, &mut faults);
        if invoice.at == now {
            sums(&invoice.invoice, &mut faults);
        }
    }
    running(tenant, catalogue, now, &mut faults)?;
    Ok(faults.0)
}

/// Each posting is balanced, and each account is what the documents say (4, 5, 17).
fn books(tenant: &Tenant, faults: &mut Faults) {
    use LedgerAccount::{BadDebt, CashManual, CashSandbox, Credit, Receivable};
    let booked = |account| tenant.booked_minor(account);
    let sum: i64 = tenant.ledger.values().sum();
    faults.unless(sum == 0, || format!("the ledger is out of balance by {sum}"));
    let balance = tenant.balance_minor;
    faults.unless(balance >= 0, || format!("a balance of {balance}"));
    let credit = -booked(Credit);
    faults.unless(credit == balance, || format!("{credit} is booked as credit, {balance} is it"));
    let (open, receivable) = (tenant.due_minor(Status::Open), booked(Receivable));
    faults.unless(open == receivable, || format!("{receivable} is receivable, {open} is open"));
    let (lost, bad_debt) = (tenant.due_minor(Status::Uncollectible), booked(BadDebt));
    faults.unless(lost == bad_debt, || format!("{bad_debt} is lost, {lost} was given up"));
    let (cash, paid) = (booked(CashSandbox) + booked(CashManual), tenant.cash_minor);
    faults.unless(cash == paid, || format!("{cash} is booked as cash, {paid} came in"));
}

/// What is due is never negative, and no more is given back than was billed (5, 12).
fn settled(invoice: &Issued, faults: &mut Faults) {
    let (due, number) = (invoice.due_minor(), invoice.number);
    let right = match invoice.status {
        Status::Paid | Status::Void => due == 0,
        Status::Open | Status::Uncollectible => due > 0,
    };
    faults.unless(right, || format!("{number:?} is {:?} with {due} due", invoice.status));
    let noted = invoice.noted_minor;
    let total = invoice.invoice.total_minor;
    faults.unless(noted <= total.max(0), || format!("{noted} of {total} is credited"));
    for (line, back) in invoice.invoice.lines.iter().zip(&invoice.back) {
        let (net, tax) = (back.net_minor(), back.tax_minor());
        // A later invoice rounds the tax of what it gives back with its group: a cent more or less (EN 16931).
        let slack = i64::from(back.returned.tax_minor != 0 || back.returned.net_minor != 0);
        let inclusive = if line.tax.inclusive { slack } else { 0 };
        let most =
            if line.tax.inclusive { line.net_minor + line.tax_minor } else { line.net_minor };
        let given = if line.tax.inclusive { net + tax } else { net };
        faults.unless(given <= most.max(0) + inclusive, || {
            format!("{given} of {most} is given back")
        });
        faults.unless(
            net <= line.net_minor.max(0) + inclusive && tax <= line.tax_minor.max(0) + slack,
            || {
                format!(
                    "{net} and {tax} are given back of {} and {}",
                    line.net_minor, line.tax_minor
                )
            },
        );
    }
}

/// Lines and tax are the total, groups are the tax, and the balance takes the rest (3).
fn sums(invoice: &Invoice, faults: &mut Faults) {
    let sum = |of: fn(&billing::Line) -> i64| invoice.lines.iter().map(of).sum::<i64>();
    let (net, tax) = (sum(|line| line.net_minor), sum(|line| line.tax_minor));
    let (groups, bases) = invoice
        .tax_groups
        .iter()
        .fold((0, 0), |(tax, base), group| (tax + group.tax_minor, base + group.base_minor));
    let right = (net, tax) == (invoice.net_minor, invoice.tax_minor)
        && (bases, groups) == (net, tax)
        && net + tax == invoice.total_minor
        && sum(|line| line.amount_minor) == invoice.subtotal_minor
        && sum(|line| line.discount_minor) == invoice.discount_minor
        && invoice.total_minor - invoice.credit_applied_minor == invoice.due_minor
        && invoice.due_minor >= 0;
    faults.unless(right, || format!("sums are not: {invoice:?}"));
}

/// The subscription is in the period that its anchor says, what it pays for is billed, and what it brings in a month
/// is what the movements came to (2, 14, 16, 18).
fn running(
    tenant: &Tenant,
    catalogue: &Catalogue,
    now: Timestamp,
    faults: &mut Faults,
) -> Result<()> {
    let subscription = &tenant.subscription;
    let period = subscription.period;
    faults.unless(period.contains(now), || format!("{period:?} at {now}"));
    let reckoned = tenant.history.running();
    faults.unless(reckoned == Some(period), || format!("{period:?} runs, not {reckoned:?}"));
    let offer = catalogue.offer(tenant.offer)?;
    let trial = subscription.is_trialing();
    let monthly = if trial { 0 } else { offer.monthly_minor() };
    let moved = tenant.recurring_minor;
    faults.unless(moved == monthly, || format!("{monthly} a month, by movements {moved}"));
    if trial || !tenant.drafts.is_empty() {
        return Ok(());
    }
    let billed = tenant.covered.last().map(|covered| covered.end);
    let covered = billed.max(tenant.forgiven);
    if offer.fee_minor == 0 {
        let over = billed.is_none_or(|end| end <= period.start);
        faults.unless(over, || format!("on {} it is billed to {billed:?}", offer.plan));
        return Ok(());
    }
    let worth = tenant.history.worth_minor(catalogue, covered, period.end)?;
    faults.unless(worth == 0, || format!("{worth} of the running period are not billed"));
    let right = billed.is_none_or(|end| end <= period.end);
    faults.unless(right, || format!("it is billed to {billed:?}, past the period's end"));
    Ok(())
}

/// The numbers that were seen: by series and year, the last and when it was given.
pub(super) type Seen = BTreeMap<(Series, i16), (u32, Timestamp)>;

/// Numbers follow each other without holes, in the order of time (7).
pub(super) fn numbers(seen: &mut Seen, mut documents: Vec<(Number, Timestamp)>) -> Vec<String> {
    let mut faults = Faults::default();
    documents.sort_unstable();
    for (number, at) in documents {
        let first = (0, Timestamp::MIN);
        let last = seen.entry((number.series, number.year)).or_insert(first);
        let right = number.sequence == last.0 + 1 && at >= last.1;
        faults.unless(right, || format!("{number:?} at {at} came after {last:?}"));
        *last = (number.sequence, at);
    }
    faults.0
}

/// The shared books are the sums of the tenants' (4, 18).
pub(super) fn shared(
    books: &Books,
    tenants: &[Tenant],
    catalogue: &Catalogue,
) -> Result<Vec<String>> {
    let mut faults = Faults::default();
    let mut ledger = Balances::new();
    let mut recurring = BTreeMap::new();
    let mut earned = Balances::new();
    for tenant in tenants {
        let currency = tenant.currency();
        for (account, amount) in &tenant.ledger {
            *ledger.entry(*account).or_default() += amount;
        }
        let trial = tenant.subscription.is_trialing();
        let monthly = if trial { 0 } else { catalogue.offer(tenant.offer)?.monthly_minor() };
        *recurring.entry(currency).or_insert(0) += monthly;
        let valid = tenant.invoices.iter().filter(|invoice| invoice.status != Status::Void);
        let (net, tax) = valid.fold((0, 0), |(net, tax), invoice| {
            let noted = invoice.back.iter().map(|back| back.noted);
            let back = noted
                .fold((0, 0), |(net, tax), noted| (net + noted.net_minor, tax + noted.tax_minor));
            (net + invoice.invoice.net_minor - back.0, tax + invoice.invoice.tax_minor - back.1)
        });
        *earned.entry((currency, LedgerAccount::Revenue)).or_default() -= net;
        *earned.entry((currency, LedgerAccount::Tax)).or_default() -= tax;
    }
    let nonzero = |balances: &Balances| -> Balances {
        balances.iter().filter(|(_, sum)| **sum != 0).map(|(key, sum)| (*key, *sum)).collect()
    };
    faults.unless(nonzero(&ledger) == nonzero(&books.ledger), || {
        "the ledger is not its parts".into()
    });
    for (key, amount) in nonzero(&earned) {
        let booked = books.ledger.get(&key).copied().unwrap_or_default();
        faults.unless(booked == amount, || format!("{key:?} is {booked}, documents say {amount}"));
    }
    for (currency, monthly) in recurring {
        let moved = books.recurring.get(&currency).copied().unwrap_or_default();
        let kinds = books.movements.iter().filter(|((of, _), _)| *of == currency);
        let by_kind: i64 = kinds.map(|(_, delta)| delta).sum();
        faults.unless(moved == monthly && by_kind == monthly, || {
            format!("{monthly} {currency} recur, the movements say {moved} and {by_kind}")
        });
    }
    Ok(faults.0)
}

/// What was finalised reads as it did (6).
pub(super) fn prints(tenant: &Tenant, from: usize) -> Vec<String> {
    let changed = tenant.invoices.iter().skip(from);
    let changed = changed.filter(|invoice| print(&invoice.invoice) != invoice.print);
    changed.map(|invoice| format!("{:?} was changed", invoice.number)).collect()
}

/// Every count that was accepted is billed once, or waits, or is of a time in which use was free (10).
pub(super) fn metered(tenant: &Tenant, catalogue: &Catalogue) -> Result<Vec<String>> {
    let mut faults = Faults::default();
    let mut expected = 0;
    // A worker that is late has not closed all that is over.
    let closed = tenant.subscription.period.start;
    for (period, place) in tenant.history.periods() {
        let offer = catalogue.offer(place)?;
        if offer.charges.is_empty() || period.start == period.end || period.end > closed {
            continue;
        }
        let waits = tenant
            .drafts
            .iter()
            .any(|pending| pending.draft.usage.as_ref().is_some_and(|term| term.period == period));
        if waits {
            continue;
        }
        let Some(billed) = tenant.metered.billed.get(&period.start) else {
            faults.0.push(format!("the use of {period:?} was never billed"));
            continue;
        };
        expected += 1;
        let right = billed.period == period && catalogue.offer(billed.offer)? == offer;
        faults.unless(right, || format!("{:?} was billed in place of {period:?}", billed.period));
        if !tenant.metered.is_settled(billed) {
            continue;
        }
        let counts = tenant.metered.counted(period);
        faults.unless(counts == billed.counts, || {
            format!("{counts:?} of use, {:?} billed", billed.counts)
        });
        amounts(tenant, offer, billed, &mut faults)?;
    }
    let rows = tenant.metered.billed.len();
    faults
        .unless(rows == expected, || format!("{rows} periods of use are billed, {expected} were"));
    Ok(faults.0)
}

/// All that was ever billed of a period's use is what one bill would be, to the cent; under a cap, no more than that.
fn amounts(
    tenant: &Tenant,
    offer: &billing::Offer,
    billed: &Billed,
    faults: &mut Faults,
) -> Result<()> {
    let mut whole = 0;
    for (used, meter) in super::metered::used(offer, &billed.counts) {
        let owed = came_to(&used.charge, used.quantity, tenant.currency())?;
        whole += owed;
        let came = billed.amounts_minor[meter];
        faults.unless(billed.cap_minor.is_some() || came == owed, || {
            format!("{} came to {came}, not {owed}", used.title)
        });
    }
    let came = billed.amounts_minor.iter().sum::<i64>() - billed.beyond_minor;
    let owed = billed.cap_minor.map_or(whole, |cap| whole.min(cap));
    faults.unless(came == owed, || format!("a period's use came to {came}, not {owed}"));
    Ok(())
}

/// Over a life, fees less what was given back are the plans' prices by the second (1, 4): within a minor unit for each
/// stretch. Of those alone that were never discounted, credited or withdrawn.
pub(super) fn life(tenant: &Tenant, catalogue: &Catalogue) -> Result<Option<Vec<String>>> {
    let Some(covered) = tenant.covered.last().filter(|_| tenant.plain) else { return Ok(None) };
    let (owed, stretches) = tenant.history.life_minor(catalogue, covered.end)?;
    let lines = tenant.invoices.iter().flat_map(|invoice| &invoice.invoice.lines);
    let fees = lines.filter(|line| matches!(line.rule, Rule::Fee(_) | Rule::Credit { .. }));
    let billed: i64 = fees.map(|line| line.amount_minor).sum();
    let mut faults = Faults::default();
    faults.unless((billed - owed).abs() <= stretches, || {
        format!("{billed} of fees in a life that owes {owed} in {stretches} stretches")
    });
    Ok(Some(faults.0))
}
