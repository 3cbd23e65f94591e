//! What happens at the simulator by itself: banks decide, owners confirm, payers dispute.

use serde_json::json;

use super::objects::{Dispute, Intent, Metadata, Status};
use super::world::World;

/// In seconds.
const RETURNED_WITHIN: i64 = 30 * 24 * 3600;

/// What happens at a provider without anybody here having asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The payer disputes the last payment.
    Disputes,
    /// A dispute is decided for us.
    Wins,
    /// A dispute is decided against us.
    Loses,
    /// The bank sends a refund back.
    SendsBack,
    /// What took days is paid.
    Pays,
    /// The last payment is of another amount than was said.
    Differs(i64),
    /// Somebody else takes so much with the same account.
    TakenByAnother(i64),
}

impl World {
    pub(super) fn happens(&mut self, tenant: &str, what: Move) {
        let of = |one: &str| self.is_of(one, tenant);
        let dispute = self.disputes.iter().rposition(|dispute| of(&dispute.intent));
        let refund = self.refunds.iter().rposition(|refund| of(&refund.intent));
        let intent = self.intents.iter().rposition(|intent| intent.is_of(tenant));
        match (what, dispute, refund, intent) {
            (Move::Disputes, ..) => self.dispute(tenant),
            (Move::Wins, Some(place), ..) => self.close(place, true),
            (Move::Loses, Some(place), ..) => self.close(place, false),
            (Move::SendsBack, _, Some(place), _) => self.end_refund(place, false),
            (Move::Pays, .., Some(place)) => self.decide(place, true),
            (Move::Differs(amount), .., Some(place)) => self.intents[place].amount = amount,
            (Move::TakenByAnother(amount), ..) => self.taken_by_another(amount),
            (..) => panic!("{what:?}: nothing is there"),
        }
    }

    fn taken_by_another(&mut self, amount: i64) {
        let intent = Intent {
            id: self.new_id("pi"),
            customer: self.new_id("cus"),
            amount,
            currency: "usd".to_owned(),
            metadata: Metadata::new(),
            status: Status::Succeeded,
            error: None,
            created: Self::now(),
            captures: 1,
        };
        self.intents.push(intent);
    }

    /// Something of a tenant's that is waited for is decided, or something paid is disputed.
    pub(super) fn moves(&mut self, tenant: &str, choice: u32) {
        let (which, luck) = (choice % 16, choice / 16 % 10);
        let waiting = self.intents.iter().position(|intent| {
            intent.is_of(tenant)
                && matches!(intent.status, Status::Processing | Status::NeedsAction)
        });
        let open = self.disputes.iter().position(|dispute| {
            dispute.status == "needs_response" && self.is_of(&dispute.intent, tenant)
        });
        let back = self.refunds.iter().position(|refund| {
            self.is_of(&refund.intent, tenant)
                // Banks send back, now and then, what has arrived: within a month.
                && (refund.status == "pending"
                    || refund.status == "succeeded" && luck == 0 && refund.created > Self::now() - RETURNED_WITHIN)
        });
        match (which, waiting, open, back) {
            (0..9, Some(place), ..) => self.decide(place, luck < 7),
            (0..12, _, Some(place), _) => self.close(place, luck < 5),
            (0..14, .., Some(place)) => self.end_refund(place, luck > 2),
            (12.., ..) => self.dispute(tenant),
            _ => {}
        }
    }

    fn is_of(&self, intent: &str, tenant: &str) -> bool {
        self.place(intent).is_some_and(|place| self.intents[place].is_of(tenant))
    }

    fn decide(&mut self, place: usize, well: bool) {
        if well {
            self.captured(place);
        } else {
            let code = match self.intents[place].status {
                Status::NeedsAction => "payment_intent_authentication_failure",
                _ => "card_declined",
            };
            let why = json!({ "type": "card_error", "code": code, "message": "simulated" });
            let _ = self.declined(place, why);
        }
    }

    /// The payer disputes a payment: all that is left of it is held back.
    fn dispute(&mut self, tenant: &str) {
        let paid = self.intents.iter().rev().find(|intent| {
            intent.is_of(tenant)
                && intent.status == Status::Succeeded
                && self.disputes.iter().all(|dispute| dispute.intent != intent.id)
        });
        let Some(intent) = paid else { return };
        let (intent, currency) = (intent.id.clone(), intent.currency.clone());
        let amount = self.booked(&intent).kept();
        if amount <= 0 {
            return;
        }
        let (id, created) = (self.new_id("dp"), Self::now());
        let dispute = Dispute { id, intent, amount, currency, status: "needs_response", created };
        let shown = dispute.shown(None);
        self.disputes.push(dispute);
        self.happened("charge.dispute.created", shown);
    }

    fn close(&mut self, place: usize, won: bool) {
        self.disputes[place].status = if won { "won" } else { "lost" };
        let shown = self.disputes[place].shown(None);
        self.happened("charge.dispute.closed", shown);
    }

    fn end_refund(&mut self, place: usize, well: bool) {
        self.refunds[place].status = if well { "succeeded" } else { "failed" };
        let shown = self.refunds[place].shown();
        self.happened("refund.updated", shown);
    }

    /// Nothing is waited for any more.
    pub(super) fn settles_all(&mut self, choice: u32) {
        let luck = |place: usize| (choice >> (place % 29)) & 3 != 0;
        for place in 0..self.intents.len() {
            if matches!(self.intents[place].status, Status::Processing | Status::NeedsAction) {
                self.decide(place, luck(place));
            }
        }
        for place in 0..self.refunds.len() {
            if self.refunds[place].status == "pending" {
                self.end_refund(place, luck(place));
            }
        }
        for place in 0..self.disputes.len() {
            if self.disputes[place].status == "needs_response" && luck(place) {
                self.close(place, luck(place + 1));
            }
        }
    }
}
