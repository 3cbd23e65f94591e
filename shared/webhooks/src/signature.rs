//! Signatures of Standard Webhooks 1.0: over `id.timestamp.body`, symmetric (`v1`) or asymmetric (`v1a`).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use domain::secret::Secret;
use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// What a shown secret starts with.
const SECRET_PREFIX: &str = "whsec_";
/// What a public key starts with.
const PUBLIC_PREFIX: &str = "whpk_";
/// Secrets that others made come with and without padding.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Bytes of a secret of ours, and of a seed.
const SECRET_BYTES: usize = 32;
/// Bytes of a secret that others made (Standard Webhooks 1.0, "Signature scheme"). A shorter one is no secret: by an
/// empty one, `whsec_` alone, anybody could sign.
const FOREIGN_SECRET_BYTES: RangeInclusive<usize> = 24..=64;

/// How messages to an endpoint are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// HMAC-SHA256, with a secret that both sides know.
    Hmac,
    /// Ed25519: the receiver knows the public key only.
    Ed25519,
}

impl SignatureKind {
    /// The spelling on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hmac => "Hmac",
            Self::Ed25519 => "Ed25519",
        }
    }
}

impl fmt::Display for SignatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SignatureKind {
    type Err = UnknownSignatureKind;

    fn from_str(text: &str) -> Result<Self, UnknownSignatureKind> {
        match text {
            "Hmac" => Ok(Self::Hmac),
            "Ed25519" => Ok(Self::Ed25519),
            _ => Err(UnknownSignatureKind),
        }
    }
}

/// Not a kind of signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `Hmac` or `Ed25519`")]
pub struct UnknownSignatureKind;

/// The secret is not one of its kind: stored by another release, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing secret is malformed")]
pub struct MalformedSecret;

/// What signs.
#[derive(Debug, Clone)]
pub struct SigningSecret {
    kind: SignatureKind,
    bytes: Secret<Vec<u8>>,
}

impl SigningSecret {
    /// A new one, of random bytes.
    #[must_use]
    pub fn new(kind: SignatureKind, random: [u8; SECRET_BYTES]) -> Self {
        Self { kind, bytes: Secret::new(random.to_vec()) }
    }

    /// From its stored form.
    ///
    /// # Errors
    /// When the bytes are none of this kind.
    pub fn from_stored(
        kind: SignatureKind,
        bytes: Secret<Vec<u8>>,
    ) -> Result<Self, MalformedSecret> {
        if bytes.expose().len() == SECRET_BYTES {
            Ok(Self { kind, bytes })
        } else {
            Err(MalformedSecret)
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The form to be sealed and stored.
    #[must_use]
    pub const fn stored(&self) -> &Secret<Vec<u8>> {
        &self.bytes
    }

    /// What the receiver verifies with, in text: the secret itself (`whsec_…`), or the public key (`whpk_…`); the
    /// private half of a pair never leaves.
    ///
    /// # Errors
    /// When the seed is malformed.
    pub fn verifier(&self) -> Result<Secret<String>, MalformedSecret> {
        Ok(Secret::new(match self.kind {
            SignatureKind::Hmac => {
                format!("{SECRET_PREFIX}{}", STANDARD.encode(self.bytes.expose()))
            }
            SignatureKind::Ed25519 => {
                format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.pair()?.public_key().as_ref()))
            }
        }))
    }

    /// The signature of a message: `v1,…` or `v1a,…`. `timestamp` is of the attempt, in seconds since 1970.
    ///
    /// # Errors
    /// When the seed is malformed.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String, MalformedSecret> {
        match self.kind {
            SignatureKind::Hmac => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes.expose());
                let mut context = hmac::Context::with_key(&key);
                context.update(format!("{id}.{timestamp}.").as_bytes());
                context.update(body);
                Ok(format!("v1,{}", STANDARD.encode(context.sign().as_ref())))
            }
            SignatureKind::Ed25519 => {
                let signature = self.pair()?.sign(&signed(id, &timestamp.to_string(), body));
                Ok(format!("v1a,{}", STANDARD.encode(signature.as_ref())))
            }
        }
    }

    fn pair(&self) -> Result<Ed25519KeyPair, MalformedSecret> {
        Ed25519KeyPair::from_seed_unchecked(self.bytes.expose()).map_err(|_| MalformedSecret)
    }
}

