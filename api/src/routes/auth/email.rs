//! Proving an address by the mailed link.
//!
//! Verifying sets the password and ends what was handed out before: sessions, API keys, invitations and the
//! members who came by them, unless the one who verifies says that it was them who signed up. So whoever
//! signed up with a stranger's address is out as soon as the stranger opens their mail. Where the address has an account already, its holder
//! signs in and joins the new tenant to it.

use axum::Json;
use axum::extract::State;
use credentials::mail_token::{PresentedToken, Purpose};
use domain::event::Action;
use domain::faults::Faults;
use domain::id::UserId;
use domain::problem::ProblemKind;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;
use store::users::{self, User};
use store::{ControlTx, api_keys, invitations, memberships};
use utoipa::ToSchema;
use webhooks::events::tenant::UserJoined;

use crate::app::App;
use crate::authorized::{Anyone, SignedIn};
use crate::events;
use crate::extract::{Body, Wire};
use crate::passwords::NewPassword;
use crate::problem::Problem;
use crate::routes::auth::login::{self, LoggedIn};
use crate::routes::users::told;

/// The mailed token, and the password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyEmail {
    /// From the mailed link.
    token: String,
    /// The password that you will sign in with.
    #[schema(example = "correct horse battery staple")]
    password: String,
    /// `true`: it was you who signed up, so API keys, invitations and members made since then stay. They
    /// are ended otherwise.
    keep_access: Option<bool>,
}

/// A checked token and password.
pub(crate) struct Proof {
    pub(crate) token: PresentedToken,
    pub(crate) password: NewPassword,
    pub(crate) earlier: EarlierAccess,
}

/// What becomes of API keys and members made before the address was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlierAccess {
    /// They stay.
    Kept,
    /// They end.
    Ended,
}

impl EarlierAccess {
    /// As the one who verifies says.
    pub(crate) const fn kept(kept: bool) -> Self {
        if kept { Self::Kept } else { Self::Ended }
    }
}

impl Proof {
    /// Checks both.
    pub(crate) fn parse(token: &str, password: String) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/token", PresentedToken::parse(token));
        let password = faults.check("/password", NewPassword::parse(password));
        let earlier = EarlierAccess::Ended;
        let proof = token.zip(password).map(|(token, password)| Self { token, password, earlier });
        faults.finish(proof)
    }
}

impl Wire for VerifyEmail {
    type Parsed = Proof;

    fn parse(self) -> Result<Proof, Faults> {
        let earlier = EarlierAccess::kept(self.keep_access.unwrap_or(false));
        Ok(Proof { earlier, ..Proof::parse(&self.token, self.password)? })
    }
}

/// Verify an address
///
/// Sets the password, ends every earlier session, and signs in. API keys, invitations and members made
/// before end too, unless `keep_access` says that it was you who made them.
#[utoipa::path(
    post,
    path = "/api/v1/auth/email/verify",
    tag = "Authentication",
    request_body = VerifyEmail,
    responses((status = 200, body = LoggedIn)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
    security(()),
)]
pub(crate) async fn verify(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    body: Body<VerifyEmail>,
) -> Result<Json<LoggedIn>, Problem> {
    verify_as(&app, &caller, &headers, body.value).await.map(Json)
}

/// Verifies, for the JSON route and for the page that people see.
pub(crate) async fn verify_as(
    app: &App,
    caller: &Anyone,
    headers: &HeaderMap,
    proof: Proof,
) -> Result<LoggedIn, Problem> {
    let hash = app.passwords.hash(proof.password).await?;

    let mut tx = app.store.control().await?;
    let user = named_by(app, &mut tx, &proof.token).await?;
    match users::verify(&mut tx, user.id, user.email_generation, &hash, app.now()).await {
        Err(store::Error::Conflict(_)) => return Err(has_account()),
        Err(store::Error::NotFound) => return Err(unusable()),
        other => other?,
    }
    login::end_all(app, &mut tx, &user).await?;
    if proof.earlier == EarlierAccess::Ended {
        tx = end_earlier_access(app, caller, tx, &user).await?;
    }
    let logged_in = login::begin(app, &mut tx, &user, caller, headers).await?;
    let tenants = login::tenant_ids(&mut tx, user.id).await?;
    let tx = caller.audit_each(app, tx, &tenants, Action::EmailVerified, user.id).await?;

    caller.commit_control(tx).await?;
    Ok(logged_in)
}

