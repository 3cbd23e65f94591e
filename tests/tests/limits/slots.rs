//! Requests in progress at the same time.

use std::time::Duration;

use harness::poll_async;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fleet::{Fleet, Plan, Tenant};

const FREE_WITHIN: Duration = Duration::from_secs(20);
const FIVE: Plan = Plan { slots: Some(5), ..Plan::calls(100_000) };

/// Twenty requests for something that the application holds, over four edges: those that it holds then.
async fn crowd(fleet: &Fleet, tenant: &Tenant) -> JoinSet<u16> {
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        fleet.spawn_ask(&mut tasks, number % 4, "/hold", tenant);
    }
    let settled = poll_async(FREE_WITHIN, || {
        while let Some(refused) = tasks.try_join_next() {
            assert_eq!(refused.expect("an answer"), 429);
        }
        let settled = (tasks.len() == fleet.upstream.held()).then_some(());
        async move { settled }
    });
    assert!(settled.await.is_some(), "{} neither refused nor held", tasks.len());
    // On a busy machine Redis may have answered late, and edges kept to their shares: a slot more or less.
    let filled = poll_async(FREE_WITHIN, || {
        while tasks.try_join_next().is_some() {}
        let held = fleet.upstream.held();
        // One more at a time: the last is refused or held by now.
        if held < 5 && tasks.len() == held {
            fleet.spawn_ask(&mut tasks, 0, "/hold", tenant);
        }
        async move { (held >= 5).then_some(()) }
    });
    assert!(filled.await.is_some(), "{} of five slots are given", fleet.upstream.held());
    assert!(tasks.len() <= 7, "{} in progress", tasks.len());
    fleet.admits(5, tasks.len()).await;
    tasks
}

async fn all_free(fleet: &Fleet, edges: &[usize], tenant: &Tenant) {
    for edge in edges {
        let free = poll_async(FREE_WITHIN, async || {
            (fleet.ask(*edge, "/call", tenant).await.status() == 200).then_some(())
        });
        assert!(free.await.is_some(), "no slot is free at edge {edge}");
    }
}

#[tokio::test]
async fn five_slots_are_five_over_four_edges() {
    let fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(FIVE).await;
    let mut held = crowd(&fleet, &tenant).await;
    let refused = poll_async(FREE_WITHIN, async || {
        let answer = fleet.ask(2, "/call", &tenant).await;
        (answer.status() == 429).then_some(answer)
    });
    let refused = refused.await.expect("nobody is refused though all slots are taken");
    let policy = refused.headers()["ratelimit-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("\"concurrency\";q=5;qu=\"concurrent-requests\""), "{policy}");
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["violated-policies"], json!(["concurrency"]), "{problem}");
    fleet.upstream.release();
    while let Some(status) = held.join_next().await {
        assert_eq!(status.expect("an answer"), 200);
    }
    all_free(&fleet, &[0, 1, 2, 3], &tenant).await;
}

#[tokio::test]
async fn who_hangs_up_or_is_killed_frees_what_it_held() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(FIVE).await;
    let mut held = crowd(&fleet, &tenant).await;
    held.abort_all();
    while held.join_next().await.is_some() {}
    all_free(&fleet, &[0, 1, 2, 3], &tenant).await;

    let before = fleet.upstream.held();
    let mut tasks = JoinSet::new();
    // Until one is held: what was freed may be with another edge for a moment yet, and all are refused.
    let held = poll_async(FREE_WITHIN, || {
        fleet.spawn_ask(&mut tasks, 0, "/hold", &tenant);
        let held = fleet.upstream.held() > before;
        async move { held.then_some(()) }
    });
    assert!(held.await.is_some(), "no slot is given again");
    tasks.detach_all();
    fleet.kill_edge(0);
    all_free(&fleet, &[1, 2, 3], &tenant).await;
}
