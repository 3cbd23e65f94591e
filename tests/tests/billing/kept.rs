//! What the database keeps, whatever program asks: finalised invoices, the ledger's balance, numbers without holes.

use std::time::Duration;

use harness::MonthEnd;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

/// What a statement is refused with.
async fn refused(admin: &mut PgConnection, sql: &'static str) -> String {
    // A transaction, so that what is checked at its end is checked.
    let mut tx = admin.begin().await.expect("a transaction");
    let done = match sqlx::raw_sql(sql).execute(&mut *tx).await {
        Ok(_) => tx.commit().await.map(drop),
        Err(error) => Err(error),
    };
    done.expect_err(sql).to_string()
}

#[tokio::test]
async fn a_finalised_invoice_does_not_change_and_the_ledger_adds_up() {
    let mut month = MonthEnd::start(3, false, &[]).await;
    month.enqueue(1).await;
    month.add();
    month.ready(0).await;
    let came = month.wait(Duration::from_secs(60)).await;
    assert_eq!((came.drafts, came.finalized), (0, 3));
    let admin = &mut month.admin().await;
    for change in [
        "UPDATE invoices SET total_minor = 1, net_minor = 1",
        "UPDATE invoices SET number = 'INV-2026-999999'",
        "UPDATE invoices SET customer = '{}'",
        "UPDATE invoices SET status = 'Draft'",
        "UPDATE invoices SET due_on = due_on + 1",
        "DELETE FROM invoices",
        "UPDATE invoices SET paid_minor = due_minor, status = 'Paid'; UPDATE invoices SET status = 'Open'",
        "UPDATE invoices SET paid_minor = 1; UPDATE invoices SET paid_minor = 0",
        "UPDATE invoices SET paid_minor = 1; UPDATE invoices SET status = 'Void'",
    ] {
        let error = refused(admin, change).await;
        assert!(error.contains("is finalised and"), "{change}: {error}");
    }
    for change in ["UPDATE invoice_lines SET net_minor = 0", "DELETE FROM invoice_lines"] {
        let error = refused(admin, change).await;
        assert!(error.contains("keeps what it holds"), "{change}: {error}");
    }
    let error = refused(
        admin,
        "INSERT INTO invoice_lines SELECT tenant_id, invoice_id, line + 10, description, detail, plan, period_start,
            period_end, quantity, unit, unit_price, amount_minor, discount_minor, net_minor, tax_minor, tax, rule
         FROM invoice_lines",
    )
    .await;
    assert!(error.contains("takes no more lines"), "{error}");
    for (change, reason) in [
        ("UPDATE ledger_entries SET amount_minor = amount_minor + 1", "only added to"),
        ("DELETE FROM ledger_transactions", "only added to"),
        (
            "WITH booked AS (
                INSERT INTO ledger_transactions (tenant_id, kind, source_id, invoice_id, currency, posted_at)
                SELECT tenant_id, 'Payment', gen_random_uuid(), id, 'USD', now() FROM invoices LIMIT 1
                RETURNING tenant_id, id)
             INSERT INTO ledger_entries SELECT tenant_id, id, 'Receivable', 5 FROM booked",
            "do not add up",
        ),
        (
            "WITH booked AS (
                INSERT INTO ledger_transactions (tenant_id, kind, source_id, invoice_id, currency, posted_at)
                SELECT tenant_id, 'Payment', gen_random_uuid(), id, 'USD', now() FROM invoices LIMIT 1
                RETURNING tenant_id, id)
             INSERT INTO ledger_entries SELECT tenant_id, id, 'Credit', 5 FROM booked",
            "credit_balances_not_negative",
        ),
        (
            "INSERT INTO ledger_transactions (tenant_id, kind, source_id, invoice_id, currency, posted_at)
             SELECT tenant_id, kind, source_id, invoice_id, currency, now() FROM ledger_transactions",
            "ledger_transactions_once",
        ),
        (
            "INSERT INTO invoices (tenant_id, id, subscription_id, kind, boundary, status, currency, period_start,
                period_end, draft, finalize_at, created_at)
             SELECT tenant_id, gen_random_uuid(), subscription_id, kind, boundary, 'Draft', currency, period_start,
                period_end, draft, finalize_at, created_at FROM invoices",
            "invoices_one_a_boundary",
        ),
    ] {
        let error = refused(admin, change).await;
        assert!(error.contains(reason), "{change}: {error}");
    }
    assert_eq!(month.faults().await, Vec::<String>::new());
}

#[tokio::test]
async fn numbers_have_no_holes_though_half_of_those_who_take_one_fail() {
    let month = MonthEnd::start(0, false, &[]).await;
    let mut takers = JoinSet::new();
    for number in 0..64 {
        let mut connection = month.admin().await;
        takers.spawn(async move {
            let mut tx = connection.begin().await.expect("a transaction");
            let taken: i32 = sqlx::query_scalar(
                "INSERT INTO document_series AS known (series, year, last) VALUES ('INV', 2026, 1)
                 ON CONFLICT (series, year) DO UPDATE SET last = known.last + 1
                 RETURNING last",
            )
            .fetch_one(&mut *tx)
            .await
            .expect("a number");
            if number % 2 == 0 {
                tx.commit().await.expect("a commit");
                return Some(taken);
            }
            tx.rollback().await.expect("undone");
            None
        });
    }
    let mut taken: Vec<i32> = takers.join_all().await.into_iter().flatten().collect();
    taken.sort_unstable();
    assert_eq!(taken, (1..=32).collect::<Vec<_>>());
}
