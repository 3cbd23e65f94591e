//! What a subscription becomes: by the customer's wish, and by the passing of time. Each step is one [`Turn`].

use domain::period::{Period, PeriodError};
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::draft::{CreditTerm, Draft, FeeTerm, InvoiceKind, UsageTerm};
use crate::proration::Fee;
use crate::revenue::Movement;
use crate::rounding::OutOfRange;
use crate::subscription::{Offer, Scheduled, Subscription};

/// What kind of change it was, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// The subscription began.
    Started,
    /// To a dearer plan.
    Upgraded,
    /// To a cheaper plan.
    Downgraded,
    /// Same plan, other cycle.
    CycleChanged,
    /// It is to end at the period's end, or did.
    Canceled,
    /// What was scheduled was taken back.
    Resumed,
    /// The trial ended and became a subscription that costs.
    Converted,
    /// The trial ended without a way to pay.
    TrialEnded,
}

impl ChangeKind {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Upgraded => "Upgraded",
            Self::Downgraded => "Downgraded",
            Self::CycleChanged => "CycleChanged",
            Self::Canceled => "Canceled",
            Self::Resumed => "Resumed",
            Self::Converted => "Converted",
            Self::TrialEnded => "TrialEnded",
        }
    }
}

/// One step in a subscription's life: what it is afterwards, and what is billed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// When it holds from.
    pub at: Timestamp,
    /// What was changed, if it was more than the calendar.
    pub change: Option<ChangeKind>,
    /// What it is afterwards.
    pub after: Subscription,
    /// What is billed, if anything is.
    pub draft: Option<Draft>,
    /// Whether the draft waits for late usage, or is finalised in the same breath (§2.6, §2.3).
    pub waits: bool,
    /// What became of the recurring revenue.
    pub movement: Option<Movement>,
}

/// What comes of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It holds at once.
    Now(Turn),
    /// It holds from the period's end; until then the subscription is as the turn says.
    AtPeriodEnd(Turn),
    /// It is so already, or will be.
    Unchanged,
    /// It costs money and there is no way to pay.
    NeedsPaymentMethod,
}

/// Why no step can be reckoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Time.
    #[error(transparent)]
    Period(#[from] PeriodError),
    /// Money.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// An offer of another currency, or of another plan than the subscription's.
    #[error(
        "the offer does not belong to the subscription; load the offer of its plan, cycle and currency"
    )]
    ForeignOffer,
    /// The running period is over, and was not closed yet: what comes of a wish now belongs to the next.
    #[error("the period has ended and is being closed; ask again in a minute")]
    PeriodEnded,
}

/// A subscription, with all that a step needs to know of it.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// As it is.
    pub subscription: &'a Subscription,
    /// The offer that it has.
    pub offer: &'a Offer,
    /// The fee of the running period, where one was billed.
    pub fee: Option<&'a Fee>,
    /// The tenant's time zone.
    pub zone: &'a TimeZone,
    /// Whether there is a way to pay.
    pub payable: bool,
}

/// Decides on the wish for `wished` at `now` (§2.3-2.6): dearer plans and longer cycles at once, cheaper plans
/// and shorter cycles at the period's end; in a trial, any at once. Asking for what is takes a scheduled change
/// back.
///
/// # Errors
/// When time or money leave their range, or the offers are not of one currency.
pub fn change(
    account: Account<'_>,
    wished: &Offer,
    now: Timestamp,
) -> Result<Decision, ChangeError> {
    let current = account.subscription;
    account.check(wished)?;
    if now >= current.period.end {
        return Err(ChangeError::PeriodEnded);
    }
    let target = (wished.plan, wished.cycle);
    let same = target == (current.plan, current.cycle);
    let trialing = current.is_trialing();
    // Asking for the plan on trial ends the trial: that is how one converts early.
    if current.target() == target && !(trialing && same) {
        return Ok(Decision::Unchanged);
    }
    if !wished.is_free() && !account.payable {
        return Ok(Decision::NeedsPaymentMethod);
    }
    if same && !trialing {
        return Ok(Decision::Now(Turn::plain(
            now,
            ChangeKind::Resumed,
            Subscription { scheduled: None, ..current.clone() },
        )));
    }
    let kind = kind(current, wished);
    if !trialing && waits(current, account.offer, wished) {
        let scheduled = Some(Scheduled::Change(wished.plan, wished.cycle));
        let after = Subscription { scheduled, ..current.clone() };
        return Ok(Decision::AtPeriodEnd(Turn::plain(now, kind, after)));
    }
    if trialing {
        let kind = if wished.is_free() { ChangeKind::Downgraded } else { ChangeKind::Converted };
        return Ok(Decision::Now(account.begin(wished, now, kind)?));
    }
    Ok(Decision::Now(account.switch(wished, now, kind)?))
}

