//! Edges that lose the database, are killed, and come back: whatever happens, no decision is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{Actor, App, AppOptions, Application, poll_async, routes_with, variable};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const BOUND: Duration = Duration::from_secs(30);
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsent";
const PATH: &str = "/mine";
const ROW: &str = r#"{ methods = ["GET"], path = "/mine", upstream = "mine", auth = "key", tenant = "required", permission = "ViewUsage" },"#;
const ASKERS: u64 = 8;

/// An installation before an application that needs no database.
struct Stage {
    app: App,
    _application: Application,
    _folder: TempDir,
}

impl Stage {
    async fn set(stale_after_seconds: u32) -> Self {
        let application = Application::answering(ANSWER).await;
        let folder = tempfile::tempdir().expect("a folder");
        let pool = format!("upstreams.mine = {{ peers = [\"{}\"] }}", application.address());
        let settings = vec![
            ("PYTAKE_EDGE__ROUTES_FILE", routes_with(folder.path(), &pool, ROW)),
            ("PYTAKE_EDGE__ACCESS_LOG_PER_MILLION", "0".to_owned()),
            ("PYTAKE_EDGE__POLICY_STALE_AFTER_SECONDS", stale_after_seconds.to_string()),
        ];
        let options = AppOptions {
            settings,
            own_cable: true,
            errors_expected: true,
            jobs_may_remain: true,
            ..AppOptions::default()
        };
        Self { app: App::start_with(options).await, _application: application, _folder: folder }
    }
}

/// Waits until `caller` is answered so.
async fn until(caller: &Actor, status: u16) {
    let answered = poll_async(BOUND, async || {
        caller.try_get(PATH).await.filter(|answer| answer.status == status).map(|_| ())
    });
    assert!(answered.await.is_some(), "never {status}: {:?}", caller.try_get(PATH).await);
}

