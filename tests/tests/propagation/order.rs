//! Numbers are given when a transaction starts, and it commits when it likes.

use std::time::{Duration, Instant};

use harness::variable;

use crate::world::{EACH, Follower, commit, database, execute, id, revoke, revoked, transaction};

#[tokio::test]
async fn a_later_transaction_is_enforced_at_once_and_an_earlier_one_after_its_commit() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    follower.first().await;
    let (mut early, mut late) = (database.connect().await, database.connect().await);
    execute(&mut early, "BEGIN").await;
    execute(&mut early, &revoke(1)).await;
    let early_xid = transaction(&mut early).await;

    let late_xid = commit(&mut late, &revoke(2)).await;
    assert!(early_xid < late_xid, "the earlier number commits later");
    let policy = follower.shows(late_xid).await;
    assert_eq!((revoked(&policy, 1), revoked(&policy, 2)), (Some(false), Some(true)));

    execute(&mut early, "COMMIT").await;
    let policy = follower.shows(early_xid).await;
    assert_eq!((revoked(&policy, 1), revoked(&policy, 2)), (Some(true), Some(true)));
    assert_eq!(follower.loads(), 1, "one by one, after the first");
}

#[tokio::test]
async fn what_is_rolled_back_changes_nothing() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    let before = follower.first().await;
    let mut writer = database.connect().await;
    execute(&mut writer, "BEGIN").await;
    execute(&mut writer, &revoke(1)).await;
    let xid = transaction(&mut writer).await;
    execute(&mut writer, "ROLLBACK").await;
    assert!(follower.shows(xid).await.knows_as_much_as(&before));
}

/// At full scale the transaction is open for a minute.
#[tokio::test]
async fn a_transaction_held_open_delays_nobody() {
    let held_for = Duration::from_secs(if variable("HARNESS_SOAK").is_some() { 60 } else { 1 });
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    follower.first().await;
    let (mut held, mut writer) = (database.connect().await, database.connect().await);
    execute(&mut held, "BEGIN").await;
    execute(&mut held, &revoke(1)).await;
    let held_xid = transaction(&mut held).await;
    let began = Instant::now();
    let mut changes = 0_u32;
    while changes < 20 || began.elapsed() < held_for {
        let minute = 1 + changes;
        let sql = format!("UPDATE api_keys SET rate_limit = {minute} WHERE id = '{}'", id(2));
        let xid = commit(&mut writer, &sql).await;
        let policy = follower.shows(xid).await;
        assert_eq!(revoked(&policy, 1), Some(false));
        changes += 1;
    }
    execute(&mut held, "COMMIT").await;
    assert_eq!(revoked(&follower.shows(held_xid).await, 1), Some(true));
    assert_eq!(follower.loads(), 1);
}

#[tokio::test]
async fn a_key_does_no_more_than_its_creator_may_at_present() {
    let database = database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let follower = Follower::start(database.url_as("pytake_edge"), folder.path());
    let before = follower.first().await;
    let mut writer = database.connect().await;
    let removal = format!("UPDATE memberships SET status = 'Removed' WHERE id = '{}'", id(EACH));
    let xid = commit(&mut writer, &removal).await;
    let after = follower.shows(xid).await;
    let permissions = |policy: &policy::Policy| {
        policy.changes().find_map(|change| match change {
            policy::Change::ApiKey(_, Some(key)) if key.id.as_uuid().to_string() == id(EACH) => {
                Some(key.permissions.is_empty())
            }
            _ => None,
        })
    };
    assert_eq!((permissions(&before), permissions(&after)), (Some(false), Some(true)));
}