/// Decides on the wish to end the subscription at the period's end (in a trial: the trial's).
///
/// # Errors
/// Never; it answers as [`change`] does.
pub fn cancel(account: Account<'_>, now: Timestamp) -> Result<Decision, ChangeError> {
    let current = account.subscription;
    if current.plan == PlanName::Free || current.scheduled == Some(Scheduled::Cancel) {
        return Ok(Decision::Unchanged);
    }
    let after = Subscription { scheduled: Some(Scheduled::Cancel), ..current.clone() };
    Ok(Decision::AtPeriodEnd(Turn::plain(now, ChangeKind::Canceled, after)))
}

/// Decides on the wish that what is scheduled shall not happen.
///
/// # Errors
/// Never; it answers as [`change`] does.
pub fn resume(account: Account<'_>, now: Timestamp) -> Result<Decision, ChangeError> {
    let current = account.subscription;
    if current.scheduled.is_none() {
        return Ok(Decision::Unchanged);
    }
    let after = Subscription { scheduled: None, ..current.clone() };
    Ok(Decision::Now(Turn::plain(now, ChangeKind::Resumed, after)))
}

/// The step at the end of the running period: the trial's end (§2.6), what was scheduled, or the next period.
/// `following` is the offer of what is scheduled; `free` that of the free plan. `None` while the period runs.
///
/// # Errors
/// As [`change`].
pub fn close(
    account: Account<'_>,
    following: Option<&Offer>,
    free: &Offer,
    now: Timestamp,
) -> Result<Option<Turn>, ChangeError> {
    let current = account.subscription;
    let at = current.period.end;
    if now < at {
        return Ok(None);
    }
    let wished = match (current.scheduled, following) {
        (Some(Scheduled::Cancel), _) => Some((free, ChangeKind::Canceled)),
        (Some(Scheduled::Change(plan, cycle)), Some(offer))
            if (plan, cycle) == (offer.plan, offer.cycle) =>
        {
            Some((offer, kind(current, offer)))
        }
        (Some(Scheduled::Change(..)), _) => return Err(ChangeError::ForeignOffer),
        (None, _) => None,
    };
    let turn = if current.is_trialing() {
        let (offer, kind) = wished.unwrap_or((account.offer, ChangeKind::Converted));
        if offer.is_free() || account.payable {
            account.begin(offer, at, kind)?
        } else {
            account.begin(free, at, ChangeKind::TrialEnded)?
        }
    } else if let Some((offer, kind)) = wished {
        account.follow(offer, at, kind)?
    } else {
        account.renew()?
    };
    Ok(Some(turn))
}

/// The step by which a subscription ends at once because it was not paid: `free` follows. Nothing is given back; what was
/// used until now is billed.
///
/// # Errors
/// As [`change`].
pub fn terminate(account: Account<'_>, free: &Offer, now: Timestamp) -> Result<Turn, ChangeError> {
    account.check(free)?;
    let current = account.subscription;
    if now >= current.period.end {
        return Err(ChangeError::PeriodEnded);
    }
    let after = current.anchored(free, now, account.zone)?;
    let ended = Period { start: current.period.start, end: now };
    let draft = Draft {
        subscription_id: after.id,
        kind: InvoiceKind::Final,
        period: ended,
        credit: None,
        fee: None,
        usage: usage(account.offer, ended),
    };
    let movement = Movement::between(account.offer.monthly_minor(), free.monthly_minor());
    let change = Some(ChangeKind::Canceled);
    Ok(Turn { at: now, change, after, draft: some(draft), waits: true, movement })
}

impl Turn {
    /// When what was changed holds from: at once, or from the period's end.
    #[must_use]
    pub fn effective_at(&self) -> Timestamp {
        if self.after.scheduled.is_some() { self.after.period.end } else { self.at }
    }

    /// A step that bills nothing.
    fn plain(at: Timestamp, kind: ChangeKind, after: Subscription) -> Self {
        Self { at, change: Some(kind), after, draft: None, waits: false, movement: None }
    }
}

