//! The credential: exactly one, of the right kind, genuine, in force.

use std::borrow::Cow;

use credentials::access_token::{self, Claims, TokenError};
use credentials::api_key::{self, ApiKeyError};
use domain::problem::ProblemKind;
use jiff::Timestamp;

use super::Denial;
use crate::facts::{HeaderFact, RequestFacts};
use crate::routes::Auth;
use crate::snapshot::{ApiKey, Policy};

/// Who is calling, as far as the credential proves it.
pub(super) enum Caller<'a> {
    ApiKey(&'a ApiKey),
    /// Owned when the token was verified just now, borrowed when it was remembered.
    User(Cow<'a, Claims>),
}

/// Establishes who is calling, on a route for `auth`.
pub(super) fn caller<'a>(
    policy: &'a Policy,
    facts: &RequestFacts<'a>,
    now: Timestamp,
    auth: Auth,
) -> Result<Caller<'a>, Denial> {
    match presented(facts)? {
        Presented::ApiKey(_) if auth == Auth::User => Err(Denial::new(
            ProblemKind::PermissionDenied,
            "This is for signed-in people; send a user's access token instead of an API key.",
        )),
        Presented::Token(_) if auth == Auth::Key => Err(Denial::new(
            ProblemKind::PermissionDenied,
            "This is for applications; send an API key instead of an access token.",
        )),
        Presented::ApiKey(text) => find_api_key(policy, text, now).map(Caller::ApiKey),
        Presented::Token(text) => verify(policy, facts, text, now).map(Caller::User),
    }
}

enum Presented<'a> {
    ApiKey(&'a str),
    Token(&'a str),
}

/// The credential in an `Authorization` header of the scheme `Bearer` (RFC 6750, 2.1).
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    const SCHEME: &str = "bearer ";
    let (scheme, credential) = authorization.split_at_checked(SCHEME.len())?;
    let credential = credential.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !credential.is_empty()).then_some(credential)
}

fn presented<'a>(facts: &RequestFacts<'a>) -> Result<Presented<'a>, Denial> {
    let ambiguous = || {
        Err(Denial::new(
            ProblemKind::AmbiguousCredentials,
            "Send exactly one credential: `Authorization: Bearer …` or `X-Api-Key`.",
        ))
    };
    let unauthenticated = |detail| Err(Denial::new(ProblemKind::Unauthenticated, detail));
    let bearer = match facts.authorization {
        HeaderFact::Unusable => return ambiguous(),
        HeaderFact::Absent => None,
        HeaderFact::Value(text) => match bearer(text) {
            Some(credential) => Some(credential),
            None => {
                return unauthenticated(
                    "`Authorization` must be `Bearer` followed by an API key or an access token.",
                );
            }
        },
    };
    match (bearer, facts.api_key) {
        (_, HeaderFact::Unusable) => ambiguous(),
        (Some(bearer), HeaderFact::Value(key)) if bearer != key => ambiguous(),
        (_, HeaderFact::Value(key)) => Ok(Presented::ApiKey(key)),
        (Some(bearer), _) if api_key::ApiKey::looks_like(bearer) => Ok(Presented::ApiKey(bearer)),
        (Some(bearer), _) => Ok(Presented::Token(bearer)),
        (None, _) => unauthenticated(
            "Send an API key or an access token: `Authorization: Bearer …`; sign in at `POST /api/v1/auth/login`.",
        ),
    }
}

fn find_api_key<'p>(policy: &'p Policy, text: &str, now: Timestamp) -> Result<&'p ApiKey, Denial> {
    let invalid = |detail| Denial::new(ProblemKind::ApiKeyInvalid, detail);
    let mut found = None;
    for pepper in &policy.site.peppers {
        let hash = api_key::parse_and_hash(text, pepper).map_err(|error| {
            invalid(match error {
                ApiKeyError::Malformed => {
                    "An API key is `pk_` and 49 letters or digits; copy it whole."
                }
                ApiKeyError::Checksum => "The API key is mistyped or cut; copy it whole.",
            })
        })?;
        found = policy.api_key(&hash);
        if found.is_some() {
            break;
        }
    }
    let key =
        found.ok_or_else(|| invalid("No such API key; create one at the tenant's `api-keys`."))?;
    if key.revoked {
        return Err(Denial::new(
            ProblemKind::ApiKeyRevoked,
            "The API key was deleted; create a new one and replace it where it is used.",
        ));
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(Denial::new(
            ProblemKind::ApiKeyExpired,
            "The API key has expired; create a new one and replace it where it is used.",
        ));
    }
    Ok(key)
}

fn verify<'a>(
    policy: &Policy,
    facts: &RequestFacts<'a>,
    text: &str,
    now: Timestamp,
) -> Result<Cow<'a, Claims>, Denial> {
    let claims = match facts.remembered {
        Some(claims) => access_token::in_force(claims, now).map(|()| Cow::Borrowed(claims)),
        None => policy.tokens.verify(text, now).map(Cow::Owned),
    }
    .map_err(token_denial)?;
    if policy.session_revoked(claims.sid) {
        return Err(Denial::new(
            ProblemKind::TokenInvalid,
            "The session was ended; sign in again at `POST /api/v1/auth/login`.",
        ));
    }
    Ok(claims)
}

fn token_denial(error: TokenError) -> Denial {
    match error {
        TokenError::Expired => Denial::new(
            ProblemKind::TokenExpired,
            "The access token has expired; get a new one at `POST /api/v1/auth/refresh`.",
        ),
        TokenError::Invalid => Denial::new(
            ProblemKind::TokenInvalid,
            "The access token could not be verified; sign in again at `POST /api/v1/auth/login`.",
        ),
    }
}
