//! What operators and newcomers look at: health, metrics, the description and its pages, and a clean stop.

use std::time::Duration;

use harness::App;
use serde_json::Value;

const PROGRAMS: [&str; 3] = ["pytake-proxy", "pytake-api", "pytake-workers"];

#[tokio::test]
async fn every_program_tells_its_health_and_its_metrics() {
    let app = App::start().await;
    app.tenant("acme", "Pro").await;
    for name in PROGRAMS {
        let operator = app.stranger().calling(&app.metrics_url(name));
        operator.get("/healthz").await.expect(200);
        operator.get("/readyz").await.expect(200);
        let metrics = operator.get("/metrics").await.expect(200);
        assert!(metrics.body.contains("pytake_"), "{name}: {}", metrics.body);
    }
    app.stranger().get("/healthz").await.expect(200);
    app.stranger().get("/readyz").await.expect(200);
}

#[tokio::test]
async fn every_problem_has_a_page_at_its_own_address() {
    let app = App::start().await;
    for kind in domain::problem::ProblemKind::ALL {
        let page = app.stranger().get(&format!("/docs/problems/{}", kind.slug())).await.expect(200);
        assert!(page.body.contains(kind.title()), "{}: {}", kind.slug(), page.body);
    }
}

#[tokio::test]
async fn the_description_can_be_browsed_without_a_network() {
    let app = App::start().await;
    let page = app.stranger().get("/docs/").await;
    let page = if page.status == 200 { page } else { app.stranger().get("/docs").await };
    assert_eq!(
        page.clone().expect(200).header("content-type").split(';').next(),
        Some("text/html")
    );
    for foreign in ["https://cdn", "https://unpkg", "https://fonts"] {
        assert!(!page.body.contains(foreign), "{}", page.body);
    }
}

#[tokio::test]
async fn the_served_description_is_the_reviewed_one() {
    let app = App::start().await;
    let descriptions =
        [("docs/openapi.json", app.stranger()), ("docs/openapi-operator.json", app.operator())];
    for (file, caller) in descriptions {
        let served: Value = caller.get("/openapi.json").await.expect(200).json();
        let kept = std::fs::read_to_string(harness::root().join(file)).expect(file);
        let kept: Value = serde_json::from_str(&kept).expect(file);
        assert!(
            served == kept,
            "the API changed: run `cargo dev openapi` and review the difference of {file}"
        );
        assert_eq!(served["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    }
}

#[tokio::test]
async fn a_request_id_is_kept_if_it_is_one_and_replaced_if_not() {
    let app = App::start().await;
    let id = "req_01h455vb4pex5vsknk084sn02q";
    let kept = app.stranger().with("x-request-id", id).get("/api/v1/plans").await.expect(200);
    assert_eq!(kept.header("x-request-id"), id);
    let other =
        app.stranger().with("x-request-id", "<script>").get("/api/v1/plans").await.expect(200);
    assert!(other.header("x-request-id").starts_with("req_"), "{other:?}");
}

#[tokio::test]
async fn every_program_stops_cleanly_when_asked() {
    let mut app = App::start().await;
    for name in PROGRAMS {
        let status = app.process(name).stop(Duration::from_secs(30));
        assert_eq!(status.and_then(|status| status.code()), Some(0), "{name}");
    }
}
