//! Restarts and gaps: from disk where that leads on, from the beginning where it does not.

use sqlx::PgConnection;

use crate::world::{Follower, commit, database, execute, id, revoke, revoked};

/// Waits until the follower's policy is on disk: what it writes first takes a moment.
async fn kept(folder: &std::path::Path) {
    let file = folder.join("policy");
    let found = harness::poll_async(std::time::Duration::from_secs(20), async || {
        file.exists().then_some(())
    });
    assert!(found.await.is_some(), "nothing is kept on disk");
}

async fn forget_all(admin: &mut PgConnection) {
    execute(admin, "SELECT forget_policy_changes(now() + interval '1 second')").await;
}

#[tokio::test]
async fn a_successor_goes_on_from_disk_and_reads_only_what_changed() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    follower.first().await;
    let mut writer = database.connect().await;
    kept(folder.path()).await;
    follower.shows(commit(&mut writer, &revoke(1)).await).await;
    follower.stop().await;
    let meanwhile = commit(&mut writer, &revoke(2)).await;

    // Without a database: as it was, with what had been in force.
    let alone = Follower::start("postgres://127.0.0.1:1/none".to_owned(), folder.path());
    let policy = alone.first().await;
    assert_eq!((revoked(&policy, 1), revoked(&policy, 2)), (Some(true), Some(false)));
    alone.stop().await;

    let successor = Follower::start(database.url_as("pytake_edge"), folder.path());
    let policy = successor.shows(meanwhile).await;
    assert_eq!((revoked(&policy, 1), revoked(&policy, 2)), (Some(true), Some(true)));
    assert_eq!(successor.loads(), 0, "what was on disk was enough");
}

#[tokio::test]
async fn changes_that_are_listed_no_more_are_a_gap_and_everything_is_read() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    follower.first().await;
    kept(folder.path()).await;
    follower.stop().await;
    let mut writer = database.connect().await;
    let revocation = commit(&mut writer, &revoke(3)).await;
    forget_all(&mut writer).await;
    let successor = Follower::start(database.url_as("pytake_edge"), folder.path());
    assert_eq!(revoked(&successor.shows(revocation).await, 3), Some(true));
    assert_eq!(successor.loads(), 1);
}

#[tokio::test]
async fn what_concerns_crowds_is_read_as_everything() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    follower.first().await;
    let mut writer = database.connect().await;
    let sql = "UPDATE plan_versions SET api_calls_per_minute = 77 WHERE plan = 'Pro'";
    let policy = follower.shows(commit(&mut writer, sql).await).await;
    let limits: Vec<u32> = policy
        .changes()
        .filter_map(|change| match change {
            policy::Change::Tenant(_, Some(tenant)) => Some(tenant.calls_per_minute.get()),
            _ => None,
        })
        .collect();
    assert!(limits.iter().all(|limit| *limit == 77), "{limits:?}");
    assert_eq!(follower.loads(), 2);
}

#[tokio::test]
async fn another_database_is_read_from_the_beginning() {
    let (first, second) = (database().await, database().await);
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(first.url_as("pytake_edge"), folder.path());
    follower.first().await;
    kept(folder.path()).await;
    follower.stop().await;
    let mut writer = second.connect().await;
    let removal = format!("DELETE FROM api_keys WHERE id = '{}'", id(2));
    let xid = commit(&mut writer, &removal).await;
    let successor = Follower::start(second.url_as("pytake_edge"), folder.path());
    // The kept policy's position may claim to have seen this number, of the other database.
    let read = harness::poll_async(std::time::Duration::from_secs(20), async || {
        (successor.loads() == 1).then_some(())
    });
    assert!(read.await.is_some(), "the other database is never read");
    assert_eq!(revoked(&successor.shows(xid).await, 2), None);
}