fn signed(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{id}.{timestamp}.").into_bytes();
    text.extend_from_slice(body);
    text
}

/// The value of `webhook-signature`: of every secret in force, so that a receiver may change over when it likes.
///
/// # Errors
/// When a secret is malformed.
pub fn signatures<'a>(
    secrets: impl IntoIterator<Item = &'a SigningSecret>,
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<String, MalformedSecret> {
    let all: Result<Vec<_>, _> =
        secrets.into_iter().map(|secret| secret.sign(id, timestamp, body)).collect();
    Ok(all?.join(" "))
}

/// Whether a received message is genuine: what a receiver does. `verifier` is `whsec_…` or `whpk_…`; a timestamp that
/// is more than `tolerance` seconds from `now` is refused, so that what was overheard cannot be sent again later.
#[must_use]
pub fn verify(
    verifier: &str,
    (id, timestamp, header): (&str, &str, &str),
    body: &[u8],
    now: i64,
    tolerance: u64,
) -> bool {
    if !timestamp.parse::<i64>().is_ok_and(|at| at.abs_diff(now) <= tolerance) {
        return false;
    }
    let text = signed(id, timestamp, body);
    let matches = |signature: &str| {
        let (version, value) = signature.split_once(',')?;
        let value = STANDARD.decode(value).ok()?;
        match version {
            "v1" => {
                let key = STANDARD.decode(verifier.strip_prefix(SECRET_PREFIX)?).ok()?;
                if !FOREIGN_SECRET_BYTES.contains(&key.len()) {
                    return None;
                }
                hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &text, &value).ok()
            }
            "v1a" => {
                let key = STANDARD.decode(verifier.strip_prefix(PUBLIC_PREFIX)?).ok()?;
                UnparsedPublicKey::new(&ED25519, key).verify(&text, &value).ok()
            }
            _ => None,
        }
    };
    header.split(' ').any(|signature| matches(signature).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_614_265_330;

    fn kinds() -> impl Strategy<Value = SignatureKind> {
        prop_oneof![Just(SignatureKind::Hmac), Just(SignatureKind::Ed25519)]
    }

    fn verifies(secret: &SigningSecret, header: &str, body: &[u8]) -> bool {
        let verifier = secret.verifier().unwrap();
        verify(verifier.expose(), ("msg_1", &NOW.to_string(), header), body, NOW, 300)
    }

    /// The one that the official libraries and their documentation publish, of a secret of 24 bytes.
    #[test]
    fn the_official_libraries_vector() {
        let header = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let body = br#"{"test": 2432232314}"#;
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let received = |at: &str, header: &str| verify(secret, (id, at, header), body, NOW, 300);
        assert!(received("1614265330", header));
        assert!(received("1614265330", &format!("v1,AAAA v9,x {header}")));
        for refused in ["1614265331", "", "x", "1614265330.0"] {
            assert!(!received(refused, header), "{refused}");
        }
        let at = |now| verify(secret, (id, "1614265330", header), body, now, 300);
        assert!(at(NOW + 300) && at(NOW - 300));
        assert!(!at(NOW + 301) && !at(NOW - 301) && !at(i64::MIN) && !at(i64::MAX));
    }

    /// By hand, as any receiver would: the whole header of a known secret, kind and text.
    #[test]
    fn a_secret_of_ours_has_one_text_and_one_signature() {
        let secret = SigningSecret::new(SignatureKind::Hmac, [7; 32]);
        let shown = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        assert_eq!(secret.verifier().unwrap().expose(), shown);
        let pair = SigningSecret::new(SignatureKind::Ed25519, [7; 32]);
        let public = pair.verifier().unwrap();
        assert!(public.expose().starts_with("whpk_") && !public.expose().contains("BwcHBwc"));
        let both = signatures([&secret, &pair], "msg_1", NOW, b"{}").unwrap();
        let versions: Vec<_> = both.split(' ').filter_map(|one| one.split(',').next()).collect();
        assert_eq!(versions, ["v1", "v1a"]);
        assert_eq!(format!("{secret:?}"), "SigningSecret { kind: Hmac, bytes: Secret(…) }");
    }

    #[test]
    fn stored_secrets_come_back_and_damaged_ones_are_refused() {
        for kind in [SignatureKind::Hmac, SignatureKind::Ed25519] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            let secret = SigningSecret::new(kind, [7; 32]);
            let again = SigningSecret::from_stored(kind, secret.stored().clone()).unwrap();
            assert_eq!(again.sign("msg_1", NOW, b"x"), secret.sign("msg_1", NOW, b"x"));
            for length in [0, 31, 33] {
                let damaged = Secret::new(vec![7; length]);
                assert!(SigningSecret::from_stored(kind, damaged).is_err(), "{length}");
            }
        }
        assert_eq!("hmac".parse::<SignatureKind>(), Err(UnknownSignatureKind));
    }

    #[test]
    fn a_foreign_secret_is_as_long_as_the_standard_says() {
        for length in [0, 1, 23, 24, 32, 64, 65] {
            let key = vec![7; length];
            let mac = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, &key),
                &signed("msg_1", &NOW.to_string(), b"x"),
            );
            let header = format!("v1,{}", STANDARD.encode(mac.as_ref()));
            let secret = format!("{SECRET_PREFIX}{}", STANDARD.encode(&key));
            let genuine = verify(&secret, ("msg_1", &NOW.to_string(), &header), b"x", NOW, 300);
            assert_eq!(genuine, FOREIGN_SECRET_BYTES.contains(&length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else_does(
            kind in kinds(), random: [u8; 32], other: [u8; 32], body: Vec<u8>, at: prop::sample::Index, flip in 1_u8..,
        ) {
            let secret = SigningSecret::new(kind, random);
            let header = secret.sign("msg_1", NOW, &body).unwrap();
            prop_assert!(verifies(&secret, &header, &body));
            let mut changed = body.clone();
            changed.push(0);
            prop_assert!(!verifies(&secret, &header, &changed));
            if !body.is_empty() {
                let mut changed = body.clone();
                changed[at.index(body.len())] ^= flip;
                prop_assert!(!verifies(&secret, &header, &changed));
            }
            prop_assert!(!verifies(&secret, &secret.sign("msg_2", NOW, &body).unwrap(), &body));
            prop_assert!(!verifies(&secret, &secret.sign("msg_1", NOW + 1, &body).unwrap(), &body));
            let stranger = SigningSecret::new(kind, other);
            prop_assert_eq!(verifies(&stranger, &header, &body), random == other);
        }

        #[test]
        fn during_a_rotation_either_secret_verifies(
            before in kinds(), after in kinds(), old: [u8; 32], new: [u8; 32], body: Vec<u8>,
        ) {
            prop_assume!(old != new);
            let (old, new) = (SigningSecret::new(before, old), SigningSecret::new(after, new));
            let both = signatures([&new, &old], "msg_1", NOW, &body).unwrap();
            prop_assert!(verifies(&old, &both, &body) && verifies(&new, &both, &body));
            let alone = signatures([&new], "msg_1", NOW, &body).unwrap();
            prop_assert!(!verifies(&old, &alone, &body) && verifies(&new, &alone, &body));
        }

        #[test]
        fn any_header_is_looked_at_without_panic(verifier in ".{0,80}", header in ".{0,80}", at in ".{0,12}") {
            let _ = verify(&verifier, ("msg_1", &at, &header), b"", NOW, 300);
        }
    }
}
