//! Settings: every one is explained where it is defined.

use std::collections::BTreeSet;

use harness::root;

/// A key is explained by a comment above it, or by one above the same key of another section.
#[test]
fn every_setting_is_explained_in_default_toml() {
    let text = std::fs::read_to_string(root().join("config/default.toml")).expect("default.toml");
    let (mut explained, mut bare) = (BTreeSet::new(), BTreeSet::new());
    let mut comment_above = false;
    for line in text.lines() {
        match line.split_once(" = ") {
            _ if line.starts_with('#') => comment_above = true,
            Some((key, _)) => {
                let known = if comment_above { &mut explained } else { &mut bare };
                known.insert(key.to_owned());
                comment_above = false;
            }
            None => comment_above = false,
        }
    }
    let silent: Vec<_> = bare.difference(&explained).collect();
    assert!(silent.is_empty(), "config/default.toml does not explain {silent:?}");
}

#[test]
fn the_defaults_are_accepted_by_every_program() {
    settings::Settings::load().expect("the compiled-in defaults");
}
