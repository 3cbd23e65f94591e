//! Invitations: single use, seven days, bound to address and tenant. The token is never in an answer.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use credentials::mail_token::{self, PresentedToken, Purpose};
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{ApiKeyId, InvitationId, MembershipId, TenantId, UserId};
use domain::name::PersonName;
use domain::permission::Role;
use domain::problem::ProblemKind;
use domain::secret::Secret;
use domain::tenant::TenantStatus;
use http::{HeaderMap, StatusCode};
use jiff::{SignedDuration, Timestamp};
use jobs::catalog::SendEmail;
use pytake::Principal;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::invitations::{self, Invitation, InvitationStatus};
use store::memberships::{self, Membership};
use store::{TenantTx, api_keys, tenants, users};
use utoipa::ToSchema;
use webhooks::events::tenant::{RemovedUserData, UserJoined, UserRemoved};

use crate::app::{App, random};
use crate::authorized::{Anyone, Authorized, Needs, needs};
use crate::events;
use crate::extract::{Body, PageQuery, PathId, Wire};
use crate::idempotency::{Attempt, IdempotencyKey};
use crate::passwords::NewPassword;
use crate::problem::Problem;
use crate::routes::List;
use crate::routes::users::told;
use crate::sessions::{self, Device, Earned, Tokens};

/// How long a link is good for.
const LIFE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many mails an owner may cause before their own address is verified.
const UNVERIFIED_MAX: u64 = 5;

/// An invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationBody {
    #[schema(example = "invitation_01h455vb4pex5vsknk084sn02q")]
    id: String,
    /// The membership that it offers.
    user_id: String,
    /// `Pending`, `Accepted`, `Revoked` or `Expired`.
    #[schema(example = "Pending")]
    status: &'static str,
    created_at: String,
    expires_at: String,
}

impl InvitationBody {
    pub(crate) fn new(invitation: &Invitation, now: Timestamp) -> Self {
        Self {
            id: invitation.id.to_string(),
            user_id: invitation.membership_id.to_string(),
            status: match invitation.status(now) {
                InvitationStatus::Pending => "Pending",
                InvitationStatus::Accepted => "Accepted",
                InvitationStatus::Revoked => "Revoked",
                InvitationStatus::Expired => "Expired",
            },
            created_at: invitation.created_at.to_string(),
            expires_at: invitation.expires_at.to_string(),
        }
    }
}

/// Inserts an invitation to `membership_id`.
pub(crate) async fn offer<P: Needs>(
    app: &App,
    auth: &Authorized<P>,
    tx: &mut TenantTx,
    membership_id: MembershipId,
) -> Result<Invitation, Problem> {
    let now = app.now();
    let id = InvitationId::new(now, random());
    let invitation = Invitation {
        id,
        membership_id,
        invited_by: auth.membership_id(),
        generation: 1,
        token_hash: token_hash(app, id, 1).to_vec(),
        created_at: now,
        expires_at: now.checked_add(LIFE).map_err(Problem::internal)?,
        accepted_at: None,
        revoked_at: None,
    };
    invitations::insert(tx, &invitation).await?;
    Ok(invitation)
}

fn token_hash(app: &App, id: InvitationId, generation: u32) -> [u8; 32] {
    mail_token::hash(&app.keys.mail_tokens.issue(Purpose::Invitation, id.as_uuid(), generation))
}

/// Has the link mailed, in the transaction that makes it.
pub(crate) async fn mail(tx: &mut TenantTx, invitation: &Invitation) -> Result<(), Problem> {
    let job = SendEmail::Invitation {
        tenant_id: tx.tenant_id(),
        invitation_id: invitation.id,
        generation: invitation.generation,
    };
    jobs::enqueue(tx, &job, jobs::Options::default()).await?;
    Ok(())
}

