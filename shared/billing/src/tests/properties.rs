//! The invariants of the design (BILLING, and §4.2) that are the engine's, over random amounts and times.

use proptest::prelude::*;

use super::tenant::*;
use crate::{
    Charge, Coupon, Draft, Duration, Facts, Fee, FeeTerm, Invoice, InvoiceKind, LateUse, TaxTerms,
    UsageTerm, Used, compose, fragment,
};
use domain::money::Currency;
use domain::period::Period;
use jiff::Timestamp;

const DAY: i64 = 86_400;

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A period between an hour and a leap year.
fn wholes() -> impl Strategy<Value = Period> {
    (1_700_000_000_i64..2_000_000_000, 3_600_i64..366 * DAY)
        .prop_map(|(start, length)| Period { start: second(start), end: second(start + length) })
}

/// The period with the moments, in order, at which it is cut.
fn cuts() -> impl Strategy<Value = (Period, Vec<Timestamp>)> {
    (wholes(), proptest::collection::vec(0_u32..=1_000_000, 0..8)).prop_map(|(whole, mut parts)| {
        parts.sort_unstable();
        let moment = |part: &u32| {
            let into = whole.seconds() * i64::from(*part) / 1_000_000;
            second(whole.start.as_second() + into)
        };
        (whole, parts.iter().map(moment).collect())
    })
}

fn coupon() -> impl Strategy<Value = Coupon> {
    let duration =
        prop_oneof![Just(Duration::Once), Just(Duration::Periods(3)), Just(Duration::Forever)];
    prop_oneof![
        (1_u16..=10_000, duration.clone()).prop_map(|(off, lasts)| percent_off("P", off, lasts)),
        (1_i64..60_000, duration).prop_map(|(off, lasts)| amount_off("A", off, lasts)),
    ]
}

fn taxes() -> impl Strategy<Value = TaxTerms> {
    let known =
        [TaxTerms::none(), vat("19", false), vat("7", false), vat("20", true), vat("8.875", true)];
    proptest::sample::select(known.to_vec())
}

fn charges() -> impl Strategy<Value = Charge> {
    let texts = [
        r#"included = 10, model = "per_unit", unit = "0.0047""#,
        r#"model = "per_unit", unit = "0.13", minimum_minor = 500"#,
        r#"model = "graduated", tiers = [{ up_to = 100, unit = "0.02", flat = "1" }, { unit = "0.005" }]"#,
        r#"model = "volume", tiers = [{ up_to = 100, unit = "0.02" }, { unit = "0.005" }]"#,
        r#"included = 5, model = "package", size = 40, price = "2.5""#,
    ];
    proptest::sample::select(texts.to_vec()).prop_map(charge)
}

fn used() -> impl Strategy<Value = Vec<Used>> {
    let one = (charges(), 0_u64..20_000).prop_map(|(charge, quantity)| messages(charge, quantity));
    proptest::collection::vec(one, 0..5)
}

fn term(price_minor: i64, whole: Period, service: Period) -> FeeTerm {
    FeeTerm { plan: Pro, version: 1, cycle: Monthly, price_minor, whole, service }
}

fn draft(period: Period, credit: Option<(Fee, Timestamp)>, fee: Option<FeeTerm>) -> Draft {
    let subscription =
        Tenant::trial_of(offer(Pro, Monthly), "2026-04-01", "2026-04-15", zone("UTC"));
    let credit = credit.map(|(fee, from)| {
        let unused = Period { start: from, end: fee.service.end };
        crate::CreditTerm { fee, unused }
    });
    Draft {
        subscription_id: subscription.subscription.id,
        kind: InvoiceKind::Adjustment,
        period,
        credit,
        fee,
        usage: Some(UsageTerm { plan: Pro, version: 1, cycle: Monthly, period }),
    }
}

/// An invoice with a bit of everything, as far as `facts` have it.
fn all(facts: &Facts, whole: Period, price_minor: i64) -> Option<Invoice> {
    let middle = second(whole.start.as_second() + whole.seconds() / 2);
    let service = Period { start: middle, end: whole.end };
    let old = Fee { tax: vat("16", false), ..billed(price_minor / 2, whole, whole) };
    let draft = draft(whole, Some((old, middle)), Some(term(price_minor, whole, service)));
    compose(&draft, facts).unwrap()
}

fn facts_of(used: Vec<Used>, coupons: Vec<Coupon>, tax: TaxTerms, balance_minor: i64) -> Facts {
    Facts { used, coupons, tax, balance_minor, ..facts(Currency::USD) }
}

