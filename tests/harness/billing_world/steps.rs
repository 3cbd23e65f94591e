//! What happens to a subscription, carried out as the database layer will: each step leaves the tenant changed and its
//! effects on the shared books in the transaction; whoever drops both has done nothing.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use billing::{ChangeKind, Decision, Duration, Invoice, Posting, Rule, Scheduled, Turn};
use billing::{cancel, change, close, compose, resume};
use domain::id::InvoiceId;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::books::{Series, Transaction};
use super::catalogue::{Catalogue, OfferPlace};
use super::documents::{Back, Issued, Status, print};
use super::tenant::{Pending, Tenant};

/// How long a draft waits for what comes late (§2.15).
const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// A step: the books, the catalogue and the time.
pub(super) struct Step<'a, 'b> {
    pub(super) transaction: &'a mut Transaction<'b>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) now: Timestamp,
}

impl Step<'_, '_> {
    /// Ends every period that is over, one after the other: whatever else is to be done comes after.
    pub(super) fn close_due(&mut self, tenant: &mut Tenant) -> Result<()> {
        while tenant.subscription.period.end <= self.now {
            let at = tenant.subscription.period.end;
            let currency = tenant.currency();
            let free = self.catalogue.newest(PlanName::Free, BillingCycle::Monthly, currency)?;
            let following = match tenant.subscription.scheduled.map(Scheduled::target) {
                Some((plan, cycle)) => Some(self.catalogue.newest(plan, cycle, currency)?),
                None => None,
            };
            let fee = tenant.fee();
            let account = tenant.account(self.catalogue, fee.as_ref())?;
            let offer = following.map(|place| self.catalogue.offer(place)).transpose()?;
            let turn = close(account, offer, self.catalogue.offer(free)?, self.now)?;
            let turn = turn.context("a period that is over does not close")?;
            ensure!(turn.at == at, "the period closed at {}, not at its end", turn.at);
            let after = match turn.change {
                Some(ChangeKind::TrialEnded | ChangeKind::Canceled) => free,
                _ => following.unwrap_or(tenant.offer),
            };
            tenant.history.advance(at)?;
            self.take(tenant, turn, after)?;
        }
        Ok(())
    }

    /// Turns the drafts that have waited long enough into invoices.
    pub(super) fn finalize_due(&mut self, tenant: &mut Tenant) -> Result<()> {
        let now = self.now;
        self.finalize(tenant, |pending| pending.finalize_at <= now)
    }

