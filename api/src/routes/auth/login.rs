//! Signing in. Unknown addresses and wrong passwords get one answer in one time; failures slow down whoever
//! guesses, and nobody can keep another out for good.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use domain::email::EmailAddress;
use domain::event::Action;
use domain::faults::Faults;
use domain::id::{TenantId, UserId};
use domain::problem::ProblemKind;
use domain::secret::Secret;
use http::HeaderMap;
use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};
use store::login_attempts::{self, LoginAttempts};
use store::users::{self, User, UserTenant};
use store::{ControlTx, sessions as stored_sessions};
use utoipa::ToSchema;

use crate::app::App;
use crate::authorized::Anyone;
use crate::extract::{Body, Wire};
use crate::problem::Problem;
use crate::sessions::{self, Device, Earned, Tokens};

/// How failures slow down whom they are counted against.
struct Brake {
    /// Failures that cost nothing: people mistype.
    free_failures: u32,
    /// Longest wait, in seconds.
    delay_secs_max: i64,
}

/// One address guessing at one account: stopped for minutes, which no one else feels.
const BY_PAIR: Brake = Brake { free_failures: 5, delay_secs_max: 300 };
/// An account, whoever guesses: a few seconds, because a stranger can cause them.
const BY_ACCOUNT: Brake = Brake { free_failures: 20, delay_secs_max: 5 };
/// An address, whatever it guesses at: many people may be behind one.
const BY_ADDRESS: Brake = Brake { free_failures: 50, delay_secs_max: 60 };
/// Longest password that is looked at.
const PASSWORD_LEN_MAX: usize = 1024;

/// Address and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[schema(example = "owner@acme.com")]
    email: String,
    #[schema(example = "correct horse battery staple")]
    password: String,
}

/// A checked [`Login`].
pub(crate) struct Credentials {
    email: EmailAddress,
    password: Secret<String>,
}

impl Wire for Login {
    type Parsed = Credentials;

    fn parse(self) -> Result<Credentials, Faults> {
        let mut faults = Faults::new();
        let email = faults.check("/email", self.email.parse());
        let password = Secret::new(self.password);
        if password.expose().len() > PASSWORD_LEN_MAX {
            faults.push("/password", format!("must have at most {PASSWORD_LEN_MAX} bytes"));
        }
        faults.finish(email.map(|email| Credentials { email, password }))
    }
}

/// Tokens, and the tenants that they open.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggedIn {
    user_id: String,
    /// Name one in `X-Tenant-ID`, or call its own host.
    tenants: Vec<TenantChoice>,
    #[serde(flatten)]
    tokens: Tokens,
}

/// A tenant that the person belongs to.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantChoice {
    #[schema(example = "tenant_01h455vb4pex5vsknk084sn02q")]
    id: String,
    #[schema(example = "Acme Corp")]
    name: String,
    #[schema(example = "acme")]
    subdomain: String,
    #[schema(example = "Owner")]
    role: String,
}

impl From<UserTenant> for TenantChoice {
    fn from(tenant: UserTenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name,
            subdomain: tenant.subdomain,
            role: tenant.role,
        }
    }
}

/// Sign in
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "Authentication",
    request_body = Login,
    responses((status = 200, body = LoggedIn)),
    extensions(("x-problems" = json!(["login-failed"]))),
    security(()),
)]
pub(crate) async fn login(
    State(app): State<App>,
    caller: Anyone,
    headers: HeaderMap,
    body: Body<Login>,
) -> Result<Json<LoggedIn>, Problem> {
    let Credentials { email, password } = body.value;
    let subjects = Subjects::of(&app, &email, &caller);
    let user = {
        let mut tx = app.store.control().await?;
        subjects.check_delay(&mut tx, app.now()).await?;
        users::find_verified(&mut tx, &email).await?
    };

    let stored = user.as_ref().and_then(|user| user.password_hash.clone());
    let right = app.passwords.verify(password, stored).await?;

    let mut tx = app.store.control().await?;
    let Some(user) = user.filter(|_| right) else {
        subjects.record_failure(&mut tx, app.now()).await?;
        caller.commit_control(tx).await?;
        return Err(Problem::new(
            ProblemKind::LoginFailed,
            "Check address and password; a new address must be verified by the mailed link first.",
        ));
    };
    subjects.forget_failures(&mut tx).await?;
    let logged_in = begin(&app, &mut tx, &user, &caller, &headers).await?;
    let tenants = tenant_ids(&mut tx, user.id).await?;
    let tx = caller.audit_each(&app, tx, &tenants, Action::SessionStarted, user.id).await?;

    caller.commit_control(tx).await?;
    Ok(Json(logged_in))
}

