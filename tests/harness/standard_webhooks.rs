//! The official library of Standard Webhooks, in a process of its own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::receiver::Received;
use crate::workspace::root;

/// Whether the official library takes `received` for genuine under `secret` (`whsec_…`).
///
/// # Panics
/// When Python cannot be run; `deploy/test` sees to the library.
#[must_use]
pub fn official_library_verifies(secret: &str, received: &Received) -> bool {
    let headers: serde_json::Map<_, _> =
        received.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    let asked = serde_json::json!({
        "secret": secret, "headers": headers, "body": STANDARD.encode(&received.body),
    });
    let mut python = Command::new("python3")
        .arg(root().join("tests/harness/standard_webhooks.py"))
        .env("PYTHONPATH", root().join(".dev/wheels/python"))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(asked.to_string().as_bytes()).expect("it reads");
    drop(input);
    let ended = python.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!said.contains("ModuleNotFoundError"), "{said}");
    ended.status.success()
}
