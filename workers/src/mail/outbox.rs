//! The way out of a message: a file each, for local use, or SMTP.

use anyhow::Context;
use lettre::message::Mailbox;
use settings::{Mail, MailTransport};

use crate::mail::files::Files;
use crate::mail::message::Composed;
use crate::mail::smtp::Smtp;

/// The way out.
#[derive(Debug)]
pub(crate) struct Outbox {
    from: Mailbox,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Files(Files),
    Smtp(Smtp),
}

/// A message did not get out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The message or its recipient was refused for good.
    #[error("refused: {0}")]
    Refused(String),
    /// The server asks to be tried later; greylisting does so for minutes.
    #[error("not taken yet: {0}")]
    Deferred(String),
    /// It may work at any time.
    #[error("not sent: {0}")]
    Later(String),
}

impl Outbox {
    /// By the settings.
    pub(crate) fn open(mail: &Mail) -> anyhow::Result<Self> {
        let from = mail.from.parse().context("settings: mail.from is no address")?;
        let way = match mail.transport {
            MailTransport::File => Way::Files(Files::open(&mail.dir)?),
            MailTransport::Smtp => Way::Smtp(Smtp::open(&mail.smtp_url)?),
        };
        Ok(Self { from, way })
    }

    /// Sender of every message.
    pub(crate) const fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Sends.
    ///
    /// # Errors
    /// Why it did not get out.
    pub(crate) async fn send(&self, message: &Composed) -> Result<(), SendError> {
        match &self.way {
            Way::Files(files) => files.put(message).await,
            Way::Smtp(smtp) => smtp.send(message).await,
        }
    }
}
