//! To an owner: nothing gets through to a webhook endpoint of their tenant, or it was disabled for that.

use store::mail_facts::{MemberFacts, WebhookFacts};

use super::{one_line, shown, worded};

/// Says which endpoint, since when, and what becomes of its messages.
pub(crate) struct WebhookTrouble {
    name: String,
    tenant: String,
    url: String,
    since: Option<String>,
    disabled: bool,
    /// It asked for it, by answering 410.
    gone: bool,
    link: Option<String>,
}

worded!(WebhookTrouble, "webhook_trouble.txt", "webhook_trouble.html");

impl WebhookTrouble {
    pub(crate) fn new(member: &MemberFacts, facts: &WebhookFacts, link: Option<String>) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            url: one_line(&facts.url),
            since: facts.failing_since.map(|at| shown(at, member.time_zone.zone())),
            disabled: facts.disabled.is_some(),
            gone: facts.disabled.as_deref() == Some("Gone"),
            link,
        }
    }

    fn subject(&self) -> String {
        let what = if self.disabled { "was disabled" } else { "is failing" };
        format!("{}: a webhook endpoint {what}", self.tenant)
    }
}
