//! A tenant whose life the tests tell: it does with the engine's answers what the database would.

use domain::id::{InvoiceId, SubscriptionId};
use domain::money::Currency;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::{
    Account, ChangeKind, Charge, Coupon, Decision, Discount, Duration, Facts, Fee, Invoice, Offer,
    Rule, Subscription, SubscriptionStatus, TaxCategory, TaxRate, TaxTerms, Turn, Used, cancel,
    change, close, compose, fragment,
};

pub(super) use BillingCycle::{Monthly, PayAsYouGo, Yearly};
pub(super) use PlanName::{Enterprise, Free, Pro, Starter};

/// The instant that `text` names; a date alone is its midnight in UTC.
pub(super) fn at(text: &str) -> Timestamp {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    text.parse().unwrap()
}

pub(super) fn span(start: &str, end: &str) -> Period {
    Period { start: at(start), end: at(end) }
}

pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The plans of the specification; a year costs ten months.
pub(super) fn offer(plan: PlanName, cycle: BillingCycle) -> Offer {
    let monthly = match plan {
        Free => 0,
        Starter => 2_900,
        Pro => 9_900,
        Enterprise => 29_900,
    };
    let fee_minor = match cycle {
        Monthly => monthly,
        Yearly => monthly * 10,
        PayAsYouGo => 0,
    };
    Offer { plan, version: 1, cycle, currency: Currency::USD, fee_minor, charges: Vec::new() }
}

pub(super) fn charge(text: &str) -> Charge {
    #[derive(serde::Deserialize)]
    struct File {
        charge: Charge,
    }
    let text = format!("charge = {{ meter = \"messages\", {text} }}");
    toml::from_str::<File>(&text).unwrap().charge
}

/// §2.7: 10,000 included, then $0.0047 each.
pub(super) fn overage() -> Charge {
    charge(r#"included = 10_000, model = "per_unit", unit = "0.0047""#)
}

pub(super) fn messages(charge: Charge, quantity: u64) -> Used {
    Used { charge, title: "Messages sent".to_owned(), unit: "message".to_owned(), quantity }
}

pub(super) fn vat(per_cent: &str, inclusive: bool) -> TaxTerms {
    TaxTerms {
        category: TaxCategory::Standard,
        rate: per_cent.parse::<TaxRate>().unwrap(),
        inclusive,
        jurisdiction: Some("DE".to_owned()),
        note: None,
    }
}

pub(super) fn percent_off(code: &str, hundredths: u16, duration: Duration) -> Coupon {
    let discount = Discount::Percent(hundredths.try_into().unwrap());
    Coupon { code: code.to_owned(), discount, duration }
}

pub(super) fn amount_off(code: &str, amount_minor: i64, duration: Duration) -> Coupon {
    let discount = Discount::Amount { amount_minor, currency: Currency::USD };
    Coupon { code: code.to_owned(), discount, duration }
}

#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) subscription: Subscription,
    pub(super) offer: Offer,
    pub(super) fee: Option<Fee>,
    pub(super) zone: TimeZone,
    pub(super) payable: bool,
    pub(super) facts: Facts,
    pub(super) invoices: Vec<Invoice>,
}

impl Tenant {
    /// On `offer` since `start`, with its first period paid for.
    pub(super) fn on(offer: Offer, start: &str, zone: TimeZone) -> Self {
        let mut tenant = Self::trial_of(offer, start, start, zone);
        let turn = tenant.close_at(tenant.subscription.period.end).unwrap();
        tenant.carry_out(&turn);
        tenant
    }

    /// On trial of `offer`.
    pub(super) fn trial_of(offer: Offer, start: &str, end: &str, zone: TimeZone) -> Self {
        let ends_at = at(end);
        let subscription = Subscription {
            id: SubscriptionId::from_uuid(Uuid::from_u128(1)),
            plan: offer.plan,
            plan_version: offer.version,
            cycle: offer.cycle,
            currency: offer.currency,
            status: SubscriptionStatus::Trialing { ends_at },
            started_at: at(start),
            anchor: at(start),
            period_index: 0,
            period: Period { start: at(start), end: ends_at },
            scheduled: None,
        };
        let facts = facts(offer.currency);
        let (fee, invoices) = (None, Vec::new());
        Self { subscription, offer, fee, zone, payable: true, facts, invoices }
    }