/// Refuses the sixth mail that an owner causes whose own address is not verified, by themselves or by a
/// key they made: sign-up is open to anybody, and must not be a way to send mail to strangers. Nor may
/// somebody who signed up with another's address leave an owner or admin behind.
pub(crate) async fn check_unverified_bound<P: Needs>(
    auth: &Authorized<P>,
    tx: &mut TenantTx,
    role: Role,
) -> Result<(), Problem> {
    let user_id = match auth.caller.context.principal {
        Principal::User { user_id, .. } => Some(user_id),
        Principal::ApiKey { api_key_id, .. } => creator(tx, api_key_id).await?,
        Principal::Anonymous => None,
    };
    let verified = match user_id {
        Some(user_id) => users::get(tx, user_id).await?.email_verified_at.is_some(),
        // Whoever made the key was removed since: by another owner, who came by a verified address.
        None => true,
    };
    let harmless = !matches!(role, Role::Owner | Role::Admin);
    if verified || (harmless && invitations::count(tx).await? < UNVERIFIED_MAX) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::EmailUnverified,
        "Verify your own address by the mailed link before you invite more people, or an owner or admin.",
    ))
}

async fn creator(tx: &mut TenantTx, id: ApiKeyId) -> Result<Option<UserId>, Problem> {
    let created_by = api_keys::get(tx, id).await?.created_by;
    match memberships::get(tx, created_by).await {
        Err(store::Error::NotFound) => Ok(None),
        other => Ok(other?.user_id),
    }
}

/// List invitations
#[utoipa::path(
    get,
    path = "/api/v1/tenants/{tenant_id}/invitations",
    tag = "Users",
    params(
        ("tenant_id" = String, Path),
        ("limit" = Option<u8>, Query),
        ("cursor" = Option<String>, Query),
    ),
    responses((status = 200, body = List<InvitationBody>)),
    extensions(("x-permission" = json!("ViewUsers"))),
)]
pub(crate) async fn list(
    State(app): State<App>,
    auth: Authorized<needs::ViewUsers>,
    PageQuery(page): PageQuery,
) -> Result<Json<List<InvitationBody>>, Problem> {
    let mut tx = auth.begin(&app).await?;

    let rows = invitations::list(&mut tx, page).await?;

    let now = app.now();
    Ok(Json(List::of(rows, |invitation| InvitationBody::new(&invitation, now))))
}

/// Send an invitation again
///
/// Mails a new link for seven more days; the older link ends.
#[utoipa::path(
    post,
    path = "/api/v1/tenants/{tenant_id}/invitations/{invitation_id}/resend",
    tag = "Users",
    params(
        ("tenant_id" = String, Path),
        ("invitation_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    responses((status = 200, body = InvitationBody)),
    extensions(
        ("x-permission" = json!("InviteUsers")),
        ("x-problems" = json!(["conflict", "email-unverified"])),
    ),
)]
pub(crate) async fn resend(
    State(app): State<App>,
    auth: Authorized<needs::InviteUsers>,
    PathId(id): PathId<InvitationId>,
    key: IdempotencyKey,
) -> Result<Response, Problem> {
    let mut tx = auth.begin(&app).await?;
    let first = match key.attempt(&app, &mut tx, [0; 32]).await? {
        Attempt::Replay(response) => return Ok(response),
        Attempt::First(first) => first,
    };
    memberships::lock(&mut tx).await?;
    let invitation = invitations::get_for_update(&mut tx, id).await?;
    let member = memberships::get(&mut tx, invitation.membership_id).await?;
    auth.check_may_grant(member.role)?;
    check_unverified_bound(&auth, &mut tx, member.role).await?;
    let now = app.now();
    if matches!(invitation.status(now), InvitationStatus::Accepted | InvitationStatus::Revoked) {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "The invitation was accepted or withdrawn.",
        ));
    }

    let generation = invitation.generation + 1;
    let expires_at = now.checked_add(LIFE).map_err(Problem::internal)?;
    let hash = token_hash(&app, id, generation);
    invitations::renew(&mut tx, id, generation, &hash, expires_at).await?;
    let renewed = Invitation { generation, expires_at, ..invitation };
    mail(&mut tx, &renewed).await?;
    auth.caller.audit(&app, &mut tx, Action::InvitationResent, id, json!({})).await?;

    let shown = InvitationBody::new(&renewed, now);
    let response = first.answer(&app, &mut tx, StatusCode::OK, &shown).await?;
    auth.caller.commit(tx).await?;
    Ok(response)
}

