//! Access tokens: short-lived JWTs signed with Ed25519 (RFC 8037), typed `at+jwt` (RFC 9068).
//!
//! A token proves a user and a session, nothing else: membership, role and permissions are looked up live.
//! The algorithm is fixed, keys come from the published set only; `none`, HMAC, `jku`, `jwk` and `x5u` have
//! no code path that could honour them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::{SessionId, SigningKeyId, TenantId, UserId};
use domain::secret::Secret;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};

/// Value of the `typ` header.
pub const TOKEN_TYPE: &str = "at+jwt";
/// How far two clocks may be apart, in seconds.
pub const LEEWAY_SECS: u64 = 5;
/// Longest token that is looked at.
pub const LEN_MAX: usize = 2048;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The session that the token came from; revoking it revokes the token.
    pub sid: SessionId,
    /// When present, the token is good for this tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tid: Option<TenantId>,
    /// How the user proved who they are (RFC 8176): `pwd`, `otp`, `hwk`, ….
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Not before, Unix seconds.
    pub nbf: i64,
    /// Expires, Unix seconds.
    pub exp: i64,
}

impl Claims {
    /// Whether the session used a second factor.
    #[must_use]
    pub fn used_second_factor(&self) -> bool {
        self.amr.iter().any(|method| matches!(method.as_str(), "otp" | "hwk" | "mfa"))
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Anything else: malformed, forged, foreign, of another type, from a key that is not published.
    #[error("the access token could not be verified")]
    Invalid,
}

/// The public half of a signing key, as published (RFC 7517; RFC 8037 for Ed25519, RFC 7518 for P-256).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicJwk {
    /// Key type: `OKP` or `EC`.
    pub kty: String,
    /// Curve: `Ed25519` or `P-256`.
    pub crv: String,
    /// The public key, or its first coordinate, base64url.
    pub x: String,
    /// The second coordinate of a key on P-256, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The key's id.
    pub kid: String,
    /// Use: `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Algorithm: `EdDSA` or `ES256`.
    pub alg: String,
}

impl PublicJwk {
    /// Of a key on Ed25519.
    #[must_use]
    pub fn ed25519(id: impl std::fmt::Display, public: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(public),
            y: None,
            kid: id.to_string(),
            usage: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        }
    }

    /// The public key of a key on Ed25519.
    #[must_use]
    pub fn ed25519_public(&self) -> Option<Vec<u8>> {
        let is_ed25519 = self.kty == "OKP" && self.crv == "Ed25519";
        is_ed25519.then(|| URL_SAFE_NO_PAD.decode(&self.x).ok()).flatten()
    }
}

/// A new signing key could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 key in PKCS #8 form")]
pub struct SigningKeyError;

/// A new Ed25519 key: PKCS #8 bytes for the vault, and the public half to publish.
///
/// # Errors
/// When the system's randomness fails.
pub fn generate_signing_key(
    id: SigningKeyId,
    random: &SystemRandom,
) -> Result<(Secret<Vec<u8>>, PublicJwk), SigningKeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(random).map_err(|_| SigningKeyError)?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| SigningKeyError)?;
    let jwk = PublicJwk::ed25519(id, pair.public_key().as_ref());
    Ok((Secret::new(document.as_ref().to_vec()), jwk))
}

/// Issues tokens under one signing key.
#[derive(Clone)]
pub struct TokenIssuer {
    header: Header,
    key: EncodingKey,
}

impl TokenIssuer {
    /// An issuer with the private half `pkcs8` of the key `id`.
    ///
    /// # Errors
    /// When the bytes are no Ed25519 key.
    pub fn new(id: SigningKeyId, pkcs8: &Secret<Vec<u8>>) -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::from_pkcs8(pkcs8.expose()).map_err(|_| SigningKeyError)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(id.to_string());
        Ok(Self { header, key: EncodingKey::from_ed_der(pkcs8.expose()) })
    }

    /// Signs `claims`.
    ///
    /// # Errors
    /// When signing fails, which a checked key does not.
    pub fn issue(&self, claims: &Claims) -> Result<Secret<String>, SigningKeyError> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map(Secret::new)
            .map_err(|_| SigningKeyError)
    }
}

