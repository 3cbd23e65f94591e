//! What is counted of which request, through the real edge.

use harness::AppOptions;
use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn answers_are_billed_and_refusals_and_failures_are_counted_apart() {
    let stage = Stage::set(AppOptions { errors_expected: true, ..AppOptions::default() }).await;
    let owner = stage.app.tenant("acme", "Enterprise").await;
    let key = owner.api_key(&["usage.read"]).await;
    let program = stage.app.stranger().bearing(&key);
    for _ in 0..5 {
        program.get("/fine").await.expect(200);
    }
    for _ in 0..2 {
        program.post("/send", json!({})).await.expect(200);
        program.get("/moved").await.expect(302);
        program.get("/missing").await.expect(404);
    }
    // Not billed: failed, or refused by the application or by the edge.
    program.post("/broken", json!({})).await.expect(500);
    program.get("/gone").await.expect(502);
    program.get("/refused").await.expect(403);
    program.get("/money").await.expect(403);
    // Nobody's: without a credential, or with one of somebody else.
    stage.app.stranger().get("/open").await.expect(200);
    stage.app.stranger().get("/fine").await.expect(401);
    let other = stage.app.tenant("globex", "Pro").await;
    program.get(&other.path("/usage")).await.expect(403);

    // Making the key was a call, too.
    let calls = [("2xx", 8), ("3xx", 2), ("4xx", 2), ("5xx", 2), ("refused", 2)];
    stage.wait_for("api_calls", &calls).await;
    stage.wait_for("messages", &[("2xx", 6)]).await;
    stage.wait_for("active_users", &[("", 1)]).await;
    assert_eq!(stage.discrepancies().await, Vec::<String>::new());

    let by_route = "SELECT route || ' ' || outcome || ' ' || (api_key_id = uuid_of_nobody()), sum(quantity)::bigint
        FROM usage_hours WHERE meter = $1 GROUP BY 1";
    let by_route = stage.sums(by_route, "api_calls").await;
    assert_eq!(by_route["/fine 2xx false"], 5);
    assert_eq!(by_route["/api/v1/tenants/{tenant_id}/api-keys 2xx true"], 1);
    let periods = "SELECT meter, quantity FROM usage_periods WHERE $1 = ''";
    let periods = stage.sums(periods, "").await;
    let periods: Vec<_> = periods.iter().map(|(meter, count)| (meter.as_str(), *count)).collect();
    assert_eq!(periods, [("active_users", 1), ("api_calls", 12), ("messages", 6)]);
    let used = "SELECT api_key_id::text, 1::bigint FROM api_key_uses
        WHERE last_used_at > now() - interval '5 minutes' AND $1 = ''";
    assert_eq!(stage.sums(used, "").await.len(), 1);
}
