//! A Redis Cluster: each cell is a key of its own, wherever the cluster keeps it.

use std::time::{Duration, Instant};

use harness::{Leash, Port, Spawn, find_redis, poll_async, reserve, tail};
use tempfile::TempDir;

use crate::fleet::{Fleet, Options, Plan, allowed};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// Three masters that share the slots.
struct Cluster {
    masters: Vec<(Leash, Port)>,
    _home: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let mut masters = Vec::new();
        for number in 0..3 {
            let (port, bus) = (reserve().expect("a port"), reserve().expect("a port"));
            let text = |port: &Port| port.address().port().to_string();
            let place = home.path().join(number.to_string());
            std::fs::create_dir(&place).expect("a folder");
            let leash = Spawn::new(find_redis().expect("Redis"), home.path().join("log"))
                .args(["--cluster-enabled", "yes", "--bind", "127.0.0.1", "--save", ""])
                .args(["--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"])
                .args(["--port", &text(&port), "--cluster-port", &text(&bus)])
                .args(["--dir".into(), place.into_os_string()])
                .start()
                .expect("a server");
            masters.push((leash, port, bus));
        }
        for (number, (leash, port, _)) in masters.iter().enumerate() {
            let up = poll_async(READY_WITHIN, async || command(port, &["PING"]).map(|_| ()));
            assert!(up.await.is_some(), "{}", tail(leash.log()));
            let slots = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]][number];
            command(port, &["CLUSTER", "ADDSLOTSRANGE", slots[0], slots[1]]).expect("slots");
            command(port, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()])
                .expect("epoch");
        }
        for (_, other, bus) in &masters[1..] {
            let (port, bus) = (other.address().port(), bus.address().port());
            let words = ["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus.to_string()];
            command(&masters[0].1, &words).expect("a meeting");
        }
        for (_, port, _) in &masters {
            let whole = poll_async(READY_WITHIN, async || {
                let info = command(port, &["CLUSTER", "INFO"])?;
                let nodes = command(port, &["CLUSTER", "NODES"])?;
                let met = nodes.lines().filter(|line| line.contains("connected")).count() == 3;
                (info.contains("cluster_slots_ok:16384") && met).then_some(())
            });
            assert!(whole.await.is_some(), "the cluster does not form");
        }
        let masters = masters.into_iter().map(|(leash, port, _)| (leash, port)).collect();
        Self { masters, _home: home }
    }

    fn urls(&self) -> String {
        let urls: Vec<_> =
            self.masters.iter().map(|(_, port)| format!("redis://{}", port.address())).collect();
        urls.join(",")
    }
}

/// What a server answers, as text; `None` while it does not.
fn command(port: &Port, words: &[&str]) -> Option<String> {
    let client = redis::Client::open(format!("redis://{}", port.address())).ok()?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
    let (name, arguments) = words.split_first()?;
    let answer = redis::cmd(name).arg(arguments).query::<redis::Value>(&mut connection).ok()?;
    match answer {
        redis::Value::Int(number) => Some(number.to_string()),
        other => redis::from_redis_value(other).ok(),
    }
}

#[tokio::test]
async fn limits_are_shared_over_a_cluster_and_survive_the_loss_of_a_master() {
    let mut cluster = Cluster::start().await;
    let options = Options { redis_url: Some(cluster.urls()), ..Options::default() };
    let fleet = Fleet::start_with(2, options).await;
    let mut tenants = Vec::new();
    for _ in 0..24 {
        tenants.push(fleet.tenant(Plan::calls(10)).await);
    }
    for tenant in &tenants {
        let flood = fleet.flood(&[0, 1], 10, tenant).await;
        let admitted = flood.admitted();
        fleet.bounds(admitted, 10, flood.took).await;
        fleet.admits(admitted, 10).await;
    }
    for (_, port) in &cluster.masters {
        let keys: u64 =
            command(port, &["DBSIZE"]).and_then(|keys| keys.parse().ok()).expect("keys");
        assert!(keys > 0, "cells on every master");
    }
    let began = Instant::now();
    let mut fresh = Vec::new();
    for _ in 0..12 {
        fresh.push(fleet.tenant(Plan::calls(10)).await);
    }
    cluster.masters[2].0.kill();
    let mut exact = 0;
    for tenant in &fresh {
        let admitted = fleet.flood(&[0, 1], 10, tenant).await.admitted();
        // On a master that is gone, two shares of five; and what a slow Redis may add, as it is to both edges now.
        let most = allowed(10, began.elapsed()) + 3 * 2 + 1;
        assert!((1..=most).contains(&admitted), "{admitted}");
        exact += usize::from(admitted >= 10);
    }
    assert!(exact >= 6, "tenants of the living masters have all of their limit: {exact}");
}
