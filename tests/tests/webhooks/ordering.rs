//! Endpoints that want their messages in order get them so, whatever fails in between.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{CourierOptions, Couriers, Manner, Received, Receiver, Wanted};
use store::webhook_endpoints::Ordering;

fn number(received: &Received) -> u64 {
    received.json()["data"]["number"].as_u64().expect("a number")
}

async fn couriers(processes: usize) -> Couriers {
    Couriers::start(CourierOptions { processes, ..CourierOptions::default() }).await
}

#[tokio::test]
async fn messages_of_a_key_come_in_order_and_a_key_that_fails_holds_up_no_other() {
    let couriers = couriers(2).await;
    let receiver = Receiver::start().await;
    let tenant = couriers.tenant().await;
    let wanted = Wanted { ordering: Ordering::ByKey, ..Wanted::default() };
    couriers.endpoint(tenant, &receiver.url(), wanted).await;
    receiver.next([Manner::Answer(500, "", "")]);
    for round in 0..12 {
        for key in ["a", "b", "c"] {
            couriers.publish(tenant, round, key).await;
        }
    }
    let received = receiver.wait_for(37).await;
    let mut by_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let key = |one: &Received| one.json()["data"]["message_id"].as_str().unwrap().to_owned();
    for one in &received {
        by_key.entry(key(one)).or_default().push(number(one));
    }
    let failed = key(&received[0]);
    for (key, numbers) in by_key {
        let expected: Vec<u64> = if key == failed {
            std::iter::once(0).chain(0..12).collect()
        } else {
            (0..12).collect()
        };
        assert_eq!(numbers, expected, "{key}");
    }
    // The one that failed waited for its second attempt while the others went on.
    let last_of_failed = received.iter().rposition(|one| key(one) == failed);
    assert_eq!(last_of_failed, Some(received.len() - 1));
}

#[tokio::test]
async fn a_strict_endpoint_gets_one_at_a_time_and_all_in_order() {
    let couriers = couriers(2).await;
    let receiver = Receiver::slow(Duration::from_millis(20)).await;
    let tenant = couriers.tenant().await;
    let wanted = Wanted { ordering: Ordering::Strict, ..Wanted::default() };
    couriers.endpoint(tenant, &receiver.url(), wanted).await;
    let mut tx = couriers.store().begin(tenant).await.unwrap();
    for number in 0..40 {
        couriers.publish_in(&mut tx, number, if number % 2 == 0 { "a" } else { "b" }).await;
    }
    tx.commit().await.unwrap();
    let received = receiver.wait_for(40).await;
    assert_eq!(received.iter().map(number).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
}
