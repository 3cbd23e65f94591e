//! Redis slow, stalled, killed, flushed and failed over: nobody waits, nothing fails, and the total stays bounded.

use std::time::{Duration, Instant};

use harness::{RedisServer, poll_async};

use crate::fleet::{Fleet, Plan, Tenant, allowed};

const ALL: [usize; 4] = [0, 1, 2, 3];
const LIMIT: u32 = 200;
/// Two permits an edge, and an eighth of the limit, of which edges are told.
const TOLERANCE: usize = 2 * 4 + 200 / 8;

/// Spends the limit by `first`, has something happen, and spends on: all together within the bound.
async fn spend(fleet: &mut Fleet, tenant: &Tenant, happen: impl AsyncFnOnce(&mut Fleet)) {
    let began = Instant::now();
    let mut admitted = fleet.flood(&ALL, 30, tenant).await.admitted();
    happen(fleet).await;
    for _ in 0..5 {
        admitted += fleet.flood(&ALL, 30, tenant).await.admitted();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let most = allowed(LIMIT, began.elapsed()) + TOLERANCE;
    assert!(admitted <= most, "{admitted}, at most {most}");
    assert!(admitted >= 120, "{admitted} of {LIMIT}");
}

#[tokio::test]
async fn a_slow_redis_is_not_waited_for() {
    for delay in [30, 200].map(Duration::from_millis) {
        let mut fleet = Fleet::start(4).await;
        let (quick, tenant) =
            (fleet.tenant(Plan::calls(100_000)).await, fleet.tenant(Plan::calls(LIMIT)).await);
        let usual = fleet.flood(&ALL, 100, &quick).await.median();
        for line in &fleet.lines {
            line.delay(delay);
        }
        spend(&mut fleet, &tenant, async |fleet| {
            let slowed = fleet.flood(&ALL, 100, &quick).await.median();
            // Nobody waits for the answer; the machine may be slow, so the bound is generous.
            assert!(slowed < usual * 4 + Duration::from_millis(15), "{slowed:?} after {usual:?}");
        })
        .await;
        fleet.all_are("slow").await;
        for line in &fleet.lines {
            line.delay(Duration::ZERO);
        }
        fleet.all_are("leasing").await;
        let changes = fleet.log(0).lines().filter(|line| line.contains("redis is slow")).count();
        assert!(
            (1..=3).contains(&changes),
            "one line for each change, not for each request: {changes}"
        );
    }
}

#[tokio::test]
async fn a_stalled_redis_is_as_good_as_none() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(Plan::calls(LIMIT)).await;
    spend(&mut fleet, &tenant, async |fleet| {
        for line in &fleet.lines {
            line.stall(true);
        }
        fleet.all_are("away").await;
    })
    .await;
    for line in &fleet.lines {
        line.stall(false);
    }
    fleet.all_are("leasing").await;
}

#[tokio::test]
async fn a_killed_redis_that_comes_back_empty_gives_no_second_burst() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(Plan::calls(LIMIT)).await;
    let began = Instant::now();
    let mut admitted = fleet.flood(&ALL, 30, &tenant).await.admitted();
    fleet.kill_redis();
    fleet.all_are("away").await;
    admitted += fleet.flood(&ALL, 60, &tenant).await.admitted();
    fleet.start_redis();
    fleet.all_are("leasing").await;
    admitted += fleet.flood(&ALL, 60, &tenant).await.admitted();
    let most = allowed(LIMIT, began.elapsed()) + TOLERANCE;
    assert!(admitted <= most, "{admitted}, at most {most}");
    for edge in ALL {
        let lines = |text: &str| fleet.log(edge).lines().filter(|line| line.contains(text)).count();
        assert!((1..=2).contains(&lines("redis is away")), "{}", fleet.log(edge));
    }
}

#[tokio::test]
async fn a_flushed_redis_is_told_what_was_taken() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(Plan::calls(LIMIT)).await;
    spend(&mut fleet, &tenant, async |fleet| {
        let client = redis::Client::open(fleet.redis.url()).expect("a client");
        let mut connection = client.get_connection().expect("a connection");
        redis::cmd("FLUSHALL").exec(&mut connection).expect("a flush");
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_takes_over_knows_or_is_told() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(Plan::calls(LIMIT)).await;
    let place = tempfile::tempdir().expect("a folder");
    let replica = RedisServer::start(place.path(), &place.path().join("redis.log")).expect("Redis");
    let command = |words: &[&str]| {
        let client = redis::Client::open(replica.url()).expect("a client");
        let mut connection = client.get_connection().expect("a connection");
        let (name, arguments) = words.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query::<redis::Value>(&mut connection).expect("an answer")
    };
    let master = fleet.lines[0].address();
    command(&["REPLICAOF", &master.ip().to_string(), &master.port().to_string()]);
    let synced = poll_async(Duration::from_secs(20), async || {
        let info: String =
            redis::from_redis_value(command(&["INFO", "replication"])).expect("text");
        info.contains("master_link_status:up").then_some(())
    });
    assert!(synced.await.is_some(), "no replication");
    spend(&mut fleet, &tenant, async |fleet| {
        command(&["REPLICAOF", "NO", "ONE"]);
        fleet.kill_redis();
        for line in &fleet.lines {
            line.lead_to(&place.path().join("redis.sock"));
        }
        fleet.all_are("leasing").await;
    })
    .await;
}

/// Levels are published, so that an edge which never saw a tenant knows what is left without Redis.
#[tokio::test]
async fn an_edge_that_never_saw_the_tenant_gives_it_no_second_limit() {
    let mut fleet = Fleet::start(4).await;
    let tenant = fleet.tenant(Plan::calls(LIMIT)).await;
    let began = Instant::now();
    let first = fleet.flood(&[0], 220, &tenant).await.admitted();
    fleet.admits(first, 200).await;
    fleet.kill_redis();
    fleet.all_are("away").await;
    let others = fleet.flood(&[1, 2, 3], 100, &tenant).await.admitted();
    let most = allowed(LIMIT, began.elapsed()) + TOLERANCE;
    assert!(first + others <= most, "{first} and {others}, at most {most}");
}
