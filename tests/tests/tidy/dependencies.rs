//! Which way dependencies point: the table of ARCHITECTURE.md against what cargo resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use harness::root;

use crate::tree::crates;

/// What a program must never link, whoever brings it.
const BANNED: [(&str, &[&str]); 3] = [
    ("proxy", &["store", "jobs", "lettre", "axum", "apalis", "apalis-core", "apalis-postgres"]),
    ("api", &["lettre", "apalis", "apalis-core", "apalis-postgres", "pingora-core"]),
    ("workers", &["feed", "policy", "pingora-core"]),
];
/// Pure crates link nothing that waits, stores or asks the machine.
const PURE: [&str; 4] = ["domain", "credentials", "policy", "vault"];
const IMPURE: [&str; 7] = ["tokio", "sqlx", "redis", "reqwest", "axum", "pingora-core", "hyper"];

#[test]
fn ours_depend_on_ours_as_the_table_in_architecture_md_says() {
    let table = table();
    let crates = crates();
    let ours: BTreeSet<&str> = crates.iter().map(|(_, name)| name.as_str()).collect();
    for (_, name) in &crates {
        if name == "tests" {
            continue;
        }
        let allowed = table.get(name.as_str());
        let allowed =
            allowed.unwrap_or_else(|| panic!("ARCHITECTURE.md's table has no row for {name}"));
        let direct = direct_dependencies(name);
        let found: BTreeSet<_> =
            direct.iter().map(String::as_str).filter(|n| ours.contains(n)).collect();
        let beyond: Vec<_> =
            found.iter().filter(|dependency| !allowed.contains(**dependency)).collect();
        assert!(beyond.is_empty(), "{name} depends on {beyond:?}; the table allows {allowed:?}");
    }
}

#[test]
fn no_program_links_what_is_not_its_business() {
    for (name, banned) in BANNED {
        let linked = all_dependencies(name);
        let found: Vec<_> = banned.iter().filter(|banned| linked.contains(**banned)).collect();
        assert!(found.is_empty(), "{name} links {found:?}");
    }
}

#[test]
fn pure_crates_link_nothing_that_waits_or_stores() {
    for name in PURE {
        let linked = all_dependencies(name);
        let found: Vec<_> = IMPURE.iter().filter(|impure| linked.contains(**impure)).collect();
        assert!(found.is_empty(), "{name} links {found:?}");
    }
}

/// The table's first two columns: crate, and ours that it may depend on.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let section = text.split("## Which way dependencies point").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows =
        section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| crate"));
    let mut table = BTreeMap::new();
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let allowed: BTreeSet<_> = cells[2]
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| name != "–")
            .collect();
        for name in cells[1].split(',') {
            // `pytake (sdk)` is the crate pytake.
            let name = name.split_whitespace().next().unwrap_or_default();
            table.insert(name.to_owned(), allowed.clone());
        }
    }
    table
}

fn direct_dependencies(name: &str) -> BTreeSet<String> {
    tree(name, &["--depth", "1"])
}

fn all_dependencies(name: &str) -> BTreeSet<String> {
    tree(name, &[])
}

/// Names from `cargo tree` of this crate alone, so that other crates' features do not blur it.
fn tree(name: &str, more: &[&str]) -> BTreeSet<String> {
    let output = Command::new("cargo")
        .args([
            "tree",
            "--package",
            name,
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(more)
        .current_dir(root())
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("cargo tree writes text");
    let names = text.lines().skip(1).filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}
