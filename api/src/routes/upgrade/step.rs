//! What becomes of a wish: the same for the preview and for the change.

use std::sync::Arc;

use billing::{Decision, Offer, Turn};
use domain::faults::Faults;
use domain::id::InvoiceId;
use domain::problem::ProblemKind;
use domain::standing::Access;
use jiff::{SignedDuration, Timestamp};
use store::TenantTx;
use store::billing::account::Loaded;
use store::catalogue::{self, PlanVersion};

use super::Wish;
use crate::account;
use crate::app::App;
use crate::problem::Problem;
use crate::routes::usage;
use crate::routes::usage::meters::OverLimitBody;
use crate::ways_to_pay;

/// How old a preview may be that the charge is to equal.
const PREVIEW_AGE_MAX: SignedDuration = SignedDuration::from_mins(15);

/// What is to be done.
pub(super) struct Step {
    /// The subscription before it.
    pub(super) loaded: Loaded,
    /// Which state of it the caller may have seen.
    pub(super) version: i64,
    /// What is wished.
    pub(super) offer: Offer,
    /// The step.
    pub(super) turn: Turn,
    /// The instant at which it is reckoned.
    pub(super) at: Timestamp,
    /// The tenant's time.
    pub(super) now: Timestamp,
    /// Invoices of drafts that came before it.
    pub(super) billed_before: Vec<InvoiceId>,
    /// What there is more of than the wished plan allows.
    pub(super) over_limit: Vec<OverLimitBody>,
}

impl Step {
    /// Refuses a cheaper plan that allows less than there is, unless that is accepted.
    pub(super) fn check_limits(&self, wish: &Wish) -> Result<(), Problem> {
        let cheaper = wish.plan < self.loaded.running.plan;
        if !cheaper || wish.accept_over_limit || self.over_limit.is_empty() {
            return Ok(());
        }
        let mut faults = Faults::new();
        for OverLimitBody { limit, used, allowed } in &self.over_limit {
            faults.push("/new_plan", format!("allows {allowed} of `{limit}`; there are {used}"));
        }
        let detail = "The plan allows less than there is; remove what is listed in `errors`, or send \
            `\"accept_over_limit\": true`.";
        Err(Problem::new(ProblemKind::PlanLimitReached, detail).because_of(faults))
    }
}

impl Step {
    /// Whoever is suspended because nothing was paid first pays.
    pub(super) fn check_standing(&self) -> Result<(), Problem> {
        let suspended = self.loaded.running.standing.access() != Access::Full;
        if !suspended || self.turn.draft.is_none() {
            return Ok(());
        }
        let detail = "Something is not paid, and nothing more is billed before it is; pay what is open first.";
        Err(Problem::new(ProblemKind::PaymentRequired, detail))
    }
}

/// Decides on `wish`. `payable`: whether there is a way to pay beside the one on file.
pub(super) async fn decide(
    app: &App,
    tx: &mut TenantTx,
    wish: &Wish,
    payable: bool,
) -> Result<Step, Problem> {
    let (loaded, now) = account::load(app, tx).await?;
    let version = loaded.running.version;
    wish.check_version(version)?;
    let at = wish.instant(app, &loaded, now)?;
    let (plan, offer) = offered(app, tx, wish, &loaded).await?;
    let decide = |loaded: &Loaded| {
        let on_file = ways_to_pay::pays_for(app, &loaded.running, wish.plan);
        let account = loaded.account(payable || on_file);
        accept(billing::change(account, &offer, at).map_err(Problem::internal)?)
    };

    let turn = decide(&loaded)?;
    let over_limit = usage::over_limits(tx, &loaded.running, &plan.terms).await?;
    let step = Step {
        loaded,
        version,
        offer: offer.clone(),
        turn,
        at,
        now,
        billed_before: Vec::new(),
        over_limit,
    };
    if step.turn.draft.is_none() {
        return Ok(step);
    }
    let billed_before = account::bill_drafts(app, tx, &step.loaded, now).await?;
    if billed_before.is_empty() {
        return Ok(step);
    }
    // What they have billed can be given back now.
    let (loaded, _) = account::load(app, tx).await?;
    Ok(Step { turn: decide(&loaded)?, loaded, billed_before, ..step })
}

/// What the wished plan offers today.
async fn offered(
    app: &App,
    tx: &mut TenantTx,
    wish: &Wish,
    loaded: &Loaded,
) -> Result<(Arc<PlanVersion>, Offer), Problem> {
    let newest = catalogue::newest_version(tx, wish.plan).await?;
    let plan = app.books.version(tx, wish.plan, newest).await?;
    let cycle = wish.cycle.unwrap_or(loaded.running.cycle);
    match plan.offer(cycle, loaded.running.currency) {
        Some(offer) => Ok((plan, offer)),
        None => {
            Err(fault("/billing_cycle", "is not offered for this plan; see `GET /api/v1/plans`"))
        }
    }
}

/// The step, or why there is none.
fn accept(decision: Decision) -> Result<Turn, Problem> {
    match decision {
        Decision::Now(turn) | Decision::AtPeriodEnd(turn) => Ok(turn),
        Decision::Unchanged => Err(Problem::new(
            ProblemKind::Conflict,
            "The tenant has this plan and billing cycle already, or will from the period's end.",
        )),
        Decision::NeedsPaymentMethod => Err(Problem::new(
            ProblemKind::PaymentMethodRequired,
            "This plan costs money; send `payment_method` with the provider's reference.",
        )),
    }
}

impl Wish {
    fn check_version(&self, version: i64) -> Result<(), Problem> {
        if self.subscription_version.is_none_or(|seen| seen == version) {
            return Ok(());
        }
        let detail = "The subscription was changed since the preview; ask for another one.";
        Err(Problem::new(ProblemKind::Conflict, detail))
    }

    /// The instant at which the change is reckoned: now, or that of the preview.
    fn instant(&self, app: &App, loaded: &Loaded, now: Timestamp) -> Result<Timestamp, Problem> {
        let Some(at) = self.proration_date else { return Ok(now) };
        let period = loaded.running.period;
        let last_change = loaded.fee.as_ref().map_or(period.start, |fee| fee.service.start);
        // What is billed today is taxed as of today.
        let zone = &app.books.terms.issuer.time_zone;
        let refused = |detail| Err(fault("/proration_date", detail));
        if at > now {
            refused("must not lie ahead")
        } else if now.duration_since(at) > PREVIEW_AGE_MAX || zone.day_of(at) != zone.day_of(now) {
            refused("is too long ago; ask for another preview")
        } else if at < period.start || (last_change < period.end && at < last_change) {
            refused("lies before the subscription's last change; ask for another preview")
        } else {
            Ok(at)
        }
    }
}

fn fault(pointer: &str, detail: &str) -> Problem {
    let mut faults = Faults::new();
    faults.push(pointer, detail);
    faults.into()
}
