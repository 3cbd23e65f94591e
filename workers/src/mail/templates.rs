//! The texts of the messages, in plain text and HTML; `templates/` holds their words.

use askama::{DynTemplate, Template};
use jiff::Timestamp;
use store::mail_facts::{InvitationFacts, PersonFacts};

/// A message's words.
pub(crate) trait Words {
    /// The subject.
    fn subject(&self) -> String;
    /// As plain text.
    fn text(&self) -> Box<dyn DynTemplate + '_>;
    /// As HTML.
    fn html(&self) -> Box<dyn DynTemplate + '_>;
}

/// What both forms of a message say.
struct Facts<'a> {
    /// Who is addressed.
    name: String,
    /// The tenant; empty where there is none.
    tenant: String,
    /// Who invites; the tenant itself where no member did.
    inviter: String,
    link: &'a str,
    expires: String,
}

impl<'a> Facts<'a> {
    fn about(name: &str, link: &'a str) -> Self {
        Self {
            name: one_line(name),
            tenant: String::new(),
            inviter: String::new(),
            link,
            expires: String::new(),
        }
    }
}

/// To someone who is invited into a tenant.
pub(crate) struct Invitation<'a>(Facts<'a>);

#[derive(Template)]
#[template(path = "invitation.txt")]
struct InvitationText<'a>(&'a Facts<'a>);

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationHtml<'a>(&'a Facts<'a>);

impl<'a> Invitation<'a> {
    /// Names who invites, and into which tenant.
    pub(crate) fn new(facts: &InvitationFacts, link: &'a str, expires_at: Timestamp) -> Self {
        Self(Facts {
            tenant: one_line(&facts.tenant),
            inviter: one_line(facts.inviter.as_ref().unwrap_or(&facts.tenant)),
            expires: expires_at.strftime("%d %B %Y, %H:%M UTC").to_string(),
            ..Facts::about(&facts.name, link)
        })
    }
}

impl Words for Invitation<'_> {
    fn subject(&self) -> String {
        let Facts { inviter, tenant, .. } = &self.0;
        format!("{inviter} invites you to join {tenant} on PyTake")
    }

    fn text(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(InvitationText(&self.0))
    }

    fn html(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(InvitationHtml(&self.0))
    }
}

/// To someone who signed up.
pub(crate) struct VerifyEmail<'a>(Facts<'a>);

#[derive(Template)]
#[template(path = "verify_email.txt")]
struct VerifyEmailText<'a>(&'a Facts<'a>);

#[derive(Template)]
#[template(path = "verify_email.html")]
struct VerifyEmailHtml<'a>(&'a Facts<'a>);

impl<'a> VerifyEmail<'a> {
    /// Says nothing but the name: the address may not be theirs.
    pub(crate) fn new(facts: &PersonFacts, link: &'a str) -> Self {
        Self(Facts::about(&facts.name, link))
    }
}

impl Words for VerifyEmail<'_> {
    fn subject(&self) -> String {
        "Confirm your e-mail address for PyTake".to_owned()
    }

    fn text(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(VerifyEmailText(&self.0))
    }

    fn html(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(VerifyEmailHtml(&self.0))
    }
}

/// To someone who forgot their password.
pub(crate) struct ResetPassword<'a>(Facts<'a>);

#[derive(Template)]
#[template(path = "reset_password.txt")]
struct ResetPasswordText<'a>(&'a Facts<'a>);

#[derive(Template)]
#[template(path = "reset_password.html")]
struct ResetPasswordHtml<'a>(&'a Facts<'a>);

impl<'a> ResetPassword<'a> {
    /// Says nothing but the name.
    pub(crate) fn new(facts: &PersonFacts, link: &'a str) -> Self {
        Self(Facts::about(&facts.name, link))
    }
}

impl Words for ResetPassword<'_> {
    fn subject(&self) -> String {
        "Set a new PyTake password".to_owned()
    }

    fn text(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(ResetPasswordText(&self.0))
    }

    fn html(&self) -> Box<dyn DynTemplate + '_> {
        Box::new(ResetPasswordHtml(&self.0))
    }
}

/// Names come from people: no line break of theirs may start a line, or a header, of ours.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
