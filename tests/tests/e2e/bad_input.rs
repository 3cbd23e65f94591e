//! Whatever is sent: the right problem, nothing written, and never a 500.

use std::time::Duration;

use harness::{Actor, App};
use http::Method;
use serde_json::{Value, json};
use sqlx::Row as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const JSON: &str = "application/json";

fn sign_up() -> Value {
    json!({
        "name": "Acme Corp",
        "subdomain": "acme",
        "plan": "Pro",
        "owner_email": "owner@acme.com",
        "owner_name": "John Doe",
    })
}

/// The sign-up with one field changed.
fn sign_up_with(field: &str, value: Value) -> Value {
    let mut body = sign_up();
    body[field] = value;
    body
}

/// How many rows there are, to see that nothing was written.
async fn rows(app: &App) -> i64 {
    let query = "SELECT (SELECT count(*) FROM tenants) + (SELECT count(*) FROM users)
        + (SELECT count(*) FROM memberships) + (SELECT count(*) FROM api_keys)
        + (SELECT count(*) FROM subscription_changes) + (SELECT count(*) FROM audit_events)
        + (SELECT count(*) FROM invitations) + (SELECT count(*) FROM ip_allowlists) AS rows";
    let row = sqlx::query(query).fetch_one(&mut app.database().connect().await).await;
    row.expect("a query").get("rows")
}

#[tokio::test]
async fn a_sign_up_that_cannot_be_is_refused_with_every_fault_and_writes_nothing() {
    let app = App::start().await;
    let stranger = app.stranger();
    let cases = [
        (sign_up_with("subdomian", json!("x")), vec!["/subdomian"]),
        (sign_up_with("plan", json!("Platinum")), vec!["/plan"]),
        (sign_up_with("plan", json!(7)), vec!["/plan"]),
        (sign_up_with("name", json!("")), vec!["/name"]),
        (sign_up_with("name", json!("x".repeat(101))), vec!["/name"]),
        (sign_up_with("owner_email", json!("not an address")), vec!["/owner_email"]),
        (sign_up_with("subdomain", json!("www")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("api")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("-acme")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("acme-")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("ac")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("a.b.c")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("acme corp")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("xn--80ak6aa92e")), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("ä".repeat(10))), vec!["/subdomain"]),
        (sign_up_with("subdomain", json!("a".repeat(64))), vec!["/subdomain"]),
        (
            json!({"name": "", "subdomain": "www", "plan": "None", "owner_email": "x", "owner_name": ""}),
            vec!["/name", "/owner_email", "/owner_name", "/plan", "/subdomain"],
        ),
    ];
    for (body, expected) in cases {
        let answer = stranger.post("/api/v1/tenants", body.clone()).await;
        assert_eq!(answer.problem(), "422 validation-failed", "{body}");
        let mut pointers = answer.fault_pointers();
        pointers.sort();
        assert_eq!(pointers, expected, "{body}: {}", answer.body);
    }
    let mut body = sign_up();
    body.as_object_mut().expect("an object").remove("owner_email");
    let missing = stranger.post("/api/v1/tenants", body).await;
    assert_eq!(missing.problem(), "422 validation-failed");
    assert_eq!(rows(&app).await, 0);
}