/// Callers whose answer is known, asking for as long as they are let.
struct Load {
    asked: Arc<AtomicU64>,
    unanswered: Arc<AtomicU64>,
    wanted: Arc<AtomicU64>,
    askers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Asks until [`Load::finish`], each caller of `truth` in turn; whatever answer is not theirs is noted.
    fn start(truth: &[(Actor, u16)]) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let unanswered = Arc::new(AtomicU64::new(0));
        let wanted = Arc::new(AtomicU64::new(u64::MAX));
        let ask = |number: u64| {
            let (truth, asked) = (truth.to_vec(), Arc::clone(&asked));
            let (unanswered, wanted) = (Arc::clone(&unanswered), Arc::clone(&wanted));
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                let mut turn = usize::try_from(number).expect("small");
                while asked.fetch_add(1, Ordering::Relaxed) < wanted.load(Ordering::Relaxed) {
                    let (caller, right) = &truth[turn % truth.len()];
                    turn += 1;
                    match caller.try_get(PATH).await {
                        Some(answer) if answer.status == *right => {}
                        Some(answer) => wrong.push(format!("not {right}: {answer:?}")),
                        None => drop(unanswered.fetch_add(1, Ordering::Relaxed)),
                    }
                }
                wrong
            })
        };
        let askers = (0..ASKERS).map(ask).collect();
        Self { asked, unanswered, wanted, askers }
    }

    /// Lets `more` questions pass.
    async fn pass(&self, more: u64) {
        let goal = self.asked.load(Ordering::Relaxed) + more;
        while self.asked.load(Ordering::Relaxed) < goal {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops; returns how many were asked and how many of them were not answered.
    async fn finish(self) -> (u64, u64) {
        self.wanted.store(0, Ordering::Relaxed);
        for asker in self.askers {
            let wrong = asker.await.expect("an asker ends");
            assert!(wrong.is_empty(), "{} wrong decisions, e.g. {}", wrong.len(), wrong[0]);
        }
        (self.asked.load(Ordering::Relaxed), self.unanswered.load(Ordering::Relaxed))
    }
}

/// At full scale: 100,000 questions.
#[tokio::test]
async fn not_one_wrong_decision_while_postgres_stops_and_an_edge_is_killed() {
    let part = if variable("HARNESS_SOAK").is_some() { 25_000 } else { 400 };
    let mut stage = Stage::set(3600).await;
    let owner = stage.app.tenant("acme", "Enterprise").await;
    let other = stage.app.tenant("globex", "Enterprise").await;
    // No limit has a say here.
    let limits = "UPDATE plan_versions SET api_calls_per_minute = 1000000000";
    sqlx::raw_sql(limits).execute(&mut stage.app.database().connect().await).await.expect("rows");
    let stranger = stage.app.stranger();
    let caller = |key: &str| stranger.bearing(key);
    let live = caller(&owner.api_key(&["usage.read"]).await);
    let narrow = caller(&owner.api_key(&["whatsapp.send"]).await);
    let removed = owner.api_key(&["usage.read"]).await;
    let ids = owner.get(&owner.path("/api-keys")).await.expect(200).json();
    let newest = ids["data"].as_array().and_then(|keys| {
        keys.iter().find(|key| removed.ends_with(key["last_four"].as_str().unwrap_or("?")))
    });
    let id = newest.and_then(|key| key["id"].as_str()).expect("the key's id").to_owned();
    owner.delete(&owner.path(&format!("/api-keys/{id}"))).await.expect(204);
    let truth = [
        (live.clone(), 200),
        (narrow, 403),
        (caller(&removed), 401),
        (live.with("x-tenant-id", &other.tenant_id), 403),
        (caller("pk_1234567890abcdef"), 401),
        (stranger.clone(), 401),
    ];
    let load = Load::start(&truth);
    load.pass(part).await;
    stage.app.cut_off_postgres();
    load.pass(part).await;
    stage.app.process("pytake-proxy").kill();
    stage.app.start_again("pytake-proxy");
    until(&live, 200).await;
    load.pass(part).await;
    stage.app.reconnect_postgres();
    load.pass(part).await;
    let (asked, unanswered) = load.finish().await;
    println!("{asked} asked, {unanswered} of them while no edge was there, no decision wrong");
    assert!(asked - unanswered > part * 3, "{unanswered} of {asked} were not answered");

    // And it learns of changes again.
    let back = poll_async(BOUND, async || {
        Some(owner.get("/api/v1/dashboard").await).filter(|answer| answer.status == 200)
    });
    assert!(back.await.is_some(), "the API does not come back");
    let fresh = caller(&owner.api_key(&["usage.read"]).await);
    until(&fresh, 200).await;
}

#[tokio::test]
async fn past_its_age_the_policy_is_no_longer_decided_by() {
    let mut stage = Stage::set(1).await;
    let owner = stage.app.tenant("acme", "Pro").await;
    let program = stage.app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    until(&program, 200).await;
    stage.app.cut_off_postgres();
    until(&program, 503).await;
    assert_eq!(program.get(PATH).await.problem(), "503 policy-stale");
    let operator = stage.app.stranger().calling(&stage.app.metrics_url("pytake-proxy"));
    operator.get("/readyz").await.expect(503);
    let metrics = operator.get("/metrics").await.expect(200).body;
    assert!(metrics.contains("pytake_edge_database_connected 0"), "{metrics}");

    // A restart does not make it young again.
    stage.app.process("pytake-proxy").kill();
    stage.app.start_again("pytake-proxy");
    until(&program, 503).await;

    stage.app.reconnect_postgres();
    until(&program, 200).await;
}

#[tokio::test]
async fn what_one_edge_is_told_every_edge_enforces() {
    let mut stage = Stage::set(3600).await;
    let owner = stage.app.tenant("acme", "Pro").await;
    let owner = stage.app.verified(owner).await;
    let second = stage.app.another_edge().await;
    let program = stage.app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    let jane = stage.app.member(&owner, "jane@acme.example", "User").await;
    let mut admin = stage.app.database().connect().await;

    let there = jane.calling(&second);
    becomes(&there, "/api/v1/dashboard", "200 ").await;
    jane.post("/api/v1/auth/logout", serde_json::json!({})).await;
    becomes(&there, "/api/v1/dashboard", "401 token-invalid").await;

    let there = program.calling(&second);
    becomes(&there, PATH, "200 ").await;
    for (change, answer) in [
        (
            "INSERT INTO ip_allowlists SELECT id, '{192.0.2.0/24}', 1, now() FROM tenants",
            "403 ip-not-allowed",
        ),
        ("UPDATE ip_allowlists SET networks = '{127.0.0.0/8}'", "200 "),
        ("UPDATE api_keys SET networks = '{192.0.2.0/24}'", "403 ip-not-allowed"),
        ("UPDATE api_keys SET networks = '{}', expires_at = now()", "401 api-key-expired"),
        ("UPDATE api_keys SET expires_at = NULL", "200 "),
        ("UPDATE memberships SET status = 'Removed'", "403 permission-denied"),
        ("UPDATE memberships SET status = 'Active', role = 'Owner'", "200 "),
        ("UPDATE tenants SET status = 'Suspended'", "403 tenant-suspended"),
        ("UPDATE tenants SET status = 'Active'", "200 "),
        ("UPDATE api_keys SET revoked_at = now()", "401 api-key-revoked"),
    ] {
        sqlx::raw_sql(change).execute(&mut admin).await.expect("the database takes it");
        for edge in [stage.app.url(), second.clone()] {
            becomes(&program.calling(&edge), PATH, answer).await;
        }
    }
}

/// Waits until `caller` is answered so: status, and the problem's name.
async fn becomes(caller: &Actor, path: &str, expected: &str) {
    let last = std::cell::RefCell::new(String::new());
    let answered = poll_async(BOUND, async || {
        let answer = caller.try_get(path).await?;
        let problem = if answer.status < 400 { "200 ".to_owned() } else { answer.problem() };
        last.replace(problem);
        (*last.borrow() == expected).then_some(())
    });
    assert!(answered.await.is_some(), "never {expected:?}, still {:?}", last.borrow());
}
