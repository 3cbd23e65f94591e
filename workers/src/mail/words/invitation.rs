//! To someone who is invited into a tenant.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use store::mail_facts::InvitationFacts;

use super::{one_line, shown, worded};

/// Names who invites, and into which tenant.
pub(crate) struct Invitation {
    name: String,
    tenant: String,
    /// The tenant itself where no member invites.
    inviter: String,
    link: String,
    expires: String,
}

worded!(Invitation, "invitation.txt", "invitation.html");

impl Invitation {
    pub(crate) fn new(facts: &InvitationFacts, link: String, expires_at: Timestamp) -> Self {
        Self {
            name: one_line(&facts.name),
            tenant: one_line(&facts.tenant),
            inviter: one_line(facts.inviter.as_ref().unwrap_or(&facts.tenant)),
            link,
            expires: shown(expires_at, &TimeZone::UTC),
        }
    }

    fn subject(&self) -> String {
        format!("{} invites you to join {} on PyTake", self.inviter, self.tenant)
    }
}
