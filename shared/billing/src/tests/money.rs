//! The worked numbers of amounts (§2.7, 2.8, 2.10, 2.12, 2.13, 2.15), through whole invoices.

use super::tenant::*;
use crate::{
    Allocation, CreditNoteError, Creditable, Draft, Duration, Facts, FeeTerm, Invoice, InvoiceKind,
    LateUse, LedgerAccount, Line, Posting, UsageTerm, compose, credit_note, late, total,
};
use domain::money::Currency;
use domain::period::Period;

fn may() -> Period {
    span("2026-05-01", "2026-06-01")
}

/// An invoice over given amounts.
fn of(amounts: &[i64], facts: &Facts) -> Invoice {
    let line = |amount: &i64| Line { tax: facts.tax.clone(), ..Line::plain(*amount, may(), "one") };
    total(InvoiceKind::Manual, may(), amounts.iter().map(line).collect(), facts).unwrap()
}

fn usd() -> Facts {
    facts(Currency::USD)
}

/// The invoice at the end of May, of a pay-as-you-go plan.
fn of_usage(facts: &Facts) -> Option<Invoice> {
    let usage = UsageTerm { plan: Starter, version: 1, cycle: PayAsYouGo, period: may() };
    let draft = Draft {
        subscription_id: Tenant::on(offer(Free, Monthly), "2026-05-01", zone("UTC"))
            .subscription
            .id,
        kind: InvoiceKind::Period,
        period: may(),
        credit: None,
        fee: None,
        usage: Some(usage),
    };
    compose(&draft, facts).unwrap()
}

#[test]
fn a_coupon_of_1000_is_spread_over_lines_by_largest_remainder() {
    let facts = Facts { coupons: vec![amount_off("TEN", 1_000, Duration::Once)], ..usd() };
    let invoice = of(&[9_900, 4_700, 1_234], &facts);
    let discounts: Vec<i64> = invoice.lines.iter().map(|line| line.discount_minor).collect();
    assert_eq!((discounts, invoice.discount_minor), (vec![625, 297, 78], 1_000));
    assert_eq!(invoice.net_minor, 14_834);
}

#[test]
fn tax_is_rounded_once_for_its_group() {
    let invoice = of(&[1_033, 1_033, 1_034], &Facts { tax: vat("19", false), ..usd() });
    let taxes: Vec<i64> = invoice.lines.iter().map(|line| line.tax_minor).collect();
    assert_eq!((taxes, invoice.tax_minor), (vec![196, 196, 197], 589));
    assert_eq!((invoice.tax_groups.len(), invoice.tax_groups[0].tax_minor), (1, 589));
    assert_eq!(invoice.total_minor, 3_100 + 589);
}

#[test]
fn of_a_price_with_tax_in_it_the_tax_is_rounded_and_the_customer_pays_the_price() {
    let invoice = of(&[2_900], &Facts { tax: vat("20", true), ..usd() });
    assert_eq!((invoice.net_minor, invoice.tax_minor, invoice.total_minor), (2_417, 483, 2_900));
    let invoice = of(&[299], &Facts { tax: vat("4", true), ..usd() });
    assert_eq!((invoice.tax_minor, invoice.total_minor), (12, 299));
}

#[test]
fn coupons_come_before_tax_and_the_balance_after_it() {
    let coupons = vec![percent_off("FIFTH", 2_000, Duration::Forever)];
    let facts = Facts { coupons, tax: vat("19", false), balance_minor: 1_000, ..usd() };
    let invoice = of(&[9_900], &facts);
    assert_eq!((invoice.discount_minor, invoice.net_minor), (1_980, 7_920));
    // 19 % of 79.20 is 15.048.
    assert_eq!((invoice.tax_minor, invoice.total_minor), (1_505, 9_425));
    assert_eq!((invoice.credit_applied_minor, invoice.due_minor), (1_000, 8_425));
}

