//! Runs beside each other, and killed: one invoice a subscription and period, and numbers without holes.
//!
//! Full scale: `deploy/test --soak one_invoice`.

use std::time::Duration;

use harness::{MonthEnd, variable};

/// Processes that bill at the same time.
const PROCESSES: usize = 8;

/// How much is billed, and how often one is killed.
struct Scale {
    tenants: u64,
    kills: usize,
    within: Duration,
}

const SMALL: Scale = Scale { tenants: 600, kills: 6, within: Duration::from_secs(90) };
const FULL: Scale = Scale { tenants: 20_000, kills: 40, within: Duration::from_secs(900) };

#[tokio::test]
async fn one_invoice_a_period_from_eight_runs_beside_each_other_some_of_them_killed() {
    let scale = if variable("HARNESS_SOAK").is_some() { FULL } else { SMALL };
    let silence = ("PYTAKE_WORKERS__SILENCE_SECONDS", "2".to_owned());
    let mut month = MonthEnd::start(scale.tenants, true, &[silence]).await;
    month.enqueue(u32::try_from(PROCESSES).expect("few")).await;
    for _ in 0..PROCESSES {
        month.add();
    }
    for index in 0..PROCESSES {
        month.ready(index).await;
    }
    for kill in 0..scale.kills {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let index = kill % PROCESSES;
        month.process(index).kill();
        month.start_again(index);
        month.enqueue(1).await;
    }

    let came = month.wait(scale.within).await;

    let expected = i64::try_from(scale.tenants).expect("few");
    assert_eq!((came.due, came.drafts, came.finalized, came.parked), (0, 0, expected, 0));
    assert_eq!(month.faults().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_subscription_that_cannot_be_billed_is_parked_and_stops_nobody() {
    let mut month = MonthEnd::start(120, false, &[]).await;
    let broken = "UPDATE subscriptions SET currency = 'JPY' WHERE tenant_id IN (
            SELECT tenant_id FROM subscriptions ORDER BY tenant_id OFFSET 40 LIMIT 2)";
    sqlx::query(broken).execute(&mut month.admin().await).await.expect("an update");
    month.enqueue(1).await;
    month.add();
    month.ready(0).await;

    let billed = harness::poll_async(Duration::from_secs(60), async || {
        let came = month.came().await;
        (came.finalized == 118 && came.drafts == 0).then_some(came)
    });

    let came = billed.await.expect("118 are billed");
    assert_eq!((came.due, came.parked), (2, 2));
    let reasons: Vec<String> =
        sqlx::query_scalar("SELECT parked_reason FROM subscriptions WHERE parked_at IS NOT NULL")
            .fetch_all(&mut month.admin().await)
            .await
            .expect("reasons");
    assert!(reasons.iter().all(|reason| reason.contains("is not offered")), "{reasons:?}");

    // Mended, and its hour over: it catches up.
    let mended =
        "UPDATE subscriptions SET currency = 'USD', parked_at = parked_at - interval '1 hour'
        WHERE parked_at IS NOT NULL";
    sqlx::query(mended).execute(&mut month.admin().await).await.expect("an update");
    month.enqueue(1).await;
    let came = month.wait(Duration::from_secs(60)).await;
    assert_eq!((came.due, came.drafts, came.finalized, came.parked), (0, 0, 120, 0));
    assert_eq!(month.faults().await, Vec::<String>::new());
}
