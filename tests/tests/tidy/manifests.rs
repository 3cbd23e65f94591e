//! Manifests: one place for versions, one for lints, and a clippy.toml that forgets nothing.

use std::collections::BTreeSet;

use harness::root;
use toml::{Table, Value};

use crate::tree::crates;

fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(path).expect("a manifest").parse().expect("a manifest is TOML")
}

#[test]
fn every_crate_takes_its_lints_from_the_workspace() {
    for (folder, _) in crates() {
        let lints = &manifest(&folder)["lints"]["workspace"];
        assert_eq!(
            lints,
            &Value::Boolean(true),
            "{folder}/Cargo.toml needs `[lints] workspace = true`"
        );
    }
}

#[test]
fn every_version_is_in_the_workspaces_manifest() {
    for (folder, _) in crates() {
        let manifest = manifest(&folder);
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let entries =
                manifest.get(table).and_then(Value::as_table).cloned().unwrap_or_default();
            for (name, entry) in entries {
                let shared = entry.get("workspace") == Some(&Value::Boolean(true));
                assert!(shared, "{folder}/Cargo.toml: `{name}` must say `workspace = true`");
            }
        }
    }
}

#[test]
fn every_dependency_of_the_workspace_is_used_by_a_crate() {
    let used: BTreeSet<String> = crates()
        .iter()
        .flat_map(|(folder, _)| {
            let manifest = manifest(folder);
            let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
            let names = tables.map(|table| manifest.get(table).and_then(Value::as_table).cloned());
            names.into_iter().flatten().flat_map(|table| table.into_iter().map(|(name, _)| name))
        })
        .collect();
    let root = manifest(".");
    let declared = root["workspace"]["dependencies"].as_table().expect("a table");
    let idle: Vec<_> = declared.keys().filter(|name| !used.contains(*name)).collect();
    assert!(idle.is_empty(), "declared in Cargo.toml and used by nobody: {idle:?}");
}

/// A crate's clippy.toml replaces the root's, so it must repeat what the root bans.
#[test]
fn a_crates_clippy_toml_bans_at_least_what_the_root_bans() {
    let banned = |folder: &str| -> BTreeSet<String> {
        let Ok(text) = std::fs::read_to_string(root().join(folder).join("clippy.toml")) else {
            return BTreeSet::new();
        };
        let table: Table = text.parse().expect("clippy.toml is TOML");
        let methods = table.get("disallowed-methods").and_then(Value::as_array).cloned();
        let path = |entry: Value| entry.get("path").and_then(Value::as_str).map(str::to_owned);
        methods.unwrap_or_default().into_iter().filter_map(path).collect()
    };
    let base = banned(".");
    for (folder, _) in crates() {
        let own = banned(&folder);
        let forgotten: Vec<_> = base.difference(&own).collect();
        assert!(
            own.is_empty() || forgotten.is_empty(),
            "{folder}/clippy.toml forgets {forgotten:?}"
        );
    }
}
