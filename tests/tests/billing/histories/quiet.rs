//! Everything comes to its end: the provider behaves, all that waits is decided and told of, and nobody has anything to do.

use domain::id::DifferenceId;
use harness::poll_async;
use serde_json::json;
use uuid::Uuid;

use super::Stage;
use crate::desk::BOUND;

/// How often what is decided may lead to something else.
const DECISIONS_MAX: usize = 6;

/// Jobs of money that are not done.
const TO_DO: &str = "
    SELECT count(*) FROM apalis.jobs
    WHERE job_type IN ('billing', 'payments')
        AND (status IN ('Pending', 'Queued', 'Running') OR (status = 'Failed' AND attempts < max_attempts))";

/// Those that wait for their next attempt wait no longer; the pause of a call under way is in `asked_until`.
pub(super) const HURRY: &str = "
    UPDATE apalis.jobs SET run_at = now() WHERE job_type IN ('billing', 'payments') AND run_at > now()
        AND (status = 'Pending' OR (status = 'Failed' AND attempts < max_attempts))";

const UNDER_WAY: &str = "
    SELECT (SELECT count(*) FROM charges WHERE state IN ('Pending', 'Processing', 'ActionRequired'))
        + (SELECT count(*) FROM refunds WHERE state IN ('Pending', 'Processing'))";

const OLD: &str = "
    UPDATE charges SET created_at = created_at - interval '2 hours';
    UPDATE refunds SET created_at = created_at - interval '2 hours', begun_at = begun_at - interval '2 hours';
    UPDATE disputes SET opened_at = opened_at - interval '2 hours';
    UPDATE reconciliations SET from_at = from_at - interval '2 hours', to_at = to_at - interval '2 hours';
    UPDATE reconciliation_differences SET begun_at = begun_at - interval '2 hours'";

impl Stage {
    pub(super) async fn quiet(&mut self) {
        self.stripe.misbehaves(false);
        // Workers may have been killed just now.
        self.desk.app.ready().await;
        for _ in 0..DECISIONS_MAX {
            self.stripe.forgets_keys();
            self.looked_up().await;
            self.stripe.settles_all();
            self.stripe.tells_all_again().await;
            self.looked_up().await;
            if self.count(UNDER_WAY).await == 0 {
                break;
            }
        }
        self.at_one_time().await;
        self.reconciled().await;
    }

    /// Days may have passed between a provider's answer and what was written of it: then both date differently what they
    /// would have dated alike.
    async fn at_one_time(&self) {
        let (references, begun): (Vec<_>, Vec<_>) = self.stripe.beginnings().into_iter().unzip();
        for (table, column) in [("refunds", "begun_at"), ("disputes", "opened_at")] {
            let sql = format!(
                "UPDATE {table} SET {column} = to_timestamp(begun) FROM unnest($1::text[], $2::bigint[]) AS provider (id, begun)
                WHERE {table}.reference = provider.id"
            );
            let sql = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&references).bind(&begun);
            sql.execute(&self.database).await.expect("the database answers");
        }
    }

    /// What is under way is looked up: a dispute may wait for the payment of which no webhook told.
    async fn looked_up(&self) {
        self.alter(OLD).await;
        self.stripe.ages(2 * 3600);
        self.enqueue(("payments", "poll")).await;
        self.idle().await;
    }

    pub(super) async fn count(&self, sql: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        sqlx::query_scalar(sql).fetch_one(&self.database).await.expect("the database answers")
    }

    /// Waits until nobody has anything to do.
    async fn idle(&self) {
        let mut turn = 0_u32;
        let mut tried = move || {
            turn += 1;
            turn % 200 == 1
        };
        let hurry = std::cell::RefCell::new(&mut tried);
        let done = poll_async(BOUND, async || {
            let now = (hurry.borrow_mut())();
            if now {
                self.alter(HURRY).await;
            }
            (self.count(TO_DO).await == 0).then_some(())
        });
        if done.await.is_none() {
            let left: Vec<String> = sqlx::query_scalar(
                "SELECT job_type || ' ' || status || ' ' || convert_from(job, 'UTF8') || ' ' || attempts
                    || coalesce(' ' || last_result::text, '')
                FROM apalis.jobs WHERE job_type IN ('billing', 'payments') AND status <> 'Done' LIMIT 20",
            )
            .fetch_all(&self.database)
            .await
            .expect("the database answers");
            panic!("{} have no end: {left:#?}", self.seeds());
        }
    }

    pub(super) fn seeds(&self) -> String {
        let seeds = self.histories.first().zip(self.histories.last());
        let (first, last) = seeds.map_or((0, 0), |(first, last)| (first.seed, last.seed));
        format!("histories {first}..={last}")
    }

    /// Disputes, and refunds that came back, of which no webhook told, are found by reconciliation, and repaired.
    async fn reconciled(&mut self) {
        self.enqueue(("payments", "reconcile")).await;
        self.idle().await;
        // A payment is noticed without that.
        let open: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM reconciliation_differences WHERE state = 'Open' AND what <> 'Payment'",
        )
        .fetch_all(&self.database)
        .await
        .expect("the database answers");
        for id in open {
            let id = DifferenceId::from_uuid(id);
            let path = format!("/api/v1/admin/reconciliation/differences/{id}/repair");
            self.operator.post(&path, json!({})).await.expect(202);
        }
        self.idle().await;
        self.enqueue(("payments", "reconcile")).await;
        self.idle().await;
    }
}
