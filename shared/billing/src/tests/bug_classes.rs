//! One test for each bug class of other billing engines (§4.3) that a pure one can have, named after what it would
//! have let through. The numbers are those of the table.

use super::tenant::*;
use crate::{
    Creditable, Draft, Duration, Facts, InvoiceKind, LateCap, LateUse, Line, Movement,
    MovementKind, Offer, Rule, UsageTerm, compose, credit_note, total,
};
use domain::money::Currency;

#[test]
fn class_1_a_zone_ahead_of_utc_was_invoiced_twice() {
    let mut tenant = Tenant::on(
        offer(Starter, Monthly),
        "2026-04-01T00:00:00+14:00",
        zone("Pacific/Kiritimati"),
    );
    let boundary = tenant.subscription.period.end;
    let (turn, _) = tenant.close();
    assert_eq!(turn.draft.unwrap().period.start, boundary);
    // The same instant again closes nothing: the period that runs now ends a month later.
    let again = crate::close(tenant.account(), None, &offer(Free, Monthly), boundary);
    assert_eq!(again, Ok(None));
}

#[test]
fn class_5_after_an_upgrade_the_rest_of_the_period_was_charged_as_a_whole_one() {
    let mut tenant = Tenant::on(offer(Starter, Monthly), "2026-04-01", zone("UTC"));
    tenant.switch(&offer(Pro, Monthly), "2026-04-21");
    let fee = tenant.fee.clone().unwrap();
    assert_eq!(fee.service, span("2026-04-21", "2026-05-01"));
    assert_eq!(fee.whole, span("2026-04-01", "2026-05-01"));
    // Ten of thirty days, not ten of ten; and five of thirty, not five of ten.
    assert_eq!((fee.gross_minor, fee.unused(at("2026-04-26"))), (3_300, Ok(1_650)));
}

#[test]
fn class_6_days_were_counted_by_utc_and_not_by_the_customers_calendar() {
    let start = "2026-04-01T00:00:00+05:45";
    let mut tenant = Tenant::on(offer(Starter, Monthly), start, zone("Asia/Kathmandu"));
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-16T00:00:00+05:45");
    let invoice = invoice.unwrap();
    assert_eq!(amounts(&invoice), [-1_450, 4_950]);
    assert!(invoice.lines[0].detail.starts_with("15 of 30 days"), "{}", invoice.lines[0].detail);
}

#[test]
fn class_7_credit_notes_line_by_line_gave_back_a_cent_more_tax_than_was_billed() {
    let line = |amount| Line {
        tax: vat("19", false),
        ..Line::plain(amount, span("2026-04-01", "2026-05-01"), "one")
    };
    let facts = facts(Currency::USD);
    let lines = vec![line(1_033), line(1_033), line(1_034)];
    let period = span("2026-04-01", "2026-05-01");
    let invoice = total(InvoiceKind::Manual, period, lines, &facts).unwrap();
    let mut back = 0;
    for (line, number) in invoice.lines.iter().zip(1..) {
        let mut credited = (0, 0);
        for part in [1, 516, line.net_minor - 517] {
            let line = Creditable::of(number, line, credited);
            let note = credit_note(&[line], &[(number, part)], 0).unwrap();
            back += note.total_minor;
            credited = (credited.0 + note.net_minor, credited.1 + note.tax_minor);
        }
    }
    assert_eq!(back, invoice.total_minor);
}

#[test]
fn class_7_a_credit_note_gave_back_use_that_the_cap_had_never_billed() {
    let used = vec![per_cent_each(5_000)];
    let facts = Facts { used, cap_minor: Some(3_000), ..facts(Currency::USD) };
    let invoice = closing(facts).unwrap();
    assert_eq!((amounts(&invoice), invoice.total_minor), (vec![5_000, -2_000], 3_000));
    let lines: Vec<_> = invoice
        .lines
        .iter()
        .zip(1..)
        .map(|(line, place)| Creditable::of(place, line, (0, 0)))
        .collect();
    assert!(credit_note(&lines, &[(1, 3_000)], 0).is_ok());
    let more = credit_note(&lines, &[(1, 3_001)], 0).map(|note| note.total_minor);
    assert!(more.is_err(), "{more:?} of an invoice of 3,000");
}

