//! Sessions: what signing up and signing in hand out, and what refreshing exchanges.

use std::net::IpAddr;

use credentials::access_token::Claims;
use credentials::refresh_token::RefreshToken;
use domain::id::{SessionId, TenantId, UserId};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use jobs::catalog::SendEmail;
use serde::Serialize;
use store::Tx;
use store::sessions::{self, Session};
use utoipa::ToSchema;

use crate::app::{App, random};
use crate::problem::Problem;

/// A network that a person has not used for so long is new to them.
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(24 * 90);
/// What is one network: the part of an address that stays while a subscriber's changes.
const NETWORK_BITS: (u8, u8) = (24, 48);
/// How the user proved who they are (RFC 8176).
const BY_PASSWORD: &str = "pwd";

/// An access token for requests, and a refresh token for the next one.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Send as `Authorization: Bearer …`.
    pub(crate) access_token: String,
    /// Exchange at `POST /api/v1/auth/refresh`; good once.
    pub(crate) refresh_token: String,
    /// `Bearer`.
    pub(crate) token_type: &'static str,
    /// Life of the access token, in seconds.
    #[schema(example = 600)]
    pub(crate) expires_in: u64,
}

/// From where a session is begun.
pub(crate) struct Device {
    /// The caller's address.
    pub(crate) address: IpAddr,
    /// The program, as it names itself.
    pub(crate) user_agent: Option<String>,
}

/// How a session was earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Earned {
    /// By a password.
    ByPassword,
    /// By signing up: nothing is proven yet, so the session is good for the new tenant only.
    BySignUp(TenantId),
}

/// Begins a session of `user_id`.
pub(crate) async fn begin(
    app: &App,
    tx: &mut impl Tx,
    user_id: UserId,
    earned: Earned,
    device: Device,
) -> Result<Tokens, Problem> {
    let now = app.now();
    let session = Session {
        id: SessionId::new(now, random()),
        user_id,
        tenant_id: match earned {
            Earned::ByPassword => None,
            Earned::BySignUp(tenant_id) => Some(tenant_id),
        },
        created_at: now,
        last_used_at: now,
        expires_at: expiry(app, now)?,
        revoked_at: None,
        address: Some(device.address),
        user_agent: device.user_agent.map(|text| text.chars().take(300).collect()),
    };
    if earned == Earned::ByPassword {
        warn(tx, &session, device.address).await?;
    }
    sessions::insert(tx, &session).await?;
    let refresh_token = RefreshToken::generate(random());
    let hash = app.keys.refresh_tokens.hash(&refresh_token);
    sessions::insert_refresh_token(tx, session.id, &hash, now).await?;
    tokens(app, &session, &refresh_token)
}

/// Has the person told, if they were here before, but not from this network lately.
async fn warn(tx: &mut impl Tx, session: &Session, address: IpAddr) -> Result<(), Problem> {
    let (v4, v6) = NETWORK_BITS;
    let bits = if address.is_ipv4() { v4 } else { v6 };
    let network = IpNet::new(address, bits).map_err(Problem::internal)?.trunc();
    let now = session.created_at;
    let since = now.checked_sub(KNOWN_FOR).map_err(Problem::internal)?;
    let before = sessions::before(tx, session.user_id, network, since).await?;
    if !before.any || before.from_network {
        return Ok(());
    }
    let day = now.as_second() / 86_400;
    let once = format!("sign-in {} {network} {day}", session.user_id);
    let options = jobs::Options { idempotency_key: Some(once), ..jobs::Options::default() };
    jobs::enqueue(tx, &SendEmail::SignInAlert { session_id: session.id }, options).await?;
    Ok(())
}

/// The tokens of `session`, with `refresh_token` as the one to exchange next.
pub(crate) fn tokens(
    app: &App,
    session: &Session,
    refresh_token: &RefreshToken,
) -> Result<Tokens, Problem> {
    let settings = &app.settings;
    let life = settings.access_token_life();
    let now = app.now().as_second();
    let by_sign_up = session.tenant_id.is_some();
    let claims = Claims {
        iss: settings.token_issuer.clone(),
        aud: settings.token_audience.clone(),
        sub: session.user_id,
        sid: session.id,
        tid: session.tenant_id,
        amr: if by_sign_up { Vec::new() } else { vec![BY_PASSWORD.to_owned()] },
        iat: now,
        nbf: now,
        exp: now.saturating_add_unsigned(life.as_secs()),
    };
    let access_token = app.issuer.issue(&claims).map_err(Problem::internal)?;
    Ok(Tokens {
        access_token: access_token.expose().clone(),
        refresh_token: refresh_token.expose().clone(),
        token_type: "Bearer",
        expires_in: life.as_secs(),
    })
}

/// When a session that is used at `now` ends unless it is used again.
pub(crate) fn expiry(app: &App, now: Timestamp) -> Result<Timestamp, Problem> {
    let life =
        SignedDuration::try_from(app.settings.refresh_token_life()).map_err(Problem::internal)?;
    now.checked_add(life).map_err(Problem::internal)
}

/// The calling program, as it names itself.
pub(crate) fn user_agent(headers: &http::HeaderMap) -> Option<String> {
    headers.get(http::header::USER_AGENT)?.to_str().ok().map(str::to_owned)
}
