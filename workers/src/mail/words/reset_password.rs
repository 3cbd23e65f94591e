//! To someone who forgot their password.

use store::mail_facts::PersonFacts;

use super::{one_line, worded};

/// Says nothing but the name.
pub(crate) struct ResetPassword {
    name: String,
    link: String,
}

worded!(ResetPassword, "reset_password.txt", "reset_password.html");

impl ResetPassword {
    pub(crate) fn new(facts: &PersonFacts, link: String) -> Self {
        Self { name: one_line(&facts.name), link }
    }

    #[expect(clippy::unused_self, reason = "as every message's")]
    fn subject(&self) -> String {
        "Set a new PyTake password".to_owned()
    }
}