#[test]
fn coupons_are_taken_one_after_the_other_in_the_order_they_were_redeemed() {
    let (half, ten) = (
        percent_off("HALF", 5_000, Duration::Forever),
        amount_off("TEN", 1_000, Duration::Periods(3)),
    );
    let off = |coupons| of(&[9_900], &Facts { coupons, ..usd() }).discount_minor;
    assert_eq!(off(vec![half.clone(), ten.clone()]), 4_950 + 1_000);
    assert_eq!(off(vec![ten, half]), 1_000 + 4_450);
}

#[test]
fn a_coupon_takes_off_what_is_billed_and_no_more_and_only_of_its_currency() {
    let coupon = amount_off("BIG", 50_000, Duration::Once);
    let invoice = of(&[9_900], &Facts { coupons: vec![coupon.clone()], ..usd() });
    assert_eq!((invoice.total_minor, invoice.due_minor), (0, 0));
    assert_eq!(invoice.coupons_used, ["BIG"]);
    let yen = Facts { coupons: vec![coupon], ..facts("JPY".parse().unwrap()) };
    let invoice = of(&[9_900], &yen);
    assert_eq!((invoice.discount_minor, invoice.coupons_used.len()), (0, 0));
}

#[test]
fn a_coupon_for_periods_is_not_used_up_by_the_changes_within_them() {
    let coupons = vec![percent_off("Q", 1_000, Duration::Periods(3))];
    let facts = Facts { coupons, ..usd() };
    let used = |kind| {
        let line = Line::plain(100, may(), "one");
        total(kind, may(), vec![line], &facts).unwrap().coupons_used.len()
    };
    let [period, adjustment, threshold, last, _] = InvoiceKind::ALL.map(used);
    assert_eq!((period, adjustment, threshold, last), (1, 0, 0, 1));
}

#[test]
fn overage_and_tiers_as_worked() {
    let billed = |text: &str, quantity| {
        let used = vec![messages(charge(text), quantity)];
        of_usage(&Facts { used, ..usd() }).map_or(0, |invoice| invoice.total_minor)
    };
    let overage = r#"included = 10_000, model = "per_unit", unit = "0.0047""#;
    assert_eq!((billed(overage, 13_457), billed(overage, 10_000)), (1_625, 0));
    let graduated = r#"model = "graduated", tiers = [{ up_to = 10_000, unit = "0" },
        { up_to = 20_000, unit = "0.005" }, { unit = "0.004" }]"#;
    assert_eq!((billed(graduated, 23_457), billed(graduated, 20_000)), (6_383, 5_000));
}

#[test]
fn use_within_what_is_included_is_no_invoice() {
    assert_eq!(of_usage(&Facts { used: vec![messages(overage(), 9_999)], ..usd() }), None);
}

