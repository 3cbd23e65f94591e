//! To who pays, whose bank wants the payment confirmed, or who pays each invoice at a provider's page.

use store::mail_facts::{InvoiceFacts, MemberFacts};

use super::{one_line, worded};

/// Says which invoice, how much is asked for, and where to confirm it.
pub(crate) struct PaymentAction {
    name: String,
    tenant: String,
    number: String,
    due: String,
    link: Option<String>,
}

worded!(PaymentAction, "payment_action.txt", "payment_action.html");

impl PaymentAction {
    /// `link`: the provider's page; else that of the account.
    pub(crate) fn new(member: &MemberFacts, invoice: &InvoiceFacts, link: Option<String>) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            number: invoice.number.clone(),
            due: invoice.due.to_string(),
            link,
        }
    }

    fn subject(&self) -> String {
        format!("Confirm the payment of invoice {} of {}", self.number, self.tenant)
    }
}
