//! What tenants and operators do, drawn before it is done: so it can be done again.

use billing::{Coupon, Discount, Duration, TaxCategory, TaxTerms};
use domain::money::Currency;
use domain::plan::{BillingCycle, PlanName};
use jiff::{SignedDuration, Timestamp};

use super::catalogue::METERS;
use super::documents::{Issued, Status};
use super::draws::Draws;
use super::settling::Amount;
use super::tenant::{Held, Tenant};

pub(super) const ZONES: [&str; 8] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Australia/Lord_Howe",
    "America/St_Johns",
];

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Doing {
    /// Periods that are over are closed, drafts that waited long enough finalised; nothing else.
    Nothing,
    Wish(PlanName, BillingCycle),
    Cancel,
    Resume,
    /// There is a way to pay from now on, or none.
    Method(bool),
    Use {
        meter: usize,
        quantity: u64,
        at: Timestamp,
    },
    Redeem(Held),
    Pay(usize, Amount),
    GiveUp(usize),
    Void(usize),
    /// So many per cent of what is left of a line.
    Note(usize, u32, i64),
    /// Another time zone, by its place.
    Zone(usize),
    Tax(TaxTerms),
    Cap(Option<i64>),
}

impl Draws {
    /// What a tenant does at `now`, or an operator for it.
    pub(super) fn doing(&mut self, tenant: &Tenant, now: Timestamp) -> Doing {
        // Some are never discounted, credited or withdrawn, so that their lives add up to the cent.
        let quiet = tenant.place % 5 < 2;
        let place = usize::try_from(self.below(tenant.invoices.len() as u64)).unwrap_or_default();
        match self.below(100) {
            0..46 => self.usage(tenant, now),
            46..63 => self.wish(),
            63..66 => Doing::Cancel,
            66..70 => Doing::Resume,
            70..74 => Doing::Method(self.chance(90)),
            74..78 if !quiet => Doing::Redeem(self.coupon(tenant.currency())),
            78..83 if !quiet => {
                let line = u32::try_from(1 + self.below(4)).unwrap_or(1);
                // Of the last, mostly: its fee is the one that a change gives back.
                let last = tenant.invoices.len().saturating_sub(1);
                let place = if self.chance(60) { last } else { place };
                Doing::Note(place, line, if self.chance(30) { 100 } else { self.within(1, 101) })
            }
            83..86 if !quiet => {
                let open = |invoice: &Issued| invoice.status == Status::Open;
                Doing::Void(tenant.invoices.iter().rposition(open).unwrap_or(place))
            }
            86..89 => {
                Doing::Zone(usize::try_from(self.below(ZONES.len() as u64)).unwrap_or_default())
            }
            89..91 => Doing::Tax(self.tax()),
            91..93 => Doing::Cap(self.chance(50).then(|| self.within(0, 20_000))),
            93..96 if place < tenant.invoices.len() => Doing::Pay(place, self.amount()),
            _ => Doing::Nothing,
        }
    }

    fn usage(&mut self, tenant: &Tenant, now: Timestamp) -> Doing {
        let hours = SignedDuration::from_hours;
        let period = tenant.subscription.period;
        let at = match self.below(20) {
            // In the first instant of a period, and in the last of the one before.
            0 => period.start,
            1 => period.start - SignedDuration::from_secs(1),
            2..5 => now - hours(self.within(0, 6)),
            5..8 => now - hours(self.within(6, 36 * 24)),
            _ => now,
        };
        let quantity = match self.below(10) {
            0 => 1,
            1 => 1_000,
            _ => self.below(4_000),
        };
        let meter = usize::try_from(self.below(METERS.len() as u64)).unwrap_or_default();
        Doing::Use { meter, quantity, at: at.clamp(tenant.subscription.started_at, now) }
    }

    pub(super) fn wish(&mut self) -> Doing {
        let plan = match self.below(20) {
            0 => PlanName::Free,
            1..8 => PlanName::Starter,
            8..15 => PlanName::Pro,
            _ => PlanName::Enterprise,
        };
        Doing::Wish(plan, self.cycle())
    }

    pub(super) fn cycle(&mut self) -> BillingCycle {
        match self.below(10) {
            0..6 => BillingCycle::Monthly,
            6 => BillingCycle::Yearly,
            _ => BillingCycle::PayAsYouGo,
        }
    }

    /// How much is paid: mostly all.
    pub(super) fn amount(&mut self) -> Amount {
        match self.below(10) {
            0 => Amount::Part(self.within(1, 100)),
            1 => Amount::Over(self.within(1, 3_000)),
            _ => Amount::All,
        }
    }

    fn coupon(&mut self, currency: Currency) -> Held {
        let part = match self.below(4) {
            0 => 10_000,
            1 => 3_333,
            _ => 500 * (1 + self.below(10)),
        };
        let percent = u16::try_from(part).ok().and_then(|part| part.try_into().ok());
        let discount = match percent.filter(|_| self.chance(60)) {
            Some(percent) => Discount::Percent(percent),
            None => Discount::Amount { amount_minor: self.within(1, 6_000), currency },
        };
        let duration = match self.below(10) {
            0..5 => Duration::Once,
            5..9 => Duration::Periods(u16::try_from(1 + self.below(6)).unwrap_or(1)),
            _ => Duration::Forever,
        };
        let code = format!("C{:08X}", self.below(u64::from(u32::MAX)));
        Held { coupon: Coupon { code, discount, duration }, left: duration.uses() }
    }

    pub(super) fn tax(&mut self) -> TaxTerms {
        let known = [
            ("19", false, "DE"),
            ("20", true, "GB"),
            ("7", false, "DE"),
            ("8.875", false, "US-NY"),
            ("10", true, "JP"),
        ];
        let Some((rate, inclusive, place)) = self.one(&known).filter(|_| self.clone().chance(70))
        else {
            return TaxTerms::none();
        };
        let Ok(rate) = rate.parse() else { return TaxTerms::none() };
        TaxTerms {
            category: TaxCategory::Standard,
            rate,
            inclusive: *inclusive,
            jurisdiction: Some((*place).to_owned()),
            note: None,
        }
    }
}
