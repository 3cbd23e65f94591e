//! The words of the messages, one a file: what each says, its subject, and its two forms, whose texts are in `templates/`.

mod dunning;
mod invitation;
mod invoice_reminder;
mod payment_action;
mod payment_failed;
mod payment_method_expiring;
mod receipt;
mod reset_password;
mod sign_in_alert;
mod trial_ending;
mod usage_alert;
mod verify_email;
mod webhook_trouble;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) use dunning::Dunning;
pub(crate) use invitation::Invitation;
pub(crate) use invoice_reminder::InvoiceReminder;
pub(crate) use payment_action::PaymentAction;
pub(crate) use payment_failed::PaymentFailed;
pub(crate) use payment_method_expiring::PaymentMethodExpiring;
pub(crate) use receipt::Receipt;
pub(crate) use reset_password::ResetPassword;
pub(crate) use sign_in_alert::SignInAlert;
pub(crate) use trial_ending::TrialEnding;
pub(crate) use usage_alert::UsageAlert;
pub(crate) use verify_email::VerifyEmail;
pub(crate) use webhook_trouble::WebhookTrouble;

/// A message's words.
pub(crate) trait Words {
    /// The subject.
    fn subject(&self) -> String;
    /// As plain text.
    ///
    /// # Errors
    /// When the template fails: a fault of ours.
    fn text(&self) -> Result<String, askama::Error>;
    /// As HTML.
    ///
    /// # Errors
    /// As [`Self::text`].
    fn html(&self) -> Result<String, askama::Error>;
}

/// Gives a message its two forms: templates that read its fields as `it.field`, and its own `subject`.
macro_rules! worded {
    ($message:ident, $text:tt, $html:tt) => {
        const _: () = {
            #[derive(askama::Template)]
            #[template(path = $text)]
            struct Text<'a> {
                it: &'a $message,
            }

            #[derive(askama::Template)]
            #[template(path = $html)]
            struct Html<'a> {
                it: &'a $message,
                subject: String,
            }

            impl $crate::mail::words::Words for $message {
                fn subject(&self) -> String {
                    $message::subject(self)
                }

                fn text(&self) -> Result<String, askama::Error> {
                    askama::Template::render(&Text { it: self })
                }

                fn html(&self) -> Result<String, askama::Error> {
                    askama::Template::render(&Html { it: self, subject: $message::subject(self) })
                }
            }
        };
    };
}

use worded;

/// Names come from people: no line break of theirs may start a line, or a header, of ours.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A time as its reader's clock shows it.
fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%-d %B %Y, %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests;
