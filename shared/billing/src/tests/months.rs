//! The worked numbers of changes within a period (§2.3-2.5), through the public steps.

use super::tenant::*;
use crate::{Duration, InvoiceKind, Movement, Rule, fragment, used};

fn april() -> Tenant {
    Tenant::on(offer(Starter, Monthly), "2026-04-01", zone("UTC"))
}

#[test]
fn starter_to_pro_in_the_middle_of_april_is_35_dollars() {
    let mut tenant = april();
    let (turn, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-16");
    let invoice = invoice.unwrap();
    assert_eq!((amounts(&invoice), invoice.due_minor), (vec![-1_450, 4_950], 3_500));
    assert_eq!(invoice.kind, InvoiceKind::Adjustment);
    assert!(!turn.waits, "an upgrade is billed in the same breath");
    assert_eq!(turn.movement, Some(Movement { from_minor: 2_900, to_minor: 9_900 }));
    // The anchor and the boundary stay.
    assert_eq!(tenant.subscription.period, span("2026-04-01", "2026-05-01"));
    let (_, may) = tenant.close();
    assert_eq!(amounts(&may.unwrap()), [9_900]);
}

#[test]
fn starter_to_pro_after_ten_days_of_april() {
    let (_, invoice) = april().switch(&offer(Pro, Monthly), "2026-04-11");
    let invoice = invoice.unwrap();
    assert_eq!((amounts(&invoice), invoice.net_minor), (vec![-1_933, 6_600], 4_667));
}

#[test]
fn a_month_cut_into_1_and_1_and_29_days_costs_its_price() {
    let whole = span("2026-05-01", "2026-06-01");
    let cuts = [
        span("2026-05-01", "2026-05-02"),
        span("2026-05-02", "2026-05-03"),
        span("2026-05-03", "2026-06-01"),
    ];
    let parts = |price| cuts.map(|cut| fragment(price, whole, cut).unwrap());
    assert_eq!(parts(9_900), [319, 320, 9_261]);
    // By the day and rounded each it would be 29,901.
    assert_eq!(parts(29_900).iter().sum::<i64>(), 29_900);
    assert_eq!(used(9_900, whole, at("2026-05-02")), Ok(319));
}

#[test]
fn of_no_period_no_part_can_be_told() {
    let (day, next) = (at("2026-05-01"), at("2026-05-02"));
    for whole in [span("2026-05-01", "2026-05-01"), span("2026-05-02", "2026-05-01")] {
        assert_eq!(used(9_900, whole, day), Err(crate::OutOfRange));
        assert_eq!(billed_from(whole).unused(next), Err(crate::OutOfRange));
    }
}

fn billed_from(whole: domain::period::Period) -> crate::Fee {
    crate::Fee { whole, ..billed(9_900, span("2026-05-01", "2026-06-01"), whole) }
}

#[test]
fn the_whole_quarter_is_the_denominator_though_the_service_began_within_it() {
    // 91 days at 9,000; the service begins with 42 days left: 9,000 × 42/91 = 4,153.8.
    let quarter = span("2026-04-01", "2026-07-01");
    let rest = span("2026-05-20", "2026-07-01");
    assert_eq!((quarter.seconds(), rest.seconds()), (91 * 86_400, 42 * 86_400));
    assert_eq!(fragment(9_000, quarter, rest), Ok(4_154));
    // And what is unused of it 21 days later is half of that, not half of a quarter.
    assert_eq!(billed(9_000, quarter, rest).unused(at("2026-06-10")), Ok(2_077));
}

#[test]
fn a_discounted_fee_is_given_back_at_its_discount() {
    let fifth = vec![percent_off("FIFTH", 2_000, Duration::Forever)];
    let mut tenant =
        Tenant::trial_of(offer(Starter, Monthly), "2026-03-18", "2026-04-01", zone("UTC"));
    tenant.facts.coupons = fifth;
    assert_eq!(tenant.close().1.unwrap().net_minor, 2_320);
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-16");
    let invoice = invoice.unwrap();
    // Half of 2,320, and four fifths of half of 9,900.
    assert_eq!((amounts(&invoice), invoice.discount_minor), (vec![-1_160, 4_950], 990));
    assert_eq!(invoice.net_minor, 2_800);
}

#[test]
fn a_fee_that_a_coupon_paid_is_not_given_back_in_money() {
    let all = vec![amount_off("ALL", 2_900, Duration::Once)];
    let mut tenant =
        Tenant::trial_of(offer(Starter, Monthly), "2026-03-18", "2026-04-01", zone("UTC"));
    tenant.facts.coupons = all;
    assert_eq!(tenant.close().1.unwrap().total_minor, 0);
    tenant.facts.coupons.clear();
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-04-16");
    assert_eq!(amounts(&invoice.unwrap()), [4_950]);
}

#[test]
fn a_second_upgrade_in_the_same_month_credits_what_the_first_billed() {
    let mut tenant = april();
    tenant.switch(&offer(Pro, Monthly), "2026-04-11");
    let (_, invoice) = tenant.switch(&offer(Enterprise, Monthly), "2026-04-21");
    let invoice = invoice.unwrap();
    // Ten days of thirty are left: 9,900 / 3 and 29,900 / 3.
    assert_eq!(amounts(&invoice), [-3_300, 9_967]);
    assert!(matches!(invoice.lines[0].rule, Rule::Credit { line: 2, .. }), "the adjustment's line");
    let all: i64 = tenant.invoices.iter().map(|invoice| invoice.net_minor).sum();
    // A third of each price.
    assert_eq!(all, 967 + 3_300 + 9_967);
}

#[test]
fn monthly_to_yearly_in_the_middle_of_april_begins_a_year() {
    let mut tenant = Tenant::on(offer(Pro, Monthly), "2026-04-01", zone("UTC"));
    let (turn, invoice) = tenant.switch(&offer(Pro, Yearly), "2026-04-16");
    let invoice = invoice.unwrap();
    assert_eq!((amounts(&invoice), invoice.net_minor), (vec![-4_950, 99_000], 94_050));
    assert_eq!(turn.after.period, span("2026-04-16", "2027-04-16"));
    assert_eq!((turn.after.anchor, turn.after.period_index), (at("2026-04-16"), 0));
    // 99,000 / 12.
    assert_eq!(turn.movement, Some(Movement { from_minor: 9_900, to_minor: 8_250 }));
    let (turn, invoice) = tenant.close();
    assert_eq!(turn.after.period, span("2027-04-16", "2028-04-16"));
    assert_eq!(amounts(&invoice.unwrap()), [99_000]);
}

#[test]
fn yearly_to_monthly_waits_for_the_years_end() {
    let mut tenant = Tenant::on(offer(Pro, Yearly), "2026-04-16", zone("UTC"));
    tenant.schedule(&offer(Pro, Monthly), "2026-08-01");
    let (turn, invoice) = tenant.close();
    assert_eq!(turn.after.period, span("2027-04-16", "2027-05-16"));
    assert_eq!(amounts(&invoice.unwrap()), [9_900]);
    assert_eq!(turn.movement, Some(Movement { from_minor: 8_250, to_minor: 9_900 }));
}

#[test]
fn a_dearer_plan_from_a_year_to_a_month_gives_the_rest_of_the_year_to_the_balance() {
    let mut tenant = Tenant::on(offer(Starter, Yearly), "2026-01-01", zone("UTC"));
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-07-02T12:00:00Z");
    let invoice = invoice.unwrap();
    // Half of 365 days are left.
    assert_eq!(amounts(&invoice), [-14_500, 9_900]);
    assert_eq!((invoice.total_minor, invoice.credit_applied_minor), (-4_600, -4_600));
    assert_eq!(invoice.due_minor, 0, "what is given back goes to the balance, not to the card");
}

#[test]
fn an_upgrade_in_a_periods_first_instant_credits_all_of_it_and_in_its_last_nothing() {
    let (_, first) = april().switch(&offer(Pro, Monthly), "2026-04-01");
    assert_eq!(amounts(&first.unwrap()), [-2_900, 9_900]);
    let (_, last) = april().switch(&offer(Pro, Monthly), "2026-04-30T23:59:59Z");
    // One second of 2,592,000: no cent of either.
    assert_eq!(last, None);
}

#[test]
fn two_changes_in_one_instant_bill_as_one() {
    let mut twice = april();
    twice.switch(&offer(Pro, Monthly), "2026-04-16");
    twice.switch(&offer(Enterprise, Monthly), "2026-04-16");
    let mut once = april();
    once.switch(&offer(Enterprise, Monthly), "2026-04-16");
    let total = |tenant: &Tenant| -> i64 {
        tenant.invoices.iter().map(|invoice| invoice.total_minor).sum()
    };
    assert_eq!((total(&twice), total(&once)), (2_900 - 1_450 + 14_950, 2_900 - 1_450 + 14_950));
    // The plan in between leaves no time that anybody paid for.
    assert_eq!(amounts(&twice.invoices[2]), [-4_950, 14_950]);
}

#[test]
fn a_downgrade_waits_and_costs_nothing_until_then() {
    let mut tenant = Tenant::on(offer(Pro, Monthly), "2026-04-01", zone("UTC"));
    tenant.schedule(&offer(Starter, Monthly), "2026-04-10");
    assert_eq!((tenant.subscription.plan, tenant.invoices.len()), (Pro, 1));
    let (turn, invoice) = tenant.close();
    assert_eq!((turn.after.plan, turn.after.scheduled), (Starter, None));
    assert_eq!(turn.after.period, span("2026-05-01", "2026-06-01"));
    assert_eq!(amounts(&invoice.unwrap()), [2_900]);
    assert_eq!(turn.movement, Some(Movement { from_minor: 9_900, to_minor: 2_900 }));
}

#[test]
fn a_dearer_plan_takes_back_the_cheaper_one_that_was_scheduled() {
    let mut tenant = Tenant::on(offer(Pro, Monthly), "2026-04-01", zone("UTC"));
    tenant.schedule(&offer(Starter, Monthly), "2026-04-10");
    let (turn, _) = tenant.switch(&offer(Enterprise, Monthly), "2026-04-16");
    assert_eq!(turn.after.scheduled, None);
    let (turn, _) = tenant.close();
    assert_eq!(turn.after.plan, Enterprise);
}

#[test]
fn the_interrupted_periods_use_is_billed_with_the_switch_at_the_old_terms() {
    let old = crate::Offer { charges: vec![overage()], ..offer(Pro, Monthly) };
    let mut tenant = Tenant::on(old.clone(), "2026-04-01", zone("UTC"));
    tenant.offer = old;
    // Included units count whole until the switch: not half of them.
    tenant.facts.used = vec![messages(overage(), 13_457)];
    let (turn, invoice) = tenant.switch(&offer(Pro, Yearly), "2026-04-16");
    let usage = turn.draft.unwrap().usage.unwrap();
    assert_eq!((usage.cycle, usage.period), (Monthly, span("2026-04-01", "2026-04-16")));
    assert_eq!(amounts(&invoice.unwrap()), [-4_950, 99_000, 1_625]);
}
