//! The files of the checkout that people write, without what is generated or ignored.

use std::path::{Path, PathBuf};

use harness::root;

/// Not ours to judge: built, fetched or generated.
const SKIPPED: [&str; 6] =
    ["target", ".git", ".dev", ".sqlx", "proptest-regressions", "node_modules"];

/// A file: its path from the root, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All files with this extension, in order.
pub(crate) fn files(extension: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    let wanted = paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == extension));
    wanted
        .map(|path| Source {
            path: path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path).expect("a source file is text"),
        })
        .collect()
}

/// The workspace's crates: folder and name.
pub(crate) fn crates() -> Vec<(String, String)> {
    let manifests = files("toml").into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    let named = manifests.map(|file| {
        let manifest: toml::Table = file.text.parse().expect("a manifest is TOML");
        let name = manifest["package"]["name"].as_str().expect("a crate has a name").to_owned();
        (file.path.trim_end_matches("/Cargo.toml").to_owned(), name)
    });
    named.collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout can be read") {
        let path = entry.expect("a folder of the checkout can be read").path();
        if path.is_dir() {
            if !SKIPPED.iter().any(|name| path.ends_with(name)) {
                collect(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}