impl std::fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenIssuer").field("kid", &self.header.kid).finish_non_exhaustive()
    }
}

/// Verifies tokens against the published keys.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: HashMap<String, VerifyingKey>,
}

/// A published key, with what a token signed by it must be.
#[derive(Clone)]
struct VerifyingKey {
    key: DecodingKey,
    validation: Validation,
}

impl TokenVerifier {
    /// A verifier for tokens of `issuer` to `audience` under `keys`; keys of other kinds are left out.
    #[must_use]
    pub fn new(issuer: &str, audience: &str, keys: impl IntoIterator<Item = PublicJwk>) -> Self {
        let keys = keys.into_iter();
        let keys = keys
            .filter_map(|jwk| Some((jwk.kid.clone(), VerifyingKey::new(&jwk, issuer, audience)?)))
            .collect();
        Self { keys }
    }

    /// The claims of `token`, if it was signed by a published key and is in force at `now`.
    ///
    /// # Errors
    /// `Expired` only for a token that is right in everything else.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
        if token.len() > LEN_MAX {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err(TokenError::Invalid);
        }
        let key = header.kid.and_then(|kid| self.keys.get(&kid)).ok_or(TokenError::Invalid)?;
        // The validation holds the key's own algorithm, and no other is taken, whatever the token says.
        let claims = jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation)
            .map_err(|_| TokenError::Invalid)?
            .claims;
        in_force(&claims, now)?;
        Ok(claims)
    }
}

impl VerifyingKey {
    /// `None` for keys of other kinds.
    fn new(jwk: &PublicJwk, issuer: &str, audience: &str) -> Option<Self> {
        let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_str(), &jwk.y) {
            ("OKP", "Ed25519", None) => (Algorithm::EdDSA, DecodingKey::from_ed_components(&jwk.x)),
            ("EC", "P-256", Some(y)) => {
                (Algorithm::ES256, DecodingKey::from_ec_components(&jwk.x, y))
            }
            _ => return None,
        };
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        // A claim of the wrong type counts as absent (CVE-2026-25537), so all must be present. Times are
        // judged by the caller's clock, in `in_force`.
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Some(Self { key: key.ok()?, validation })
    }
}

