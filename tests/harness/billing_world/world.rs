//! The world: tenants, the shared books, and a queue of what happens when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use anyhow::{Context, Result};
use billing::{Subscription, SubscriptionStatus};
use domain::id::SubscriptionId;
use domain::money::Currency;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::books::{Books, Effects};
use super::catalogue::{CURRENCIES, Catalogue};
use super::documents::Status;
use super::doings::{Doing, ZONES};
use super::draws::Draws;
use super::invariants::{self, Seen};
use super::reference::History;
use super::steps::Step;
use super::tenant::Tenant;

/// More are not told: one would do.
const FAULTS_MAX: usize = 50;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// The first instant: two years before a leap day.
const START: i64 = 1_767_225_600;

/// What a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many things happened.
    pub steps: u64,
    /// How many invoices were finalised.
    pub invoices: usize,
    /// How many credit notes were issued.
    pub credit_notes: usize,
    /// How many tenants' fees were held, over their whole life, against what their plans cost by the second.
    pub lives: usize,
    /// How often there was what: kinds of invoices, what became of them, and their lines.
    pub tally: BTreeMap<&'static str, usize>,
    /// What did not hold; each with its step.
    pub violations: Vec<String>,
    /// The state at the end, as a number: the same seed makes the same.
    pub digest: u64,
}

/// What happens, in the order of ranks where it happens in one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Of the tenant: a period is over, or a draft has waited long enough.
    Due(usize),
    SignUp,
    Pay(usize, usize),
    GiveUp(usize, usize),
    /// The tenant does something.
    Act(usize),
    /// It wants another plan.
    Wish(usize),
    /// Prices rise, for those who come later.
    Rise,
    MonthEnd,
}

/// Tenants that live through years of billing.
pub struct World {
    draws: Draws,
    pub(super) catalogue: Catalogue,
    pub(super) books: Books,
    issuer: TimeZone,
    zones: Vec<TimeZone>,
    pub(super) tenants: Vec<Tenant>,
    queue: BinaryHeap<Reverse<(Timestamp, Event, u64)>>,
    queued: u64,
    pub(super) now: Timestamp,
    pub(super) steps: u64,
    violations: Vec<String>,
    pub(super) seen: Seen,
    /// Of each tenant, how many invoices and credit notes were looked at.
    pub(super) looked_at: Vec<(usize, usize)>,
}

impl World {
    /// A world of so many tenants, who sign up in its first months.
    ///
    /// # Errors
    /// When its catalogue or its time zones cannot be made.
    pub fn new(seed: u64, tenants: usize) -> Result<Self> {
        let zones = ZONES.map(TimeZone::get).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut world = Self {
            draws: Draws::of(seed),
            catalogue: Catalogue::new()?,
            books: Books::default(),
            issuer: TimeZone::get("Europe/Berlin")?,
            zones,
            tenants: Vec::with_capacity(tenants),
            queue: BinaryHeap::new(),
            queued: 0,
            now: Timestamp::from_second(START)?,
            steps: 0,
            violations: Vec::new(),
            seen: Seen::new(),
            looked_at: vec![(0, 0); tenants],
        };
        for _ in 0..tenants {
            // Many on the last days of a month, and some at midnight sharp.
            let day = if world.draws.chance(40) {
                world.draws.within(28, 31)
            } else {
                world.draws.within(0, 90)
            };
            let second = if world.draws.chance(30) { 0 } else { world.draws.within(0, DAY) };
            world.push(day * DAY + second, Event::SignUp);
        }
        Ok(world)
    }

    fn push(&mut self, seconds: i64, event: Event) {
        self.push_at(self.now + SignedDuration::from_secs(seconds), event);
    }

