//! Proving an address by the mailed link.
//!
//! Verifying sets the password and ends every earlier session: whoever signed up with a stranger's address
//! is out as soon as the stranger looks at their mail. Where the address has an account already, its holder
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
use store::{ControlTx, memberships};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::{Anyone, SignedIn};
use crate::extract::{Body, Wire};
use crate::passwords::NewPassword;
use crate::problem::Problem;
use crate::routes::auth::login::{self, LoggedIn};

/// The mailed token, and the password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyEmail {
    /// From the mailed link.
    token: String,
    /// The password that you will sign in with.
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// A checked token and password.
pub(crate) struct Proof {
    pub(crate) token: PresentedToken,
    pub(crate) password: NewPassword,
}

impl Proof {
    /// Checks both.
    pub(crate) fn parse(token: &str, password: String) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/token", PresentedToken::parse(token));
        let password = faults.check("/password", NewPassword::parse(password));
        let proof = token.zip(password).map(|(token, password)| Self { token, password });
        faults.finish(proof)
    }
}

impl Wire for VerifyEmail {
    type Parsed = Proof;

    fn parse(self) -> Result<Proof, Faults> {
        Proof::parse(&self.token, self.password)
    }
}

/// Verify an address
///
/// Sets the password, ends every earlier session, and signs in.
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
    match users::verify(&mut tx, user.id, &hash, app.now()).await {
        Err(store::Error::Conflict(_)) => return Err(has_account()),
        other => other?,
    }
    login::end_all(app, &mut tx, &user).await?;
    let logged_in = login::begin(app, &mut tx, &user, caller, headers).await?;
    let tenants = login::tenant_ids(&mut tx, user.id).await?;
    let tx = caller.audit_each(app, tx, &tenants, Action::EmailVerified, user.id).await?;

    caller.commit_control(tx).await?;
    Ok(logged_in)
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
}

impl Wire for JoinAccount {
    type Parsed = PresentedToken;

    fn parse(self) -> Result<PresentedToken, Faults> {
        let mut faults = Faults::new();
        let token = faults.check("/token", PresentedToken::parse(&self.token));
        faults.finish(token)
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
    let newcomer = named_by(&app, &mut tx, &body.value).await?;
    let account = users::get(&mut tx, signed_in.user_id).await?;
    if account.email_verified_at.is_none() || account.email != newcomer.email {
        return Err(Problem::new(
            ProblemKind::Conflict,
            "The link was mailed to another address than your account's.",
        ));
    }
    login::end_all(&app, &mut tx, &newcomer).await?;
    for tenant in users::tenants(&mut tx, newcomer.id).await? {
        let mut inside = tx.enter_tenant(tenant.id).await?;
        let id = tenant.membership_id;
        memberships::hand_over(&mut inside, id, newcomer.id, account.id).await?;
        let changes = json!({ "user_id": account.id });
        signed_in.caller.audit(&app, &mut inside, Action::UserJoined, id, changes).await?;
        tx = inside.leave_tenant().await?;
    }

    signed_in.caller.commit_control(tx).await?;
    Ok(StatusCode::NO_CONTENT)
}
