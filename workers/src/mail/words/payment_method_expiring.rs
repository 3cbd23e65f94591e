//! To who pays, before a way to pay runs out.

use domain::payment::MethodLabel;
use store::mail_facts::MemberFacts;

use super::{one_line, worded};

/// Says which, and when.
pub(crate) struct PaymentMethodExpiring {
    name: String,
    tenant: String,
    method: String,
    expires_on: String,
    link: Option<String>,
}

worded!(PaymentMethodExpiring, "payment_method_expiring.txt", "payment_method_expiring.html");

impl PaymentMethodExpiring {
    /// `None` where the way to pay does not run out.
    pub(crate) fn new(
        member: &MemberFacts,
        label: &MethodLabel,
        link: Option<String>,
    ) -> Option<Self> {
        let brand = label.brand.as_deref().unwrap_or("card");
        let method = match &label.last_four {
            Some(last_four) => format!("{brand} ending in {last_four}"),
            None => brand.to_owned(),
        };
        Some(Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            method,
            expires_on: label.expires_on?.strftime("%-d %B %Y").to_string(),
            link,
        })
    }

    fn subject(&self) -> String {
        format!("The way to pay of {} is good until {}", self.tenant, self.expires_on)
    }
}
