//! Thousands of messages are sent again, some at a time, behind what is new.

use std::time::Duration;

use domain::clock::{Clock as _, SystemClock};
use domain::id::WebhookReplayId;
use harness::{CourierOptions, Couriers, Receiver, Wanted};
use jiff::Timestamp;
use store::webhook_endpoints::{self, DisabledReason};
use store::webhook_replays::{self, Replay, Scope};

const WITHIN: Duration = Duration::from_secs(60);
const MESSAGES: usize = 2_500;

#[tokio::test]
async fn a_replay_goes_on_where_it_was_killed_and_sends_each_once() {
    let couriers =
        Couriers::start(CourierOptions { processes: 1, ..CourierOptions::default() }).await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    let (endpoint, _) = couriers.endpoint(tenant, &receiver.url(), Wanted::default()).await;
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    webhook_endpoints::disable(&mut tx, endpoint, DisabledReason::ByUser, SystemClock.now())
        .await
        .unwrap();
    for number in 0..MESSAGES {
        couriers.publish_in(&mut tx, number, "a").await;
    }
    tx.commit().await.unwrap();
    assert_eq!(couriers.standing().await, [("Held".to_owned(), MESSAGES as i64)]);

    let mut tx = couriers.store().begin(tenant).await.unwrap();
    let now = SystemClock.now();
    webhook_endpoints::enable(&mut tx, endpoint, now).await.unwrap();
    let id = || WebhookReplayId::new(now, rand::random());
    let replay = Replay::new(id(), endpoint, Scope::Failed, Timestamp::UNIX_EPOCH, now);
    assert!(webhook_replays::begin(&mut tx, &replay).await.unwrap());
    let another = Replay { id: id(), ..replay.clone() };
    assert!(!webhook_replays::begin(&mut tx, &another).await.unwrap(), "one at a time");
    tx.commit().await.unwrap();
    // A step that is rolled back is done again, whole; two at once are one after the other.
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    assert!(webhook_replays::step(&mut tx, &couriers.sealer, replay.id, now).await.unwrap());
    drop(tx);
    let mut steps = 0;
    loop {
        let mut tx = couriers.store().begin(tenant).await.unwrap();
        let more = webhook_replays::step(&mut tx, &couriers.sealer, replay.id, now).await.unwrap();
        tx.commit().await.unwrap();
        steps += 1;
        if !more {
            break;
        }
    }
    assert_eq!(steps, 4, "a thousand at a time");
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    let done = webhook_replays::get(&mut tx, replay.id).await.unwrap();
    let total = MESSAGES as u64;
    assert_eq!(
        (done.status.as_str(), done.total, done.seen, done.queued),
        ("Done", total, total, total)
    );
    drop(tx);
    couriers.wait_until_all(WITHIN, &["Delivered"]).await;
    let mut ids: Vec<_> = receiver.received().iter().map(|one| one.id().to_owned()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((count, ids.len()), (MESSAGES, MESSAGES));
}
