//! What a wish comes to (§2.3-2.6): now, at the period's end, or not at all; and how trials end.

use super::tenant::*;
use crate::{
    ChangeError, ChangeKind, Decision, InvoiceKind, Movement, Offer, Scheduled, cancel, change,
    close, resume,
};

fn on(plan: domain::plan::PlanName, cycle: domain::plan::BillingCycle) -> Tenant {
    Tenant::on(offer(plan, cycle), "2026-04-01", zone("UTC"))
}

/// `now`, `end`, `same` or `pay`, with the kind of change.
fn outcome(decision: &Decision) -> (&'static str, Option<ChangeKind>) {
    match decision {
        Decision::Now(turn) => ("now", turn.change),
        Decision::AtPeriodEnd(turn) => ("end", turn.change),
        Decision::Unchanged => ("same", None),
        Decision::NeedsPaymentMethod => ("pay", None),
    }
}

#[test]
fn dearer_plans_and_longer_cycles_are_at_once_cheaper_and_shorter_wait() {
    use ChangeKind::{CycleChanged, Downgraded, Upgraded};
    for (from, to, when, kind) in [
        ((Starter, Monthly), (Pro, Monthly), "now", Upgraded),
        ((Starter, Yearly), (Pro, Monthly), "now", Upgraded),
        ((Starter, PayAsYouGo), (Pro, Monthly), "now", Upgraded),
        ((Free, Monthly), (Starter, Monthly), "now", Upgraded),
        ((Free, Monthly), (Starter, PayAsYouGo), "now", Upgraded),
        ((Pro, Monthly), (Pro, Yearly), "now", CycleChanged),
        ((Pro, PayAsYouGo), (Pro, Monthly), "now", CycleChanged),
        ((Pro, Yearly), (Pro, Monthly), "end", CycleChanged),
        ((Pro, Monthly), (Pro, PayAsYouGo), "end", CycleChanged),
        ((Pro, Monthly), (Starter, Monthly), "end", Downgraded),
        ((Pro, Monthly), (Starter, Yearly), "end", Downgraded),
        ((Pro, Monthly), (Free, Monthly), "end", Downgraded),
    ] {
        let mut tenant = on(from.0, from.1);
        // Pay as you go is not free, it has charges.
        if from.1 == PayAsYouGo {
            tenant.offer.charges = vec![overage()];
        }
        let decision = tenant.decide(&offer(to.0, to.1), "2026-04-16");
        assert_eq!(outcome(&decision), (when, Some(kind)), "{from:?} to {to:?}");
    }
}

#[test]
fn asking_for_what_is_or_is_coming_changes_nothing() {
    let mut tenant = on(Pro, Monthly);
    assert_eq!(tenant.decide(&offer(Pro, Monthly), "2026-04-16"), Decision::Unchanged);
    tenant.schedule(&offer(Starter, Monthly), "2026-04-16");
    assert_eq!(tenant.decide(&offer(Starter, Monthly), "2026-04-17"), Decision::Unchanged);
    // The plan that it has is no longer what is coming: asking for it takes the downgrade back.
    let decision = tenant.decide(&offer(Pro, Monthly), "2026-04-18");
    assert_eq!(outcome(&decision), ("now", Some(ChangeKind::Resumed)));
}

#[test]
fn what_is_scheduled_can_be_taken_back_until_it_happens() {
    let mut tenant = on(Pro, Monthly);
    assert_eq!(resume(tenant.account(), at("2026-04-02")), Ok(Decision::Unchanged));
    tenant.cancel("2026-04-10");
    assert_eq!(tenant.subscription.scheduled, Some(Scheduled::Cancel));
    assert_eq!(cancel(tenant.account(), at("2026-04-11")), Ok(Decision::Unchanged));
    let Ok(Decision::Now(turn)) = resume(tenant.account(), at("2026-04-12")) else { panic!() };
    assert_eq!((turn.draft, turn.after.scheduled), (None, None));
}

#[test]
fn what_costs_money_needs_a_way_to_pay_and_what_does_not_does_not() {
    let mut tenant = on(Starter, Monthly);
    tenant.payable = false;
    let decided = |wished: &Offer| outcome(&tenant.decide(wished, "2026-04-16")).0;
    assert_eq!(decided(&offer(Pro, Monthly)), "pay");
    let usage_only = Offer { charges: vec![overage()], ..offer(Pro, PayAsYouGo) };
    assert_eq!(decided(&usage_only), "pay");
    assert_eq!(decided(&offer(Free, Monthly)), "end");
}

