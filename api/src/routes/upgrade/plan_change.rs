//! What a wished plan and cycle make of a subscription. Pure.
//!
//! A dearer plan, and a longer cycle of the same plan, hold at once and start a new period; a trial ends
//! with any plan that costs money. A cheaper plan or a shorter cycle waits for the period's end. (design:
//! BILLING, "Subscriptions")

use domain::period::{Period, PeriodError};
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use store::catalogue::PlanVersion;
use store::subscriptions::{ChangeKind, Subscription, SubscriptionStatus};

/// What becomes of the subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanChange {
    /// It changes at once, to this.
    Now(ChangeKind, Subscription),
    /// It changes at the period's end; until then it is this.
    AtPeriodEnd(ChangeKind, Subscription),
    /// It is so already, or will be at the period's end.
    Unchanged,
    /// The wished plan costs money and there is no way to pay.
    NeedsPaymentMethod,
    /// The catalogue has no price for the wished cycle.
    NoPrice,
}

/// Decides on the wish for `plan` and `cycle`. `payable`: whether there is a way to pay.
pub(crate) fn plan_change(
    current: &Subscription,
    plan: &PlanVersion,
    cycle: BillingCycle,
    payable: bool,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<PlanChange, PeriodError> {
    let terms = &plan.terms;
    if terms.price(cycle, current.currency).is_none() {
        return Ok(PlanChange::NoPrice);
    }
    let same = (plan.plan, cycle) == (current.plan, current.cycle);
    let trialing = matches!(current.status, SubscriptionStatus::Trialing { .. });
    // Asking for the plan on trial ends the trial: that is how one converts early.
    if !trialing && current.next.unwrap_or((current.plan, current.cycle)) == (plan.plan, cycle) {
        return Ok(PlanChange::Unchanged);
    }
    if !terms.is_free() && !payable {
        return Ok(PlanChange::NeedsPaymentMethod);
    }
    let kind = kind(current, plan.plan);
    let later = !trialing && !same && is_reduction(current, plan.plan, cycle);
    if later {
        let waiting = Subscription { next: Some((plan.plan, cycle)), ..current.clone() };
        return Ok(PlanChange::AtPeriodEnd(kind, waiting));
    }
    if same && !trialing {
        // The scheduled change is taken back.
        return Ok(PlanChange::Now(kind, Subscription { next: None, ..current.clone() }));
    }
    let period = Period::first(now, cycle, zone)?;
    Ok(PlanChange::Now(
        kind,
        Subscription {
            plan: plan.plan,
            plan_version: plan.version,
            cycle,
            status: SubscriptionStatus::Active,
            started_at: now,
            period_start: period.start,
            period_end: period.end,
            next: None,
            ..current.clone()
        },
    ))
}

fn kind(current: &Subscription, plan: PlanName) -> ChangeKind {
    match plan.cmp(&current.plan) {
        std::cmp::Ordering::Greater => ChangeKind::Upgraded,
        std::cmp::Ordering::Less => ChangeKind::Downgraded,
        std::cmp::Ordering::Equal => ChangeKind::CycleChanged,
    }
}

fn is_reduction(current: &Subscription, plan: PlanName, cycle: BillingCycle) -> bool {
    let shorter = current.cycle == BillingCycle::Yearly && cycle != BillingCycle::Yearly;
    plan < current.plan || shorter
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::SubscriptionId;
    use domain::money::Currency;
    use store::catalogue::Catalogue;
    use uuid::Uuid;

    const NOW: &str = "2027-04-16T00:00:00Z";

    fn version(plan: PlanName) -> PlanVersion {
        let catalogue = Catalogue::parse(include_str!("../../../../config/plans.toml")).unwrap();
        PlanVersion { plan, version: 1, terms: catalogue.terms(plan).unwrap().clone() }
    }

    fn subscription(plan: PlanName, cycle: BillingCycle) -> Subscription {
        Subscription {
            id: SubscriptionId::from_uuid(Uuid::from_u128(1)),
            plan,
            plan_version: 1,
            cycle,
            currency: Currency::USD,
            status: SubscriptionStatus::Active,
            started_at: "2027-04-01T00:00:00Z".parse().unwrap(),
            period_start: "2027-04-01T00:00:00Z".parse().unwrap(),
            period_end: "2027-05-01T00:00:00Z".parse().unwrap(),
            payment_method_sealed: None,
            next: None,
        }
    }

    fn change(
        current: &Subscription,
        plan: PlanName,
        cycle: BillingCycle,
        payable: bool,
    ) -> PlanChange {
        let now = NOW.parse().unwrap();
        plan_change(current, &version(plan), cycle, payable, &TimeZone::UTC, now).unwrap()
    }

    use BillingCycle::{Monthly, PayAsYouGo, Yearly};
    use PlanName::{Enterprise, Free, Pro, Starter};

    #[test]
    fn an_upgrade_holds_at_once_and_starts_a_new_period() {
        let PlanChange::Now(ChangeKind::Upgraded, after) =
            change(&subscription(Starter, Monthly), Enterprise, Yearly, true)
        else {
            panic!()
        };
        assert_eq!((after.plan, after.cycle), (Enterprise, Yearly));
        assert_eq!(after.period_end, "2028-04-16T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn a_downgrade_and_a_shorter_cycle_wait_for_the_periods_end() {
        for (before, plan, cycle) in [
            (subscription(Pro, Monthly), Starter, Monthly),
            (subscription(Pro, Monthly), Free, Monthly),
            (subscription(Pro, Yearly), Pro, Monthly),
        ] {
            let PlanChange::AtPeriodEnd(_, after) = change(&before, plan, cycle, true) else {
                panic!()
            };
            assert_eq!(after.next, Some((plan, cycle)));
            assert_eq!((after.plan, after.period_end), (before.plan, before.period_end));
        }
    }

    #[test]
    fn a_scheduled_change_is_taken_back_by_asking_for_what_is() {
        let before = Subscription { next: Some((Starter, Monthly)), ..subscription(Pro, Monthly) };
        let PlanChange::Now(_, after) = change(&before, Pro, Monthly, true) else { panic!() };
        assert_eq!(after.next, None);
        assert_eq!(after.period_start, before.period_start);
    }

    #[test]
    fn a_trial_ends_with_any_paid_plan_and_needs_a_way_to_pay() {
        let ends_at = "2027-04-20T00:00:00Z".parse().unwrap();
        let status = SubscriptionStatus::Trialing { ends_at };
        let before = Subscription { status, ..subscription(Pro, Monthly) };
        for plan in [Pro, Enterprise, Starter] {
            assert_eq!(change(&before, plan, Monthly, false), PlanChange::NeedsPaymentMethod);
            let PlanChange::Now(_, after) = change(&before, plan, Monthly, true) else { panic!() };
            assert_eq!((after.plan, after.status), (plan, SubscriptionStatus::Active));
        }
        assert!(matches!(change(&before, Free, Monthly, false), PlanChange::Now(..)));
    }

    #[test]
    fn the_same_again_and_a_cycle_without_a_price_are_refused() {
        let before = subscription(Pro, Monthly);
        assert_eq!(change(&before, Pro, Monthly, true), PlanChange::Unchanged);
        assert_eq!(change(&before, Pro, PayAsYouGo, true), PlanChange::NoPrice);
        let waiting = Subscription { next: Some((Starter, Monthly)), ..before };
        assert_eq!(change(&waiting, Starter, Monthly, true), PlanChange::Unchanged);
    }
}
