//! A tenant and all that the database would hold of it.

use std::collections::BTreeSet;

use anyhow::Result;
use billing::{Account, Coupon, Draft, Facts, Fee, LedgerAccount, Posting, Subscription, TaxTerms};
use domain::money::Currency;
use domain::period::Period;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::books::{Balances, Transaction, add_up};
use super::catalogue::{Catalogue, OfferPlace};
use super::documents::{Issued, Noted, Status};
use super::metered::{Metered, used};
use super::reference::History;

/// A coupon, and for how many invoices more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) coupon: Coupon,
    pub(super) left: Option<u16>,
}

/// A draft that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) draft: Draft,
    /// The period's end, or when the change was.
    pub(super) boundary: Timestamp,
    pub(super) finalize_at: Timestamp,
    /// Whose terms the use is billed by.
    pub(super) offer: OfferPlace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) place: usize,
    pub(super) zone: TimeZone,
    pub(super) subscription: Subscription,
    pub(super) offer: OfferPlace,
    pub(super) payable: bool,
    pub(super) tax: TaxTerms,
    pub(super) cap_minor: Option<i64>,
    pub(super) coupons: Vec<Held>,
    pub(super) balance_minor: i64,
    pub(super) drafts: Vec<Pending>,
    pub(super) invoices: Vec<Issued>,
    pub(super) notes: Vec<Noted>,
    /// Which line of which invoice billed the running period's fee.
    pub(super) fee: Option<(usize, u32)>,
    pub(super) metered: Metered,
    /// Its own part of the ledger.
    pub(super) ledger: Balances,
    pub(super) cash_minor: i64,
    /// Sum of its movements.
    pub(super) recurring_minor: i64,
    pub(super) has_paid: bool,
    /// Boundaries that have an invoice.
    pub(super) boundaries: BTreeSet<Timestamp>,
    /// The time that fees were billed for and not given back.
    pub(super) covered: Vec<Period>,
    /// To when it need not be covered, as its invoice was withdrawn.
    pub(super) forgiven: Option<Timestamp>,
    /// Whether its fees were never discounted, credited or withdrawn: then they add up over its life.
    pub(super) plain: bool,
    pub(super) history: History,
    /// What was found wrong, and not yet told.
    pub(super) faults: Vec<String>,
}

impl Tenant {
    /// One that just signed up.
    pub(super) fn new(
        place: usize,
        zone: TimeZone,
        subscription: Subscription,
        offer: OfferPlace,
        history: History,
    ) -> Self {
        Self {
            place,
            zone,
            subscription,
            offer,
            payable: false,
            tax: TaxTerms::none(),
            cap_minor: None,
            coupons: Vec::new(),
            balance_minor: 0,
            drafts: Vec::new(),
            invoices: Vec::new(),
            notes: Vec::new(),
            fee: None,
            metered: Metered::default(),
            ledger: Balances::new(),
            cash_minor: 0,
            recurring_minor: 0,
            has_paid: false,
            boundaries: BTreeSet::new(),
            covered: Vec::new(),
            forgiven: None,
            plain: true,
            history,
            faults: Vec::new(),
        }
    }

    pub(super) fn currency(&self) -> Currency {
        self.subscription.currency
    }

    /// The fee that was billed last, as far as it was not given back or withdrawn.
    pub(super) fn fee(&self) -> Option<Fee> {
        let (invoice, line) = self.fee?;
        self.invoices.get(invoice)?.fee(line)
    }

    /// What the engine is asked about.
    pub(super) fn account<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        fee: Option<&'a Fee>,
    ) -> Result<Account<'a>> {
        Ok(Account {
            subscription: &self.subscription,
            offer: catalogue.offer(self.offer)?,
            fee,
            zone: &self.zone,
            payable: self.payable,
        })
    }

    /// What an invoice depends on now.
    pub(super) fn facts(&self, catalogue: &Catalogue, pending: &Pending) -> Result<Facts> {
        let mut facts = Facts {
            currency: self.currency(),
            used: Vec::new(),
            late: self.metered.late(catalogue)?,
            invoiced_minor: 0,
            cap_minor: self.cap_minor,
            coupons: self.coupons.iter().map(|held| held.coupon.clone()).collect(),
            tax: self.tax.clone(),
            balance_minor: self.balance_minor,
        };
        if let Some(term) = &pending.draft.usage {
            let offer = catalogue.offer(pending.offer)?;
            let terms = (offer.plan, offer.version, offer.cycle);
            if terms != (term.plan, term.version, term.cycle) {
                anyhow::bail!(
                    "the use is billed by the terms of {term:?}, but they were {terms:?}"
                );
            }
            let counts = self.metered.counted(term.period);
            facts.used = used(offer, &counts).map(|(used, _)| used).collect();
        }
        Ok(facts)
    }

    pub(super) fn post(&mut self, transaction: &mut Transaction<'_>, posting: Posting) {
        add_up(&mut self.ledger, &posting);
        transaction.post(posting);
    }

    pub(super) fn booked_minor(&self, account: LedgerAccount) -> i64 {
        self.ledger.get(&(self.currency(), account)).copied().unwrap_or_default()
    }

    /// What is due of invoices that stand so.
    pub(super) fn due_minor(&self, status: Status) -> i64 {
        let standing = self.invoices.iter().filter(|invoice| invoice.status == status);
        standing.map(Issued::due_minor).sum()
    }

    pub(super) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}
