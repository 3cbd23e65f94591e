//! Documents: links lead somewhere, and what they name exists.

use domain::problem::ProblemKind;
use harness::root;

use crate::tree::{crates, files};

/// Targets of `[text](target)` in a Markdown text, fenced blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, after)) = after.split_once(')') else { break };
            found.push(target.to_owned());
            rest = after;
        }
    }
    found
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut broken = Vec::new();
    for document in files("md") {
        // The specification's own words, kept as they are.
        if document.path == "tests/quick_start.md" {
            continue;
        }
        let folder = root().join(&document.path);
        let folder = folder.parent().expect("a file is in a folder");
        for link in links(&document.text) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !folder.join(path).exists() {
                broken.push(format!("{}: {link}", document.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn architecture_md_names_every_crate() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let folder = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let unnamed: Vec<_> =
        crates().into_iter().filter(|(path, _)| !text.contains(&folder(path))).collect();
    assert!(unnamed.is_empty(), "ARCHITECTURE.md does not name {unnamed:?}");
}

#[test]
fn every_problem_has_a_page_that_says_what_to_do() {
    let words = |kind: &ProblemKind| kind.page().split_whitespace().count();
    let silent: Vec<_> = ProblemKind::ALL.iter().filter(|kind| words(kind) < 5).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn no_path_of_the_machine_that_wrote_it_is_in_the_tree() {
    // Spelled apart, so that this file does not find itself.
    let foreign = ["/wo rk/", "/ro ot/", "/tm p/target"].map(|path| path.replace(' ', ""));
    let mut faults = Vec::new();
    for kind in ["rs", "toml", "sql", "md", "sh", "lua", "html", "txt"] {
        for file in files(kind) {
            let found = foreign.iter().filter(|path| file.text.contains(path.as_str()));
            faults.extend(found.map(|path| format!("{}: {path}", file.path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What operators are told to look at is what the programs tell.
#[test]
fn every_metric_that_is_named_for_operators_exists() {
    let sources: String = files("rs").into_iter().map(|file| file.text).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let programs =
        ["pytake_api", "pytake_worker", "pytake_edge", "pytake_operator", "pytake_owner"];
    let mut unknown = Vec::new();
    for file in ["md", "yaml"].into_iter().flat_map(files) {
        let names = file.text.match_indices("pytake_").map(|(start, _)| {
            let rest = &file.text[start..];
            &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]
        });
        let is_metric = |name: &&str| {
            !programs.contains(name) && !name.ends_with('_') && name.matches('_').count() > 1
        };
        let absent = |name: &&str| {
            // What a histogram is asked by.
            let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            !sources.contains(&format!("\"{name}\""))
                && !stem.is_some_and(|stem| sources.contains(&format!("\"{stem}\"")))
        };
        unknown.extend(
            names.filter(is_metric).filter(absent).map(|name| format!("{}: {name}", file.path)),
        );
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}