    fn finalize(&mut self, tenant: &mut Tenant, due: impl Fn(&Pending) -> bool) -> Result<()> {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut tenant.drafts).into_iter().partition(due);
        tenant.drafts = waiting;
        ready.iter().try_for_each(|pending| self.issue(tenant, pending))
    }

    /// Carries a customer's wish out.
    pub(super) fn wish(
        &mut self,
        tenant: &mut Tenant,
        plan: PlanName,
        cycle: BillingCycle,
    ) -> Result<()> {
        let place = self.catalogue.newest(plan, cycle, tenant.currency())?;
        // What a change gives back must have been billed.
        self.finalize(tenant, |_| true)?;
        let fee = tenant.fee();
        let account = tenant.account(self.catalogue, fee.as_ref())?;
        let decision = change(account, self.catalogue.offer(place)?, self.now)?;
        let preview = change(account, self.catalogue.offer(place)?, self.now)?;
        ensure!(decision == preview, "a preview is not what is done");
        self.carry_out(tenant, decision, place)
    }

    pub(super) fn cancel(&mut self, tenant: &mut Tenant) -> Result<()> {
        let decision = cancel(tenant.account(self.catalogue, None)?, self.now)?;
        self.carry_out(tenant, decision, tenant.offer)
    }

    pub(super) fn resume(&mut self, tenant: &mut Tenant) -> Result<()> {
        let decision = resume(tenant.account(self.catalogue, None)?, self.now)?;
        self.carry_out(tenant, decision, tenant.offer)
    }

    fn carry_out(
        &mut self,
        tenant: &mut Tenant,
        decision: Decision,
        wished: OfferPlace,
    ) -> Result<()> {
        match decision {
            Decision::Now(turn) => {
                let resumed = turn.change == Some(ChangeKind::Resumed);
                ensure!(turn.after.scheduled.is_none(), "what was scheduled outlives a change");
                let after = if resumed { tenant.offer } else { wished };
                self.take(tenant, turn, after)
            }
            Decision::AtPeriodEnd(turn) => {
                ensure!(turn.draft.is_none() && turn.movement.is_none(), "a wish costs");
                let before = &tenant.subscription;
                ensure!(turn.after.plan == before.plan && turn.after.period == before.period);
                tenant.subscription = turn.after;
                Ok(())
            }
            Decision::Unchanged => Ok(()),
            Decision::NeedsPaymentMethod => {
                ensure!(!tenant.payable, "there is a way to pay");
                Ok(())
            }
        }
    }

    /// Makes the tenant what it is after a turn, with its new offer.
    fn take(&mut self, tenant: &mut Tenant, turn: Turn, offer: OfferPlace) -> Result<()> {
        let known = self.catalogue.offer(offer)?;
        let after = &turn.after;
        ensure!(
            (known.plan, known.version, known.cycle)
                == (after.plan, after.plan_version, after.cycle),
            "the subscription is on {} {}, the offer is {} {}",
            after.plan,
            after.cycle,
            known.plan,
            known.cycle,
        );
        let begins = !matches!(turn.change, None | Some(ChangeKind::Resumed));
        let trial = tenant.subscription.is_trialing();
        if begins && trial && !tenant.payable && !known.is_free() {
            tenant.fault("a trial became a debt".into());
        }
        if let Some(movement) = turn.movement {
            self.transaction.moved(tenant.currency(), movement, tenant.has_paid);
            tenant.recurring_minor += movement.delta_minor();
            tenant.has_paid |= movement.to_minor > 0;
        }
        if begins {
            tenant.history.took(turn.at, offer, known)?;
            tenant.forgiven = tenant.forgiven.min(Some(turn.at));
        }
        let before = std::mem::replace(&mut tenant.offer, offer);
        tenant.subscription = turn.after;
        let Some(draft) = turn.draft else { return Ok(()) };
        let finalize_at = if turn.waits { turn.at + GRACE } else { turn.at };
        let pending = Pending { draft, boundary: turn.at, finalize_at, offer: before };
        if turn.waits {
            tenant.drafts.push(pending);
            return Ok(());
        }
        self.issue(tenant, &pending)
    }

    /// Makes an invoice of a draft.
    fn issue(&mut self, tenant: &mut Tenant, pending: &Pending) -> Result<()> {
        let facts = tenant.facts(self.catalogue, pending)?;
        let invoice = compose(&pending.draft, &facts)?;
        ensure!(compose(&pending.draft, &facts)? == invoice, "a preview is not what is billed");
        let period = pending.draft.usage.as_ref().map(|term| term.period);
        tenant.metered.bill(period, pending.offer, facts.cap_minor)?;
        if let Some(credit) = &pending.draft.credit {
            tenant.uncover(credit.unused.start);
        }
        if let Some(invoice) = invoice {
            tenant.plain &= facts.coupons.is_empty();
            let found = tenant.compare(self.catalogue, pending, &facts, &invoice)?;
            tenant.faults.extend(found);
            self.book(tenant, pending, invoice)?;
        }
        Ok(())
    }

    fn book(&mut self, tenant: &mut Tenant, pending: &Pending, invoice: Invoice) -> Result<()> {
        let number = self.transaction.number(Series::Invoices, self.now);
        tenant.post(self.transaction, Posting::invoice(&invoice));
        tenant.balance_minor -= invoice.credit_applied_minor;
        tenant.use_up(&invoice.coupons_used)?;
        tenant.mark_boundary(pending);
        let place = tenant.invoices.len();
        let id = (u128::try_from(tenant.place)? << 64) | u128::try_from(place)?;
        for (line, number) in invoice.lines.iter().zip(1..) {
            match &line.rule {
                Rule::Credit { invoice_id, line: of } => {
                    tenant.give_back(*invoice_id, *of, line.net_minor, line.tax_minor)?;
                }
                Rule::Fee(term) => {
                    tenant.fee = Some((place, number));
                    tenant.cover(self.catalogue, term.service)?;
                }
                Rule::Usage { charge, .. } | Rule::LateUsage { charge, .. } => {
                    let start = line.period.start;
                    tenant.metered.came_to(start, charge.meter.as_str(), line.amount_minor);
                }
                Rule::SpendingCap { .. } => {
                    tenant.metered.goes_beyond(line.period.start, line.amount_minor);
                }
                _ => {}
            }
        }
        let credits = pending.draft.credit.is_some() && pending.draft.fee.is_none();
        tenant.fee = tenant.fee.filter(|_| !credits);
        let status = if invoice.due_minor == 0 { Status::Paid } else { Status::Open };
        tenant.invoices.push(Issued {
            id: InvoiceId::from_uuid(Uuid::from_u128(id)),
            number,
            at: self.now,
            print: print(&invoice),
            back: vec![Back::default(); invoice.lines.len()],
            invoice: Arc::new(invoice),
            status,
            paid_minor: 0,
            offset_minor: 0,
            noted_minor: 0,
        });
        Ok(())
    }
}

