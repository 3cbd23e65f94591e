//! To an owner whose tenant's invoice is open.

use store::mail_facts::{InvoiceFacts, MemberFacts};

use super::{one_line, worded};

/// Says which invoice, how much is due, and by when.
pub(crate) struct InvoiceReminder {
    name: String,
    tenant: String,
    number: String,
    due: String,
    due_on: String,
    overdue: bool,
    link: Option<String>,
}

worded!(InvoiceReminder, "invoice_reminder.txt", "invoice_reminder.html");

impl InvoiceReminder {
    /// `days`: after the one on which it is due.
    pub(crate) fn new(
        member: &MemberFacts,
        invoice: &InvoiceFacts,
        days: i16,
        link: Option<String>,
    ) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            number: invoice.number.clone(),
            due: invoice.due.to_string(),
            due_on: invoice.due_on.strftime("%-d %B %Y").to_string(),
            overdue: days > 0,
            link,
        }
    }

    fn subject(&self) -> String {
        let when = if self.overdue { "was due on" } else { "is due on" };
        format!("Invoice {} of {} {when} {}", self.number, self.tenant, self.due_on)
    }
}