/// Judges the times of claims whose signature is known to be good (a remembered token, say).
///
/// # Errors
/// `Expired` past `exp`, `Invalid` before `nbf` or `iat`.
pub fn in_force(claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
    let now = now.as_second();
    let leeway = LEEWAY_SECS.cast_signed();
    if claims.nbf > now.saturating_add(leeway) || claims.iat > now.saturating_add(leeway) {
        return Err(TokenError::Invalid);
    }
    if claims.exp <= now.saturating_sub(leeway) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

impl std::fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::signature::EcdsaKeyPair;
    use uuid::Uuid;

    const NOW: i64 = 1_700_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            iss: "pytake".into(),
            aud: "pytake-api".into(),
            sub: UserId::from_uuid(Uuid::from_u128(1)),
            sid: SessionId::from_uuid(Uuid::from_u128(2)),
            tid: None,
            amr: vec!["pwd".into()],
            iat: NOW,
            nbf: NOW,
            exp: NOW + 600,
        }
    }

    fn issuer() -> (TokenIssuer, PublicJwk) {
        let id = SigningKeyId::from_uuid(Uuid::from_u128(9));
        let (private, public) = generate_signing_key(id, &SystemRandom::new()).unwrap();
        (TokenIssuer::new(id, &private).unwrap(), public)
    }

    fn verifier(jwk: PublicJwk) -> TokenVerifier {
        TokenVerifier::new("pytake", "pytake-api", [jwk])
    }

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn an_issued_token_verifies_until_it_expires() {
        let (issuer, jwk) = issuer();
        let verifier = verifier(jwk);
        let token = issuer.issue(&claims()).unwrap();
        assert_eq!(verifier.verify(token.expose(), at(NOW)), Ok(claims()));
        assert_eq!(verifier.verify(token.expose(), at(NOW + 606)), Err(TokenError::Expired));
        assert_eq!(verifier.verify(token.expose(), at(NOW - 60)), Err(TokenError::Invalid));
    }

    /// What another issuer of ours might use (RFC 7518, 3.4): a key on P-256.
    #[test]
    fn es256_is_verified_by_keys_on_p_256_only() {
        let random = SystemRandom::new();
        let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        // Uncompressed: 4, then both coordinates (SEC 1, 2.3.3).
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let jwk = PublicJwk {
            kty: "EC".into(),
            crv: "P-256".into(),
            x: URL_SAFE_NO_PAD.encode(x),
            y: Some(URL_SAFE_NO_PAD.encode(y)),
            kid: "ec".into(),
            usage: "sig".into(),
            alg: "ES256".into(),
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TOKEN_TYPE.into());
        header.kid = Some("ec".into());
        let key = EncodingKey::from_ec_der(document.as_ref());
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert_eq!(verifier(jwk.clone()).verify(&token, at(NOW)), Ok(claims()));
        let (_, ed25519) = issuer();
        let confused = PublicJwk { kid: "ec".into(), ..ed25519 };
        assert_eq!(verifier(confused).verify(&token, at(NOW)), Err(TokenError::Invalid));
        let half = PublicJwk { y: None, ..jwk };
        assert_eq!(verifier(half).verify(&token, at(NOW)), Err(TokenError::Invalid));
    }

    #[test]
    fn another_key_issuer_or_audience_is_refused() {
        let (issuer, jwk) = issuer();
        let token = issuer.issue(&claims()).unwrap();
        let (_, other) = self::issuer();
        let same_id = PublicJwk { kid: jwk.kid.clone(), ..other };
        for verifier in [
            verifier(same_id),
            TokenVerifier::new("other", "pytake-api", [jwk.clone()]),
            TokenVerifier::new("pytake", "other", [jwk]),
            TokenVerifier::new("pytake", "pytake-api", []),
        ] {
            assert_eq!(verifier.verify(token.expose(), at(NOW)), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn none_and_hmac_with_the_public_key_are_refused() {
        let (_, jwk) = issuer();
        let body = part(&serde_json::to_string(&claims()).unwrap());
        for alg in ["none", "HS256", "EdDSA"] {
            let header = part(&format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, jwk.kid));
            let signing_input = format!("{header}.{body}");
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, jwk.x.as_bytes());
            let mac = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signing_input.as_bytes()));
            for signature in ["", &mac] {
                let token = format!("{signing_input}.{signature}");
                let verdict = verifier(jwk.clone()).verify(&token, at(NOW));
                assert_eq!(verdict, Err(TokenError::Invalid), "{alg}");
            }
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_not_an_absent_one() {
        let (issuer, jwk) = issuer();
        for broken in [r#""exp":"9999999999""#, r#""x":1"#] {
            let text = serde_json::to_string(&claims()).unwrap();
            let text = text.replace(&format!(r#""exp":{}"#, NOW + 600), broken);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let token = jsonwebtoken::encode(&issuer.header, &value, &issuer.key).unwrap();
            assert_eq!(verifier(jwk.clone()).verify(&token, at(NOW)), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn another_token_type_is_refused() {
        let (mut issuer, jwk) = issuer();
        issuer.header.typ = Some("JWT".into());
        let token = issuer.issue(&claims()).unwrap();
        assert_eq!(verifier(jwk).verify(token.expose(), at(NOW)), Err(TokenError::Invalid));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_panic(text in "\\PC{0,80}|[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{0,40}") {
            let verifier = TokenVerifier::new("pytake", "pytake-api", []);
            prop_assert_eq!(verifier.verify(&text, at(NOW)), Err(TokenError::Invalid));
        }
    }
}
