//! SIGHUP: a new route table takes over between two requests, and a broken one changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use harness::{Actor, App, AppOptions, Application, poll_async, routes_with};
use rustix::process::Signal;

const BOUND: Duration = Duration::from_secs(20);
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";

fn row(path: &str) -> String {
    format!("{{ methods = [\"GET\"], path = \"{path}\", upstream = \"mine\", auth = \"public\" }},")
}

async fn becomes(caller: &Actor, path: &str, status: u16) {
    let answered =
        poll_async(BOUND, async || (caller.get(path).await.status == status).then_some(()));
    assert!(answered.await.is_some(), "{path} never becomes {status}");
}

async fn reloads(operator: &Actor, outcome: &str) -> u64 {
    let metrics = operator.get("/metrics").await.expect(200).body;
    let line = format!("pytake_edge_route_reloads_total{{outcome=\"{outcome}\"}} ");
    let count = metrics.lines().find_map(|metric| metric.strip_prefix(&line));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_new_route_table_takes_over_and_a_broken_one_changes_nothing() {
    let application = Application::answering(ANSWER).await;
    let folder = tempfile::tempdir().expect("a folder");
    let pool = format!("upstreams.mine = {{ peers = [\"{}\"] }}", application.address());
    let file = routes_with(folder.path(), &pool, &row("/always"));
    let settings = vec![("PYTAKE_EDGE__ROUTES_FILE", file.clone())];
    let options = AppOptions { settings, errors_expected: true, ..AppOptions::default() };
    let mut app = App::start_with(options).await;
    let operator = app.stranger().calling(&app.metrics_url("pytake-proxy"));
    let caller = app.stranger();
    caller.get("/later").await.expect(404);

    // Someone keeps calling what both tables have: no call may fail.
    let over = Arc::new(AtomicBool::new(false));
    let (steady, ended) = (caller.clone(), Arc::clone(&over));
    let calls = tokio::spawn(async move {
        let mut calls = 0_u32;
        while !ended.load(Ordering::Relaxed) {
            steady.get("/always").await.expect(200);
            calls += 1;
        }
        calls
    });

    let second = Application::answering(ANSWER).await;
    let more = format!("{pool}\nupstreams.more = {{ peers = [\"{}\"] }}", second.address());
    let rows = format!("{}\n{}", row("/always"), row("/later").replace("mine", "more"));
    assert_eq!(routes_with(folder.path(), &more, &rows), file);
    app.process("pytake-proxy").signal(Signal::HUP);
    becomes(&caller, "/later", 200).await;
    assert_eq!(second.requests().len(), 1, "a new pool is called at once");

    // A slip: the line is named, and nothing changes.
    let broken = routes_with(folder.path(), &more, &rows.replace("public", "everybody"));
    app.process("pytake-proxy").signal(Signal::HUP);
    let refused =
        poll_async(BOUND, async || (reloads(&operator, "refused").await == 1).then_some(()));
    assert!(refused.await.is_some(), "the broken table is not refused");
    let log = std::fs::read_to_string(app.process("pytake-proxy").log()).expect("a log");
    assert!(log.contains(&format!("{broken}:")), "the fault is not named:\n{log}");
    caller.get("/later").await.expect(200);

    // And back: what is gone from the table is gone.
    assert_eq!(routes_with(folder.path(), &pool, &row("/always")), file);
    app.process("pytake-proxy").signal(Signal::HUP);
    becomes(&caller, "/later", 404).await;
    assert_eq!(reloads(&operator, "loaded").await, 2);

    over.store(true, Ordering::Relaxed);
    assert!(calls.await.expect("no call failed") > 0);
}
