//! To an owner whose tenant has used up a part of what its plan allows.

use store::mail_facts::{MemberFacts, UsageFacts};

use super::{one_line, shown, worded};

/// Says how much of what, and until when it must last.
pub(crate) struct UsageAlert {
    name: String,
    tenant: String,
    /// Of the meter, e.g. `Messages sent`.
    title: String,
    percent: u16,
    used: u64,
    limit: u64,
    ends: String,
    /// Whether requests are refused once all is used.
    stops: bool,
    link: Option<String>,
}

worded!(UsageAlert, "usage_alert.txt", "usage_alert.html");

impl UsageAlert {
    pub(crate) fn new(
        member: &MemberFacts,
        usage: &UsageFacts,
        percent: u16,
        link: Option<String>,
    ) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            title: one_line(&usage.title),
            percent,
            used: usage.used,
            limit: usage.limit,
            ends: shown(usage.period.end, member.time_zone.zone()),
            stops: usage.stops,
            link,
        }
    }

    fn subject(&self) -> String {
        format!("{}: {} % of {} used", self.tenant, self.percent, self.title.to_lowercase())
    }
}
