//! Who pays is reminded of what is open, each time once, however many workers look.

use std::time::Duration;

use harness::{MonthEnd, poll_async};

const BOUND: Duration = Duration::from_secs(60);
const TENANTS: u64 = 120;

/// An owner for each tenant; two have an address for invoices, one of them its owner's own.
const PEOPLE: &str = "
    INSERT INTO users (id, email, name, created_at)
    SELECT id, subdomain || '@example.com', 'Owner', now() FROM tenants;
    INSERT INTO memberships (tenant_id, id, user_id, email, name, role, status, created_at)
    SELECT id, id, id, subdomain || '@example.com', 'Owner', 'Owner', 'Active', now() FROM tenants;
    INSERT INTO billing_profiles (tenant_id, name, email, updated_at)
    SELECT id, name, CASE subdomain WHEN 'tenant-5' THEN 'tenant-5@example.com' ELSE 'books@example.com' END, now()
    FROM tenants WHERE subdomain IN ('tenant-5', 'tenant-6')";

/// The first tenant's invoice is paid.
const PAID: &str = "
    UPDATE invoices SET status = 'Paid', paid_minor = due_minor, ended_at = now()
    WHERE tenant_id = (SELECT min(id::text)::uuid FROM tenants)";

/// How many mails of which reminder there are.
type Reminded = Vec<(String, i64)>;

async fn reminded(month: &MonthEnd) -> Reminded {
    let sql = "SELECT convert_from(job, 'UTF8')::jsonb #>> '{job,days}', count(*) FROM apalis.jobs
        WHERE job_type = 'email' AND convert_from(job, 'UTF8')::jsonb #>> '{job,message}' = 'invoice_reminder'
        GROUP BY 1 ORDER BY 1";
    sqlx::query_as(sql).fetch_all(&mut month.admin().await).await.expect("mails")
}

/// Days pass: all invoices were issued earlier, and are due earlier.
async fn pass(month: &MonthEnd, days: i32) {
    let sql = format!(
        "ALTER TABLE invoices DISABLE TRIGGER keep;
        UPDATE invoices SET issued_on = issued_on - {days}, due_on = due_on - {days};
        ALTER TABLE invoices ENABLE TRIGGER keep"
    );
    run(month, &sql).await;
}

async fn run(month: &MonthEnd, sql: &str) {
    let sql = sqlx::AssertSqlSafe(sql.to_owned());
    sqlx::raw_sql(sql).execute(&mut month.admin().await).await.expect("the database answers");
}

/// Lets several workers look at the same time, and waits until they have.
async fn look(month: &MonthEnd) -> Reminded {
    for _ in 0..4 {
        let job = "SELECT apalis.enqueue('billing', '{\"version\": 1, \"job\": {\"step\": \"remind\"}}', 25)";
        run(month, job).await;
    }
    let done = poll_async(BOUND, async || {
        let sql = "SELECT count(*) FROM apalis.jobs WHERE job_type = 'billing' AND status <> 'Done'
            AND convert_from(job, 'UTF8') LIKE '%remind%'";
        let left: i64 =
            sqlx::query_scalar(sql).fetch_one(&mut month.admin().await).await.expect("jobs");
        (left == 0).then_some(())
    });
    assert!(done.await.is_some(), "the reminders do not end");
    reminded(month).await
}

#[tokio::test]
async fn who_pays_is_reminded_with_an_invoice_before_it_is_due_and_after_each_time_once() {
    let schedule = ("PYTAKE_BILLING__REMINDER_DAYS", "[-3, 1, 7]".to_owned());
    let mut month = MonthEnd::start(TENANTS, false, &[schedule]).await;
    run(&month, PEOPLE).await;
    month.enqueue(1).await;
    for _ in 0..3 {
        month.add();
    }
    for index in 0..3 {
        month.ready(index).await;
    }
    let came = month.wait(BOUND).await;
    assert_eq!(came.finalized, i64::try_from(TENANTS).expect("few"));
    // With the invoice: to every owner, and one address beside them.
    let with_it = vec![("-14".to_owned(), came.finalized + 1)];
    let sent = poll_async(BOUND, async || (reminded(&month).await == with_it).then_some(()));
    assert!(sent.await.is_some(), "{:?}", reminded(&month).await);
    run(&month, PAID).await;
    let times = |days: &[&str]| -> Reminded {
        let later = days.iter().map(|day| ((*day).to_owned(), came.finalized));
        with_it.iter().cloned().chain(later).collect()
    };

    // Due in fourteen days: ten of them pass, and nobody is told; with the next it is in three.
    pass(&month, 10).await;
    assert_eq!(look(&month).await, times(&[]));
    pass(&month, 1).await;
    assert_eq!(look(&month).await, times(&["-3"]));
    assert_eq!(look(&month).await, times(&["-3"]));
    // On the day itself nothing; and of two that no worker was there for, the later.
    pass(&month, 3).await;
    assert_eq!(look(&month).await, times(&["-3"]));
    pass(&month, 9).await;
    assert_eq!(look(&month).await, times(&["-3", "7"]));
    pass(&month, 100).await;
    assert_eq!(look(&month).await, times(&["-3", "7"]));
}