    pub(super) fn account(&self) -> Account<'_> {
        Account {
            subscription: &self.subscription,
            offer: &self.offer,
            fee: self.fee.as_ref(),
            zone: &self.zone,
            payable: self.payable,
        }
    }

    pub(super) fn decide(&self, wished: &Offer, now: &str) -> Decision {
        change(self.account(), wished, at(now)).unwrap()
    }

    /// What the wish brings at once, carried out.
    pub(super) fn switch(&mut self, wished: &Offer, now: &str) -> (Turn, Option<Invoice>) {
        let decision = self.decide(wished, now);
        let Decision::Now(turn) = decision else { panic!("not at once: {decision:?}") };
        self.offer = wished.clone();
        let invoice = self.carry_out(&turn);
        (turn, invoice)
    }

    /// What the wish brings at the period's end, carried out: it is scheduled.
    pub(super) fn schedule(&mut self, wished: &Offer, now: &str) -> ChangeKind {
        let decision = self.decide(wished, now);
        let Decision::AtPeriodEnd(turn) = decision else { panic!("at once: {decision:?}") };
        assert_eq!((&turn.draft, turn.movement), (&None, None), "nothing is billed for a wish");
        self.subscription = turn.after;
        turn.change.unwrap()
    }

    pub(super) fn cancel(&mut self, now: &str) {
        let decision = cancel(self.account(), at(now)).unwrap();
        let Decision::AtPeriodEnd(turn) = decision else { panic!("not scheduled: {decision:?}") };
        self.subscription = turn.after;
    }

    fn close_at(&self, now: Timestamp) -> Option<Turn> {
        let following = self.subscription.scheduled.map(|scheduled| {
            let (plan, cycle) = scheduled.target();
            offer(plan, cycle)
        });
        close(self.account(), following.as_ref(), &offer(Free, Monthly), now).unwrap()
    }

    /// The end of the running period, carried out.
    pub(super) fn close(&mut self) -> (Turn, Option<Invoice>) {
        let turn = self.close_at(self.subscription.period.end).unwrap();
        let after = (turn.after.plan, turn.after.cycle);
        // Use is billed at the terms of the period that ended; the facts have them.
        let invoice = self.carry_out(&turn);
        if after != (self.offer.plan, self.offer.cycle) {
            self.offer = offer(after.0, after.1);
        }
        (turn, invoice)
    }

    /// Keeps what the step leaves, and bills it.
    pub(super) fn carry_out(&mut self, turn: &Turn) -> Option<Invoice> {
        self.subscription = turn.after.clone();
        let invoice = compose(turn.draft.as_ref()?, &self.facts).unwrap()?;
        self.fee = fee_of(&invoice, self.invoices.len() + 1);
        self.invoices.push(invoice.clone());
        Some(invoice)
    }
}

/// Nothing used, nothing off, no tax.
pub(super) fn facts(currency: Currency) -> Facts {
    Facts {
        currency,
        used: Vec::new(),
        late: Vec::new(),
        invoiced_minor: 0,
        cap_minor: None,
        coupons: Vec::new(),
        tax: TaxTerms::none(),
        balance_minor: 0,
    }
}

/// The fee that invoice number `number` billed.
pub(super) fn fee_of(invoice: &Invoice, number: usize) -> Option<Fee> {
    let found = invoice.lines.iter().zip(1..).find_map(|(line, place)| match &line.rule {
        Rule::Fee(term) => Some((line, place, term)),
        _ => None,
    });
    let (line, place, term) = found?;
    Some(Fee {
        invoice_id: InvoiceId::from_uuid(Uuid::from_u128(number as u128)),
        invoice_number: format!("INV-2026-{number:06}"),
        line: place,
        plan: term.plan,
        cycle: term.cycle,
        price_minor: term.price_minor,
        whole: term.whole,
        service: term.service,
        gross_minor: line.amount_minor,
        discount_minor: line.discount_minor,
        credited_minor: 0,
        tax: line.tax.clone(),
    })
}

/// A fee of `price_minor` for `service` of `whole`, billed in full, without discount or tax.
pub(super) fn billed(price_minor: i64, whole: Period, service: Period) -> Fee {
    Fee {
        invoice_id: InvoiceId::from_uuid(Uuid::from_u128(1)),
        invoice_number: "INV-2026-000001".to_owned(),
        line: 1,
        plan: Starter,
        cycle: Monthly,
        price_minor,
        whole,
        service,
        gross_minor: fragment(price_minor, whole, service).unwrap(),
        discount_minor: 0,
        credited_minor: 0,
        tax: TaxTerms::none(),
    }
}

/// The lines' amounts.
pub(super) fn amounts(invoice: &Invoice) -> Vec<i64> {
    invoice.lines.iter().map(|line| line.amount_minor).collect()
}
