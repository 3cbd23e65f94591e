//! Whom the API takes for the edge: the keys of its own pool, derived from the installation's context keys.
//! The file is read at start and again on SIGHUP, so that keys are rotated without a restart.

use anyhow::Context;
use credentials::SymmetricKey;
use http::request::Parts;
use jiff::Timestamp;
use pytake::{ContextVerifier, EdgeContext, PoolKey, VerifyError};
use settings::KeyFile;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The upstream pool's name in config/routes.toml: what contexts for this API are bound to.
const AUDIENCE: &str = "api";

/// The keys that are accepted now.
pub(crate) struct EdgeKeys(watch::Receiver<ContextVerifier>);

impl EdgeKeys {
    /// The keys in `file`, now and after each SIGHUP.
    pub(crate) fn watch(file: KeyFile) -> anyhow::Result<Self> {
        let (current, accepted) = watch::channel(read(&file)?);
        let reread = signal(SignalKind::hangup()).context("SIGHUP cannot be received")?;
        tokio::spawn(keep_current(file, current, reread));
        Ok(Self(accepted))
    }

    /// What the edge says about this request.
    pub(crate) fn verify(
        &self,
        request: &Parts,
        now: Timestamp,
    ) -> Result<EdgeContext, VerifyError> {
        self.0.borrow().verify(request, now)
    }
}

/// A file that cannot be used changes nothing: keys that were accepted still are.
async fn keep_current(file: KeyFile, current: watch::Sender<ContextVerifier>, mut reread: Signal) {
    while reread.recv().await.is_some() {
        match read(&file) {
            Ok(verifier) => {
                current.send_replace(verifier);
                tracing::info!("read the edge context keys again");
            }
            Err(error) => {
                tracing::error!("the edge context keys stay as they were: {error:#}");
            }
        }
    }
}

fn read(file: &KeyFile) -> anyhow::Result<ContextVerifier> {
    let keys = file.read()?.into_iter().map(SymmetricKey::new);
    let keys = keys.map(|context_key| PoolKey::derive(&context_key, AUDIENCE));
    Ok(ContextVerifier::new(AUDIENCE, keys)?)
}
