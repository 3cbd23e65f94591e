//! Tenants that do not pay: what every edge withholds from them and what it leaves open, from when until when.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use harness::{Actor, Answer, App, AppOptions, Owner, poll_async, root};
use http::Method;
use serde_json::{Value, json};

/// EDGE.md: what is changed is in force at every edge within 50 ms, and within this should a wake-up be lost.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(2);
/// For what is not about time.
const BOUND: Duration = Duration::from_secs(20);
const DASHBOARD: &str = "/api/v1/dashboard";

/// Whether the tenants pay, as the run that chases them writes it.
async fn set(app: &App, standing: &str) {
    let mut connection = app.database().connect().await;
    sqlx::query("UPDATE subscriptions SET standing = $1")
        .bind(standing)
        .execute(&mut connection)
        .await
        .expect("the database takes it");
}

/// `200`, or the problem.
fn told(answer: &Answer) -> String {
    if answer.status < 400 { answer.status.to_string() } else { answer.problem() }
}

async fn change(actor: &Actor, owner: &Owner) -> Answer {
    actor.put(&owner.path(""), json!({"name": "Acme Corporation"})).await
}

/// Waits until a change is answered so at every edge.
async fn changes_are(edges: &[Actor], owner: &Owner, expected: &str) {
    let began = Instant::now();
    for (number, edge) in edges.iter().enumerate() {
        let answered = poll_async(IN_FORCE_WITHIN, async || {
            (told(&change(edge, owner).await) == expected).then_some(())
        });
        assert!(answered.await.is_some(), "edge {number}: never {expected}");
    }
    assert!(began.elapsed() < IN_FORCE_WITHIN);
}

#[tokio::test]
async fn who_does_not_pay_may_read_and_later_only_pay_at_every_edge_until_they_do() {
    let mut app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let key = owner.api_key(&["usage.read"]).await;
    let second = app.another_edge().await;
    let edges = [owner.actor(), owner.actor().calling(&second)];
    let programs = edges.clone().map(|edge| edge.bearing(&key));

    set(&app, "PastDue").await;
    let shown = owner.get(&owner.path("/billing")).await.expect(200).json();
    assert_eq!(status_and_access(&shown), ["PastDue", "full"]);
    changes_are(&edges, &owner, "200").await;

    set(&app, "ReadOnly").await;
    changes_are(&edges, &owner, "402 payment-required").await;
    for actor in edges.iter().chain(&programs) {
        actor.get(DASHBOARD).await.expect(200);
        let shown = edges[0].get(&owner.path("/billing")).await.expect(200).json();
        assert_eq!(status_and_access(&shown), ["Suspended", "read_only"]);
    }
    says_what_to_do(&change(&owner.actor(), &owner).await);
    owner.put(&owner.path("/payment-methods/default"), way_to_pay()).await.expect(200);

    set(&app, "BillingOnly").await;
    for program in &programs {
        let refused = poll_async(IN_FORCE_WITHIN, async || {
            (told(&program.get(DASHBOARD).await) == "402 payment-required").then_some(())
        });
        assert!(refused.await.is_some(), "a program still reads");
    }
    for edge in &edges {
        let shown = edge.get(&owner.path("/billing")).await.expect(200).json();
        assert_eq!(status_and_access(&shown), ["Suspended", "billing_only"]);
        says_what_to_do(&edge.get(DASHBOARD).await);
    }
    owner.put(&owner.path("/payment-methods/default"), way_to_pay()).await.expect(200);
    let operator = app.stranger().calling(&app.metrics_url("pytake-proxy"));
    let metrics = operator.get("/metrics").await.expect(200).body;
    assert!(
        metrics.contains("pytake_edge_denials_total{problem=\"payment-required\"}"),
        "{metrics}"
    );

    set(&app, "Good").await;
    changes_are(&edges, &owner, "200").await;
    for program in &programs {
        program.get(DASHBOARD).await.expect(200);
    }
}

fn way_to_pay() -> Value {
    json!({"payment_method": "card_1234567890"})
}

fn status_and_access(billing: &Value) -> [&str; 2] {
    ["/subscription/status", "/subscription/access"]
        .map(|place| billing.pointer(place).and_then(Value::as_str).expect("text"))
}

fn says_what_to_do(answer: &Answer) {
    assert_eq!(answer.problem(), "402 payment-required");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let detail = answer.text("/detail");
    assert!(detail.contains("`invoices` and `payment-methods` stay open"), "{detail}");
    assert_eq!(answer.text("/request_id"), answer.header("x-request-id"));
}

/// Method, path and whether it is open, of each row of the shipped table that is about the tenant in its path.
fn rows() -> BTreeSet<(String, String, bool)> {
    let text = std::fs::read_to_string(root().join("config/routes.toml")).expect("routes.toml");
    let table: toml::Table = text.parse().expect("routes.toml is TOML");
    let rows = table["routes"].as_array().expect("routes").iter();
    let rows = rows.flat_map(|row| {
        let path = row["path"].as_str().expect("a path").to_owned();
        let open = row.get("open_when_suspended").and_then(toml::Value::as_bool) == Some(true);
        let methods = row["methods"].as_array().expect("methods").iter();
        methods.map(move |method| (method.as_str().expect("text").to_owned(), path.clone(), open))
    });
    rows.filter(|(_, path, _)| path.contains("{tenant_id}")).collect()
}