#[test]
fn class_12_a_trial_that_ended_on_a_billing_day_was_billed_a_day_early() {
    // 30 April, 22:00 UTC is 1 May in Berlin.
    let mut tenant = Tenant::trial_of(
        offer(Pro, Monthly),
        "2026-04-17T00:00:00+02:00",
        "2026-05-01T00:00:00+02:00",
        zone("Europe/Berlin"),
    );
    let free = offer(Free, Monthly);
    let early = crate::close(tenant.account(), None, &free, at("2026-04-30T21:59:59Z"));
    assert_eq!(early, Ok(None));
    let (turn, _) = tenant.close();
    assert_eq!(turn.after.period, span("2026-05-01T00:00:00+02:00", "2026-06-01T00:00:00+02:00"));
}

#[test]
fn class_13_a_trial_over_a_clock_change_moved_the_billing_hour() {
    let mut tenant = Tenant::trial_of(
        offer(Pro, Monthly),
        "2026-03-01T09:00:00-05:00",
        "2026-03-15T09:00:00-04:00",
        zone("America/New_York"),
    );
    let (turn, _) = tenant.close();
    assert_eq!(turn.after.period.end, at("2026-04-15T09:00:00-04:00"));
    // In November the clocks go back; nine o'clock stays nine o'clock.
    let ends: Vec<_> = (0..8).map(|_| tenant.close().0.after.period.end).collect();
    assert_eq!(ends[7], at("2026-12-15T09:00:00-05:00"));
}

#[test]
fn class_14_a_boundary_in_a_clock_change_was_invoiced_forever() {
    // Samoa had no 30 December 2011: it moved over the date line.
    let start = "2011-11-30T00:00:00-10:00";
    let mut tenant = Tenant::on(offer(Starter, Monthly), start, zone("Pacific/Apia"));
    let mut ends = vec![tenant.subscription.period.end];
    for _ in 0..24 {
        tenant.close();
        ends.push(tenant.subscription.period.end);
    }
    assert!(ends.is_sorted_by(|one, next| one < next), "{ends:?}");
    assert_eq!(ends[0], at("2011-12-31T00:00:00+14:00"), "the first instant after the gap");
    assert_eq!(ends[1], at("2012-01-30T00:00:00+14:00"));
}

#[test]
fn class_15_use_at_the_boundary_was_in_both_periods_or_in_none() {
    let old = Offer { charges: vec![overage()], ..offer(Starter, Monthly) };
    let mut tenant = Tenant::on(old.clone(), "2026-03-08T02:30:00-04:00", zone("America/New_York"));
    tenant.offer = old;
    let mut periods = Vec::new();
    for _ in 0..13 {
        let (turn, _) = tenant.close();
        periods.push(turn.draft.unwrap().usage.unwrap().period);
    }
    for pair in periods.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
        assert!(!pair[0].contains(pair[0].end) && pair[1].contains(pair[0].end));
    }
}

#[test]
fn class_16_lines_of_nothing_looked_like_a_second_billing() {
    let mut tenant = Tenant::on(offer(Free, Monthly), "2026-04-01", zone("UTC"));
    // From the free plan there is nothing to give back, and no line that says so.
    let (_, invoice) = tenant.switch(&offer(Starter, Monthly), "2026-04-10");
    assert_eq!(amounts(&invoice.unwrap()), [2_900]);
    // A fee that was credited already leaves none either.
    let credited = tenant.fee.as_mut().unwrap();
    credited.credited_minor = credited.gross_minor;
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-20");
    let invoice = invoice.unwrap();
    assert!(matches!(&invoice.lines[..], [Line { rule: Rule::Fee(_), .. }]), "{invoice:?}");
}

#[test]
fn class_17_a_period_that_was_credited_was_given_back_again() {
    let mut tenant = Tenant::on(offer(Starter, Monthly), "2026-04-01", zone("UTC"));
    // An operator gave 2,000 of 2,900 back; on the 11th, 1,933 would be unused.
    tenant.fee.as_mut().unwrap().credited_minor = 2_000;
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-11");
    assert_eq!(amounts(&invoice.unwrap()), [-900, 6_600]);
}

