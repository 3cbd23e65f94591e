//! So many of a meter in a billing period, and no more.

use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan, Tenant};

const TEN: Plan = Plan { messages: Some(10), ..Plan::calls(100_000) };

async fn sent(fleet: &Fleet, tenant: &Tenant, times: usize) -> usize {
    let mut sent = 0;
    for number in 0..times {
        sent += usize::from(fleet.ask(number % 2, "/message", tenant).await.status() == 200);
    }
    sent
}

#[tokio::test]
async fn a_period_has_its_count_over_all_edges_by_weight() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(TEN).await;
    // Three each of ten.
    assert_eq!(sent(&fleet, &tenant, 8).await, 3);
    let refused = fleet.ask(0, "/message", &tenant).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("s");
    assert!((27 * 86_400..=31 * 86_400).contains(&wait), "{wait}");
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["type"], "/docs/problems/quota-exceeded");
    assert_eq!(problem["violated-policies"], json!(["messages"]));
    // What is not metered goes on.
    assert_eq!(fleet.ask(0, "/call", &tenant).await.status(), 200);
}

#[tokio::test]
async fn a_lost_redis_gives_no_second_count_and_another_period_does() {
    let mut fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(TEN).await;
    assert_eq!(sent(&fleet, &tenant, 6).await, 3);
    fleet.kill_redis();
    fleet.all_are("away").await;
    assert_eq!(sent(&fleet, &tenant, 6).await, 0);
    fleet.start_redis();
    fleet.all_are("leasing").await;
    assert_eq!(sent(&fleet, &tenant, 6).await, 0);
    let sql = format!(
        "UPDATE subscriptions SET period_start = period_start + interval '1 month',
             period_end = period_end + interval '1 month' WHERE tenant_id = '{}'",
        tenant.id
    );
    fleet.sql(&sql).await;
    let mut again = 0;
    for _ in 0..200 {
        again += sent(&fleet, &tenant, 2).await;
        if again == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(again, 3);
    assert_eq!(sent(&fleet, &tenant, 4).await, 0);
}

#[tokio::test]
async fn what_another_limit_refuses_is_not_counted() {
    let fleet = Fleet::start(1).await;
    let tenant = fleet.tenant(Plan { key_calls: Some(2), ..TEN }).await;
    for _ in 0..6 {
        fleet.ask(0, "/message", &tenant).await;
    }
    let answer = fleet.ask(0, "/message", &tenant).await;
    assert_eq!(answer.status(), 429);
    let header = answer.headers()["ratelimit"].to_str().expect("text");
    // Two of three each, as the key allowed; a third should the test take half a minute.
    assert!(header.contains("\"messages\";r=4") || header.contains("\"messages\";r=1"), "{header}");
}
