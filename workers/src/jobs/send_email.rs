//! `SendEmail`: looks up what the message says, makes its link, sends it; or drops it when it is no longer true.
//!
//! Running twice is harmless: the message's id is the job's, so mail programs show one message.

mod invoices;
mod owners;
mod people;

use std::time::Duration;

use domain::id::JobId;
use jobs::catalog::SendEmail;

use crate::app::App;
use crate::mail::message::{Composed, Message, Uncomposable};
use crate::mail::outbox::SendError;
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

/// A server that says "later" seldom means within a minute.
const DEFERRED_PAUSE: Duration = Duration::from_secs(60);

/// Why there is no message.
enum Undrafted {
    /// What it would say is not so any more.
    Untrue(&'static str),
    /// It may be drafted another time.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Undrafted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Says what it means that something is not there.
trait OrUntrue<T> {
    /// As it is; but `NotFound` is the reason for which nothing is sent.
    fn or_untrue(self, reason: &'static str) -> Result<T, Undrafted>;
}

impl<T> OrUntrue<T> for Result<T, store::Error> {
    fn or_untrue(self, reason: &'static str) -> Result<T, Undrafted> {
        match self {
            Err(store::Error::NotFound) => Err(Undrafted::Untrue(reason)),
            other => Ok(other?),
        }
    }
}

impl Perform for SendEmail {
    async fn perform(self, app: &App, attempt: &Attempt) -> anyhow::Result<Outcome> {
        match draft(app, self).await {
            Ok(message) => send(app, &message, attempt.job_id).await,
            Err(Undrafted::Untrue(reason)) => Ok(Outcome::Discard(reason.to_owned())),
            Err(Undrafted::Failed(error)) => Err(error.context("the message cannot be drafted")),
        }
    }
}

async fn draft(app: &App, job: SendEmail) -> Result<Message, Undrafted> {
    match job {
        SendEmail::Invitation { tenant_id, invitation_id, generation } => {
            people::invitation(app, tenant_id, invitation_id, generation).await
        }
        SendEmail::VerifyEmail { user_id, generation } => {
            people::verify_email(app, user_id, generation).await
        }
        SendEmail::ResetPassword { user_id, generation } => {
            people::reset_password(app, user_id, generation).await
        }
        SendEmail::SignInAlert { session_id } => people::sign_in_alert(app, session_id).await,
        SendEmail::TrialEnding { owner, subscription_id } => {
            owners::trial_ending(app, owner, subscription_id).await
        }
        SendEmail::Receipt { payer, invoice_id } => invoices::receipt(app, payer, invoice_id).await,
        SendEmail::InvoiceReminder { payer, invoice_id, days } => {
            invoices::invoice_reminder(app, payer, invoice_id, days).await
        }
        SendEmail::PaymentFailed { payer, invoice_id } => {
            invoices::payment_failed(app, payer, invoice_id).await
        }
        SendEmail::PaymentAction { payer, charge_id } => {
            invoices::payment_action(app, payer, charge_id).await
        }
        SendEmail::Dunning { payer, invoice_id, stage } => {
            invoices::dunning(app, payer, invoice_id, stage).await
        }
        SendEmail::PaymentMethodExpiring { payer, payment_method_id } => {
            invoices::payment_method_expiring(app, payer, payment_method_id).await
        }
        SendEmail::UsageAlert { owner, meter, percent, period_start } => {
            owners::usage_alert(app, owner, &meter, percent, period_start).await
        }
        SendEmail::WebhookTrouble { owner, endpoint_id } => {
            owners::webhook_trouble(app, owner, endpoint_id).await
        }
    }
}

async fn send(app: &App, message: &Message, job_id: JobId) -> anyhow::Result<Outcome> {
    let composed = match Composed::new(message, app.outbox.from(), job_id) {
        Ok(composed) => composed,
        Err(error @ Uncomposable::Address(_)) => return Ok(Outcome::Discard(error.to_string())),
        Err(error @ Uncomposable::Form(_)) => return Err(error.into()),
    };
    let Err(error) = app.outbox.send(&composed).await else { return Ok(Outcome::Done) };
    let reason = message.redact(&error.to_string());
    match error {
        SendError::Refused(_) => Ok(Outcome::Discard(reason)),
        SendError::Deferred(_) => Ok(Outcome::RetryAfter(DEFERRED_PAUSE, reason)),
        SendError::Later(_) => Err(anyhow::anyhow!(reason)),
    }
}