#[tokio::test]
async fn the_shipped_routes_are_open_for_what_is_about_money_and_for_nothing_else() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    set(&app, "BillingOnly").await;
    let refused = poll_async(BOUND, async || {
        (told(&owner.get(DASHBOARD).await) == "402 payment-required").then_some(())
    });
    assert!(refused.await.is_some(), "never refused");
    let money = ["/billing", "/payment-methods", "/invoices", "/credit-notes", "/test-clock"];
    let subscription = ["/upgrade", "/cancel", "/resume"];
    for (method, template, open) in rows() {
        let below = template.strip_prefix("/api/v1/tenants/{tenant_id}").expect("a tenant's path");
        let expected = match (method.as_str(), below) {
            ("GET", "") => true,
            ("PUT", "/billing/overage") => false,
            _ => {
                subscription.contains(&below) || money.iter().any(|start| below.starts_with(start))
            }
        };
        assert_eq!(open, expected, "{method} {template}");
        let path = template.replace("{tenant_id}", &owner.tenant_id);
        let method: Method = method.parse().expect("a method");
        let body = (!matches!(method, Method::GET | Method::DELETE))
            .then(|| ("application/json", json!({"unknown": 1}).to_string().into_bytes()));
        let answer = owner.send(method.clone(), &path, body).await;
        assert_eq!(answer.status == 402, !open, "{method} {template}: {answer:?}");
    }
}

#[tokio::test]
async fn strangers_do_not_learn_who_pays_and_the_operators_word_goes_first() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Enterprise").await;
    let other = app.tenant("globex", "Enterprise").await;
    let narrow = app.stranger().bearing(&owner.api_key(&["usage.read"]).await);
    let home = app.stranger().at("acme.api.localhost");
    set(&app, "BillingOnly").await;
    let refused = poll_async(BOUND, async || {
        (told(&owner.get(DASHBOARD).await) == "402 payment-required").then_some(())
    });
    assert!(refused.await.is_some(), "never refused");

    assert_eq!(home.get(DASHBOARD).await.problem(), "401 unauthenticated");
    let foreign = app.stranger().bearing(other.token());
    assert_eq!(foreign.get(&owner.path("/users")).await.problem(), "403 tenant-mismatch");
    assert_eq!(narrow.get(&owner.path("/users")).await.problem(), "403 permission-denied");
    for path in ["/docs/problems/payment-required", "/openapi.json", "/api/v1/plans"] {
        home.get(path).await.expect(200);
    }
    let wrong = json!({"email": "nobody@acme.example", "password": "wrong horse battery"});
    assert_eq!(home.post("/api/v1/auth/login", wrong).await.problem(), "401 login-failed");
    let renewed = json!({"refresh_token": owner.refresh_token()});
    home.post("/api/v1/auth/refresh", renewed).await.expect(200);
    owner.get("/api/v1/auth/sessions").await.expect(200);
    let hook = home.post("/hooks/stripe", json!({})).await;
    assert_ne!(hook.status, 402, "{hook:?}");

    sqlx::query("UPDATE tenants SET status = 'Suspended'")
        .execute(&mut app.database().connect().await)
        .await
        .expect("the database takes it");
    for path in [DASHBOARD.to_owned(), owner.path("/billing")] {
        let suspended = poll_async(BOUND, async || {
            (told(&owner.get(&path).await) == "403 tenant-suspended").then_some(())
        });
        assert!(suspended.await.is_some(), "{path} is never refused");
    }
}

#[tokio::test]
async fn what_is_refused_takes_of_no_limit_and_costs_nothing() {
    let app = App::start().await;
    // Ten calls a minute.
    let owner = app.tenant("acme", "Free").await;
    set(&app, "ReadOnly").await;
    let mut refused = 0;
    let began = Instant::now();
    while refused < 40 {
        let answer = change(&owner.actor(), &owner).await;
        assert!(matches!(answer.status, 200 | 402), "{answer:?}");
        refused += u64::from(answer.status == 402);
        assert!(began.elapsed() < BOUND, "the change is never in force");
    }
    owner.get(DASHBOARD).await.expect(200);

    let counted = "SELECT coalesce(sum(quantity) FILTER (WHERE outcome = 'refused'), 0)::bigint,
        coalesce(sum(quantity) FILTER (WHERE outcome <> 'refused'), 0)::bigint
        FROM usage_hours WHERE meter = 'api_calls'";
    let mut connection = app.database().connect().await;
    let deadline = Instant::now() + BOUND;
    loop {
        let (apart, billed): (i64, i64) =
            sqlx::query_as(counted).fetch_one(&mut connection).await.expect("sums");
        assert!(billed < 10, "{billed} are billed");
        if apart == 40 {
            break;
        }
        assert!(Instant::now() < deadline, "{apart} are counted as refused");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn an_edge_that_is_restarted_while_postgres_is_away_still_knows_who_does_not_pay() {
    let options = AppOptions {
        own_cable: true,
        errors_expected: true,
        jobs_may_remain: true,
        ..AppOptions::default()
    };
    let mut app = App::start_with(options).await;
    let owner = app.tenant("acme", "Enterprise").await;
    set(&app, "BillingOnly").await;
    let until = async |expected: &str| {
        let answered = poll_async(BOUND, async || {
            let answer = owner.try_get(DASHBOARD).await?;
            (told(&answer) == expected).then_some(())
        });
        assert!(answered.await.is_some(), "never {expected}");
    };
    until("402 payment-required").await;
    app.cut_off_postgres();
    app.process("pytake-proxy").kill();
    app.start_again("pytake-proxy");
    until("402 payment-required").await;
    let open = owner.get(&owner.path("/billing")).await;
    assert!(open.status >= 500, "let through, to an API without its database: {open:?}");

    app.reconnect_postgres();
    set(&app, "Good").await;
    until("200").await;
}
