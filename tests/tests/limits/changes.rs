//! Another plan, another key limit, a suspension: at every edge, and what was used stays used.

use std::time::{Duration, Instant};

use harness::poll_async;

use crate::fleet::{Fleet, Plan, Tenant, allowed};

const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Waits until every edge names `quota` as the limit; how many calls that took.
async fn all_say(fleet: &Fleet, edges: usize, tenant: &Tenant, quota: &str) -> usize {
    let mut admitted = 0;
    for edge in 0..edges {
        let says = poll_async(KNOWN_WITHIN, || async {
            let answer = fleet.ask(edge, "/call", tenant).await;
            let policy = answer.headers()["ratelimit-policy"].to_str().expect("text").to_owned();
            Some((answer.status() == 200, policy))
        });
        let mut said = says.await.expect("an answer");
        admitted += usize::from(said.0);
        let began = Instant::now();
        while !said.1.contains(quota) {
            assert!(began.elapsed() < KNOWN_WITHIN, "edge {edge} still says {}", said.1);
            tokio::time::sleep(Duration::from_millis(10)).await;
            let answer = fleet.ask(edge, "/call", tenant).await;
            admitted += usize::from(answer.status() == 200);
            said.1 = answer.headers()["ratelimit-policy"].to_str().expect("text").to_owned();
        }
    }
    admitted
}

async fn set_calls(fleet: &Fleet, tenant: &Tenant, calls: u32) {
    // Another version of the plan, as a catalogue makes it.
    let sql = format!(
        "INSERT INTO plan_versions (plan, version, api_calls_per_minute, trial_days, created_at)
         SELECT 'Enterprise', max(version) + 1, {calls}, 0, now() FROM plan_versions;
         UPDATE subscriptions SET plan_version = (SELECT max(version) FROM plan_versions WHERE plan = 'Enterprise')
         WHERE tenant_id = '{}'",
        tenant.id
    );
    fleet.sql(&sql).await;
}

#[tokio::test]
async fn an_upgrade_adds_and_does_not_start_anew() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan::calls(10)).await;
    let began = Instant::now();
    let mut admitted = fleet.flood(&[0, 1], 20, &tenant).await.admitted();
    fleet.admits(admitted, 10).await;
    set_calls(&fleet, &tenant, 100).await;
    admitted += all_say(&fleet, 2, &tenant, "q=100").await;
    admitted += fleet.flood(&[0, 1], 100, &tenant).await.admitted();
    fleet.bounds(admitted, 100, began.elapsed()).await;
    fleet.admits(admitted, 95).await;
}

#[tokio::test]
async fn a_downgrade_is_in_force_at_once_and_locks_nobody_out_for_long() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan::calls(1_200)).await;
    fleet.flood(&[0, 1], 300, &tenant).await;
    set_calls(&fleet, &tenant, 60).await;
    let began = Instant::now();
    let mut admitted = all_say(&fleet, 2, &tenant, "q=60").await;
    admitted += fleet.flood(&[0, 1], 50, &tenant).await.admitted();
    assert!(admitted <= allowed(60, began.elapsed()) - 60 + 8, "{admitted} though 600 were used");
    let again = poll_async(Duration::from_secs(10), async || {
        (fleet.ask(0, "/call", &tenant).await.status() == 200).then_some(())
    });
    assert!(again.await.is_some(), "locked out: one comes back each second");
}

#[tokio::test]
async fn another_limit_of_a_key_is_in_force_at_every_edge() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan { key_calls: Some(5), ..Plan::calls(1_000) }).await;
    let began = Instant::now();
    let mut admitted = fleet.flood(&[0, 1], 10, &tenant).await.admitted();
    fleet
        .sql(&format!("UPDATE api_keys SET rate_limit = 50 WHERE tenant_id = '{}'", tenant.id))
        .await;
    admitted += all_say(&fleet, 2, &tenant, "\"key\";q=50").await;
    admitted += fleet.flood(&[0, 1], 60, &tenant).await.admitted();
    fleet.bounds(admitted, 50, began.elapsed()).await;
    fleet.admits(admitted, 45).await;
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_whatever_it_has_left() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan::calls(100_000)).await;
    fleet.flood(&[0, 1], 50, &tenant).await;
    fleet.sql(&format!("UPDATE tenants SET status = 'Suspended' WHERE id = '{}'", tenant.id)).await;
    for edge in 0..2 {
        let refused = poll_async(KNOWN_WITHIN, async || {
            (fleet.ask(edge, "/call", &tenant).await.status() == 403).then_some(())
        });
        assert!(refused.await.is_some(), "edge {edge} still serves");
    }
}
