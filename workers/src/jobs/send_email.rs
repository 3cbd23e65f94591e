//! `SendEmail`: looks up what the message says, makes its link, sends it; or drops it when it is no longer true.
//!
//! Running twice is harmless: the message's id is the job's, so mail programs show one message.

use std::time::Duration;

use anyhow::Context;
use credentials::mail_token::Purpose;
use domain::id::{InvitationId, JobId, TenantId, UserId};
use jobs::catalog::SendEmail;
use store::invitations::InvitationStatus;
use store::{Error, invitations, mail_facts};
use uuid::Uuid;

use crate::app::App;
use crate::mail::message::{Composed, Message, Uncomposable};
use crate::mail::outbox::SendError;
use crate::mail::templates::{Invitation, ResetPassword, VerifyEmail};
use crate::runtime::Perform;
use crate::runtime::attempt::Attempt;
use crate::runtime::outcome::Outcome;

/// A server that says "later" seldom means within a minute.
const DEFERRED_PAUSE: Duration = Duration::from_secs(60);

/// A message, or why there is nothing to send.
type Drafted = Result<Message, &'static str>;

impl Perform for SendEmail {
    async fn perform(self, app: &App, attempt: &Attempt) -> anyhow::Result<Outcome> {
        let drafted = match self {
            Self::Invitation { tenant_id, invitation_id, generation } => {
                invitation(app, tenant_id, invitation_id, generation).await
            }
            Self::VerifyEmail { user_id, generation } => {
                verify_email(app, user_id, generation).await
            }
            Self::ResetPassword { user_id, generation } => {
                reset_password(app, user_id, generation).await
            }
        }
        .context("the message cannot be drafted")?;
        match drafted {
            Ok(message) => send(app, &message, attempt.job_id).await,
            Err(reason) => Ok(Outcome::Discard(reason.to_owned())),
        }
    }
}

async fn send(app: &App, message: &Message, job_id: JobId) -> anyhow::Result<Outcome> {
    let composed = match Composed::new(message, app.outbox.from(), job_id) {
        Ok(composed) => composed,
        Err(error @ Uncomposable::Address(_)) => return Ok(Outcome::Discard(error.to_string())),
        Err(error @ Uncomposable::Form(_)) => return Err(error.into()),
    };
    match app.outbox.send(&composed).await {
        Ok(()) => Ok(Outcome::Done),
        Err(error @ SendError::Refused(_)) => Ok(Outcome::Discard(error.to_string())),
        Err(error @ SendError::Deferred(_)) => {
            Ok(Outcome::RetryAfter(DEFERRED_PAUSE, error.to_string()))
        }
        Err(error @ SendError::Later(_)) => Err(error.into()),
    }
}

async fn invitation(
    app: &App,
    tenant_id: TenantId,
    id: InvitationId,
    generation: u32,
) -> anyhow::Result<Drafted> {
    let mut tx = app.store.begin(tenant_id).await?;
    let invitation = match invitations::get(&mut tx, id).await {
        Ok(invitation) => invitation,
        Err(Error::NotFound) => return Ok(Err("there is no such invitation")),
        Err(error) => return Err(error.into()),
    };
    match invitation.status(app.clock.now()) {
        InvitationStatus::Pending => {}
        InvitationStatus::Accepted => return Ok(Err("the invitation was accepted")),
        InvitationStatus::Revoked => return Ok(Err("the invitation was withdrawn")),
        InvitationStatus::Expired => return Ok(Err("the invitation has expired")),
    }
    if invitation.generation != generation {
        return Ok(Err("the invitation was sent anew"));
    }
    let facts = match mail_facts::invitation(&mut tx, id).await {
        Ok(facts) => facts,
        Err(Error::NotFound) => return Ok(Err("the membership or its tenant has ended")),
        Err(error) => return Err(error.into()),
    };
    let link = link(app, "/invitations/accept", Purpose::Invitation, id.as_uuid(), generation);
    let template = Invitation::new(&facts, &link, invitation.expires_at);
    Ok(Ok(Message::of(&facts.email, &template)?))
}

async fn verify_email(app: &App, id: UserId, generation: u32) -> anyhow::Result<Drafted> {
    let facts = match mail_facts::person(&mut app.store.control().await?, id).await {
        Ok(facts) => facts,
        Err(Error::NotFound) => return Ok(Err("there is no such person")),
        Err(error) => return Err(error.into()),
    };
    // Verifying raises the generation, so a link that was used is an older one too.
    if facts.email_generation != generation {
        return Ok(Err("the address was verified, or the link was sent anew"));
    }
    let link = link(app, "/verify-email", Purpose::VerifyEmail, id.as_uuid(), generation);
    Ok(Ok(Message::of(&facts.email, &VerifyEmail::new(&facts, &link))?))
}

async fn reset_password(app: &App, id: UserId, generation: u32) -> anyhow::Result<Drafted> {
    let facts = match mail_facts::person(&mut app.store.control().await?, id).await {
        Ok(facts) => facts,
        Err(Error::NotFound) => return Ok(Err("there is no such person")),
        Err(error) => return Err(error.into()),
    };
    if !facts.verified {
        return Ok(Err("the address is not verified"));
    }
    if facts.password_generation != generation {
        return Ok(Err("the password was set, or the link was sent anew"));
    }
    let link = link(app, "/reset-password", Purpose::ResetPassword, id.as_uuid(), generation);
    Ok(Ok(Message::of(&facts.email, &ResetPassword::new(&facts, &link))?))
}

fn link(app: &App, path: &str, purpose: Purpose, id: Uuid, generation: u32) -> String {
    let token = app.mail_tokens.issue(purpose, id, generation);
    format!("{}{path}?token={}", app.public_url, token.expose())
}
