//! Statements that come as files in a folder: by workers, beside each other and killed in the middle.

use std::path::Path;
use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use futures::future::join_all;
use harness::{AppOptions, poll_async};
use tempfile::TempDir;

use super::statement::{Statement, transfer};
use super::{PAYER, STRANGER, TOTAL, reference};
use crate::desk::{BOUND, Desk, balance, settings};

const IMPORT: &str = r#"SELECT apalis.enqueue('billing', '{"version": 1, "job": {"step": "import_statements"}}',
    25, priority => 9)"#;

/// An installation whose workers look into a folder.
async fn watching() -> (Desk, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings();
    let path = folder.path().to_string_lossy().into_owned();
    settings.push(("PYTAKE_PAYMENTS__BANK_TRANSFER__STATEMENTS_DIR", path));
    settings.push(("PYTAKE_WORKERS__SILENCE_SECONDS", "2".to_owned()));
    (Desk::with(AppOptions { settings, ..AppOptions::default() }).await, folder)
}

/// Puts a file in that was written a while ago.
fn put(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    let file = std::fs::File::options().write(true).open(&path).expect("the file");
    file.set_modified((SystemClock.now() - Duration::from_secs(60)).into()).expect("its time");
}

/// The names in a folder, in their order.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}

async fn look(desk: &Desk) {
    desk.alter(IMPORT).await;
    desk.app.wait_for_jobs().await;
}

#[tokio::test]
async fn a_file_is_imported_and_moved_and_a_bad_one_is_refused_with_its_reason() {
    let (desk, folder) = watching().await;
    let folder = folder.path();
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let paid = transfer(TOTAL).from(PAYER).reference(&reference(&owner, &invoice).await);
    let sound = Statement { transfers: vec![paid], ..Statement::of("1") };
    put(folder, "1.xml", &sound.xml());
    put(folder, "2.xml", &Statement { off: 5, ..Statement::of("2") }.xml());
    put(folder, "3.xml", "no statement");
    put(folder, "4.xml.part", &Statement::of("4").xml());
    std::fs::write(folder.join("5.xml"), Statement::of("5").xml()).expect("a file");

    look(&desk).await;

    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(names(&folder.join("done")), ["1.xml"]);
    let refused = ["2.xml", "2.xml.reason.txt", "3.xml", "3.xml.reason.txt"];
    assert_eq!(names(&folder.join("refused")), refused);
    let reason =
        std::fs::read_to_string(folder.join("refused/2.xml.reason.txt")).expect("a reason");
    assert!(reason.contains("do not make USD 10.05"), "{reason}");
    // Not whole yet, as far as anybody can tell.
    assert_eq!(names(folder), ["4.xml.part", "5.xml", "done", "refused"]);

    // The same name again: both are kept, and the money counts once.
    put(folder, "1.xml", &sound.xml());
    look(&desk).await;
    let done = names(&folder.join("done"));
    assert_eq!((done.len(), balance(&owner).await), (2, 0), "{done:?}");
    assert_eq!(desk.accounts().await, ["CashBankTransfer 11781", "Revenue -9900", "Tax -1881"]);
    desk.books_hold().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_in_the_middle_loses_nothing_and_books_nothing_twice() {
    const TRANSFERS: i64 = 400;
    // One in so many is of the invoice.
    const EACH: i64 = 20;
    let (mut desk, folder) = watching().await;
    let folder = folder.path();
    let (owner, invoice) = desk.customer("acme", "Pro").await;
    let reference = reference(&owner, &invoice).await;
    let transfers = (0..TRANSFERS).map(|index| {
        let transfer = transfer(1_000).from(STRANGER);
        if index % EACH == 0 { transfer.reference(&reference) } else { transfer.text("Zinsen") }
    });
    let statement = Statement { transfers: transfers.collect(), ..Statement::of("1") };
    desk.app.wait_for_jobs().await;
    put(folder, "1.xml", &statement.xml());

    let count = "SELECT count(*) FROM bank_entries";
    let mut kills = Vec::new();
    for kill in 0..3_i64 {
        desk.alter(IMPORT).await;
        let under_way = poll_async(BOUND, async || {
            let taken: i64 = desk.ask(count).await.remove(0);
            (taken > kill * 60).then_some(taken)
        });
        kills.push(under_way.await.expect("an import"));
        desk.app.process("pytake-workers").kill();
        desk.app.restart("pytake-workers").await;
    }
    assert!(kills[0] < TRANSFERS, "it was killed in the middle: {kills:?}");
    // Several at once, beside what the dead left behind.
    join_all((0..3).map(|_| desk.alter(IMPORT))).await;
    desk.app.wait_for_jobs().await;

    assert_eq!(names(&folder.join("done")), ["1.xml"]);
    assert_eq!(desk.ask::<i64>(count).await, [TRANSFERS]);
    let paid = "SELECT count(*) FROM payments WHERE provider = 'BankTransfer'";
    assert_eq!(desk.ask::<i64>(paid).await, [TRANSFERS / EACH]);
    assert_eq!(invoice.stands(&owner).await, "Paid 0");
    assert_eq!(balance(&owner).await, TRANSFERS / EACH * 1_000 - TOTAL);
    desk.books_hold().await;
}
