//! From words to a message as it is sent (RFC 5322, MIME).
//!
//! The parts are 7bit, or 8bit where a name needs it, and never quoted-printable: that would break links
//! over lines, and people and scripts copy them from the text.

use domain::id::JobId;
use lettre::address::AddressError;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};

use crate::mail::words::Words;

/// What is to be sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    address: String,
    subject: String,
    text: String,
    html: String,
}

/// A message as it is sent.
#[derive(Debug)]
pub(crate) struct Composed {
    /// Names the message: the same in each attempt.
    pub(crate) job_id: JobId,
    /// The message.
    pub(crate) email: lettre::Message,
}

/// A message cannot be put into its form.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Uncomposable {
    /// The address is none.
    #[error("the address cannot be written to: {0}")]
    Address(#[from] AddressError),
    /// Something else: a fault of ours.
    #[error("the message cannot be composed: {0}")]
    Form(#[from] lettre::error::Error),
}

impl Message {
    /// Words for someone.
    ///
    /// # Errors
    /// When a template fails: a fault of ours.
    pub(crate) fn of(address: &str, words: &impl Words) -> Result<Self, askama::Error> {
        Ok(Self {
            address: address.to_owned(),
            subject: words.subject(),
            text: words.text()?,
            html: words.html()?,
        })
    }
}

impl Message {
    /// `text` without the recipient's address, which servers like to quote: it is kept and logged.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(&self.address, "…")
    }
}

impl Composed {
    /// The message of a job, from `from`.
    ///
    /// # Errors
    /// When the address is none, or the form is at fault.
    pub(crate) fn new(
        message: &Message,
        from: &Mailbox,
        job_id: JobId,
    ) -> Result<Self, Uncomposable> {
        let email = lettre::Message::builder()
            .message_id(Some(format!("<{job_id}@{}>", from.email.domain())))
            .from(from.clone())
            .to(Mailbox::new(None, message.address.parse()?))
            .subject(message.subject.as_str())
            .multipart(
                MultiPart::alternative()
                    .singlepart(part(ContentType::TEXT_PLAIN, &message.text))
                    .singlepart(part(ContentType::TEXT_HTML, &message.html)),
            )?;
        Ok(Self { job_id, email })
    }
}

fn part(kind: ContentType, text: &str) -> SinglePart {
    let encoding = if text.is_ascii() {
        ContentTransferEncoding::SevenBit
    } else {
        ContentTransferEncoding::EightBit
    };
    // Lines end as mail's do; only a text that is encoded already keeps the encoding that we choose.
    let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
    SinglePart::builder()
        .header(kind)
        .body(Body::dangerous_pre_encoded(text.into_bytes(), encoding))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use store::mail_facts::InvitationFacts;

    use super::*;
    use crate::mail::words::Invitation;

    fn composed(tenant: &str, inviter: Option<&str>) -> String {
        let facts = InvitationFacts {
            tenant: tenant.to_owned(),
            inviter: inviter.map(str::to_owned),
            email: "bo@example.com".to_owned(),
            name: "Bo".to_owned(),
        };
        let link = format!("http://localhost:8080/invitations/accept?token=i{}", "a".repeat(75));
        let words = Invitation::new(&facts, link.clone(), Timestamp::UNIX_EPOCH);
        let message = Message::of(&facts.email, &words).unwrap();
        let from = "PyTake <no-reply@example.com>".parse().unwrap();
        let composed =
            Composed::new(&message, &from, "job_01m84mhn9zhyxjcgx1c2c8p33d".parse().unwrap())
                .unwrap();
        let text = String::from_utf8(composed.email.formatted()).unwrap();
        assert!(text.lines().any(|line| line == link), "{text}");
        text
    }

    #[test]
    fn names_tenant_and_inviter_and_keeps_the_link_whole() {
        let text = composed("Acme", Some("Ada"));
        for line in [
            "Message-ID: <job_01m84mhn9zhyxjcgx1c2c8p33d@example.com>",
            "To: bo@example.com",
            "Subject: Ada invites you to join Acme on PyTake",
            "Ada invites you to join Acme on PyTake.",
            "Content-Transfer-Encoding: 7bit",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("quoted-printable"));
    }

    #[test]
    fn a_name_starts_no_header_and_no_markup() {
        let text = composed("Acme\r\nBcc: eve@example.com", Some("<b>Zoë</b>"));
        assert!(!text.lines().any(|line| line.starts_with("Bcc:")), "{text}");
        assert!(text.contains("Content-Transfer-Encoding: 8bit"));
        assert!(text.contains("&#60;b&#62;Zoë"), "{text}");
    }

    #[test]
    fn what_a_server_says_is_kept_without_the_address() {
        let message = Message {
            address: "bo@example.com".to_owned(),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
        };
        let said = message.redact("550 5.1.1 <bo@example.com>: no such user");
        assert_eq!(said, "550 5.1.1 <…>: no such user");
    }

    #[test]
    fn without_an_inviter_the_tenant_invites() {
        assert!(
            composed("Acme", None).contains("Subject: Acme invites you to join Acme on PyTake")
        );
    }
}