/// Withdraw an invitation
///
/// The link ends, and the seat is free again.
#[utoipa::path(
    delete,
    path = "/api/v1/tenants/{tenant_id}/invitations/{invitation_id}",
    tag = "Users",
    params(("tenant_id" = String, Path), ("invitation_id" = String, Path)),
    responses((status = 204)),
    extensions(("x-permission" = json!("InviteUsers")), ("x-problems" = json!(["conflict"]))),
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    auth: Authorized<needs::InviteUsers>,
    PathId(id): PathId<InvitationId>,
) -> Result<StatusCode, Problem> {
    let mut tx = auth.begin(&app).await?;
    memberships::lock(&mut tx).await?;
    let invitation = invitations::get_for_update(&mut tx, id).await?;
    let now = app.now();
    if matches!(invitation.status(now), InvitationStatus::Accepted | InvitationStatus::Revoked) {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "The invitation was accepted or withdrawn.",
        ));
    }
    let member = memberships::get(&mut tx, invitation.membership_id).await?;
    auth.check_may_grant(member.role)?;

    invitations::revoke_of(&mut tx, member.id, now).await?;
    memberships::remove(&mut tx, member.id).await?;
    auth.caller.audit(&app, &mut tx, Action::InvitationRevoked, id, json!({})).await?;
    let event = UserRemoved(RemovedUserData { user_id: member.id.to_string() });
    events::publish(&app, &mut tx, &event).await?;

    auth.caller.commit(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the invited person answers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptInvitation {
    /// From the mailed link.
    token: String,
    /// A new password; or, where the address has an account already, its present one.
    password: String,
    /// What you call yourself, where it is not as the invitation says.
    #[schema(example = "Jane Smith")]
    name: Option<String>,
}

impl AcceptInvitation {
    /// An answer without a name of one's own.
    pub(crate) const fn of(token: String, password: String) -> Self {
        Self { token, password, name: None }
    }
}

/// A checked [`AcceptInvitation`].
pub(crate) struct Acceptance {
    token: PresentedToken,
    password: Secret<String>,
    name: Option<PersonName>,
}

impl Wire for AcceptInvitation {
    type Parsed = Acceptance;

    fn parse(self) -> Result<Acceptance, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/token", PresentedToken::parse(&self.token));
        let name = self.name.and_then(|name| faults.check("/name", name.parse()));
        let password = Secret::new(self.password);
        faults.finish(token.map(|token| Acceptance { token, password, name }))
    }
}

/// A new member, signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Accepted {
    tenant_id: String,
    /// The membership.
    id: String,
    #[serde(flatten)]
    tokens: Tokens,
}

/// Accept an invitation
///
/// Opening the mailed link proves the address. A new person sets a password; one who has an account gives
/// its password.
#[utoipa::path(
    post,
    path = "/api/v1/invitations/accept",
    tag = "Users",
    request_body = AcceptInvitation,
    responses((status = 200, body = Accepted)),
    extensions(("x-problems" = json!(["not-found", "conflict", "login-failed", "tenant-suspended"]))),
    security(()),
)]
pub(crate) async fn accept(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    body: Body<AcceptInvitation>,
) -> Result<Json<Accepted>, Problem> {
    accept_as(&app, &caller, &headers, body.value).await.map(Json)
}

