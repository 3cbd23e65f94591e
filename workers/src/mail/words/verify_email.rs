//! To someone who signed up.

use store::mail_facts::PersonFacts;

use super::{one_line, worded};

/// Says nothing but the name: the address may not be theirs.
pub(crate) struct VerifyEmail {
    name: String,
    link: String,
}

worded!(VerifyEmail, "verify_email.txt", "verify_email.html");

impl VerifyEmail {
    pub(crate) fn new(facts: &PersonFacts, link: String) -> Self {
        Self { name: one_line(&facts.name), link }
    }

    #[expect(clippy::unused_self, reason = "as every message's")]
    fn subject(&self) -> String {
        "Confirm your e-mail address for PyTake".to_owned()
    }
}
