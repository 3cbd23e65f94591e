//! Many edges, one limit.

use std::time::{Duration, Instant};

use harness::poll_async;

use crate::fleet::{Fleet, Plan};

/// Kong #6723, #6724, APISIX #4080: N pods admit N × limit.
#[tokio::test]
async fn four_edges_admit_the_limit_and_not_four_times_it() {
    let fleet = Fleet::start(4).await;
    for limit in [10, 100, 1_000] {
        let tenant = fleet.tenant(Plan::calls(limit)).await;
        let count = usize::try_from(limit).expect("small");
        let flood = fleet.flood(&[0, 1, 2, 3], count, &tenant).await;
        let admitted = flood.admitted();
        fleet.bounds(admitted, limit, flood.took).await;
        // What an edge held when others asked is held for a second at most.
        fleet.admits(admitted, count * 9 / 10).await;
    }
}

/// Tyk #1287: low limits break when they are divided by the nodes.
#[tokio::test]
async fn low_limits_are_whole_at_any_edge() {
    let fleet = Fleet::start(4).await;
    for limit in [1, 3, 10] {
        let tenant = fleet.tenant(Plan::calls(limit)).await;
        let flood = fleet.flood(&[3], 12, &tenant).await;
        let (admitted, whole) = (flood.admitted(), usize::try_from(limit).expect("small"));
        fleet.bounds(admitted, limit, flood.took).await;
        fleet.admits(admitted, whole).await;
        let others = fleet.flood(&[0, 1, 2], 12, &tenant).await;
        fleet.bounds(admitted + others.admitted(), limit, flood.took + others.took).await;
    }
}

/// Kong #11846, #4379: limits never reach zero.
#[tokio::test]
async fn what_remains_counts_down_to_zero() {
    let fleet = Fleet::start(1).await;
    let tenant = fleet.tenant(Plan::calls(20)).await;
    let began = Instant::now();
    let mut remaining = Vec::new();
    loop {
        let answer = fleet.ask(0, "/call", &tenant).await;
        let header = answer.headers()["ratelimit"].to_str().expect("text").to_owned();
        let left = header.split("r=").nth(1).and_then(|rest| rest.split(';').next());
        remaining.push(left.and_then(|left| left.parse::<u32>().ok()).expect("a count"));
        if answer.status() == 429 {
            break;
        }
    }
    let back = u32::try_from(began.elapsed().as_secs()).expect("short") / 3 + 1;
    assert_eq!(remaining.last(), Some(&0), "{remaining:?}");
    assert!((19 - back..=19).contains(&remaining[0]), "{remaining:?}");
    // One comes back each three seconds; beside that it only goes down.
    let rises = remaining.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert!(rises <= usize::try_from(back).expect("small"), "{remaining:?}");
}

/// Tyk #1876: rejected requests are counted, so that a client never recovers.
#[tokio::test]
async fn who_is_refused_a_hundred_times_recovers_when_told() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan::calls(30)).await;
    let began = Instant::now();
    let mut admitted = fleet.flood(&[0], 31, &tenant).await.admitted();
    admitted += fleet.flood(&[0, 1], 50, &tenant).await.admitted();
    fleet.bounds(admitted, 30, began.elapsed()).await;
    let answer = fleet.ask(0, "/call", &tenant).await;
    let wait = answer.headers().get("retry-after").map(|secs| secs.to_str().expect("text"));
    let secs: u64 = wait.unwrap_or("0").parse().expect("seconds");
    // One comes back each two seconds.
    fleet.admits(2, usize::try_from(secs).expect("few")).await;
    tokio::time::sleep(Duration::from_secs(secs)).await;
    let recovered = poll_async(Duration::from_secs(30), async || {
        (fleet.ask(0, "/call", &tenant).await.status() == 200).then_some(())
    });
    let waited = Instant::now();
    assert!(recovered.await.is_some(), "refused requests keep the client out");
    // At once, where Redis answered in time all along: two polls' time, generously.
    fleet.admits(2, usize::try_from(waited.elapsed().as_secs()).expect("few")).await;
}

#[tokio::test]
async fn a_keys_limit_and_the_plans_are_taken_together_or_not_at_all() {
    let fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan { key_calls: Some(5), ..Plan::calls(40) }).await;
    let flood = fleet.flood(&[0, 1], 30, &tenant).await;
    let admitted = flood.admitted();
    fleet.bounds(admitted, 5, flood.took).await;
    fleet.admits(admitted, 5).await;
    // What edges hold ready, and do not spend, they give back.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    // The requests that the key's limit refused took none of the plan's.
    let (taken, admitted) =
        (fleet.taken(&tenant), f64::from(u32::try_from(admitted).expect("few")));
    assert!(taken <= admitted + 1.0, "{taken} taken for {admitted}");
}