/// Begins a session of `user`, who has proved to be them.
pub(crate) async fn begin(
    app: &App,
    tx: &mut ControlTx,
    user: &User,
    caller: &Anyone,
    headers: &HeaderMap,
) -> Result<LoggedIn, Problem> {
    let device = Device {
        address: caller.context.client_address,
        user_agent: sessions::user_agent(headers),
    };
    let tokens = sessions::begin(app, tx, user.id, Earned::ByPassword, device).await?;
    let tenants = users::tenants(tx, user.id).await?.into_iter().map(TenantChoice::from).collect();
    Ok(LoggedIn { user_id: user.id.to_string(), tenants, tokens })
}

/// The tenants whose audit trail tells what a person does to their own account.
pub(crate) async fn tenant_ids(
    tx: &mut ControlTx,
    user_id: UserId,
) -> Result<Vec<TenantId>, Problem> {
    Ok(users::tenants(tx, user_id).await?.iter().map(|tenant| tenant.id).collect())
}

/// Ends every session of `user`: whoever had one must sign in anew.
pub(crate) async fn end_all(app: &App, tx: &mut ControlTx, user: &User) -> Result<(), Problem> {
    Ok(stored_sessions::revoke_all(tx, user.id, app.now()).await?)
}

/// Whom a failure is counted against, as keyed hashes.
struct Subjects {
    pair: [u8; 32],
    account: [u8; 32],
    address: [u8; 32],
}

impl Subjects {
    fn of(app: &App, email: &EmailAddress, caller: &Anyone) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, app.keys.login_subjects.bytes());
        let subject = |text: String| {
            let tag = hmac::sign(&key, text.as_bytes());
            tag.as_ref().try_into().unwrap_or([0; 32])
        };
        let address = subscriber(caller.context.client_address);
        Self {
            pair: subject(format!("pair {email} {address}")),
            account: subject(format!("account {email}")),
            address: subject(format!("address {address}")),
        }
    }

    const fn all(&self) -> [(&[u8; 32], Brake); 3] {
        [(&self.pair, BY_PAIR), (&self.account, BY_ACCOUNT), (&self.address, BY_ADDRESS)]
    }

    async fn check_delay(&self, tx: &mut ControlTx, now: Timestamp) -> Result<(), Problem> {
        for (subject, brake) in self.all() {
            let attempts = login_attempts::find(tx, subject).await?;
            let wait = attempts.map_or(0, |attempts| wait_secs(&brake, attempts, now));
            if let Ok(wait @ 1..) = u32::try_from(wait) {
                let detail = format!("Too many failed sign-ins; try again in {wait} seconds.");
                return Err(Problem::new(ProblemKind::RateLimitExceeded, detail).retry_after(wait));
            }
        }
        Ok(())
    }

    async fn record_failure(&self, tx: &mut ControlTx, now: Timestamp) -> Result<(), Problem> {
        for (subject, _) in self.all() {
            login_attempts::record_failure(tx, subject, now).await?;
        }
        Ok(())
    }

    async fn forget_failures(&self, tx: &mut ControlTx) -> Result<(), Problem> {
        login_attempts::clear(tx, &self.pair).await?;
        login_attempts::clear(tx, &self.account).await?;
        Ok(())
    }
}

/// The part of an address that one subscriber has: all of IPv4, the first half of IPv6.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

/// Seconds still to wait: 1, 2, 4, … after each failure past the free ones, up to the brake's maximum.
fn wait_secs(brake: &Brake, attempts: LoginAttempts, now: Timestamp) -> i64 {
    let Some(beyond) = attempts.failures.checked_sub(brake.free_failures) else { return 0 };
    let delay = 1_i64.checked_shl(beyond).filter(|delay| *delay > 0).unwrap_or(i64::MAX);
    let elapsed = now.as_second() - attempts.last_failure_at.as_second();
    (delay.min(brake.delay_secs_max) - elapsed).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(failures: u32, elapsed: i64) -> i64 {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        wait_secs(
            &BY_PAIR,
            LoginAttempts { failures, last_failure_at: at(1_000) },
            at(1_000 + elapsed),
        )
    }

    #[test]
    fn the_delay_grows_is_bounded_and_passes() {
        assert_eq!([4, 5, 6, 7, 8].map(|failures| wait(failures, 0)), [0, 1, 2, 4, 8]);
        assert_eq!([13, 40, 69, 1_000].map(|failures| wait(failures, 0)), [256, 300, 300, 300]);
        assert_eq!(wait(1_000, 300), 0);
    }
}
