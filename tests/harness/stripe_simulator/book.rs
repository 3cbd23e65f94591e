//! The simulator's own book: what of each charge was taken, given back and held back.

use super::world::World;

/// The money of one charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// Its id.
    pub reference: String,
    /// Our key of it: tenant, invoice and attempt.
    pub key: String,
    /// How much was taken.
    pub captured: i64,
    /// How often.
    pub captures: u32,
    /// How much has gone back, or is on its way.
    pub refunded: i64,
    /// How much is held back, or was lost.
    pub disputed: i64,
}

impl Booked {
    /// Whose.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.key.split('/').next().unwrap_or_default()
    }

    /// Of which invoice.
    #[must_use]
    pub fn invoice(&self) -> &str {
        self.key.split('/').nth(1).unwrap_or_default()
    }

    /// What is left of it.
    #[must_use]
    pub const fn kept(&self) -> i64 {
        self.captured - self.refunded - self.disputed
    }
}

impl World {
    pub(super) fn book(&self) -> Vec<Booked> {
        self.intents.iter().map(|intent| self.booked(&intent.id)).collect()
    }

    pub(super) fn booked(&self, id: &str) -> Booked {
        let found = self.intents.iter().find(|intent| intent.id == id);
        let (captures, amount, key) = found.map_or((0, 0, None), |intent| {
            (intent.captures, intent.amount, intent.metadata.get("pytake").cloned())
        });
        let back = |refund: &&super::objects::Refund| {
            refund.intent == id && !matches!(refund.status, "failed" | "canceled")
        };
        let held =
            |dispute: &&super::objects::Dispute| dispute.intent == id && dispute.status != "won";
        Booked {
            reference: id.to_owned(),
            key: key.unwrap_or_default(),
            captured: i64::from(captures) * amount,
            captures,
            refunded: self.refunds.iter().filter(back).map(|refund| refund.amount).sum(),
            disputed: self.disputes.iter().filter(held).map(|dispute| dispute.amount).sum(),
        }
    }
}
