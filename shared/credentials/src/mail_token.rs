//! Tokens in mailed links: a purpose, an id, and a keyed hash over both and a generation.
//!
//! The worker that mails a link recomputes the token, so no job payload ever holds one. Raising the
//! generation of the record ends every older link.

use domain::secret::Secret;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::SymmetricKey;
use crate::base62::{WIDTH_256, encode, is_base62};

const CONTEXT: &str = "pytake 2026-11 mailed token";

/// What a link is good for. Its letter is the token's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Accept an invitation.
    Invitation,
    /// Prove that an address is one's own.
    VerifyEmail,
    /// Set a new password.
    ResetPassword,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Invitation, Self::VerifyEmail, Self::ResetPassword];

    const fn letter(self) -> char {
        match self {
            Self::Invitation => 'i',
            Self::VerifyEmail => 'v',
            Self::ResetPassword => 'r',
        }
    }
}

/// Makes and checks mailed tokens.
#[derive(Debug, Clone)]
pub struct MailTokenKey(SymmetricKey);

/// A mailed token that was presented: its form is right, whether it is genuine is yet to be checked.
#[derive(Debug, Clone)]
pub struct PresentedToken {
    purpose: Purpose,
    id: Uuid,
    mac: Secret<String>,
}

/// The text has not the form of a mailed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a token from a mailed link; was the link copied whole?")]
pub struct MailTokenError;

impl MailTokenKey {
    /// The key for mailed tokens, derived from the installation's token key.
    #[must_use]
    pub fn new(token_key: &SymmetricKey) -> Self {
        Self(token_key.derive(CONTEXT))
    }

    /// The token for `id` at `generation`: the same each time it is asked for.
    #[must_use]
    pub fn issue(&self, purpose: Purpose, id: Uuid, generation: u32) -> Secret<String> {
        let mac = self.mac(purpose, id, generation);
        Secret::new(format!("{}{}{mac}", purpose.letter(), id.simple()))
    }

    /// Whether `token` was issued for `purpose` at `generation`. Constant time.
    #[must_use]
    pub fn verify(&self, token: &PresentedToken, purpose: Purpose, generation: u32) -> bool {
        let expected = self.mac(purpose, token.id, generation);
        token.purpose == purpose
            && bool::from(expected.as_bytes().ct_eq(token.mac.expose().as_bytes()))
    }

    fn mac(&self, purpose: Purpose, id: Uuid, generation: u32) -> String {
        let mut hasher = blake3::Hasher::new_keyed(self.0.bytes());
        hasher.update(&[purpose.letter() as u8]);
        hasher.update(id.as_bytes());
        hasher.update(&generation.to_be_bytes());
        encode(hasher.finalize().as_bytes(), WIDTH_256)
    }
}

impl PresentedToken {
    /// Takes the token apart.
    ///
    /// # Errors
    /// When it has not the form of one.
    pub fn parse(text: &str) -> Result<Self, MailTokenError> {
        let text = text.trim();
        let (letter, id, mac) = match (text.get(..1), text.get(1..33), text.get(33..)) {
            (Some(letter), Some(id), Some(mac)) => (letter, id, mac),
            _ => return Err(MailTokenError),
        };
        let purpose = Purpose::ALL
            .into_iter()
            .find(|purpose| letter.starts_with(purpose.letter()))
            .ok_or(MailTokenError)?;
        let id = Uuid::try_parse(id).map_err(|_| MailTokenError)?;
        if mac.len() != WIDTH_256 || !is_base62(mac) {
            return Err(MailTokenError);
        }
        Ok(Self { purpose, id, mac: Secret::new(mac.to_owned()) })
    }

    /// What the token claims to be for.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The record that the token claims to be for.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }
}

/// The hash under which a mailed token may be stored.
#[must_use]
pub fn hash(token: &Secret<String>) -> [u8; 32] {
    *blake3::hash(token.expose().as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> MailTokenKey {
        MailTokenKey::new(&SymmetricKey::new(Secret::new([3; 32])))
    }

    #[test]
    fn good_for_its_purpose_and_generation_only() {
        let id = Uuid::from_u128(5);
        let token = key().issue(Purpose::Invitation, id, 1);
        let presented = PresentedToken::parse(token.expose()).unwrap();
        assert_eq!(presented.id(), id);
        assert!(key().verify(&presented, Purpose::Invitation, 1));
        assert!(!key().verify(&presented, Purpose::Invitation, 2));
        assert!(!key().verify(&presented, Purpose::VerifyEmail, 1));
        let relabelled = token.expose().replacen('i', "v", 1);
        let presented = PresentedToken::parse(&relabelled).unwrap();
        assert!(!key().verify(&presented, Purpose::VerifyEmail, 1));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "[ivr]?[0-9a-fé]{0,34}\\PC{0,50}") {
            let _ = PresentedToken::parse(&text);
        }
    }
}
