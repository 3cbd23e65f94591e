//! To an owner whose tenant's invoice was paid.

use store::mail_facts::{InvoiceFacts, MemberFacts};

use super::{one_line, shown, worded};

/// Says which invoice, and how much.
pub(crate) struct Receipt {
    name: String,
    tenant: String,
    number: String,
    total: String,
    from: String,
    to: String,
    link: Option<String>,
}

worded!(Receipt, "receipt.txt", "receipt.html");

impl Receipt {
    pub(crate) fn new(member: &MemberFacts, invoice: &InvoiceFacts, link: Option<String>) -> Self {
        let zone = member.time_zone.zone();
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            number: invoice.number.clone(),
            total: invoice.total.to_string(),
            from: shown(invoice.period.start, zone),
            to: shown(invoice.period.end, zone),
            link,
        }
    }

    fn subject(&self) -> String {
        format!("Receipt for invoice {} of {}", self.number, self.tenant)
    }
}