#[test]
fn class_17_a_price_with_tax_in_it_was_given_back_by_its_net_and_again_by_its_tax() {
    let mut tenant =
        Tenant::trial_of(offer(Starter, Monthly), "2026-03-18", "2026-04-01", zone("UTC"));
    tenant.facts.tax = vat("20", true);
    let (_, invoice) = tenant.close();
    let invoice = invoice.unwrap();
    let line = Creditable::of(1, &invoice.lines[0], (0, 0));
    let note = credit_note(&[line], &[(1, invoice.net_minor)], 0).unwrap();
    assert_eq!((note.net_minor, note.tax_minor, note.total_minor), (2_417, 483, 2_900));
    // All of it was given back, in the terms of the line's amount: nothing is left for the upgrade.
    tenant.fee.as_mut().unwrap().credited_minor = note.total_minor;
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-01");
    assert_eq!(amounts(&invoice.unwrap()), [9_900]);
}

#[test]
fn class_17_the_repair_of_a_repaired_invoice_was_missing() {
    let mut tenant = Tenant::on(offer(Starter, Monthly), "2026-04-01", zone("UTC"));
    tenant.switch(&offer(Pro, Monthly), "2026-04-11");
    let (_, invoice) = tenant.switch(&offer(Pro, Yearly), "2026-04-16");
    // What is given back is of the adjustment's line, not of the month's first invoice.
    let invoice = invoice.unwrap();
    assert_eq!(amounts(&invoice), [-4_950, 99_000]);
    assert!(invoice.lines[0].detail.ends_with("billed by invoice INV-2026-000002 line 2"));
}

#[test]
fn class_20_a_line_named_a_longer_time_than_it_billed() {
    let old = Offer { charges: vec![overage()], ..offer(Starter, Monthly) };
    let mut tenant = Tenant::on(old.clone(), "2026-04-01", zone("UTC"));
    tenant.offer = old;
    tenant.facts.used = vec![messages(overage(), 13_457)];
    let (_, invoice) = tenant.switch(&offer(Pro, Yearly), "2026-04-16");
    let periods: Vec<_> = invoice.unwrap().lines.iter().map(|line| line.period).collect();
    let expected = [
        span("2026-04-16", "2026-05-01"),
        span("2026-04-16", "2027-04-16"),
        span("2026-04-01", "2026-04-16"),
    ];
    assert_eq!(periods, expected);
}

#[test]
fn class_21_the_same_use_was_charged_again_after_a_change_within_the_period() {
    let metered = |plan, cycle| Offer { charges: vec![overage()], ..offer(plan, cycle) };
    let mut tenant = Tenant::on(metered(Starter, Monthly), "2026-04-01", zone("UTC"));
    tenant.offer = metered(Starter, Monthly);
    // The same cycle: the period goes on, and its use is billed at its end, once.
    let (turn, _) = tenant.switch(&metered(Pro, Monthly), "2026-04-10");
    assert_eq!(turn.draft.unwrap().usage, None);
    // Another cycle: what was used until now is billed now, and the next bill begins here.
    let (turn, _) = tenant.switch(&metered(Pro, Yearly), "2026-04-20");
    let usage = turn.draft.unwrap().usage.unwrap();
    assert_eq!((usage.plan, usage.period), (Pro, span("2026-04-01", "2026-04-20")));
    let (turn, _) = tenant.close();
    assert_eq!(turn.draft.unwrap().usage.unwrap().period, span("2026-04-20", "2027-04-20"));
}

#[test]
fn class_22_recurring_revenue_ran_off_when_a_plan_was_canceled_twice() {
    let mut tenant = Tenant::on(offer(Pro, Monthly), "2026-04-01", zone("UTC"));
    tenant.cancel("2026-04-10");
    let again = crate::cancel(tenant.account(), at("2026-04-11"));
    assert_eq!(again, Ok(crate::Decision::Unchanged));
    let (turn, _) = tenant.close();
    let churn = turn.movement.unwrap();
    assert_eq!((churn.delta_minor(), churn.kind(true)), (-9_900, MovementKind::Churn));
    assert_eq!(tenant.close().0.movement, None);
    let (turn, _) = tenant.switch(&offer(Starter, Monthly), "2026-06-10");
    let back = turn.movement.unwrap();
    assert_eq!((back.delta_minor(), back.kind(true)), (2_900, MovementKind::Reactivation));
    assert_eq!(Movement::between(7, 7), None);
}

