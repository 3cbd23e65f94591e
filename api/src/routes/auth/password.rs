//! A forgotten password. Asking answers the same whether or not the address is known.

use axum::Json;
use axum::extract::State;
use credentials::mail_token::Purpose;
use domain::email::EmailAddress;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::UserId;
use domain::problem::ProblemKind;
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;
use jobs::catalog::SendEmail;
use serde::Deserialize;
use store::users;
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::Anyone;
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::routes::auth::email::Proof;
use crate::routes::auth::login::{self, LoggedIn};

/// How long a link works.
const LINK_LIFE: SignedDuration = SignedDuration::from_hours(1);

/// The address of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgotPassword {
    #[schema(example = "owner@acme.com")]
    email: String,
}

impl Wire for ForgotPassword {
    type Parsed = EmailAddress;

    fn parse(self) -> Result<EmailAddress, Faults> {
        let mut faults = Faults::new();
        let email = faults.check("/email", self.email.parse());
        faults.finish(email)
    }
}

/// Ask for a new password
///
/// Mails a link where the address has an account; the answer is the same in each case.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/forgot",
    tag = "Authentication",
    request_body = ForgotPassword,
    responses((status = 202)),
    security(()),
)]
pub(crate) async fn forgot(
    State(app): State<App>,
    _caller: Anyone,
    body: Body<ForgotPassword>,
) -> Result<StatusCode, Problem> {
    let mut tx = app.store.control().await?;

    if let Some(user) = users::find_verified(&mut tx, &body.value).await? {
        let generation = user.password_generation;
        let until = app.now().checked_add(LINK_LIFE).map_err(Problem::internal)?;
        users::open_password_link(&mut tx, user.id, until).await?;
        let job = SendEmail::ResetPassword { user_id: user.id, generation };
        // One mail an hour: asking again only lets the same link work for longer.
        let hour = app.now().as_second() / 3_600;
        let once = format!("reset-password {} {generation} {hour}", user.id);
        let options = jobs::Options { idempotency_key: Some(once), ..jobs::Options::default() };
        jobs::enqueue(&mut tx, &job, options).await?;
    }

    // Not noted for the edge: an answer that waits for the policy would tell that the address is known.
    tx.commit().await?;
    Ok(StatusCode::ACCEPTED)
}

/// The mailed token, and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetPassword {
    /// From the mailed link.
    token: String,
    #[schema(example = "correct horse battery staple")]
    password: String,
}

impl Wire for ResetPassword {
    type Parsed = Proof;

    fn parse(self) -> Result<Proof, Faults> {
        Proof::parse(&self.token, self.password)
    }
}

/// Set a new password
///
/// Ends every session, and signs in.
#[utoipa::path(
    post,
    path = "/api/v1/auth/password/reset",
    tag = "Authentication",
    request_body = ResetPassword,
    responses((status = 200, body = LoggedIn)),
    extensions(("x-problems" = json!(["not-found"]))),
    security(()),
)]
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    body: Body<ResetPassword>,
) -> Result<Json<LoggedIn>, Problem> {
    reset_as(&app, &caller, &headers, body.value).await.map(Json)
}

/// Resets, for the JSON route and for the page that people see.
pub(crate) async fn reset_as(
    app: &App,
    caller: &Anyone,
    headers: &HeaderMap,
    proof: Proof,
) -> Result<LoggedIn, Problem> {
    let unusable = || {
        Problem::new(
            ProblemKind::NotFound,
            "The link cannot be used: it was used or replaced; ask for a new one.",
        )
    };
    let hash = app.passwords.hash(proof.password).await?;

    let mut tx = app.store.control().await?;
    let user = match users::get(&mut tx, UserId::from_uuid(proof.token.id())).await {
        Err(store::Error::NotFound) => return Err(unusable()),
        other => other?,
    };
    let generation = user.password_generation;
    if !app.keys.mail_tokens.verify(&proof.token, Purpose::ResetPassword, generation) {
        return Err(unusable());
    }
    match users::set_password(&mut tx, user.id, generation, app.now(), &hash).await {
        Err(store::Error::NotFound) => return Err(unusable()),
        other => other?,
    }
    login::end_all(app, &mut tx, &user).await?;
    let logged_in = login::begin(app, &mut tx, &user, caller, headers).await?;
    let tenants = login::tenant_ids(&mut tx, user.id).await?;
    let tx = caller.audit_each(app, tx, &tenants, Action::PasswordChanged, user.id).await?;

    caller.commit_control(tx).await?;
    Ok(logged_in)
}