#[test]
fn a_canceled_subscription_runs_to_the_periods_end_and_the_free_plan_follows() {
    let mut tenant = on(Pro, Monthly);
    tenant.cancel("2026-04-10");
    let (turn, invoice) = tenant.close();
    assert_eq!((turn.after.plan, turn.change), (Free, Some(ChangeKind::Canceled)));
    assert_eq!((invoice, turn.draft), (None, None), "nothing was used, so nothing is billed");
    assert_eq!(turn.movement, Some(Movement { from_minor: 9_900, to_minor: 0 }));
    // And the next month is silent.
    let (turn, invoice) = tenant.close();
    assert_eq!((turn.draft, turn.movement, invoice), (None, None, None));
}

#[test]
fn a_trial_that_can_be_paid_becomes_a_subscription_from_its_end() {
    let mut tenant =
        Tenant::trial_of(offer(Pro, Monthly), "2026-04-01", "2026-04-15T10:00:00Z", zone("UTC"));
    let (turn, invoice) = tenant.close();
    assert_eq!(turn.change, Some(ChangeKind::Converted));
    assert!(!turn.waits, "there is no late usage of a trial to wait for");
    assert_eq!(turn.after.period, span("2026-04-15T10:00:00Z", "2026-05-15T10:00:00Z"));
    assert_eq!(turn.movement, Some(Movement { from_minor: 0, to_minor: 9_900 }));
    let invoice = invoice.unwrap();
    assert_eq!((invoice.kind, amounts(&invoice)), (InvoiceKind::Period, vec![9_900]));
}

#[test]
fn a_trial_that_cannot_be_paid_ends_on_the_free_plan_without_a_debt() {
    let mut tenant = Tenant::trial_of(offer(Pro, Monthly), "2026-04-01", "2026-04-15", zone("UTC"));
    tenant.payable = false;
    let (turn, invoice) = tenant.close();
    assert_eq!((turn.change, turn.after.plan), (Some(ChangeKind::TrialEnded), Free));
    assert_eq!((turn.movement, invoice), (None, None));
}

#[test]
fn a_trial_that_is_canceled_ends_with_it_and_bills_nothing() {
    let mut tenant = Tenant::trial_of(offer(Pro, Monthly), "2026-04-01", "2026-04-15", zone("UTC"));
    tenant.cancel("2026-04-03");
    assert!(tenant.subscription.is_trialing(), "until its end");
    let (turn, invoice) = tenant.close();
    assert_eq!((turn.change, turn.after.plan), (Some(ChangeKind::Canceled), Free));
    assert_eq!((turn.movement, invoice), (None, None));
}

#[test]
fn converting_early_ends_the_trial_and_bills_from_now() {
    for wished in [offer(Pro, Monthly), offer(Starter, Monthly), offer(Enterprise, Yearly)] {
        let mut tenant =
            Tenant::trial_of(offer(Pro, Monthly), "2026-04-01", "2026-04-15", zone("UTC"));
        let (turn, invoice) = tenant.switch(&wished, "2026-04-04");
        assert_eq!(turn.change, Some(ChangeKind::Converted));
        assert_eq!(turn.after.period.start, at("2026-04-04"));
        assert_eq!(amounts(&invoice.unwrap()), [wished.fee_minor]);
    }
}

#[test]
fn nothing_closes_before_its_time_and_offers_of_others_are_refused() {
    let tenant = on(Pro, Monthly);
    let free = offer(Free, Monthly);
    let closed = |now| close(tenant.account(), None, &free, at(now));
    assert_eq!(closed("2026-04-30T23:59:59Z"), Ok(None));
    assert!(closed("2026-05-01").unwrap().is_some());
    let euros = Offer { currency: "EUR".parse().unwrap(), ..offer(Enterprise, Monthly) };
    let now = at("2026-04-16");
    assert_eq!(change(tenant.account(), &euros, now), Err(ChangeError::ForeignOffer));
    let mut other = tenant.clone();
    other.offer = offer(Starter, Monthly);
    let wished = offer(Enterprise, Monthly);
    assert_eq!(change(other.account(), &wished, now), Err(ChangeError::ForeignOffer));
    other = tenant.clone();
    other.schedule(&offer(Starter, Monthly), "2026-04-16");
    let missing = close(other.account(), None, &free, at("2026-05-01"));
    assert_eq!(missing, Err(ChangeError::ForeignOffer));
}

#[test]
fn a_price_that_changed_is_not_that_of_a_running_subscription() {
    let mut tenant = on(Pro, Monthly);
    let newer = Offer { version: 2, fee_minor: 12_900, ..offer(Pro, Monthly) };
    assert_eq!(tenant.decide(&newer, "2026-04-16"), Decision::Unchanged);
    let (_, invoice) = tenant.close();
    assert_eq!(amounts(&invoice.unwrap()), [9_900]);
}