fn closing(used: Facts) -> Option<crate::Invoice> {
    let period = span("2026-04-01", "2026-05-01");
    let usage = UsageTerm { plan: Starter, version: 1, cycle: PayAsYouGo, period };
    let tenant = Tenant::on(offer(Free, Monthly), "2026-05-01", zone("UTC"));
    let draft = Draft {
        subscription_id: tenant.subscription.id,
        kind: InvoiceKind::Period,
        period,
        credit: None,
        fee: None,
        usage: Some(usage),
    };
    compose(&draft, &used).unwrap()
}

fn per_cent_each(quantity: u64) -> crate::Used {
    messages(charge(r#"model = "per_unit", unit = "0.01""#), quantity)
}

#[test]
fn a_coupon_was_taken_off_again_from_what_threshold_invoices_had_discounted() {
    let coupons = vec![percent_off("TENTH", 1_000, Duration::Forever)];
    let facts = Facts { coupons, ..facts(Currency::USD) };
    // 1,000 of use were billed on the way, at 900. All of it is 1,500, at 1,350.
    let last = Facts { used: vec![per_cent_each(1_500)], invoiced_minor: 1_000, ..facts };
    let invoice = closing(last).unwrap();
    assert_eq!((invoice.discount_minor, invoice.total_minor), (50, 450));
}

#[test]
fn a_coupon_on_use_beyond_the_cap_gave_money_away() {
    let of = |hundredths| {
        let coupons = vec![percent_off("CODE", hundredths, Duration::Forever)];
        let used = vec![per_cent_each(5_000)];
        closing(Facts { used, cap_minor: Some(3_000), coupons, ..facts(Currency::USD) }).unwrap()
    };
    // A tenth off what is billed, not off all that was used; and never below nothing.
    assert_eq!((of(1_000).total_minor, of(10_000).total_minor), (2_700, 0));
}

#[test]
fn what_comes_late_costs_no_more_than_the_cap_of_its_period_leaves() {
    // 2,000 beyond what is included were billed, 9.40; each of the late ones costs 0.47 cents.
    let late = |billed, quantity, cap_minor| {
        let cap = Some(LateCap { cap_minor, billed_minor: 940 });
        let period = span("2026-03-01", "2026-04-01");
        LateUse { used: messages(overage(), quantity), billed, period, plan: Starter, cap }
    };
    let of = |late| {
        let invoice = closing(Facts { late, ..facts(Currency::USD) });
        invoice.map_or_else(Vec::new, |invoice| {
            let line = |line: &Line| (line.amount_minor, line.detail.clone());
            invoice.lines.iter().map(line).collect::<Vec<_>>()
        })
    };
    let told = "12,500 messages counted, 12,000 of them billed before".to_owned();
    assert_eq!(of(vec![late(12_000, 12_500, 2_000)]), [(235, told.clone())]);
    let cut = format!("{told}; what is beyond your spending cap is not billed");
    assert_eq!(of(vec![late(12_000, 12_500, 1_000)]), [(60, cut.clone())]);
    // Of two meters the second finds what the first left; and what was taken back was under the cap, or not.
    assert_eq!(of(vec![late(12_000, 12_500, 1_000), late(12_000, 12_500, 1_000)]), [(60, cut)]);
    assert_eq!(of(vec![late(12_000, 12_500, 940)]), []);
    let less = of(vec![late(12_000, 11_500, 800)]);
    assert_eq!(less.iter().map(|(amount, _)| *amount).collect::<Vec<_>>(), [-95]);
}

#[test]
fn late_use_that_changes_no_amount_is_no_line() {
    let late = LateUse {
        used: messages(overage(), 9_000),
        billed: 8_000,
        period: span("2026-03-01", "2026-04-01"),
        plan: Starter,
        cap: None,
    };
    assert_eq!(closing(Facts { late: vec![late], ..facts(Currency::USD) }), None);
}
