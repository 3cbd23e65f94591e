//! To someone whose account was signed in to from a network that it was not used from lately.

use jiff::tz::TimeZone;
use store::mail_facts::{PersonFacts, SignInFacts};

use super::{one_line, shown, worded};

/// Says when, from where and by which program, and what to do if it was not them.
pub(crate) struct SignInAlert {
    name: String,
    at: String,
    address: String,
    /// As the program named itself; empty where it did not.
    program: String,
    link: Option<String>,
}

worded!(SignInAlert, "sign_in_alert.txt", "sign_in_alert.html");

impl SignInAlert {
    pub(crate) fn new(person: &PersonFacts, sign_in: &SignInFacts, link: Option<String>) -> Self {
        Self {
            name: one_line(&person.name),
            at: shown(sign_in.at, &TimeZone::UTC),
            address: sign_in.address.map(|address| address.to_string()).unwrap_or_default(),
            program: one_line(sign_in.user_agent.as_deref().unwrap_or_default()),
            link,
        }
    }

    #[expect(clippy::unused_self, reason = "as every message's")]
    fn subject(&self) -> String {
        "New sign-in to your PyTake account".to_owned()
    }
}