proptest! {
    #[test]
    fn any_cutting_of_a_period_adds_up_to_its_price(
        (whole, cuts) in cuts(), price in 0_i64..10_000_000,
    ) {
        let mut sum = 0;
        let mut start = whole.start;
        for end in cuts.into_iter().chain([whole.end]) {
            let part = fragment(price, whole, Period { start, end }).unwrap();
            prop_assert!(part >= 0);
            sum += part;
            start = end;
        }
        prop_assert_eq!(sum, price);
    }

    #[test]
    fn changes_within_a_period_bill_each_second_once_at_the_price_it_had(
        (whole, cuts) in cuts(), prices in proptest::collection::vec(0_i64..1_000_000, 9),
    ) {
        // Credit for the rest of the old, the rest of the new: as each change bills it.
        let mut fee = billed(prices[0], whole, whole);
        let mut billed_minor = fee.gross_minor;
        for (now, price) in cuts.iter().zip(&prices[1..]) {
            let service = Period { start: *now, end: whole.end };
            billed_minor -= fee.unused(*now).unwrap();
            fee = billed(*price, whole, service);
            billed_minor += fee.gross_minor;
        }
        // Another route: each segment at its price, exactly, over one denominator.
        let mut exact = 0_i128;
        let mut start = whole.start;
        for (end, price) in cuts.iter().chain([&whole.end]).zip(&prices) {
            exact += i128::from(*price) * i128::from(end.as_second() - start.as_second());
            start = *end;
        }
        let off = i128::from(billed_minor) * i128::from(whole.seconds()) - exact;
        let segments = i128::try_from(cuts.len()).unwrap() + 1;
        prop_assert!(off.abs() <= segments * i128::from(whole.seconds()), "{off}");
    }

    #[test]
    fn an_upgrade_costs_between_nothing_and_the_new_price_and_more_for_a_dearer_plan(
        (whole, cuts) in cuts(), prices in proptest::collection::vec(0_i64..1_000_000, 3),
    ) {
        let mut prices = prices;
        prices.sort_unstable();
        let Some(now) = cuts.first().copied() else { return Ok(()) };
        let rest = Period { start: now, end: whole.end };
        let net = |price: i64| {
            let fee = billed(prices[0], whole, whole);
            let draft = draft(whole, Some((fee, now)), Some(term(price, whole, rest)));
            compose(&draft, &facts(Currency::USD)).unwrap().map_or(0, |invoice| invoice.net_minor)
        };
        prop_assert!(0 <= net(prices[1]) && net(prices[1]) <= net(prices[2]));
        prop_assert!(net(prices[2]) <= prices[2]);
        // To the same price, as up and down again in one instant: nothing.
        prop_assert_eq!(net(prices[0]), 0);
    }

    #[test]
    fn what_is_given_back_of_a_fee_is_never_more_than_was_paid_for_it(
        (whole, cuts) in cuts(), price in 0_i64..1_000_000,
        coupons in proptest::collection::vec(coupon(), 0..3), credited in 0_u32..=120,
    ) {
        let draft = draft(whole, None, Some(term(price, whole, whole)));
        let facts = facts_of(Vec::new(), coupons, TaxTerms::none(), 0);
        let Some(invoice) = compose(&draft, &facts).unwrap() else { return Ok(()) };
        let mut fee = fee_of(&invoice, 1).unwrap();
        let paid = fee.gross_minor - fee.discount_minor;
        fee.credited_minor = paid * i64::from(credited) / 100;
        let mut before = i64::MAX;
        for now in [whole.start].into_iter().chain(cuts) {
            let back = fee.unused(now).unwrap();
            prop_assert!(0 <= back && back <= (paid - fee.credited_minor).max(0));
            prop_assert!(back <= before, "the later, the less");
            before = back;
        }
        prop_assert_eq!(fee.unused(whole.end), Ok(0));
    }

    #[test]
    fn lines_and_tax_less_credit_are_what_is_due(
        whole in wholes(), price in 0_i64..1_000_000, used in used(),
        coupons in proptest::collection::vec(coupon(), 0..3), tax in taxes(),
        balance in -1_000_i64..500_000, cap in proptest::option::of(0_i64..30_000),
        invoiced in 0_i64..1_000,
    ) {
        let facts = facts_of(used, coupons, tax, balance);
        let facts = Facts { cap_minor: cap, invoiced_minor: invoiced, ..facts };
        let Some(invoice) = all(&facts, whole, price) else { return Ok(()) };
        let sum = |of: fn(&crate::Line) -> i64| invoice.lines.iter().map(of).sum::<i64>();
        prop_assert_eq!(sum(|line| line.amount_minor), invoice.subtotal_minor);
        prop_assert_eq!(sum(|line| line.discount_minor), invoice.discount_minor);
        prop_assert_eq!(sum(|line| line.net_minor), invoice.net_minor);
        prop_assert_eq!(sum(|line| line.tax_minor), invoice.tax_minor);
        prop_assert_eq!(invoice.net_minor + invoice.tax_minor, invoice.total_minor);
        let groups = |of: fn(&crate::TaxGroup) -> i64| invoice.tax_groups.iter().map(of).sum::<i64>();
        prop_assert_eq!(groups(|group| group.tax_minor), invoice.tax_minor);
        prop_assert_eq!(groups(|group| group.base_minor), invoice.net_minor);
        prop_assert_eq!(invoice.total_minor - invoice.credit_applied_minor, invoice.due_minor);
        prop_assert!(invoice.due_minor >= 0);
        prop_assert!(invoice.credit_applied_minor <= balance.max(0));
        for line in &invoice.lines {
            let inclusive = if line.tax.inclusive { line.tax_minor } else { 0 };
            prop_assert_eq!(line.amount_minor - line.discount_minor, line.net_minor + inclusive);
            prop_assert!(0 <= line.discount_minor && line.discount_minor <= line.amount_minor.max(0));
        }
        // The preview is the same function, and it keeps nothing.
        prop_assert_eq!(all(&facts, whole, price), Some(invoice));
    }

    #[test]
    fn coupons_take_off_what_is_billed_and_never_pay_out(
        used in used(), coupons in proptest::collection::vec(coupon(), 1..4),
        cap in proptest::option::of(0_i64..30_000), invoiced_part in 0_i64..=100,
    ) {
        let whole = span("2026-04-01", "2026-05-01");
        let plain = Facts { cap_minor: cap, ..facts_of(used, Vec::new(), TaxTerms::none(), 0) };
        let draft = draft(whole, None, None);
        let Some(full) = compose(&draft, &plain).unwrap() else { return Ok(()) };
        // Threshold invoices never billed more than there is.
        let invoiced_minor = full.total_minor * invoiced_part / 100;
        let facts = Facts { coupons, invoiced_minor, ..plain };
        let invoice = compose(&draft, &facts).unwrap().unwrap();
        prop_assert!(0 <= invoice.total_minor, "{}", invoice.total_minor);
        prop_assert!(invoice.total_minor <= full.total_minor - invoiced_minor);
    }

    #[test]
    fn the_order_of_meters_changes_no_amount_due(
        used in used(), coupons in proptest::collection::vec(coupon(), 0..3), tax in taxes(),
    ) {
        let whole = span("2026-04-01", "2026-05-01");
        let due = |used: Vec<Used>| {
            all(&facts_of(used, coupons.clone(), tax.clone(), 0), whole, 9_900).map(|one| one.due_minor)
        };
        prop_assert_eq!(due(used.clone()), due(used.into_iter().rev().collect()));
    }

    #[test]
    fn use_in_any_order_and_in_any_batches_comes_to_one_bill(
        charge in charges(), mut events in proptest::collection::vec(0_u64..3_000, 1..10),
        rotation in 0_usize..10, on_time in 0_usize..10,
    ) {
        let whole = span("2026-04-01", "2026-05-01");
        let total = |facts: &Facts, used: bool| {
            let mut draft = draft(whole, None, None);
            draft.usage = draft.usage.filter(|_| used);
            compose(&draft, facts).unwrap().map_or(0, |invoice| invoice.total_minor)
        };
        let sum: u64 = events.iter().sum();
        let once = facts_of(vec![messages(charge.clone(), sum)], Vec::new(), TaxTerms::none(), 0);
        let expected = total(&once, true);
        let places = events.len();
        events.rotate_left(rotation % places);
        let (first, late) = events.split_at(on_time % places);
        let mut counted: u64 = first.iter().sum();
        let first = facts_of(vec![messages(charge.clone(), counted)], Vec::new(), TaxTerms::none(), 0);
        let mut sum_minor = total(&first, true);
        for quantity in late {
            let used = messages(charge.clone(), counted + quantity);
            let late = vec![LateUse { used, billed: counted, period: whole, plan: Starter, cap: None }];
            sum_minor += total(&Facts { late, ..facts(Currency::USD) }, false);
            counted += quantity;
        }
        prop_assert_eq!(sum_minor, expected);
    }
}
