//! Use that is counted after its period was billed.

use std::time::Duration;

use harness::MonthEnd;

const BOUND: Duration = Duration::from_secs(60);

/// One tenant is on the free plan by now, another still on its own; for both 500 messages come late, and one more period
/// ends.
const LATER: &str = "
    UPDATE usage_periods SET quantity = quantity + 500 WHERE meter = 'messages';
    UPDATE subscriptions SET plan = 'Free', plan_version = 1
    WHERE tenant_id = (SELECT min(id::text)::uuid FROM tenants);
    UPDATE subscriptions SET period_end = now() - interval '1 minute'";

#[tokio::test]
async fn what_came_late_is_billed_even_to_who_is_on_the_free_plan_by_now() {
    let mut month = MonthEnd::start(2, false, &[]).await;
    month.enqueue(1).await;
    month.add();
    month.ready(0).await;
    assert_eq!(month.wait(BOUND).await.finalized, 2);

    sqlx::raw_sql(LATER).execute(&mut month.admin().await).await.expect("a month passes");
    month.enqueue(1).await;
    let came = month.wait(BOUND).await;

    assert_eq!((came.finalized, came.parked), (4, 0));
    let sql = "SELECT subscriptions.plan, line.plan, quantity, amount_minor
        FROM invoice_lines AS line JOIN subscriptions USING (tenant_id)
        WHERE rule ->> 'rule' = 'late_usage' ORDER BY 1";
    let lines: Vec<(String, String, i64, i64)> =
        sqlx::query_as(sql).fetch_all(&mut month.admin().await).await.expect("lines");
    // 500 at 0.004, for the plan that was used.
    let line = |plan: &str| (plan.to_owned(), "Enterprise".to_owned(), 500, 200);
    assert_eq!(lines, [line("Enterprise"), line("Free")]);

    // Once: nothing of it comes again.
    let again =
        "UPDATE subscriptions SET period_end = now() - interval '1 second' WHERE plan = 'Free'";
    sqlx::raw_sql(again).execute(&mut month.admin().await).await.expect("a month passes");
    month.enqueue(1).await;
    assert_eq!(month.wait(BOUND).await.finalized, 4);
}
