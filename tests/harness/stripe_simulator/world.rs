//! All that there is at the simulator, and what each call does to it.

use std::collections::BTreeMap;

use domain::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::faults::Hold;
use super::objects::{Card, Dispute, Intent, Metadata, Method, Refund, Status};

/// What is kept under an idempotency key.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// It is being worked at.
    UnderWay,
    /// Its answer, for ever the same: also a failure.
    Answer(u16, Value),
}

/// Something happened to an object.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) object: Value,
}

#[derive(Debug, Default)]
pub(super) struct World {
    /// Charges are held up so.
    pub(super) hold: Option<Hold>,
    /// How many were.
    pub(super) held: u64,
    pub(super) faulty: bool,
    pub(super) faults: u64,
    pub(super) keys: BTreeMap<String, Kept>,
    pub(super) events: Vec<Event>,
    pub(super) customers: BTreeMap<String, Metadata>,
    pub(super) methods: BTreeMap<String, Method>,
    /// The card of each setting up, oldest first.
    pub(super) setups: Vec<(String, String)>,
    pub(super) intents: Vec<Intent>,
    pub(super) refunds: Vec<Refund>,
    pub(super) disputes: Vec<Dispute>,
    made: u64,
}

pub(super) type Answered = (u16, Value);

/// A refusal of a call.
pub(super) fn refuse(status: u16, code: &str, param: &str) -> Answered {
    let error = json!({
        "type": "invalid_request_error", "code": code, "param": param, "message": "simulated",
    });
    (status, json!({ "error": error }))
}

pub(super) fn missing(param: &str) -> Answered {
    refuse(404, "resource_missing", param)
}

/// Why a card was refused.
fn decline(code: &str, decline_code: &str) -> Value {
    json!({ "type": "card_error", "code": code, "decline_code": decline_code, "message": "simulated" })
}

impl World {
    pub(super) fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_simulated{:08}", self.made)
    }

    pub(super) fn now() -> i64 {
        SystemClock.now().as_second()
    }

    pub(super) fn card(&mut self, card: Card) -> String {
        let id = self.new_id("pm");
        let method = Method { card, customer: None, metadata: Metadata::new() };
        self.methods.insert(id.clone(), method);
        id
    }

    pub(super) fn age(&mut self, seconds: i64) {
        self.intents.iter_mut().for_each(|intent| intent.created -= seconds);
        self.refunds.iter_mut().for_each(|refund| refund.created -= seconds);
        self.disputes.iter_mut().for_each(|dispute| dispute.created -= seconds);
    }

    pub(super) fn beginnings(&self) -> Vec<(String, i64)> {
        let refunds = self.refunds.iter().map(|refund| (refund.id.clone(), refund.created));
        let disputes = self.disputes.iter().map(|dispute| (dispute.id.clone(), dispute.created));
        refunds.chain(disputes).collect()
    }

    pub(super) fn happened(&mut self, kind: &'static str, object: Value) {
        let id = self.new_id("evt");
        self.events.push(Event { id, kind, object });
    }

    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.intents.iter().position(|intent| intent.id == id)
    }

    pub(super) fn new_intent(&mut self, form: &BTreeMap<String, String>) -> Answered {
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        let (customer, method) = (text("customer"), text("payment_method"));
        let attached = self.methods.get(&method).and_then(|method| method.customer.as_ref());
        if attached != Some(&customer) {
            return refuse(400, "resource_missing", "payment_method");
        }
        let intent = Intent {
            id: self.new_id("pi"),
            customer,
            amount: text("amount").parse().unwrap_or_default(),
            currency: text("currency"),
            metadata: metadata(form),
            status: Status::NeedsMethod,
            error: None,
            created: Self::now(),
            captures: 0,
        };
        if intent.amount < 50 {
            return refuse(400, "amount_too_small", "amount");
        }
        self.intents.push(intent);
        self.confirm(self.intents.len() - 1, &method, true)
    }

    /// A charge is asked of its card.
    pub(super) fn confirm(&mut self, place: usize, method: &str, off_session: bool) -> Answered {
        let before = self.intents[place].status;
        if before != Status::NeedsMethod {
            return refuse(400, "payment_intent_unexpected_state", "");
        }
        let Some(method) = self.methods.get_mut(method) else { return missing("payment_method") };
        match &mut method.card {
            Card::PaysAfter(left) if *left > 0 => {
                *left -= 1;
                self.declined(place, decline("card_declined", "insufficient_funds"))
            }
            Card::Pays | Card::PaysAfter(_) => {
                self.captured(place);
                (200, self.intents[place].shown())
            }
            Card::Lost => self.declined(place, decline("card_declined", "lost_card")),
            Card::Asks if off_session => {
                self.declined(place, decline("authentication_required", "authentication_required"))
            }
            Card::Asks => {
                self.stands(place, Status::NeedsAction, "payment_intent.requires_action");
                (200, self.intents[place].shown())
            }
            Card::TakesDays => {
                self.stands(place, Status::Processing, "payment_intent.processing");
                (200, self.intents[place].shown())
            }
        }
    }

    fn stands(&mut self, place: usize, status: Status, kind: &'static str) {
        self.intents[place].status = status;
        let shown = self.intents[place].shown();
        self.happened(kind, shown);
    }

    /// The money is taken.
    pub(super) fn captured(&mut self, place: usize) {
        self.intents[place].captures += 1;
        self.intents[place].error = None;
        self.stands(place, Status::Succeeded, "payment_intent.succeeded");
        let charge = json!({
            "object": "charge", "id": format!("ch_{place}"), "payment_intent": self.intents[place].id,
        });
        self.happened("charge.succeeded", charge);
    }

    pub(super) fn declined(&mut self, place: usize, why: Value) -> Answered {
        self.intents[place].error = Some(why.clone());
        self.stands(place, Status::NeedsMethod, "payment_intent.payment_failed");
        let mut error = why;
        error["payment_intent"] = self.intents[place].shown();
        (402, json!({ "error": error }))
    }

    pub(super) fn cancel(&mut self, place: usize) -> Answered {
        match self.intents[place].status {
            Status::Succeeded | Status::Canceled | Status::Processing => {
                refuse(400, "payment_intent_unexpected_state", "")
            }
            Status::NeedsMethod | Status::NeedsAction => {
                self.stands(place, Status::Canceled, "payment_intent.canceled");
                (200, self.intents[place].shown())
            }
        }
    }

    pub(super) fn new_refund(&mut self, form: &BTreeMap<String, String>, slow: bool) -> Answered {
        let intent = form.get("payment_intent").cloned().unwrap_or_default();
        let amount: i64 = form.get("amount").and_then(|text| text.parse().ok()).unwrap_or_default();
        let Some(place) = self.place(&intent) else { return missing("payment_intent") };
        if amount <= 0 || amount > self.booked(&intent).kept() {
            return refuse(400, "charge_already_refunded", "amount");
        }
        let refund = Refund {
            id: self.new_id("re"),
            intent,
            amount,
            currency: self.intents[place].currency.clone(),
            status: if slow { "pending" } else { "succeeded" },
            metadata: metadata(form),
            created: Self::now(),
        };
        let shown = refund.shown();
        self.refunds.push(refund);
        self.happened("refund.created", shown.clone());
        (200, shown)
    }
}

/// What a form says of our keys.
pub(super) fn metadata(form: &BTreeMap<String, String>) -> Metadata {
    let named = form.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
        Some((name.to_owned(), value.clone()))
    });
    named.collect()
}
