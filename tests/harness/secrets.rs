//! The key files that the settings name, made once per installation.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use credentials::SymmetricKey;
use domain::secret::Secret;
use settings::{KEY_BYTES, KeyFile};

/// Setting and file of each key.
const FILES: [(&str, &str); 4] = [
    ("PYTAKE_SECRETS__KEK_FILE", "kek"),
    ("PYTAKE_SECRETS__API_KEY_PEPPER_FILE", "api_key_pepper"),
    ("PYTAKE_SECRETS__EDGE_CONTEXT_KEY_FILE", "edge_context_key"),
    ("PYTAKE_SECRETS__TOKEN_KEY_FILE", "token_key"),
];

/// A folder of key files.
#[derive(Debug, Clone)]
pub struct SecretFiles(PathBuf);

impl SecretFiles {
    /// Makes those that are missing, readable by their owner only.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn ensure(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        for (_, name) in FILES {
            let path = folder.join(name);
            if !path.exists() {
                write_private(&path, &format!("{}\n", random_hex()))?;
            }
        }
        Ok(Self(folder.to_owned()))
    }

    /// The settings that name the files.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let setting = |(setting, name): (&str, &str)| {
            (setting.to_owned(), self.0.join(name).to_string_lossy().into_owned())
        };
        FILES.map(setting).to_vec()
    }

    /// The key that the keys of pools are derived from.
    pub(crate) fn edge_context_key(&self) -> Result<SymmetricKey> {
        let path = self.0.join("edge_context_key");
        let file: KeyFile = serde_json::from_value(path.to_string_lossy().into())?;
        let key = file.read()?.pop().context("the file holds no key")?;
        Ok(SymmetricKey::new(key))
    }

    /// What wraps the vault's keys.
    pub(crate) fn key_encryption_keys(&self) -> Result<Vec<Secret<[u8; KEY_BYTES]>>> {
        let path = self.0.join("kek");
        let file: KeyFile = serde_json::from_value(path.to_string_lossy().into())?;
        Ok(file.read()?)
    }

    /// What no log may hold.
    pub(crate) fn canaries(&self) -> Vec<String> {
        let read = |(_, name): (&str, &str)| std::fs::read_to_string(self.0.join(name)).ok();
        FILES.into_iter().filter_map(read).map(|text| text.trim().to_owned()).collect()
    }
}

/// 32 random bytes in hexadecimal.
#[must_use]
pub fn random_hex() -> String {
    rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Part of a name that nobody else has chosen.
pub(crate) fn random_name() -> String {
    rand::random::<[u8; 8]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file that only its owner may read, never leaving half of one.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let half = path.with_extension("new");
    let mut file =
        File::options().create(true).write(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&half, path).with_context(|| format!("cannot write {}", path.display()))
}
