//! Messages to people about their account, and to those who are to have one.

use credentials::mail_token::Purpose;
use domain::id::{InvitationId, SessionId, TenantId, UserId};
use store::invitations::InvitationStatus;
use store::{invitations, mail_facts};
use uuid::Uuid;

use super::{OrUntrue, Undrafted};
use crate::app::App;
use crate::mail::message::Message;
use crate::mail::words::{Invitation, ResetPassword, SignInAlert, VerifyEmail};

const NOBODY: &str = "there is no such person";

pub(super) async fn invitation(
    app: &App,
    tenant_id: TenantId,
    id: InvitationId,
    generation: u32,
) -> Result<Message, Undrafted> {
    let mut tx = app.store.begin(tenant_id).await?;
    let invitation =
        invitations::get(&mut tx, id).await.or_untrue("there is no such invitation")?;
    let untrue = match invitation.status(app.clock.now()) {
        InvitationStatus::Pending if invitation.generation == generation => None,
        InvitationStatus::Pending => Some("the invitation was sent anew"),
        InvitationStatus::Accepted => Some("the invitation was accepted"),
        InvitationStatus::Revoked => Some("the invitation was withdrawn"),
        InvitationStatus::Expired => Some("the invitation has expired"),
    };
    if let Some(reason) = untrue {
        return Err(Undrafted::Untrue(reason));
    }
    let facts = mail_facts::invitation(&mut tx, id)
        .await
        .or_untrue("the membership or its tenant has ended")?;
    let link = link(app, "/invitations/accept", Purpose::Invitation, id.as_uuid(), generation);
    let words = Invitation::new(&facts, link, invitation.expires_at);
    Ok(Message::of(&facts.email, &words)?)
}

pub(super) async fn verify_email(
    app: &App,
    id: UserId,
    generation: u32,
) -> Result<Message, Undrafted> {
    let mut tx = app.store.control().await?;
    let facts = mail_facts::person(&mut tx, id).await.or_untrue(NOBODY)?;
    // Verifying raises the generation, so a link that was used is an older one too.
    if facts.email_generation != generation {
        return Err(Undrafted::Untrue("the address was verified, or the link was sent anew"));
    }
    let link = link(app, "/verify-email", Purpose::VerifyEmail, id.as_uuid(), generation);
    Ok(Message::of(&facts.email, &VerifyEmail::new(&facts, link))?)
}

pub(super) async fn reset_password(
    app: &App,
    id: UserId,
    generation: u32,
) -> Result<Message, Undrafted> {
    let mut tx = app.store.control().await?;
    let facts = mail_facts::person(&mut tx, id).await.or_untrue(NOBODY)?;
    if !facts.verified {
        return Err(Undrafted::Untrue("the address is not verified"));
    }
    if facts.password_generation != generation {
        return Err(Undrafted::Untrue("the password was set, or the link was sent anew"));
    }
    let link = link(app, "/reset-password", Purpose::ResetPassword, id.as_uuid(), generation);
    Ok(Message::of(&facts.email, &ResetPassword::new(&facts, link))?)
}

pub(super) async fn sign_in_alert(app: &App, id: SessionId) -> Result<Message, Undrafted> {
    let mut tx = app.store.control().await?;
    let sign_in = mail_facts::sign_in(&mut tx, id).await.or_untrue("the session was ended")?;
    let person = mail_facts::person(&mut tx, sign_in.user_id).await.or_untrue(NOBODY)?;
    let words = SignInAlert::new(&person, &sign_in, app.account_url.clone());
    Ok(Message::of(&person.email, &words)?)
}

fn link(app: &App, path: &str, purpose: Purpose, id: Uuid, generation: u32) -> String {
    let token = app.mail_tokens.issue(purpose, id, generation);
    format!("{}{path}?token={}", app.public_url, token.expose())
}
