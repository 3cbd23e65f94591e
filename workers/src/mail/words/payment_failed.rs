//! To an owner whose tenant's invoice could not be collected.

use store::mail_facts::{InvoiceFacts, MemberFacts};

use super::{one_line, worded};

/// Says which invoice, how much is due, and where to mend it.
pub(crate) struct PaymentFailed {
    name: String,
    tenant: String,
    number: String,
    due: String,
    again: bool,
    link: Option<String>,
}

worded!(PaymentFailed, "payment_failed.txt", "payment_failed.html");

impl PaymentFailed {
    /// `again`: whether it is tried again by itself.
    pub(crate) fn new(
        member: &MemberFacts,
        invoice: &InvoiceFacts,
        again: bool,
        link: Option<String>,
    ) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            number: invoice.number.clone(),
            due: invoice.due.to_string(),
            again,
            link,
        }
    }

    fn subject(&self) -> String {
        format!("Payment of invoice {} of {} failed", self.number, self.tenant)
    }
}
