//! Limits that are watched before they deny anybody.

use crate::fleet::{Fleet, Options, Plan};

#[tokio::test]
async fn a_limit_in_shadow_counts_whom_it_would_refuse() {
    let options = Options { routes: "limits_in_shadow = [\"plan\"]", ..Options::default() };
    let fleet = Fleet::start_with(2, options).await;
    let tenant = fleet.tenant(Plan { key_calls: Some(90), ..Plan::calls(10) }).await;
    let flood = fleet.flood(&[0, 1], 30, &tenant).await;
    assert_eq!(flood.admitted(), 60);
    let name = "pytake_edge_limit_refusals_total{limit=\"plan\",mode=\"shadow\"}";
    let mut shadowed = 0.0;
    for edge in 0..2 {
        shadowed += fleet.metric(edge, name).await.expect("metrics");
    }
    assert!((20.0..=50.0).contains(&shadowed), "{shadowed}");
    let answer = fleet.ask(0, "/call", &tenant).await;
    let policy = answer.headers()["ratelimit-policy"].to_str().expect("text").to_owned();
    assert_eq!(policy, "\"key\";q=90;w=60");
}