    fn push_at(&mut self, at: Timestamp, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse((at, event, self.queued)));
    }

    /// Lives through so many months.
    #[must_use]
    pub fn run(mut self, months: u32) -> Outcome {
        for month in 1..=i64::from(months) {
            self.push(month * DAY * 365 / 12, Event::MonthEnd);
        }
        self.push(400 * DAY, Event::Rise);
        let end = self.now + SignedDuration::from_secs(i64::from(months) * DAY * 365 / 12);
        while let Some(Reverse((at, event, _))) = self.queue.pop() {
            if at > end || self.violations.len() >= FAULTS_MAX {
                break;
            }
            self.now = at;
            self.steps += 1;
            if let Err(error) = self.happen(event) {
                self.violate(&format!("{event:?}: {error:#}"));
            }
        }
        let lives = self.judge_lives();
        Outcome {
            steps: self.steps,
            invoices: self.tenants.iter().map(|tenant| tenant.invoices.len()).sum(),
            credit_notes: self.tenants.iter().map(|tenant| tenant.notes.len()).sum(),
            lives,
            tally: self.tally(),
            digest: self.digest(),
            violations: self.violations,
        }
    }

    pub(super) fn violate(&mut self, what: &str) {
        self.violations.push(format!("step {} at {}: {what}", self.steps, self.now));
    }

    fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::SignUp => self.sign_up(),
            Event::Due(place) => self.perform(place, &Doing::Nothing),
            Event::Pay(place, invoice) => {
                let amount = self.draws.amount();
                self.perform(place, &Doing::Pay(invoice, amount))
            }
            Event::GiveUp(place, invoice) => {
                if self.draws.chance(30) {
                    // What was given up is paid after all, sometimes.
                    let days = self.draws.within(1, 60);
                    self.push(days * DAY, Event::Pay(place, invoice));
                }
                self.perform(place, &Doing::GiveUp(invoice))
            }
            Event::Act(place) => self.act(place),
            Event::Wish(place) => {
                let wish = self.draws.wish();
                self.perform(place, &wish)
            }
            Event::Rise => {
                self.catalogue.raise(7);
                self.push(200 * DAY, Event::Rise);
                Ok(())
            }
            Event::MonthEnd => self.judge_all(),
        }
    }

    fn act(&mut self, place: usize) -> Result<()> {
        let tenant = self.tenants.get(place).context("no such tenant")?;
        let doing = self.draws.doing(tenant, self.now);
        self.perform(place, &doing)?;
        if matches!(doing, Doing::Note(..) | Doing::Void(_)) {
            // What was given back or withdrawn must not be given back again by a change.
            let seconds = self.draws.within(0, 3 * DAY);
            self.push(seconds, Event::Wish(place));
        }
        let tenant = self.tenants.get(place).context("no such tenant")?;
        let end = tenant.subscription.period.end;
        let soon = end.duration_since(self.now) < SignedDuration::from_hours(9 * 24);
        if soon && end > self.now && self.draws.chance(15) {
            // In the very instant in which a period ends and the next begins.
            self.push_at(end, Event::Act(place));
        } else if self.draws.chance(3) {
            self.push(0, Event::Act(place));
        } else {
            let seconds = self.draws.within(HOUR, 9 * DAY);
            self.push(seconds, Event::Act(place));
        }
        Ok(())
    }

    /// Carries a step out on the tenant and the books; now and then it is lost on the way first, and done again.
    fn perform(&mut self, place: usize, doing: &Doing) -> Result<()> {
        let crash = self.draws.chance(6);
        let tenant = self.tenants.get(place).context("no such tenant")?;
        let lost = if crash { Some(self.tried(tenant, doing)?) } else { None };
        let before = (tenant.invoices.len(), tenant.drafts.len(), tenant.subscription.period.end);
        let World { tenants, books, catalogue, issuer, zones, now, .. } = self;
        let tenant = tenants.get_mut(place).context("no such tenant")?;
        let effects = step(tenant, doing, books, issuer, catalogue, zones, *now)?;
        if lost.is_some_and(|(state, done)| state != *tenant || done != effects) {
            tenant.fault("a step that was lost and done again left something else".into());
        }
        books.commit(effects);
        let mut faults = std::mem::take(&mut tenant.faults);
        faults.extend(invariants::after_step(tenant, catalogue, *now)?);
        if crash {
            let tenant = self.tenants.get(place).context("no such tenant")?;
            let (again, effects) = self.tried(tenant, &Doing::Nothing)?;
            if again != *tenant || effects != Effects::default() {
                faults.push("what was done is done again".into());
            }
        }
        for fault in faults {
            self.violate(&format!("tenant {place}, {doing:?}: {fault}"));
        }
        self.follow_up(place, before)
    }

    /// A step on a copy that is then dropped.
    fn tried(&self, tenant: &Tenant, doing: &Doing) -> Result<(Tenant, Effects)> {
        let mut copy = tenant.clone();
        let World { books, issuer, catalogue, zones, now, .. } = self;
        let effects = step(&mut copy, doing, books, issuer, catalogue, zones, *now)?;
        Ok((copy, effects))
    }

    /// Queues what comes of a step: payments of new invoices, and the next times that something is due.
    fn follow_up(&mut self, place: usize, before: (usize, usize, Timestamp)) -> Result<()> {
        let tenant = self.tenants.get(place).context("no such tenant")?;
        let open = tenant.invoices.iter().enumerate().skip(before.0);
        let open: Vec<usize> = open
            .filter(|(_, invoice)| invoice.status == Status::Open)
            .map(|(invoice, _)| invoice)
            .collect();
        let waiting: Vec<Timestamp> =
            tenant.drafts.iter().map(|pending| pending.finalize_at.max(self.now)).collect();
        let (drafts, end) = (tenant.drafts.len(), tenant.subscription.period.end);
        for invoice in open {
            match self.draws.below(20) {
                0 => self.push(30 * DAY, Event::GiveUp(place, invoice)),
                1 => {
                    self.push(2 * DAY, Event::Pay(place, invoice));
                    self.push(5 * DAY, Event::Pay(place, invoice));
                }
                2..6 => {
                    let days = self.draws.within(1, 40);
                    self.push(days * DAY, Event::Pay(place, invoice));
                }
                _ => self.push(0, Event::Pay(place, invoice)),
            }
        }
        if drafts > 0 {
            for at in waiting {
                self.push_at(at, Event::Due(place));
            }
        }
        if end != before.2 {
            // The worker is late now and then, once in a while by more than a period.
            let late = match self.draws.below(100) {
                0 => self.draws.within(0, 70 * DAY),
                1..4 => self.draws.within(0, DAY),
                _ => 0,
            };
            self.push_at(end + SignedDuration::from_secs(late), Event::Due(place));
        }
        Ok(())
    }

    fn sign_up(&mut self) -> Result<()> {
        let place = self.tenants.len();
        let currency: Currency = self.draws.one(&CURRENCIES).context("no currency")?.parse()?;
        let zone = self.draws.one(&self.zones).context("no time zone")?.clone();
        let free = self.draws.chance(15);
        let plan = if free {
            PlanName::Free
        } else {
            *self.draws.one(&PlanName::ALL[1..]).context("no plan")?
        };
        let cycle = self.draws.cycle();
        let offer_place = self.catalogue.newest(plan, cycle, currency)?;
        let offer = self.catalogue.offer(offer_place)?;
        let ends_at = self.now + SignedDuration::from_hours(14 * 24);
        let period = if free {
            Period::first(self.now, BillingCycle::Monthly, &zone)?
        } else {
            Period { start: self.now, end: ends_at }
        };
        let status = if free {
            SubscriptionStatus::Active
        } else {
            SubscriptionStatus::Trialing { ends_at }
        };
        let subscription = Subscription {
            id: SubscriptionId::from_uuid(Uuid::from_u128(u128::try_from(place)?)),
            plan,
            plan_version: offer.version,
            cycle: offer.cycle,
            currency,
            status,
            started_at: self.now,
            anchor: self.now,
            period_index: 0,
            period,
            scheduled: None,
        };
        let trial_end = (!free).then_some(ends_at);
        let history = History::begin(self.now, &zone, offer_place, offer, trial_end)?;
        let tenant = Tenant {
            payable: self.draws.chance(85),
            tax: self.draws.tax(),
            ..Tenant::new(place, zone, subscription, offer_place, history)
        };
        self.tenants.push(tenant);
        self.push_at(period.end, Event::Due(place));
        let seconds = self.draws.within(0, 9 * DAY);
        self.push(seconds, Event::Act(place));
        Ok(())
    }
}

