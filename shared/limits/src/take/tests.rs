use super::*;

fn demand(space: &'static str, id: u128, per_minute: u32) -> Demand {
    let per_minute = NonZeroU32::new(per_minute).unwrap();
    Demand { key: CellKey { space, id, part: 0 }, per_minute, policy: space }
}

fn limiter() -> Limiter {
    Limiter::new("test:", "edge".to_owned())
}

async fn admitted(limiter: &Limiter, demands: Demands, times: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..times {
        admitted += usize::from(take(limiter, demands).await.refusal.is_none());
    }
    admitted
}

#[tokio::test]
async fn without_redis_a_lone_edge_admits_exactly_the_limit() {
    let limiter = limiter();
    assert_eq!(admitted(&limiter, [Some(demand("plan", 1, 10)), None, None], 15).await, 10);
    let verdict = take(&limiter, [Some(demand("plan", 1, 10)), None, None]).await;
    let refusal = verdict.refusal.unwrap();
    assert_eq!((refusal.policy, refusal.quota), ("plan", 10));
    assert!((5..=6).contains(&refusal.retry_after.as_secs()), "{refusal:?}");
}

#[tokio::test]
async fn no_demand_is_always_admitted() {
    assert_eq!(admitted(&limiter(), [None, None, None], 3).await, 3);
}

#[tokio::test]
async fn a_denied_request_consumes_nothing_of_its_other_limits() {
    let limiter = limiter();
    let both = [Some(demand("plan", 1, 20)), Some(demand("key", 1, 3)), None];
    assert_eq!(admitted(&limiter, both, 10).await, 3);
    let plan = take(&limiter, [None, None, Some(demand("plan", 1, 20))]).await;
    assert_eq!(plan.standings.iter().flatten().next().unwrap().remaining, 16);
}

#[tokio::test]
async fn away_from_redis_the_fleet_admits_no_more_than_the_limit() {
    for (limit, edges) in [(10, 4), (3, 5), (7, 7), (100, 3)] {
        let mut total = 0;
        for rank in 0..edges {
            let limiter = limiter();
            limiter.health.edges.store(edges, Ordering::Relaxed);
            limiter.rank.store(rank, Ordering::Relaxed);
            total += admitted(&limiter, [Some(demand("plan", 1, limit)), None, None], 200).await;
        }
        assert_eq!(total, limit as usize, "{edges} edges");
    }
}

#[tokio::test]
async fn one_outage_after_another_gives_no_second_burst() {
    let limiter = limiter();
    let demands = [Some(demand("plan", 1, 10)), None, None];
    assert_eq!(admitted(&limiter, demands, 6).await, 6);
    limiter.trouble();
    assert_eq!(admitted(&limiter, demands, 10).await, 4);
}

#[tokio::test]
async fn an_unanswered_question_costs_at_most_the_wait() {
    let limiter = limiter();
    limiter.health.connected.store(true, Ordering::Relaxed);
    let start = Instant::now();
    assert_eq!(admitted(&limiter, [Some(demand("plan", 1, 10)), None, None], 10).await, 10);
    // One wait, then the pause; the machine may be slow, so the bound is generous.
    assert!(start.elapsed() < WAIT_MAX * 20);
    assert_eq!(limiter.health.outages.load(Ordering::Relaxed), 1);
}