#[test]
fn the_final_invoice_lists_all_use_and_takes_off_what_thresholds_billed() {
    let used = vec![messages(charge(r#"model = "per_unit", unit = "0.01""#), 7_500)];
    let invoice = of_usage(&Facts { used, invoiced_minor: 5_000, ..usd() }).unwrap();
    assert_eq!((amounts(&invoice), invoice.due_minor), (vec![7_500, -5_000], 2_500));
}

#[test]
fn beyond_the_cap_nothing_is_billed() {
    let used = vec![messages(charge(r#"model = "per_unit", unit = "0.01""#), 7_500)];
    let invoice = of_usage(&Facts { used, cap_minor: Some(6_000), ..usd() }).unwrap();
    assert_eq!((amounts(&invoice), invoice.due_minor), (vec![7_500, -1_500], 6_000));
}

#[test]
fn late_usage_is_rated_at_the_old_periods_price_whatever_the_next_includes() {
    assert_eq!(late(&overage(), 12_000, 12_500, Currency::USD), Ok(235));
    let late = LateUse {
        used: messages(overage(), 12_500),
        billed: 12_000,
        period: span("2026-04-01", "2026-05-01"),
        plan: Starter,
        cap: None,
    };
    // Nothing was used in May, though 10,000 would be included.
    let invoice =
        of_usage(&Facts { used: vec![messages(overage(), 0)], late: vec![late], ..usd() }).unwrap();
    assert_eq!((amounts(&invoice), invoice.lines[0].quantity), (vec![235], 500));
    assert_eq!(invoice.lines[0].period, span("2026-04-01", "2026-05-01"));
}

#[test]
fn currencies_have_their_own_minor_units() {
    let per_unit = charge(r#"model = "per_unit", unit = "0.0047""#);
    let billed = |code: &str| {
        let facts = facts(code.parse().unwrap());
        let used = vec![messages(per_unit.clone(), 3_457)];
        of_usage(&Facts { used, ..facts }).unwrap().total_minor
    };
    assert_eq!((billed("JPY"), billed("USD"), billed("KWD")), (16, 1_625, 16_248));
    let yen = Draft {
        subscription_id: Tenant::on(offer(Free, Monthly), "2026-05-01", zone("UTC"))
            .subscription
            .id,
        kind: InvoiceKind::Period,
        period: may(),
        credit: None,
        fee: Some(FeeTerm {
            plan: Pro,
            version: 1,
            cycle: Monthly,
            price_minor: 14_900,
            whole: may(),
            service: may(),
        }),
        usage: None,
    };
    let invoice = compose(&yen, &facts("JPY".parse().unwrap())).unwrap().unwrap();
    assert_eq!(invoice.lines[0].unit_price.as_deref(), Some("14900"));
}

#[test]
fn what_is_more_than_due_goes_to_the_balance() {
    let spent = Allocation::of(10_500, 9_900);
    assert_eq!((spent.paid_minor, spent.excess_minor), (9_900, 600));
    let posting = Posting::payment(Currency::USD, LedgerAccount::CashManual, spent);
    assert!(posting.entries().contains(&(LedgerAccount::Credit, -600)));
}

#[test]
fn a_credit_note_first_takes_off_what_is_due() {
    let invoice = of(&[10_000], &usd());
    let lines = [Creditable::of(1, &invoice.lines[0], (0, 0))];
    let note = |due| credit_note(&lines, &[(1, 7_000)], due).unwrap();
    assert_eq!((note(10_000).offset_minor, note(10_000).balance_minor), (7_000, 0));
    assert_eq!((note(6_000).offset_minor, note(6_000).balance_minor), (6_000, 1_000));
    assert_eq!((note(0).offset_minor, note(0).balance_minor), (0, 7_000));
    let more = credit_note(&lines, &[(1, 10_001)], 0);
    assert_eq!(more, Err(CreditNoteError::TooMuch { line: 1, left_minor: 10_000 }));
}

#[test]
fn an_invoice_is_booked_and_withdrawn_in_balance() {
    let invoice = of(&[10_000], &Facts { tax: vat("19", false), balance_minor: 2_000, ..usd() });
    use LedgerAccount::{BadDebt, Credit, Receivable, Revenue, Tax};
    let mut entries = Posting::invoice(&invoice).entries().to_vec();
    entries.sort_unstable();
    let booked = [(Receivable, 9_900), (Revenue, -10_000), (Tax, -1_900), (Credit, 2_000)];
    assert_eq!(entries, booked);
    let void = |from| Posting::void(Currency::USD, from, 10_000, 1_900, 2_000);
    let given_up = Posting::moved(Currency::USD, BadDebt, Receivable, invoice.due_minor);
    let withdrawn = [
        vec![Posting::invoice(&invoice), void(Receivable)],
        vec![Posting::invoice(&invoice), given_up, void(BadDebt)],
    ];
    for postings in withdrawn {
        for account in LedgerAccount::ALL {
            let all = postings.iter().flat_map(|posting| posting.entries());
            let sum: i64 = all.filter(|(one, _)| *one == account).map(|(_, amount)| amount).sum();
            assert_eq!(sum, 0, "{account:?}");
        }
    }
}
