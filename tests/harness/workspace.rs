//! Where things are: the checkout, and the programs built from it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The checkout's root.
#[must_use]
pub fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The folder with this build's programs: beside `dev`, or above a test executable's `deps`.
///
/// # Errors
/// When the running executable cannot be located.
pub fn build_dir() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot locate the running program")?;
    let folder = executable.parent().context("the running program is in no folder")?;
    let above_deps = if folder.ends_with("deps") { folder.parent() } else { None };
    Ok(above_deps.unwrap_or(folder).to_owned())
}

/// One of the programs of this build.
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> Result<PathBuf> {
    let path = build_dir()?.join(name);
    if !path.is_file() {
        bail!("{} is not built; run `cargo build --workspace` first", path.display());
    }
    Ok(path)
}
