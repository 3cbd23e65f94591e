//! To an owner whose tenant's trial ends soon.

use store::mail_facts::{MemberFacts, TrialFacts};

use super::{one_line, shown, worded};

/// Says when, and what it costs from then on.
pub(crate) struct TrialEnding {
    name: String,
    tenant: String,
    plan: &'static str,
    ends: String,
    price: String,
    /// `month` or `year`.
    cycle: &'static str,
    link: Option<String>,
}

worded!(TrialEnding, "trial_ending.txt", "trial_ending.html");

impl TrialEnding {
    pub(crate) fn new(member: &MemberFacts, trial: &TrialFacts, link: Option<String>) -> Self {
        Self {
            name: one_line(&member.name),
            tenant: one_line(&member.tenant),
            plan: trial.plan.as_str(),
            ends: shown(trial.ends_at, member.time_zone.zone()),
            price: trial.price.to_string(),
            cycle: trial.cycle.noun(),
            link,
        }
    }

    fn subject(&self) -> String {
        format!("The trial of {} ends on {}", self.tenant, self.ends)
    }
}
