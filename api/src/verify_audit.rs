//! `pytake-api verify-audit`: whether an exported audit trail is what was signed. Needs the file and the published keys, and
//! nothing of the installation.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context;
use audit_log::{HeadKey, verify_export};
use clap::Args;
use credentials::access_token::PublicJwk;
use domain::id::TenantId;
use serde::Deserialize;

/// What is verified, and against what.
#[derive(Args)]
pub(crate) struct VerifyAudit {
    /// What `GET …/audit-events/export` gave.
    file: PathBuf,
    /// Whose it is.
    #[arg(long)]
    tenant: TenantId,
    /// What `/.well-known/audit-keys.json` gave.
    #[arg(long)]
    keys: PathBuf,
    /// Of how many events a head is that was kept.
    #[arg(long, requires = "root")]
    size: Option<u64>,
    /// The root of that head.
    #[arg(long, requires = "size")]
    root: Option<String>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<PublicJwk>,
}

impl VerifyAudit {
    /// What it came to, in words.
    ///
    /// # Errors
    /// When a file cannot be read, or the trail is not what was signed.
    pub(crate) fn run(self) -> anyhow::Result<String> {
        let open = |path: &PathBuf| {
            File::open(path).with_context(|| format!("{} cannot be opened", path.display()))
        };
        let set: KeySet = serde_json::from_reader(BufReader::new(open(&self.keys)?))
            .with_context(|| format!("{} holds no keys", self.keys.display()))?;
        let key = |jwk: &PublicJwk| {
            let public = jwk.ed25519_public().context("a key is none of Ed25519")?;
            Ok(HeadKey::of(jwk.kid.parse()?, &public)?)
        };
        let keys = set.keys.iter().map(key).collect::<anyhow::Result<_>>()?;
        let root = self.root.map(|root| root.parse()).transpose().context("--root")?;
        let lines = BufReader::new(open(&self.file)?);
        let report = verify_export(lines, self.tenant, keys, self.size.zip(root))?;
        Ok(format!(
            "intact: {} events, {} of them signed by {} heads; root {}",
            report.size, report.signed, report.heads, report.root
        ))
    }
}