/// Accepts, for the JSON route and for the page that people see.
pub(crate) async fn accept_as(
    app: &App,
    caller: &Anyone,
    headers: &HeaderMap,
    acceptance: Acceptance,
) -> Result<Accepted, Problem> {
    let id = InvitationId::from_uuid(acceptance.token.id());
    // The password is hashed or checked before the transaction that holds the locks.
    let (tenant_id, member) = offered(app, id, &acceptance.token).await?;
    let user = authenticate(app, &member, acceptance.password).await?;

    let mut tx = app.store.begin(tenant_id).await?;
    memberships::lock(&mut tx).await?;
    let invitation = invitations::get_for_update(&mut tx, id).await?;
    check_pending(app, &invitation, &acceptance.token)?;
    if tenants::get(&mut tx).await?.status != TenantStatus::Active {
        return Err(Problem::new(
            ProblemKind::TenantSuspended,
            "The tenant was suspended or closed.",
        ));
    }
    let now = app.now();
    let user_id = match user {
        Known::User(user_id) => user_id,
        Known::NewPassword(hash) => {
            let user_id = UserId::new(now, random());
            let email = member.email.parse().map_err(Problem::internal)?;
            let name = match acceptance.name {
                Some(name) => name,
                None => member.name.parse().map_err(Problem::internal)?,
            };
            users::insert(&mut tx, user_id, &email, &name, now).await?;
            users::verify(&mut tx, user_id, 1, &hash, now).await?;
            user_id
        }
    };
    invitations::accept(&mut tx, id, now).await?;
    memberships::activate(&mut tx, member.id, user_id).await?;
    let device = Device {
        address: caller.context.client_address,
        user_agent: sessions::user_agent(headers),
    };
    let tokens = sessions::begin(app, &mut tx, user_id, Earned::ByPassword, device).await?;
    let changes = json!({ "invitation": id, "user_id": user_id });
    caller.audit(app, &mut tx, Action::UserJoined, member.id, changes).await?;
    events::publish(app, &mut tx, &UserJoined(told(&member))).await?;

    caller.commit(tx).await?;
    Ok(Accepted { tenant_id: tenant_id.to_string(), id: member.id.to_string(), tokens })
}

enum Known {
    User(UserId),
    NewPassword(Secret<String>),
}

/// One answer for unknown, expired, withdrawn and used links.
fn unusable() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "The invitation cannot be used: it was used, withdrawn, replaced or has expired; ask for a new one.",
    )
}

fn check_pending(
    app: &App,
    invitation: &Invitation,
    token: &PresentedToken,
) -> Result<(), Problem> {
    let genuine = app.keys.mail_tokens.verify(token, Purpose::Invitation, invitation.generation);
    let pending = invitation.status(app.now()) == InvitationStatus::Pending;
    if genuine && pending { Ok(()) } else { Err(unusable()) }
}

/// The tenant and membership that a genuine, waiting invitation offers.
async fn offered(
    app: &App,
    id: InvitationId,
    token: &PresentedToken,
) -> Result<(TenantId, Membership), Problem> {
    let mut tx = app.store.control().await?;
    let tenant_id = invitations::tenant_of(&mut tx, id).await.map_err(|error| match error {
        store::Error::NotFound => unusable(),
        other => other.into(),
    })?;
    let mut tx = tx.enter_tenant(tenant_id).await?;
    let invitation = invitations::get(&mut tx, id).await?;
    check_pending(app, &invitation, token)?;
    Ok((tenant_id, memberships::get(&mut tx, invitation.membership_id).await?))
}

/// An account's present password, or a new one that may be set.
async fn authenticate(
    app: &App,
    member: &Membership,
    password: Secret<String>,
) -> Result<Known, Problem> {
    let email = member.email.parse().map_err(Problem::internal)?;
    let mut tx = app.store.control().await?;
    let user = users::find_verified(&mut tx, &email).await?;
    drop(tx);
    match user {
        Some(user) => {
            if app.passwords.verify(password, user.password_hash).await? {
                return Ok(Known::User(user.id));
            }
            Err(Problem::new(
                ProblemKind::LoginFailed,
                "This address has an account; give its password to accept the invitation.",
            ))
        }
        None => {
            let mut faults = Faults::new();
            let checked = NewPassword::parse(password.expose().clone());
            let new = faults.check("/password", checked);
            Ok(Known::NewPassword(app.passwords.hash(faults.finish(new)?).await?))
        }
    }
}
