//! Edges that come and go.

use std::time::Instant;

use crate::fleet::{Fleet, Plan};

#[tokio::test]
async fn a_killed_edge_takes_its_leases_with_it_and_nobody_gets_them_twice() {
    let mut fleet = Fleet::start(3).await;
    let tenant = fleet.tenant(Plan::calls(600)).await;
    let began = Instant::now();
    let mut admitted = fleet.flood(&[0, 1, 2], 100, &tenant).await.admitted();
    fleet.kill_edge(0);
    for _ in 0..4 {
        admitted += fleet.flood(&[1, 2], 150, &tenant).await.admitted();
    }
    fleet.bounds(admitted, 600, began.elapsed()).await;
    // What it held has lapsed; the rest is there for the others, or their shares are.
    assert!(admitted >= 300, "{admitted}");
}

#[tokio::test]
async fn a_stopped_edge_gives_back_what_it_holds() {
    let mut fleet = Fleet::start(2).await;
    let tenant = fleet.tenant(Plan::calls(1_000)).await;
    let began = Instant::now();
    let spent = fleet.flood(&[0], 200, &tenant).await.admitted();
    fleet.stop_edge(0).await;
    let taken = fleet.taken(&tenant);
    let drained = began.elapsed().as_secs_f64() * 1_000.0 / 60.0;
    let spent = f64::from(u32::try_from(spent).expect("small"));
    assert!(taken <= spent + 1.0 && taken + drained + 1.0 >= spent, "{taken} taken, {spent} spent");
}
