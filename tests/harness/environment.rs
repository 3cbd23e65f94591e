//! The one place of the tests that reads the environment.

/// The variable's value; `None` when it is unset, empty or not text.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "tests and `cargo dev` are told by variables, not settings"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Names of the settings' variables that are set: a test must not inherit them.
pub(crate) fn settings_variables() -> Vec<std::ffi::OsString> {
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| name.to_string_lossy().starts_with("PYTAKE_"))
        .collect()
}
