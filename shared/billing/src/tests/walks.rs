//! Random walks through a subscription's life: whatever is wished and whenever, time is covered once and the
//! movements of recurring revenue add up.

use proptest::prelude::*;

use super::tenant::*;
use crate::{Decision, Offer, Rule, Subscription, cancel, change, close, resume};
use domain::plan::{BillingCycle, PlanName};
use jiff::{SignedDuration, Timestamp};

/// A wish, so many thousandths into what is left of the period.
type Wish = (u8, PlanName, BillingCycle, i64);

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let plan = proptest::sample::select(PlanName::ALL.to_vec());
    let cycle = proptest::sample::select(BillingCycle::ALL.to_vec());
    proptest::collection::vec((0_u8..8, plan, cycle, 0_i64..1_000), 1..25)
}

fn zones() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    ])
}

fn known(plan: PlanName, cycle: BillingCycle) -> Offer {
    match (plan, cycle) {
        // There is one free plan.
        (Free, _) => offer(Free, Monthly),
        (_, PayAsYouGo) => Offer { charges: vec![overage()], ..offer(plan, cycle) },
        _ => offer(plan, cycle),
    }
}

/// A walk, and what it leaves to be checked.
struct Walk {
    tenant: Tenant,
    now: Timestamp,
    /// Sum of the movements.
    recurring_minor: i64,
    /// To when the fees that were billed, less those that were given back, reach.
    covered: Option<Timestamp>,
}

impl Walk {
    fn take(&mut self, wish: Wish) -> Result<(), TestCaseError> {
        let (action, plan, cycle, into) = wish;
        let end = self.tenant.subscription.period.end;
        let left = end.duration_since(self.now).as_secs();
        let now = self.now + SignedDuration::from_secs(left * into / 1_000);
        let wished = known(plan, cycle);
        let account = self.tenant.account();
        let decision = match action {
            0 => cancel(account, now),
            1 => resume(account, now),
            2..5 => change(account, &wished, now),
            _ => return self.close(),
        };
        match decision.map_err(|error| TestCaseError::fail(error.to_string()))? {
            Decision::Now(turn) => self.carry_out(turn),
            Decision::AtPeriodEnd(turn) => {
                prop_assert_eq!(turn.movement, None);
                self.tenant.subscription = turn.after;
                Ok(())
            }
            Decision::Unchanged | Decision::NeedsPaymentMethod => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), TestCaseError> {
        let end = self.tenant.subscription.period.end;
        let target = self.tenant.subscription.scheduled.map(crate::Scheduled::target);
        let following = target.map(|(plan, cycle)| known(plan, cycle));
        let free = known(Free, Monthly);
        let turn = close(self.tenant.account(), following.as_ref(), &free, end);
        let turn = turn.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let Some(turn) = turn else { return Err(TestCaseError::fail("a period did not close")) };
        prop_assert_eq!(turn.at, end);
        self.carry_out(turn)
    }

    fn carry_out(&mut self, turn: crate::Turn) -> Result<(), TestCaseError> {
        let before = self.tenant.subscription.clone();
        self.recurring_minor += turn.movement.map_or(0, crate::Movement::delta_minor);
        self.now = turn.at;
        let after = &turn.after;
        prop_assert!(after.period.contains(turn.at), "{:?} at {}", after.period, turn.at);
        let begins = after.period.start;
        prop_assert!(begins == turn.at || begins == before.period.start, "a hole before {begins}");
        if let Some(term) = turn.draft.as_ref().and_then(|draft| draft.usage.as_ref()) {
            prop_assert_eq!(term.period.start, before.period.start);
            prop_assert_eq!((term.plan, term.cycle), (before.plan, before.cycle));
        }
        self.tenant.offer = known(after.plan, after.cycle);
        let billed = self.tenant.carry_out(&turn);
        self.cover(&before, turn.at, billed.as_ref())
    }

    /// What is billed begins where what was billed ends; and after it nothing that costs is without a fee.
    fn cover(
        &mut self,
        before: &Subscription,
        now: Timestamp,
        billed: Option<&crate::Invoice>,
    ) -> Result<(), TestCaseError> {
        let lines = billed.map_or(&[][..], |invoice| &invoice.lines[..]);
        if lines.iter().any(|line| matches!(line.rule, Rule::Credit { .. })) {
            self.covered = Some(now);
        }
        for line in lines {
            let Rule::Fee(fee) = &line.rule else { continue };
            // A credit of less than half a cent leaves no line.
            let begins =
                self.covered.filter(|covered| *covered > now).map_or(now, |_| before.period.end);
            prop_assert!(fee.service.start == now || fee.service.start == begins);
            prop_assert!(fee.whole.start <= fee.service.start && fee.service.end == fee.whole.end);
            self.covered = Some(fee.service.end);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_is_wished_time_is_covered_once_and_revenue_moves_by_what_it_is(
        wishes in wishes(), zone_name in zones(), start in 1_700_000_000_i64..1_900_000_000,
        trial_days in 0_i64..30, plan in proptest::sample::select(PlanName::ALL.to_vec()),
    ) {
        let start = Timestamp::from_second(start).unwrap();
        let ends = start + SignedDuration::from_hours(24 * trial_days + 1);
        let tenant = Tenant::trial_of(
            known(plan, Monthly), &start.to_string(), &ends.to_string(), zone(zone_name),
        );
        let mut walk = Walk { tenant, now: start, recurring_minor: 0, covered: None };
        for wish in wishes {
            walk.take(wish)?;
            let tenant = &walk.tenant;
            let recurs = !tenant.subscription.is_trialing();
            let monthly = if recurs { tenant.offer.monthly_minor() } else { 0 };
            prop_assert_eq!(walk.recurring_minor, monthly);
            // A plan that costs is paid to its period's end, to the cent's worth of it.
            if recurs && tenant.offer.fee_minor > 0 {
                let end = tenant.subscription.period.end;
                let left = end.duration_since(walk.now).as_secs();
                let worth = tenant.offer.fee_minor * left / tenant.subscription.period.seconds();
                prop_assert!(walk.covered == Some(end) || worth == 0);
            }
        }
    }
}