#[tokio::test]
async fn a_taken_subdomain_is_a_conflict_and_writes_nothing() {
    let app = App::start().await;
    app.tenant("acme", "Pro").await;
    let before = rows(&app).await;
    for subdomain in ["acme", "ACME"] {
        let body = sign_up_with("subdomain", json!(subdomain));
        let answer = app.stranger().post("/api/v1/tenants", body).await;
        assert!(
            matches!(answer.problem().as_str(), "409 conflict" | "422 validation-failed"),
            "{answer:?}"
        );
    }
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_malformed() {
    let app = App::start().await;
    let stranger = app.stranger();
    for body in ["", "{", "{\"name\": }", "nonsense", "\u{0}", "{\"name\": \"\\ud800\"}"] {
        let body = Some((JSON, body.as_bytes().to_vec()));
        let answer = stranger.send(Method::POST, "/api/v1/tenants", body).await;
        assert_eq!(answer.problem(), "400 malformed-request", "{answer:?}");
    }
    for body in ["[]", "null", "7", "\"x\""] {
        let body = Some((JSON, body.as_bytes().to_vec()));
        let answer = stranger.send(Method::POST, "/api/v1/tenants", body).await;
        assert!(matches!(answer.status, 400 | 422), "{answer:?}");
    }
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let answer =
        stranger.send(Method::POST, "/api/v1/tenants", Some((JSON, deep.into_bytes()))).await;
    assert!(matches!(answer.status, 400 | 422), "{answer:?}");
    assert_eq!(rows(&app).await, 0);
}

#[tokio::test]
async fn another_content_type_is_unsupported() {
    let app = App::start().await;
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"]
    {
        let body = Some((content_type, sign_up().to_string().into_bytes()));
        let answer = app.stranger().send(Method::POST, "/api/v1/tenants", body).await;
        assert_eq!(answer.problem(), "415 unsupported-media-type", "{content_type}");
    }
    assert_eq!(rows(&app).await, 0);
}

#[tokio::test]
async fn twenty_megabytes_are_too_large() {
    let app = App::start().await;
    let body = sign_up_with("use_case", json!("x".repeat(20_000_000)));
    let answer = app.stranger().post("/api/v1/tenants", body).await;
    assert_eq!(answer.problem(), "413 payload-too-large");
    assert_eq!(rows(&app).await, 0);
}

/// A client that writes its whole body before it looks for an answer: cut off meanwhile, it would never see one.
#[tokio::test]
async fn who_sends_all_before_looking_still_reads_the_refusal() {
    let app = App::start().await;
    let mut stream = TcpStream::connect(app.url().trim_start_matches("http://")).await.unwrap();
    let length = 8_000_000;
    let head = format!(
        "POST /api/v1/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..length / 1_000_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&vec![b'x'; 1_000_000]).await.expect("nobody hangs up on who is sending");
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_malformed_id_is_not_found_on_a_path() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let stray = [
        "x",
        "tenant_",
        "tenant_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "key_01h455vb4pex5vsknk084sn02q",
        "%00",
    ];
    for id in stray {
        let answer = owner.get(&format!("/api/v1/tenants/{id}")).await;
        assert!(matches!(answer.status, 400 | 403 | 404), "{id}: {answer:?}");
        let _ = answer.problem();
    }
    for id in ["x", "tenant_01h455vb4pex5vsknk084sn02q", "key_01h455vb4pex5vsknk084sn02q"] {
        let answer = owner.delete(&owner.path(&format!("/api-keys/{id}"))).await;
        assert_eq!(answer.problem(), "404 not-found", "{id}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    assert_eq!(owner.get("/api/v1/nothing").await.problem(), "404 not-found");
    let answer = owner.send(Method::PATCH, &owner.path(""), Some((JSON, b"{}".to_vec()))).await;
    assert_eq!(answer.problem(), "405 method-not-allowed");
    assert!(answer.header("allow").contains("PUT"), "{answer:?}");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_by_its_kind() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = owner.api_key(&["usage.read"]).await;
    let mut foreign = key.clone();
    foreign.replace_range(10..11, if &key[10..11] == "a" { "b" } else { "a" });
    let cut = &key[..key.len() - 1];
    for bad in ["pk_", "pk_1234567890abcdef", cut, &foreign, &format!("{key}x")] {
        let answer = app.stranger().bearing(bad).get("/api/v1/dashboard").await;
        assert_eq!(answer.problem(), "401 api-key-invalid", "{bad}");
    }
    sqlx::query("UPDATE api_keys SET expires_at = now() - interval '1 second'")
        .execute(&mut app.database().connect().await)
        .await
        .expect("an update");
    let expired = harness::poll_async(std::time::Duration::from_secs(5), async || {
        let answer = app.stranger().bearing(&key).get("/api/v1/dashboard").await;
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(expired.await.expect("an end").problem(), "401 api-key-expired");
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let token = owner.token();
    let (head, signature) = token.rsplit_once('.').expect("a token has three parts");
    let unsigned = format!("{head}.");
    let garbled = format!("{head}.{}", signature.chars().rev().collect::<String>());
    // {"alg":"none"} with the same claims.
    let none = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        token.split('.').nth(1).expect("claims")
    );
    for bad in ["x", "a.b.c", &unsigned, &garbled, &none, "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"] {
        let actor = app.stranger().bearing(bad).with("x-tenant-id", &owner.tenant_id);
        let answer = actor.get("/api/v1/dashboard").await;
        assert_eq!(answer.problem(), "401 token-invalid", "{bad}");
    }
    for scheme in ["Basic eDp5", "Bearer", "Bearer  ", "bearer\t x"] {
        let actor =
            app.stranger().with("authorization", scheme).with("x-tenant-id", &owner.tenant_id);
        let answer = actor.get("/api/v1/dashboard").await;
        assert!(matches!(answer.status, 400 | 401), "{scheme}: {answer:?}");
    }
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let settings = vec![("PYTAKE_API__ACCESS_TOKEN_SECONDS", "1".to_owned())];
    let app = App::start_with(harness::AppOptions { settings, ..Default::default() }).await;
    let owner = app.tenant("acme", "Pro").await;
    let expired = harness::poll_async(std::time::Duration::from_secs(120), async || {
        let answer = owner.get("/api/v1/dashboard").await;
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(expired.await.expect("an end").problem(), "401 token-expired");
}

#[tokio::test]
async fn every_writing_endpoint_refuses_unknown_fields_and_writes_nothing() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let before = rows(&app).await;
    let user = json!({"email": "a@b.example", "name": "A", "role": "User", "send_invite": true, "rolle": 1});
    let upgrade =
        json!({"new_plan": "Enterprise", "billing_cycle": "Yearly", "paymentmethod": "x"});
    let cases = [
        (Method::PUT, "", json!({"nam": "x"}), "/nam"),
        (Method::POST, "/users", user, "/rolle"),
        (
            Method::POST,
            "/api-keys",
            json!({"name": "x", "permissions": ["usage.read"], "scope": 1}),
            "/scope",
        ),
        (Method::POST, "/upgrade", upgrade, "/paymentmethod"),
        (Method::PUT, "/ip-allowlist", json!({"networks": [], "network": 1}), "/network"),
    ];
    for (method, path, body, pointer) in cases {
        let body = Some((JSON, body.to_string().into_bytes()));
        let answer = owner.send(method, &owner.path(path), body).await;
        assert_eq!(answer.problem(), "422 validation-failed", "{path}");
        assert_eq!(answer.fault_pointers(), [pointer], "{path}: {}", answer.body);
    }
    assert_eq!(rows(&app).await, before);
}

#[tokio::test]
async fn values_out_of_bounds_are_faults_with_their_place() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let key = |change: Value| {
        let mut body = json!({"name": "K", "permissions": ["usage.read"]});
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        body
    };
    let cases = [
        ("/api-keys", key(json!({"permissions": ["fly.high"]})), "/permissions/0"),
        ("/api-keys", key(json!({"rate_limit": 0})), "/rate_limit"),
        ("/api-keys", key(json!({"rate_limit": -5})), "/rate_limit"),
        ("/api-keys", key(json!({"rate_limit": 99_999_999_999_i64})), "/rate_limit"),
        ("/api-keys", key(json!({"expires_in_days": 0})), "/expires_in_days"),
        ("/api-keys", key(json!({"expires_in_days": 1e300})), "/expires_in_days"),
        ("/api-keys", key(json!({"ip_allowlist": ["x"]})), "/ip_allowlist/0"),
        ("/api-keys", key(json!({"name": ""})), "/name"),
        ("/users", json!({"email": "x", "name": "A", "role": "User"}), "/email"),
        ("/users", json!({"email": "a@b.example", "name": "A", "role": "God"}), "/role"),
        ("/upgrade", json!({"new_plan": "Gold", "billing_cycle": "Yearly"}), "/new_plan"),
        ("/upgrade", json!({"new_plan": "Pro", "billing_cycle": "Weekly"}), "/billing_cycle"),
    ];
    for (path, body, pointer) in cases {
        let answer = owner.post(&owner.path(path), body.clone()).await;
        assert_eq!(answer.problem(), "422 validation-failed", "{path} {body}");
        assert!(
            answer.fault_pointers().iter().any(|found| found.starts_with(pointer)),
            "{body}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn strange_text_is_kept_or_refused_but_never_breaks() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let strange = [
        "'; DROP TABLE tenants; --",
        "\u{202e}evil",
        "emoji 🦀",
        "nul \u{0} byte",
        "\r\nX-A: b",
        "{{7*7}}",
    ];
    for text in strange {
        let answer = owner.put(&owner.path(""), json!({"name": text})).await;
        match answer.status {
            200 => assert_eq!(answer.json()["name"], text.trim()),
            _ => assert_eq!(answer.problem(), "422 validation-failed", "{text:?}"),
        }
    }
}

#[tokio::test]
async fn lists_refuse_pages_that_cannot_be() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    for query in ["limit=0", "limit=101", "limit=x", "limit=-1", "cursor=garbage", "cursor=%00"] {
        let answer = owner.get(&owner.path(&format!("/users?{query}"))).await;
        assert!(matches!(answer.status, 400 | 422), "{query}: {answer:?}");
        let _ = answer.problem();
    }
}

/// Raw bytes that no client library would send.
#[tokio::test]
async fn requests_that_are_no_http_end_with_a_4xx_or_a_closed_connection() {
    let app = App::start().await;
    let address = app.url().replace("http://", "");
    let cases = [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET /api/v1/plans HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "POST /api/v1/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx".to_owned(),
        "POST /api/v1/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET /api/v1/plans HTTP/1.1\r\nHost: local host\r\n\r\n".to_owned(),
        format!("GET /api/v1/plans HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(100_000)),
        "\u{1}\u{2}\u{3}\r\n\r\n".to_owned(),
        "GET /api/v1/../v1/plans HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ];
    for case in cases {
        let answer = harness::raw(&address, case.as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(
            answer.is_empty() || status.starts_with('4'),
            "{:?}: {answer}",
            &case[..case.len().min(80)]
        );
    }
    let plans: Actor = app.stranger();
    plans.get("/api/v1/plans").await.expect(200);
}

#[tokio::test]
async fn bytes_that_are_no_text_and_queries_that_are_none_are_the_senders_fault() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    for (path, problem) in [
        ("/users/%FF", "404 not-found"),
        ("/api-keys/%00", "400 malformed-request"),
        ("/audit-events?action=%00", "422 validation-failed"),
        ("/audit-events?actor_id=%00", "422 validation-failed"),
        ("/audit-events?from=-009999-01-02T00:00:00Z", "422 validation-failed"),
        ("/audit-events?action=a&action=b", "400 malformed-request"),
        ("/users?limit=1&limit=2", "400 malformed-request"),
        ("/users?cursor=%FF", "422 validation-failed"),
    ] {
        let method = if path.starts_with("/api-keys/") {
            owner.delete(&owner.path(path)).await
        } else {
            owner.get(&owner.path(path)).await
        };
        assert_eq!(method.problem(), problem, "{path}");
    }
    let missing = app.stranger().get("/docs/problems/%FF").await;
    assert_eq!(missing.problem(), "404 not-found");
}

#[tokio::test]
async fn a_list_without_end_is_refused_in_a_line() {
    let app = App::start().await;
    let owner = app.tenant("acme", "Pro").await;
    let endless = vec![""; 100_000];
    let body = json!({"email": "a@b.example", "name": "A", "role": "User", "permissions": endless});
    let answer = owner.post(&owner.path("/users"), body).await;
    assert_eq!(answer.problem(), "422 validation-failed");
    assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
    let body = json!({"name": "A", "permissions": endless});
    let answer = owner.post(&owner.path("/api-keys"), body).await;
    assert!(answer.body.len() < 30_000, "{} bytes", answer.body.len());
}
