//! Invoices as text: a change of any amount or word shows as a difference that one can audit.

use std::fmt::Write;

use expect_test::{Expect, expect};

use super::tenant::*;
use crate::{Duration, Invoice, LateUse, Line, Offer};
use domain::money::Money;
use domain::period::Period;

fn period(period: Period) -> String {
    let text = |at: jiff::Timestamp| {
        let text = at.to_string();
        text.strip_suffix("T00:00:00Z").map(str::to_owned).unwrap_or(text)
    };
    format!("{} to {}", text(period.start), text(period.end))
}

/// The invoice, a row for each amount.
fn rendered(invoice: &Invoice) -> String {
    let mut text = format!("{}, {}\n", invoice.kind.as_str(), period(invoice.period));
    let mut row = |name: &str, amount_minor: i64| {
        let money = Money { amount_minor, currency: invoice.currency }.to_string();
        writeln!(text, "  {name:<66}{money:>14}").unwrap();
    };
    for line in &invoice.lines {
        row(&described(line), line.amount_minor);
        if line.discount_minor != 0 {
            row("    off", -line.discount_minor);
        }
    }
    row("net", invoice.net_minor);
    for group in &invoice.tax_groups {
        let (terms, base) = (&group.terms, group.base_minor);
        let inclusive = if terms.inclusive { ", in the prices" } else { "" };
        let name = format!("{} {} of {base}{inclusive}", terms.category.code(), terms.rate);
        row(&name, group.tax_minor);
    }
    row("total", invoice.total_minor);
    if invoice.credit_applied_minor != 0 {
        row("from the balance", -invoice.credit_applied_minor);
    }
    row("due", invoice.due_minor);
    if !invoice.coupons_used.is_empty() {
        writeln!(text, "  uses up one time of {}", invoice.coupons_used.join(", ")).unwrap();
    }
    text
}

/// What it is for, with a row below for how many of what, when, and how the amount came about. The amount is set
/// at the end of the last row.
fn described(line: &Line) -> String {
    let price = line.unit_price.as_deref().map(|price| format!(" at {price}")).unwrap_or_default();
    let mut text = format!("{}\n", line.description);
    if !line.detail.is_empty() {
        writeln!(text, "    {}", line.detail).unwrap();
    }
    let last = format!("    {} {}{price}, {}", line.quantity, line.unit, period(line.period));
    write!(text, "{last:<68}").unwrap();
    text
}

fn check(invoice: Option<Invoice>, expected: Expect) {
    expected.assert_eq(&rendered(&invoice.unwrap()));
}

fn graduated() -> crate::Charge {
    charge(
        r#"model = "graduated", minimum_minor = 500, tiers = [
            { up_to = 10_000, unit = "0" }, { up_to = 20_000, unit = "0.005" }, { unit = "0.004" },
        ]"#,
    )
}

fn april(plan: domain::plan::PlanName) -> Tenant {
    Tenant::on(offer(plan, Monthly), "2026-04-01", zone("UTC"))
}

