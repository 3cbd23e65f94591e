use super::*;
use crate::link::WAIT_MAX;
use std::future::{Future as _, poll_fn};
use std::task::Poll;

fn demand(key: CellKey, rule: Rule) -> Option<Demand> {
    Some(Demand { key, rule, cost: NonZeroU32::MIN, shadow: false })
}

fn calls(id: u128, count: u32) -> Option<Demand> {
    demand(CellKey::tenant(id), Rule::PerMinute(NonZeroU32::new(count).unwrap()))
}

fn limiter() -> Limiter {
    Limiter::new("test:", "edge".to_owned(), 1)
}

fn one(demand: Option<Demand>) -> Demands {
    [demand, None, None, None, None]
}

async fn admitted(limiter: &Limiter, demands: Demands, times: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..times {
        admitted += usize::from(take(limiter, &demands).await.0.refusal.is_none());
    }
    admitted
}

#[tokio::test]
async fn without_redis_a_lone_edge_admits_exactly_the_limit() {
    let limiter = limiter();
    assert_eq!(admitted(&limiter, one(calls(1, 10)), 15).await, 10);
    let (verdict, _) = take(&limiter, &one(calls(1, 10))).await;
    let refusal = verdict.refusal.unwrap();
    assert_eq!(refusal.demand, 0);
    assert!((5..=6).contains(&refusal.retry_after.unwrap().as_secs()), "{refusal:?}");
}

#[tokio::test]
async fn no_demand_is_always_admitted() {
    assert_eq!(admitted(&limiter(), Demands::default(), 3).await, 3);
}

#[tokio::test]
async fn a_denied_request_consumes_nothing_of_its_other_limits() {
    let limiter = limiter();
    let key = demand(CellKey::api_key(1), Rule::PerMinute(NonZeroU32::new(3).unwrap()));
    let both = [calls(1, 20), key, None, None, None];
    assert_eq!(admitted(&limiter, both, 10).await, 3);
    // Not of those that were decided before it, nor of those after.
    assert_eq!(admitted(&limiter, one(calls(1, 20)), 20).await, 17);
    let turned = [demand(CellKey::api_key(1), key.unwrap().rule), None, None, None, calls(2, 20)];
    let (verdict, _) = take(&limiter, &turned).await;
    assert_eq!(verdict.refusal.unwrap().demand, 0);
    assert_eq!(verdict.standings[0].unwrap().quota, 3);
    assert_eq!(verdict.standings[4].unwrap().remaining, 20);
}

#[tokio::test]
async fn away_from_redis_the_fleet_admits_no_more_than_the_limit() {
    for (limit, edges) in [(10, 4), (3, 5), (7, 7), (100, 3)] {
        let mut total = 0;
        for rank in 0..edges {
            let limiter = limiter();
            limiter.place((edges, rank));
            total += admitted(&limiter, one(calls(1, limit)), 200).await;
        }
        assert_eq!(total, limit as usize, "{edges} edges");
    }
}

#[tokio::test]
async fn a_fleet_of_known_size_is_believed_before_redis_says_so() {
    let limiter = Limiter::new("test:", "edge".to_owned(), 4);
    assert!(admitted(&limiter, one(calls(1, 100)), 200).await <= 25);
}

#[tokio::test]
async fn one_outage_after_another_gives_no_second_burst() {
    let limiter = limiter();
    assert_eq!(admitted(&limiter, one(calls(1, 10)), 6).await, 6);
    limiter.link.connected();
    limiter.link.slow(limiter.now_us());
    assert_eq!(admitted(&limiter, one(calls(1, 10)), 10).await, 4);
}

#[tokio::test]
async fn an_unanswered_question_costs_one_wait() {
    let limiter = limiter();
    limiter.link.connected();
    let start = Instant::now();
    assert_eq!(admitted(&limiter, one(calls(1, 10)), 10).await, 10);
    // One wait, then none; the machine may be slow, so the bound is generous.
    assert!(start.elapsed() < WAIT_MAX * 20);
    assert_eq!((limiter.mode(), limiter.health.waits.load(Ordering::Relaxed)), (Mode::Slow, 1));
}

#[tokio::test]
async fn slots_come_back_when_requests_end() {
    let limiter = limiter();
    let slots = demand(CellKey::concurrency(1), Rule::Concurrent(NonZeroU32::new(2).unwrap()));
    let (_, first) = take(&limiter, &one(slots)).await;
    let (_, second) = take(&limiter, &one(slots)).await;
    assert!(first.is_some() && second.is_some());
    let (verdict, third) = take(&limiter, &one(slots)).await;
    assert!(verdict.refusal.is_some() && third.is_none());
    drop(first);
    assert!(take(&limiter, &one(slots)).await.0.refusal.is_none());
}

#[tokio::test]
async fn a_request_refused_by_another_limit_keeps_no_slot() {
    let limiter = limiter();
    let slots = demand(CellKey::concurrency(1), Rule::Concurrent(NonZeroU32::new(1).unwrap()));
    assert_eq!(admitted(&limiter, one(calls(1, 1)), 1).await, 1);
    let (verdict, slot) = take(&limiter, &[slots, calls(1, 1), None, None, None]).await;
    assert!(verdict.refusal.is_some() && slot.is_none());
    assert!(take(&limiter, &one(slots)).await.0.refusal.is_none());
}

#[tokio::test]
async fn a_quota_counts_by_weight_and_does_not_come_back() {
    let limiter = limiter();
    let key = CellKey::quota(1, "messages", 0);
    let rule = Rule::PerPeriod { permits: 10, ends_at: 4_000_000_000 };
    let heavy = Some(Demand { key, rule, cost: NonZeroU32::new(4).unwrap(), shadow: false });
    assert_eq!(admitted(&limiter, one(heavy), 5).await, 2);
    assert_eq!(admitted(&limiter, one(demand(key, rule)), 5).await, 2);
    let (verdict, _) = take(&limiter, &one(demand(key, rule))).await;
    assert_eq!(verdict.refusal.unwrap().retry_after, None);
}

#[tokio::test]
async fn a_shadow_counts_and_does_not_deny() {
    let limiter = limiter();
    let shadow = Some(Demand { shadow: true, ..calls(1, 2).unwrap() });
    let mut shadowed = 0;
    for _ in 0..5 {
        let (verdict, _) = take(&limiter, &[shadow, calls(2, 100), None, None, None]).await;
        assert!(verdict.refusal.is_none());
        shadowed += usize::from(verdict.shadowed[0]);
    }
    assert_eq!(shadowed, 3);
}

#[tokio::test]
async fn another_limit_keeps_what_was_used() {
    let limiter = limiter();
    assert_eq!(admitted(&limiter, one(calls(1, 10)), 15).await, 10);
    // What is known of this edge's own use is all of it, as it is alone.
    let more = admitted(&limiter, one(calls(1, 100)), 200).await;
    assert!((89..=91).contains(&more), "{more}");
}

#[tokio::test]
async fn who_is_dropped_while_waiting_waits_no_more() {
    let limiter = limiter();
    limiter.link.connected();
    let demands = one(calls(1, 10));
    let demand = demands[0].unwrap();
    let waiting = || limiter.cells.get(demand.key, demand.rule, 1).lock().waiting;
    let mut dropped = Box::pin(take(&limiter, &demands));
    // Once, however busy the machine is: a time could be over before it is looked at.
    let pending = poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context).is_pending()));
    assert!(pending.await);
    assert_eq!(waiting(), 1);
    drop(dropped);
    assert_eq!(waiting(), 0);
}
