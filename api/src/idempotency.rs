//! `Idempotency-Key`: a repeated request gets the answer of the first, and its effect happens once.
//!
//! The answer is stored in the transaction of its effect, so a process that dies between leaves both or
//! neither. It is sealed under a key that the header's value yields, because answers hold secrets; on
//! anonymous routes it is stored without its tokens.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use credentials::SymmetricKey;
use domain::problem::ProblemKind;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use pytake::Principal;
use ring::{aead, hmac};
use serde::Serialize;
use store::Tx;
use store::idempotency_keys::{self, StoredAnswer};

use crate::app::{App, random};
use crate::authorized::Anyone;
use crate::operator::{Operator, OperatorApp};
use crate::problem::Problem;

static HEADER: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key that is taken.
const KEY_LEN_MAX: usize = 255;

/// The header and what it is about: tenant, principal, method and path.
#[derive(Clone)]
pub(crate) struct IdempotencyKey(Option<Scope>);

#[derive(Clone)]
struct Scope {
    hash: [u8; 32],
    sealing: [u8; 32],
}

/// What is to be done with the request.
pub(crate) enum Attempt {
    /// It was answered before.
    Replay(Response),
    /// It is new; the answer is to be stored by [`First::answer`].
    First(First),
}

/// The first request under its key, or one without a key.
pub(crate) struct First {
    scope: Option<Scope>,
    request_hash: [u8; 32],
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Anyone::from_request_parts(parts, app).await?;
        Self::of(parts, &app.keys.answers, &subject(&caller))
    }
}

impl FromRequestParts<OperatorApp> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &OperatorApp) -> Result<Self, Problem> {
        let operator = Operator::from_request_parts(parts, app).await?;
        Self::of(parts, &app.answers, &operator.subject())
    }
}

/// Whose clock says how long an answer is kept.
pub(crate) trait Clocked {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

impl Clocked for App {
    fn now(&self) -> Timestamp {
        App::now(self)
    }
}

impl Clocked for OperatorApp {
    fn now(&self) -> Timestamp {
        OperatorApp::now(self)
    }
}

/// Two tenants, or two principals of one, never share a key.
fn subject(caller: &Anyone) -> String {
    let tenant = caller.context.tenant_id.map(|id| id.to_string()).unwrap_or_default();
    let principal = match &caller.context.principal {
        Principal::Anonymous => String::new(),
        Principal::User { user_id, .. } => user_id.to_string(),
        Principal::ApiKey { api_key_id, .. } => api_key_id.to_string(),
    };
    format!("{tenant}/{principal}")
}

fn mac(answers: &SymmetricKey, parts: &[&str]) -> Result<[u8; 32], Problem> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, answers.bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.sign().as_ref().try_into().map_err(Problem::internal)
}

impl IdempotencyKey {
    /// What the request says, of `subject`: whom nobody else shares a key with.
    fn of(parts: &Parts, answers: &SymmetricKey, subject: &str) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(&HEADER).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(value), None) => value.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        let acceptable = |value: &&str| !value.is_empty() && value.len() <= KEY_LEN_MAX;
        let Some(value) = value.filter(acceptable) else {
            let detail =
                "`Idempotency-Key` must be sent once, with 1 to 255 visible ASCII characters.";
            return Err(Problem::new(ProblemKind::MalformedRequest, detail));
        };
        let place = format!("{} {}", parts.method, parts.uri.path());
        Ok(Self(Some(Scope {
            hash: mac(answers, &["scope", subject, &place, value])?,
            sealing: mac(answers, &["seal", subject, &place, value])?,
        })))
    }

    /// Waits for a request under the same key that is still running, then tells whether this one is new.
    pub(crate) async fn attempt(
        self,
        app: &impl Clocked,
        tx: &mut impl Tx,
        request_hash: [u8; 32],
    ) -> Result<Attempt, Problem> {
        let Some(scope) = self.0 else {
            return Ok(Attempt::First(First { scope: None, request_hash }));
        };
        idempotency_keys::lock(tx, &scope.hash).await?;
        match idempotency_keys::find(tx, &scope.hash, app.now()).await? {
            None => Ok(Attempt::First(First { scope: Some(scope), request_hash })),
            Some(stored) if stored.request_hash == request_hash => {
                let body = open(&scope, &stored.answer_sealed)?;
                Ok(Attempt::Replay(replay(stored.status, body)))
            }
            Some(_) => Err(Problem::new(
                ProblemKind::IdempotencyKeyReused,
                "This `Idempotency-Key` came before with another body; use a new key for a new request.",
            )),
        }
    }
}

impl First {
    /// The answer `body`, stored for repetitions.
    pub(crate) async fn answer(
        self,
        app: &impl Clocked,
        tx: &mut impl Tx,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Response, Problem> {
        self.answer_storing(app, tx, status, body, body).await
    }

    /// The answer `body`; repetitions get `repeated`, which leaves out what must be shown once only.
    pub(crate) async fn answer_storing(
        self,
        app: &impl Clocked,
        tx: &mut impl Tx,
        status: StatusCode,
        body: &impl Serialize,
        repeated: &impl Serialize,
    ) -> Result<Response, Problem> {
        if let Some(scope) = self.scope {
            let stored = StoredAnswer {
                request_hash: self.request_hash.to_vec(),
                status: status.as_u16(),
                answer_sealed: seal(&scope, json(repeated)?)?,
            };
            idempotency_keys::insert(tx, &scope.hash, &stored, app.now()).await?;
        }
        Ok(respond(status, json(body)?))
    }
}

fn json(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(Problem::internal)
}

fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

fn replay(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = respond(status, body);
    response.headers_mut().insert(&REPLAYED, HeaderValue::from_static("true"));
    response
}

fn cipher(scope: &Scope) -> Result<aead::LessSafeKey, Problem> {
    let key =
        aead::UnboundKey::new(&aead::AES_256_GCM, &scope.sealing).map_err(Problem::internal)?;
    Ok(aead::LessSafeKey::new(key))
}

fn seal(scope: &Scope, mut body: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let nonce: [u8; aead::NONCE_LEN] = random();
    cipher(scope)?
        .seal_in_place_append_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(scope.hash),
            &mut body,
        )
        .map_err(Problem::internal)?;
    let mut sealed = nonce.to_vec();
    sealed.append(&mut body);
    Ok(sealed)
}

fn open(scope: &Scope, sealed: &[u8]) -> Result<Vec<u8>, Problem> {
    let refused = || Problem::internal("a stored answer does not open");
    let (nonce, body) = sealed.split_at_checked(aead::NONCE_LEN).ok_or_else(refused)?;
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused())?;
    let mut body = body.to_vec();
    let length = cipher(scope)?
        .open_in_place(nonce, aead::Aad::from(scope.hash), &mut body)
        .map_err(|_| refused())?
        .len();
    body.truncate(length);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(byte: u8) -> Scope {
        Scope { hash: [1; 32], sealing: [byte; 32] }
    }

    #[test]
    fn a_stored_answer_opens_under_its_own_header_only() {
        let sealed = seal(&scope(1), b"{}".to_vec()).unwrap();
        assert_eq!(open(&scope(1), &sealed).unwrap(), b"{}");
        assert!(open(&scope(2), &sealed).is_err());
        assert!(open(&scope(1), &sealed[..5]).is_err());
    }
}
