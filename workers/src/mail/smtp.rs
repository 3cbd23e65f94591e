//! Mail by SMTP, over a few connections that are kept.

use std::time::Duration;

use anyhow::Context;
use domain::secret::Secret;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::transport::smtp::{Error, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use crate::mail::message::Composed;
use crate::mail::outbox::SendError;

/// For each step of the exchange with the server.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections of this process.
const CONNECTIONS_MAX: u32 = 8;

/// The connections.
#[derive(Debug)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Smtp {
    /// Connects when first used.
    pub(crate) fn open(url: &Secret<String>) -> anyhow::Result<Self> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .context("settings: mail.smtp_url")?
            .timeout(Some(STEP_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS_MAX))
            .build();
        Ok(Self { transport })
    }

    /// Hands the message to the server.
    pub(crate) async fn send(&self, message: &Composed) -> Result<(), SendError> {
        match self.transport.send(message.email.clone()).await {
            Ok(_) => Ok(()),
            Err(error) if is_final(&error) => Err(SendError::Refused(error.to_string())),
            Err(error) if error.is_transient() => Err(SendError::Deferred(error.to_string())),
            Err(error) => Err(SendError::Later(describe(&error))),
        }
    }
}

fn is_final(error: &Error) -> bool {
    error.is_permanent() && error.status().is_some_and(is_about_the_message)
}

/// 55x is said of a message or its recipient. 50x and 53x are said of us (a wrong password, a missing
/// login): mended by an operator, and no reason to lose mail.
const fn is_about_the_message(code: Code) -> bool {
    matches!(code.severity, Severity::PermanentNegativeCompletion)
        && matches!(code.category, Category::MailSystem)
}

/// With what lies below: "Connection error" alone helps nobody.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text = format!("{text}: {below}");
        source = below.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use lettre::transport::smtp::response::Detail;

    use super::*;

    #[test]
    fn only_what_is_said_of_the_message_is_final() {
        let code = |severity, category, detail| Code { severity, category, detail };
        let permanent = Severity::PermanentNegativeCompletion;
        assert!(is_about_the_message(code(permanent, Category::MailSystem, Detail::Zero)));
        let wrong_password = code(permanent, Category::Unspecified3, Detail::Five);
        assert!(!is_about_the_message(wrong_password));
        let busy = code(Severity::TransientNegativeCompletion, Category::MailSystem, Detail::Zero);
        assert!(!is_about_the_message(busy));
    }
}
