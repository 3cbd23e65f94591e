//! A tenant's limits: from the price catalogue and its subscription to the policy.

use domain::clock::{Clock as _, SystemClock};
use domain::secret::Secret;
use harness::{TestDatabase, root};
use policy::snapshot::Tenant;
use policy::{Change, Policy};
use store::catalogue::Catalogue;

use crate::world::{Follower, commit, database, id};

/// Of those that plans here count.
const METERS: &str = "[meters]
pages = { aggregation = \"sum\", source = \"edge\", title = \"Pages\", unit = \"page\" }
documents = { aggregation = \"sum\", source = \"edge\", title = \"Documents\", unit = \"document\" }
";

/// Brings the database to the shipped catalogue with two more meters, of which Pro says `more`.
async fn migrate(database: &TestDatabase, more: &str) {
    let text = std::fs::read_to_string(root().join("config/plans.toml")).expect("plans.toml");
    let heading = "[plans.Pro]\n";
    let text = text.replacen(heading, &format!("{heading}{more}\n"), 1);
    let catalogue = Catalogue::parse(&text.replacen("[meters]\n", METERS, 1));
    let (url, now) = (Secret::new(database.url()), SystemClock.now());
    let catalogue = catalogue.expect("a catalogue");
    store::migrate::migrate(&url, &catalogue, now).await.expect("a migration");
}

fn tenant(policy: &Policy, number: u8) -> Tenant {
    let tenant = policy.changes().find_map(|change| match change {
        Change::Tenant(tenant_id, tenant) if tenant_id.as_uuid().to_string() == id(number) => {
            tenant
        }
        _ => None,
    });
    tenant.expect("a known tenant")
}

fn quotas(tenant: &Tenant) -> Vec<(&str, u64)> {
    tenant.quotas.iter().map(|(meter, count)| (meter.as_str(), *count)).collect()
}

#[tokio::test]
async fn meters_that_stop_reach_the_edge_and_those_that_go_on_do_not() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    let shipped = tenant(&follower.first().await, 1);
    assert_eq!(quotas(&shipped), [("messages", 100_000)]);
    assert_eq!(shipped.concurrent_requests.map(u32::from), Some(100));

    let mut writer = database.connect().await;
    let to = |plan: &str, version| {
        format!(
            "UPDATE subscriptions SET plan = '{plan}', plan_version = {version}
             WHERE tenant_id = '{}'",
            id(1)
        )
    };
    migrate(&database, "quotas = { pages = 7, documents = 500 }\noverage = [\"pages\"]").await;
    let policy = follower.shows(commit(&mut writer, &to("Pro", 2)).await).await;
    assert_eq!(quotas(&tenant(&policy, 1)), [("documents", 500), ("messages", 100_000)]);
    assert_eq!(quotas(&tenant(&policy, 2)), quotas(&shipped), "it keeps its version");

    migrate(&database, "overage = [\"messages\"]").await;
    let policy = follower.shows(commit(&mut writer, &to("Pro", 3)).await).await;
    assert_eq!(quotas(&tenant(&policy, 1)), []);
    let policy = follower.shows(commit(&mut writer, &to("Enterprise", 1)).await).await;
    assert_eq!(quotas(&tenant(&policy, 1)), [], "unlimited");
}

#[tokio::test]
async fn the_same_catalogue_again_makes_no_version() {
    let database = database().await;
    for _ in 0..2 {
        migrate(&database, "quotas = { pages = 7, documents = 500 }\noverage = [\"pages\"]").await;
    }
    let versions: Vec<(String, i32)> =
        sqlx::query_as("SELECT plan, max(version) FROM plan_versions GROUP BY plan ORDER BY plan")
            .fetch_all(&mut database.connect().await)
            .await
            .expect("versions");
    let versions: Vec<_> = versions.iter().map(|(plan, v)| (plan.as_str(), *v)).collect();
    assert_eq!(versions, [("Enterprise", 1), ("Free", 1), ("Pro", 2), ("Starter", 1)]);
}

#[tokio::test]
async fn the_next_period_reaches_the_edge() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    let before = tenant(&follower.first().await, 1).period;
    assert!(before.contains(SystemClock.now()));
    let mut writer = database.connect().await;
    let rollover = format!(
        "UPDATE subscriptions
         SET period_start = period_end, period_end = period_end + interval '1 month'
         WHERE tenant_id = '{}'",
        id(1)
    );
    let policy = follower.shows(commit(&mut writer, &rollover).await).await;
    let after = tenant(&policy, 1).period;
    assert_eq!(after.start, before.end);
    assert!(after.start < after.end);
    assert_eq!(follower.loads(), 1, "it was told, and did not read everything");
}