/// One step of a tenant: what is due first, then what is done.
fn step(
    tenant: &mut Tenant,
    doing: &Doing,
    books: &Books,
    issuer: &TimeZone,
    catalogue: &Catalogue,
    zones: &[TimeZone],
    now: Timestamp,
) -> Result<Effects> {
    let mut transaction = books.begin(issuer);
    let mut step = Step { transaction: &mut transaction, catalogue, now };
    step.close_due(tenant)?;
    step.finalize_due(tenant)?;
    match doing {
        Doing::Nothing => {}
        Doing::Wish(plan, cycle) => step.wish(tenant, *plan, *cycle)?,
        Doing::Cancel => step.cancel(tenant)?,
        Doing::Resume => step.resume(tenant)?,
        Doing::Method(payable) => tenant.payable = *payable,
        Doing::Use { meter, quantity, at } => tenant.metered.take(*meter, *quantity, *at, now),
        Doing::Redeem(held) if tenant.coupons.len() < 2 => tenant.coupons.push(held.clone()),
        Doing::Redeem(_) => {}
        Doing::Pay(place, amount) => step.pay(tenant, *place, *amount)?,
        Doing::GiveUp(place) => step.give_up(tenant, *place)?,
        Doing::Void(place) if *place < tenant.invoices.len() => step.void(tenant, *place)?,
        Doing::Note(place, line, per_cent) if *place < tenant.invoices.len() => {
            step.note(tenant, *place, *line, *per_cent)?;
        }
        Doing::Void(_) | Doing::Note(..) => {}
        Doing::Zone(place) => {
            tenant.zone = zones.get(*place).context("no such time zone")?.clone();
            tenant.history.moved_to(&tenant.zone);
        }
        Doing::Tax(terms) => tenant.tax = terms.clone(),
        Doing::Cap(cap_minor) => tenant.cap_minor = *cap_minor,
    }
    transaction.end()
}