#[test]
fn the_first_period_with_a_coupon_and_vat() {
    let mut tenant = Tenant::trial_of(offer(Pro, Monthly), "2026-03-18", "2026-04-01", zone("UTC"));
    tenant.facts.tax = vat("19", false);
    tenant.facts.coupons = vec![percent_off("WELCOME", 2_000, Duration::Periods(3))];
    check(
        tenant.close().1,
        expect![[r#"
        Period, 2026-04-01 to 2026-05-01
          Pro, monthly
            1 month at 99.00, 2026-04-01 to 2026-05-01                           USD 99.00
              off                                                               USD -19.80
          net                                                                    USD 79.20
          S 19 % of 7920                                                         USD 15.05
          total                                                                  USD 94.25
          due                                                                    USD 94.25
          uses up one time of WELCOME
    "#]],
    );
}

#[test]
fn an_upgrade_in_the_middle_of_the_month_is_taxed_as_each_line_was() {
    let mut tenant = april(Starter);
    tenant.fee.as_mut().unwrap().tax = vat("16", false);
    tenant.facts.tax = vat("19", false);
    tenant.facts.balance_minor = 1_000;
    check(
        tenant.switch(&offer(Pro, Monthly), "2026-04-16").1,
        expect![[r#"
        Adjustment, 2026-04-16 to 2026-05-01
          Unused time on Starter, monthly
            15 of 30 days, billed by invoice INV-2026-000001 line 1
            1 month, 2026-04-16 to 2026-05-01                                   USD -14.50
          Remaining time on Pro, monthly
            15 of 30 days
            1 month, 2026-04-16 to 2026-05-01                                    USD 49.50
          net                                                                    USD 35.00
          S 16 % of -1450                                                        USD -2.32
          S 19 % of 4950                                                          USD 9.41
          total                                                                  USD 42.09
          from the balance                                                      USD -10.00
          due                                                                    USD 32.09
    "#]],
    );
}

#[test]
fn from_months_to_years_with_the_use_so_far() {
    let mut tenant = april(Pro);
    tenant.offer.charges = vec![overage()];
    tenant.facts.used = vec![messages(overage(), 13_457)];
    check(
        tenant.switch(&offer(Pro, Yearly), "2026-04-16").1,
        expect![[r#"
        Adjustment, 2026-04-16 to 2027-04-16
          Unused time on Pro, monthly
            15 of 30 days, billed by invoice INV-2026-000001 line 1
            1 month, 2026-04-16 to 2026-05-01                                   USD -49.50
          Pro, yearly
            1 year at 990.00, 2026-04-16 to 2027-04-16                          USD 990.00
          Messages sent
            3,457 messages × 0.0047
            13457 message, 2026-04-01 to 2026-04-16                              USD 16.25
          net                                                                   USD 956.75
          O 0 % of 95675                                                          USD 0.00
          total                                                                 USD 956.75
          due                                                                   USD 956.75
    "#]],
    );
}

#[test]
fn pay_as_you_go_by_tiers_with_prices_that_include_tax() {
    let metered = Offer { charges: vec![graduated()], ..offer(Pro, PayAsYouGo) };
    let mut tenant = Tenant::on(metered.clone(), "2026-04-01", zone("UTC"));
    tenant.offer = metered;
    tenant.facts.tax = vat("20", true);
    tenant.facts.used = vec![messages(graduated(), 23_457)];
    check(
        tenant.clone().close().1,
        expect![[r#"
        Period, 2026-04-01 to 2026-05-01
          Messages sent
            10,000 messages × 0 + 10,000 messages × 0.005 + 3,457 messages × 0.004
            23457 message, 2026-04-01 to 2026-05-01                              USD 63.83
          net                                                                    USD 53.19
          S 20 % of 5319, in the prices                                          USD 10.64
          total                                                                  USD 63.83
          due                                                                    USD 63.83
    "#]],
    );
    tenant.facts.used = vec![messages(graduated(), 12)];
    check(
        tenant.close().1,
        expect![[r#"
        Period, 2026-04-01 to 2026-05-01
          Messages sent
            12 messages × 0, raised to the minimum of USD 5.00
            12 message, 2026-04-01 to 2026-05-01                                  USD 5.00
          net                                                                     USD 4.17
          S 20 % of 417, in the prices                                            USD 0.83
          total                                                                   USD 5.00
          due                                                                     USD 5.00
    "#]],
    );
}

#[test]
fn use_that_came_late_is_on_the_next_invoice() {
    let mut tenant = april(Starter);
    let used = messages(overage(), 12_500);
    let earlier = span("2026-03-01", "2026-04-01");
    tenant.facts.late =
        vec![LateUse { used, billed: 12_000, period: earlier, plan: Starter, cap: None }];
    check(
        tenant.close().1,
        expect![[r#"
            Period, 2026-05-01 to 2026-06-01
              Starter, monthly
                1 month at 29.00, 2026-05-01 to 2026-06-01                           USD 29.00
              Messages sent, counted late for an earlier period
                12,500 messages counted, 12,000 of them billed before
                500 message, 2026-03-01 to 2026-04-01                                 USD 2.35
              net                                                                    USD 31.35
              O 0 % of 3135                                                           USD 0.00
              total                                                                  USD 31.35
              due                                                                    USD 31.35
        "#]],
    );
}

#[test]
fn the_last_invoice_bills_what_was_used_and_no_fee() {
    let mut tenant = april(Starter);
    tenant.offer.charges = vec![overage()];
    tenant.facts.used = vec![messages(overage(), 10_900)];
    tenant.cancel("2026-04-20");
    check(
        tenant.close().1,
        expect![[r#"
        Final, 2026-04-01 to 2026-05-01
          Messages sent
            900 messages × 0.0047
            10900 message, 2026-04-01 to 2026-05-01                               USD 4.23
          net                                                                     USD 4.23
          O 0 % of 423                                                            USD 0.00
          total                                                                   USD 4.23
          due                                                                     USD 4.23
    "#]],
    );
}

#[test]
fn a_year_that_is_given_back_fills_the_balance() {
    let mut tenant = Tenant::on(offer(Starter, Yearly), "2026-01-01", zone("UTC"));
    check(
        tenant.switch(&offer(Pro, Monthly), "2026-07-02T12:00:00Z").1,
        expect![[r#"
        Adjustment, 2026-07-02T12:00:00Z to 2026-08-02T12:00:00Z
          Unused time on Starter, yearly
            15768000 of 31536000 seconds, billed by invoice INV-2026-000001 line 1
            1 year, 2026-07-02T12:00:00Z to 2027-01-01                         USD -145.00
          Pro, monthly
            1 month at 99.00, 2026-07-02T12:00:00Z to 2026-08-02T12:00:00Z       USD 99.00
          net                                                                   USD -46.00
          O 0 % of -4600                                                          USD 0.00
          total                                                                 USD -46.00
          from the balance                                                       USD 46.00
          due                                                                     USD 0.00
    "#]],
    );
}
