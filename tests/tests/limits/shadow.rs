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
    // As many as a limit that denies would admit, and by the same bounds.
    let mut within = flood.admitted();
    for edge in 0..2 {
        let shadowed = fleet.metric(edge, name).await.expect("metrics");
        within -= (0..30).filter(|count| f64::from(*count) < shadowed).count();
    }
    fleet.bounds(within, 10, flood.took).await;
    fleet.admits(within, 10).await;
    let answer = fleet.ask(0, "/call", &tenant).await;
    let policy = answer.headers()["ratelimit-policy"].to_str().expect("text").to_owned();
    assert_eq!(policy, "\"key\";q=90;w=60");
}
