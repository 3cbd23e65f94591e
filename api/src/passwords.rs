//! Passwords: argon2id, computed on few threads at a time, so that a flood of sign-ins cannot starve the
//! rest of the API.

use std::sync::Arc;

use anyhow::Context;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use domain::problem::ProblemKind;
use domain::secret::Secret;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// OWASP's minimum for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How many may wait for each one that is computed.
const WAITING_PER_RUNNING: usize = 8;

/// A password that may be set: long enough, not among the first that anybody would try.
#[derive(Debug, Clone)]
pub(crate) struct NewPassword(Secret<String>);

/// Why a password may not be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error(
        "must be {} to {} characters; a few unrelated words make a good one",
        NewPassword::LEN_MIN,
        NewPassword::LEN_MAX
    )]
    Length,
    #[error("is among the first that anybody would try; choose another")]
    Common,
}

impl NewPassword {
    /// NIST SP 800-63B-4, 3.1.1.2: at least 8 beside a second factor; composition rules are not used.
    pub(crate) const LEN_MIN: usize = 8;
    /// Longer ones only cost time.
    pub(crate) const LEN_MAX: usize = 1024;

    /// Judges `text` as a new password.
    pub(crate) fn parse(text: String) -> Result<Self, PasswordError> {
        let text = Secret::new(text);
        let length = text.expose().chars().count();
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&length) {
            return Err(PasswordError::Length);
        }
        let folded = Secret::new(text.expose().to_lowercase());
        let common =
            include_str!("passwords/common.txt").lines().any(|line| line == folded.expose());
        let repeated = text.expose().chars().all(|character| text.expose().starts_with(character));
        if common || repeated { Err(PasswordError::Common) } else { Ok(Self(text)) }
    }
}

/// Computes and checks password hashes.
pub(crate) struct PasswordHasher {
    argon2: Argon2<'static>,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// Checked in place of an unknown user's, so that the time taken does not tell.
    decoy: Secret<String>,
}

impl PasswordHasher {
    /// A hasher that computes `at_once` hashes at a time.
    pub(crate) fn new(at_once: usize) -> anyhow::Result<Self> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).context("argon2 parameters")?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, &Secret::new("decoy".to_owned())).context("argon2")?;
        Ok(Self {
            argon2,
            running: Arc::new(Semaphore::new(at_once)),
            waiting: Semaphore::new(at_once * WAITING_PER_RUNNING),
            decoy,
        })
    }

    /// The hash of a new password, in PHC form.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<Secret<String>, Problem> {
        self.compute(move |argon2| hash(argon2, &password.0))
            .await?
            .ok_or_else(|| Problem::internal("the password could not be hashed"))
    }

    /// Whether `password` is the one of `stored`. Takes the same time when there is none.
    pub(crate) async fn verify(
        &self,
        password: Secret<String>,
        stored: Option<Secret<String>>,
    ) -> Result<bool, Problem> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let matches = self.compute(move |argon2| matches(argon2, &password, &stored)).await?;
        Ok(known && matches)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _place: SemaphorePermit<'_> = self.waiting.try_acquire().map_err(|_| {
            Problem::new(
                ProblemKind::Overloaded,
                "Too many sign-ins at this moment; try again shortly.",
            )
            .retry_after(1)
        })?;
        // The permit goes along with the work: a caller that went away does not free the slot early.
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(Problem::internal)?;
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            drop(running);
            result
        })
        .await
        .map_err(Problem::internal)
    }
}

fn hash(argon2: &Argon2<'static>, password: &Secret<String>) -> Option<Secret<String>> {
    let hash = argon2.hash_password(password.expose().as_bytes()).ok()?;
    Some(Secret::new(hash.to_string()))
}

fn matches(argon2: &Argon2<'static>, password: &Secret<String>, stored: &Secret<String>) -> bool {
    PasswordHash::new(stored.expose())
        .is_ok_and(|stored| argon2.verify_password(password.expose().as_bytes(), &stored).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_common_and_repeated_passwords_are_refused() {
        let refused = |text: &str| NewPassword::parse(text.to_owned()).unwrap_err();
        assert_eq!(refused("short"), PasswordError::Length);
        assert_eq!(refused(&"x".repeat(1025)), PasswordError::Length);
        assert_eq!(refused("Password1"), PasswordError::Common);
        assert_eq!(refused("zzzzzzzzzz"), PasswordError::Common);
        assert!(NewPassword::parse("correct horse battery".to_owned()).is_ok());
    }

    #[tokio::test]
    async fn a_hash_verifies_its_password_and_no_other() {
        let hasher = PasswordHasher::new(2).unwrap();
        let password = NewPassword::parse("correct horse battery".to_owned()).unwrap();
        let stored = hasher.hash(password).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let verify = |text: &str, stored| hasher.verify(Secret::new(text.to_owned()), stored);
        assert!(verify("correct horse battery", Some(stored.clone())).await.unwrap());
        assert!(!verify("correct horse", Some(stored)).await.unwrap());
        assert!(!verify("decoy", None).await.unwrap());
    }
}