impl Tenant {
    fn use_up(&mut self, codes: &[String]) -> Result<()> {
        for code in codes {
            let held = self.coupons.iter_mut().find(|held| held.coupon.code == *code);
            let held = held.context("a coupon was used that nobody has")?;
            ensure!(held.coupon.duration != Duration::Forever, "a coupon for good was used up");
            held.left = held.left.map(|left| left.saturating_sub(1));
        }
        self.coupons.retain(|held| held.left != Some(0));
        Ok(())
    }

    /// One invoice a boundary (§4.2, 8).
    fn mark_boundary(&mut self, pending: &Pending) {
        use billing::InvoiceKind::{Final, Period};
        if !matches!(pending.draft.kind, Period | Final) {
            return;
        }
        if !self.boundaries.insert(pending.boundary) {
            self.fault(format!("two invoices for the boundary {}", pending.boundary));
        }
    }

    fn give_back(
        &mut self,
        id: InvoiceId,
        line: u32,
        net_minor: i64,
        tax_minor: i64,
    ) -> Result<()> {
        let found = self.invoices.iter_mut().find(|invoice| invoice.id == id);
        let back = found.and_then(|invoice| invoice.back_of(line)).context("no such line")?;
        back.returned.net_minor -= net_minor;
        back.returned.tax_minor -= tax_minor;
        Ok(())
    }

    /// From `now` on, nothing is billed any more.
    fn uncover(&mut self, now: Timestamp) {
        if let Some(last) = self.covered.last_mut() {
            last.end = last.end.min(now);
        }
    }

    /// Billed time begins where billed time ended (§4.2, 2).
    fn cover(&mut self, catalogue: &Catalogue, service: Period) -> Result<()> {
        let covered = self.covered.last().map(|period| period.end);
        if covered.is_some_and(|end| end > service.start) {
            self.fault(format!("the time from {} on is billed twice", service.start));
        }
        let from = covered.max(self.forgiven);
        let hole = self.history.worth_minor(catalogue, from, service.start)?;
        if hole > 0 {
            self.fault(format!("a hole before {}, worth {hole}", service.start));
        }
        self.covered.push(service);
        Ok(())
    }
}