impl Account<'_> {
    fn check(&self, wished: &Offer) -> Result<(), ChangeError> {
        let (subscription, offer) = (self.subscription, self.offer);
        let own = (offer.plan, offer.version, offer.cycle)
            == (subscription.plan, subscription.plan_version, subscription.cycle);
        let one_currency =
            offer.currency == subscription.currency && wished.currency == subscription.currency;
        if own && one_currency { Ok(()) } else { Err(ChangeError::ForeignOffer) }
    }

    /// The first period of `offer`, from `at`. Nothing that came before is billed: a trial, or no subscription.
    fn begin(&self, offer: &Offer, at: Timestamp, kind: ChangeKind) -> Result<Turn, ChangeError> {
        let after = self.subscription.anchored(offer, at, self.zone)?;
        let fee = fee(offer, &after, after.period);
        let draft = Draft {
            subscription_id: after.id,
            kind: InvoiceKind::Period,
            period: after.period,
            credit: None,
            fee,
            usage: None,
        };
        // In a trial nothing recurs yet.
        let movement = Movement::between(0, offer.monthly_minor());
        Ok(Turn { at, change: Some(kind), after, draft: some(draft), waits: false, movement })
    }

    /// Another plan or cycle within a period: what is unused of the old is given back, the rest of the new is
    /// billed. Another cycle, or a plan after the free one, begins a period of its own.
    fn switch(&self, offer: &Offer, now: Timestamp, kind: ChangeKind) -> Result<Turn, ChangeError> {
        let current = self.subscription;
        let unused = Period { start: now, end: current.period.end };
        let credit = self.fee.filter(|fee| fee.service.contains(now));
        let credit = credit.map(|fee| CreditTerm { fee: fee.clone(), unused });
        let keeps = offer.cycle == current.cycle && !self.offer.is_free();
        let (after, usage) = if keeps {
            let after = Subscription {
                plan: offer.plan,
                plan_version: offer.version,
                scheduled: None,
                ..current.clone()
            };
            (after, None)
        } else {
            let after = current.anchored(offer, now, self.zone)?;
            let period = Period { start: current.period.start, end: now };
            (after, usage(self.offer, period))
        };
        let service = Period { start: now.max(after.period.start), end: after.period.end };
        let draft = Draft {
            subscription_id: after.id,
            kind: InvoiceKind::Adjustment,
            period: service,
            credit,
            fee: fee(offer, &after, service),
            usage,
        };
        let movement = Movement::between(self.offer.monthly_minor(), offer.monthly_minor());
        Ok(Turn { at: now, change: Some(kind), after, draft: some(draft), waits: false, movement })
    }

    /// What was scheduled, at the period's end.
    fn follow(&self, offer: &Offer, at: Timestamp, kind: ChangeKind) -> Result<Turn, ChangeError> {
        let current = self.subscription;
        let after = if offer.cycle == current.cycle {
            let next = current.renewed(self.zone)?;
            Subscription { plan: offer.plan, plan_version: offer.version, scheduled: None, ..next }
        } else {
            current.anchored(offer, at, self.zone)?
        };
        let movement = Movement::between(self.offer.monthly_minor(), offer.monthly_minor());
        Ok(self.closing(offer, after, Some(kind), movement))
    }

    /// The next period of the same.
    fn renew(&self) -> Result<Turn, ChangeError> {
        let after = self.subscription.renewed(self.zone)?;
        Ok(self.closing(self.offer, after, None, None))
    }

    fn closing(
        &self,
        offer: &Offer,
        after: Subscription,
        change: Option<ChangeKind>,
        movement: Option<Movement>,
    ) -> Turn {
        let ended = self.subscription.period;
        let fee = fee(offer, &after, after.period);
        let usage = usage(self.offer, ended);
        let draft = Draft {
            subscription_id: after.id,
            kind: if offer.is_free() { InvoiceKind::Final } else { InvoiceKind::Period },
            period: if fee.is_some() { after.period } else { ended },
            credit: None,
            fee,
            usage,
        };
        Turn { at: ended.end, change, after, draft: some(draft), waits: true, movement }
    }
}

/// No fee line of nothing: what is free leaves no trace that could be taken for a billing (§4.3, 16).
fn fee(offer: &Offer, after: &Subscription, service: Period) -> Option<FeeTerm> {
    // Pay-as-you-go may begin within its calendar month; a fee, where there is one, is for the month.
    let whole = after.period;
    (offer.fee_minor > 0).then_some(FeeTerm {
        plan: offer.plan,
        version: offer.version,
        cycle: offer.cycle,
        price_minor: offer.fee_minor,
        whole,
        service,
    })
}

fn usage(offer: &Offer, period: Period) -> Option<UsageTerm> {
    (!offer.charges.is_empty() && period.start < period.end).then_some(UsageTerm {
        plan: offer.plan,
        version: offer.version,
        cycle: offer.cycle,
        period,
    })
}

fn some(draft: Draft) -> Option<Draft> {
    (!draft.is_empty()).then_some(draft)
}

fn kind(current: &Subscription, wished: &Offer) -> ChangeKind {
    match wished.plan.cmp(&current.plan) {
        std::cmp::Ordering::Greater => ChangeKind::Upgraded,
        std::cmp::Ordering::Less => ChangeKind::Downgraded,
        std::cmp::Ordering::Equal => ChangeKind::CycleChanged,
    }
}

/// Whether the change is one for the period's end: a cheaper plan, or the same in a shorter cycle (§2.4, §2.5).
/// Plans are in the catalogue's order, which is that of their prices; nothing is lost by leaving what is free.
fn waits(current: &Subscription, offer: &Offer, wished: &Offer) -> bool {
    let rank = |cycle| match cycle {
        BillingCycle::PayAsYouGo => 0,
        BillingCycle::Monthly => 1,
        BillingCycle::Yearly => 2,
    };
    let shorter = rank(wished.cycle) < rank(current.cycle);
    !offer.is_free() && (wished.plan < current.plan || (wished.plan == current.plan && shorter))
}