/// Ends the API keys, the invitations and the members that an unverified sign-up left behind.
async fn end_earlier_access(
    app: &App,
    caller: &Anyone,
    mut tx: ControlTx,
    user: &User,
) -> Result<ControlTx, Problem> {
    for tenant in users::tenants(&mut tx, user.id).await? {
        let mut inside = tx.enter_tenant(tenant.id).await?;
        let (id, now) = (tenant.membership_id, app.now());
        memberships::lock(&mut inside).await?;
        let members = memberships::remove_invited_by(&mut inside, id).await?;
        let invitations = invitations::revoke_invited_by(&mut inside, id, now).await?;
        let api_keys = api_keys::revoke_created_by(&mut inside, id, now).await?;
        if members + invitations + api_keys > 0 {
            let changes =
                json!({ "members": members, "invitations": invitations, "api_keys": api_keys });
            caller.audit(app, &mut inside, Action::UnverifiedAccessEnded, id, changes).await?;
        }
        tx = inside.leave_tenant().await?;
    }
    Ok(tx)
}

/// The unverified user that a genuine link names.
async fn named_by(app: &App, tx: &mut ControlTx, token: &PresentedToken) -> Result<User, Problem> {
    let user = match users::get(tx, UserId::from_uuid(token.id())).await {
        Err(store::Error::NotFound) => return Err(unusable()),
        other => other?,
    };
    let genuine = app.keys.mail_tokens.verify(token, Purpose::VerifyEmail, user.email_generation);
    if genuine && user.email_verified_at.is_none() { Ok(user) } else { Err(unusable()) }
}

fn unusable() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "The link cannot be used: it was used or replaced; sign in, or ask for a new one.",
    )
}

fn has_account() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        "This address has an account; sign in to it and call `POST /api/v1/auth/email/join` with the token.",
    )
}

/// The mailed token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinAccount {
    /// From the mailed link.
    token: String,
    /// As when verifying: `true` if it was you who signed up.
    keep_access: Option<bool>,
}

impl Wire for JoinAccount {
    type Parsed = (PresentedToken, EarlierAccess);

    fn parse(self) -> Result<Self::Parsed, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/token", PresentedToken::parse(&self.token));
        let earlier = EarlierAccess::kept(self.keep_access.unwrap_or(false));
        faults.finish(token.map(|token| (token, earlier)))
    }
}

/// Join a sign-up to your account
///
/// For a tenant that was signed up with your address while you had an account already.
#[utoipa::path(
    post,
    path = "/api/v1/auth/email/join",
    tag = "Authentication",
    request_body = JoinAccount,
    responses((status = 204)),
    extensions(("x-problems" = json!(["not-found", "conflict"]))),
)]
pub(crate) async fn join(
    State(app): State<App>,
    signed_in: SignedIn,
    body: Body<JoinAccount>,
) -> Result<StatusCode, Problem> {
    let mut tx = app.store.control().await?;
    let caller = &signed_in.caller;
    let (token, earlier) = body.value;
    let newcomer = named_by(&app, &mut tx, &token).await?;
    let account = users::get(&mut tx, signed_in.user_id).await?;
    if account.email_verified_at.is_none() || account.email != newcomer.email {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "The link was mailed to another address than your account's.",
        ));
    }
    login::end_all(&app, &mut tx, &newcomer).await?;
    if earlier == EarlierAccess::Ended {
        tx = end_earlier_access(&app, caller, tx, &newcomer).await?;
    }
    for tenant in users::tenants(&mut tx, newcomer.id).await? {
        let mut inside = tx.enter_tenant(tenant.id).await?;
        let id = tenant.membership_id;
        memberships::hand_over(&mut inside, id, newcomer.id, account.id).await?;
        let changes = json!({ "user_id": account.id });
        caller.audit(&app, &mut inside, Action::UserJoined, id, changes).await?;
        let member = memberships::get(&mut inside, id).await?;
        events::publish(&app, &mut inside, &UserJoined(told(&member))).await?;
        tx = inside.leave_tenant().await?;
    }

    caller.commit_control(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
