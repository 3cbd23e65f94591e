//! The specification's quick start, by the script that a newcomer runs.

use std::process::Command;

use harness::{App, root};

#[tokio::test]
async fn the_quick_start_works_word_for_word() {
    let app = App::start().await;
    // `localhost`, because the script makes the tenant's host from it.
    let url = app.url().replace("127.0.0.1", "localhost");
    let output = Command::new(root().join("tests/quick_start.sh"))
        .env("PROXY_URL", url)
        .env("MAIL_DIR", app.mail_dir())
        .output()
        .expect("the script runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.ends_with("checks passed\n"), "{said}");
}
