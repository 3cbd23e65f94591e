//! `dunning_cases` and `dunning_steps`: the chasing of a tenant that does not pay, each step once.

use billing::{DunningSchedule, DunningStep};
use domain::id::{DunningCaseId, InvoiceId, TenantId};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::types::Json;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// A running case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its id.
    pub id: DunningCaseId,
    /// The invoice that drives it.
    pub invoice_id: InvoiceId,
    /// From when its days are counted; later by as long as it was paused.
    pub began_at: Timestamp,
    /// What will happen when, as it was when it began.
    pub schedule: DunningSchedule,
    /// The next step.
    pub next_step: usize,
    /// When that is due; `None` while it is paused.
    pub next_at: Option<Timestamp>,
    /// Since when a dispute has stopped it.
    pub paused_at: Option<Timestamp>,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What is owed was paid, or is not owed any more.
    Recovered,
    /// The subscription ended for it.
    Canceled,
}

/// The tenant's running case, locked until the transaction ends.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn running(tx: &mut TenantTx) -> Result<Option<Case>, Error> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: DunningCaseId", invoice_id AS "invoice_id: InvoiceId", began_at,
            schedule AS "schedule: Json<DunningSchedule>", next_step, next_at, paused_at
        FROM dunning_cases WHERE tenant_id = $1 AND ended_at IS NULL FOR UPDATE"#,
        tx.tenant_id() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| Case {
        id: row.id,
        invoice_id: row.invoice_id,
        began_at: row.began_at.to_jiff(),
        schedule: row.schedule.0,
        next_step: usize::try_from(row.next_step).unwrap_or(usize::MAX),
        next_at: row.next_at.map(|at| at.to_jiff()),
        paused_at: row.paused_at.map(|at| at.to_jiff()),
    }))
}

/// Begins a case; whether there was none.
///
/// # Errors
/// When the database is gone.
pub async fn begin(tx: &mut TenantTx, case: &Case) -> Result<bool, Error> {
    let begun = sqlx::query!(
        "INSERT INTO dunning_cases (tenant_id, id, invoice_id, began_at, schedule, next_step, next_at, paused_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        case.id as _,
        case.invoice_id as _,
        case.began_at.to_sqlx() as _,
        Json(&case.schedule) as _,
        number(case.next_step),
        case.next_at.map(ToSqlx::to_sqlx) as _,
        case.paused_at.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// Stores where a case stands that [`running`] holds.
///
/// # Errors
/// When the database is gone.
pub async fn update(tx: &mut TenantTx, case: &Case) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE dunning_cases SET invoice_id = $3, began_at = $4, next_step = $5, next_at = $6, paused_at = $7
        WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
        tx.tenant_id() as _,
        case.id as _,
        case.invoice_id as _,
        case.began_at.to_sqlx() as _,
        number(case.next_step),
        case.next_at.map(ToSqlx::to_sqlx) as _,
        case.paused_at.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Keeps that a step was done; whether it had not been.
///
/// # Errors
/// When the database is gone.
pub async fn keep_step(
    tx: &mut TenantTx,
    id: DunningCaseId,
    step: usize,
    kind: DunningStep,
    now: Timestamp,
) -> Result<bool, Error> {
    let kept = sqlx::query!(
        "INSERT INTO dunning_steps (tenant_id, case_id, step, kind, at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        id as _,
        number(step),
        kind.as_str(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// Ends a case.
///
/// # Errors
/// When the database is gone.
pub async fn end(
    tx: &mut TenantTx,
    id: DunningCaseId,
    ending: Ending,
    now: Timestamp,
) -> Result<(), Error> {
    let outcome = match ending {
        Ending::Recovered => "Recovered",
        Ending::Canceled => "Canceled",
    };
    sqlx::query!(
        "UPDATE dunning_cases SET ended_at = $3, outcome = $4, next_at = NULL
        WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _,
        outcome
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// An open invoice that could not be collected, or that is overdue: what a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Since when it is owed: its first failure, or the end of the day on which it was due, in UTC.
    pub since: Timestamp,
    /// The invoice that begins a case first comes first.
    pub due_minor: i64,
}

/// What a tenant owes and did not pay when it should have, longest first: what was refused by its provider or waits for a
/// customer who was asked to confirm; and what is overdue, and not on its way.
///
/// # Errors
/// When the database is gone.
pub async fn owed(
    tx: &mut TenantTx,
    today: Date,
    due_min: i64,
    day_begins: Timestamp,
) -> Result<Vec<Owed>, Error> {
    let rows = sqlx::query!(
        r#"SELECT invoices.id AS "invoice_id: InvoiceId", due_minor AS "due_minor!",
            least(failed.since, CASE WHEN due_on < $2 THEN $4::timestamptz END) AS "since!"
        FROM invoices
        CROSS JOIN LATERAL (
            SELECT min(coalesce(settled_at, sent_at)) FILTER (WHERE state = 'Declined'
                    OR (state = 'ActionRequired' AND provider IN ('Sandbox', 'Stripe', 'PayPal'))) AS since,
                coalesce(bool_or(state = 'Processing'), false) AS processing
            FROM charges WHERE charges.tenant_id = $1 AND charges.invoice_id = invoices.id
        ) AS failed
        WHERE tenant_id = $1 AND status = 'Open' AND due_minor >= $3 AND NOT failed.processing
            AND (failed.since IS NOT NULL OR due_on < $2)
        ORDER BY 3, invoices.id"#,
        tx.tenant_id() as _,
        today.to_sqlx() as _,
        due_min,
        day_begins.to_sqlx() as _
    )
    .fetch_all(tx.connection())
    .await?;
    let owed = rows.into_iter().map(|row| Owed {
        invoice_id: row.invoice_id,
        since: row.since.to_jiff(),
        due_minor: row.due_minor,
    });
    Ok(owed.collect())
}

/// The first day on which something is due that is not on its way.
///
/// # Errors
/// When the database is gone.
pub async fn first_due_on(tx: &mut TenantTx, due_min: i64) -> Result<Option<Date>, Error> {
    let day = sqlx::query_scalar!(
        r#"SELECT min(due_on) AS "day: jiff_sqlx::Date" FROM invoices
        WHERE tenant_id = $1 AND status = 'Open' AND due_minor >= $2
            AND NOT EXISTS (SELECT FROM charges
                WHERE charges.tenant_id = $1 AND charges.invoice_id = invoices.id AND state = 'Processing')"#,
        tx.tenant_id() as _,
        due_min
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(day.map(|day| day.to_jiff()))
}

/// Tenants with a step that is due by `as_of`, longest ago first; their subscriptions are locked.
///
/// # Errors
/// When the database is gone.
pub async fn lock_due(
    tx: &mut ControlTx,
    as_of: Timestamp,
    count: i32,
) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId" FROM lock_due_dunning($1, $2)"#,
        as_of.to_sqlx() as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

/// Tenants who owe what was due before `on_day` and are not chased yet, in pages by id.
///
/// # Errors
/// When the database is gone.
pub async fn overdue(
    tx: &mut ControlTx,
    on_day: Date,
    due_min: i64,
    after: Option<TenantId>,
    count: i32,
) -> Result<Vec<TenantId>, Error> {
    let tenants = sqlx::query_scalar!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId" FROM overdue_tenants($1, $2, $3, $4) AS tenant_id"#,
        on_day.to_sqlx() as _,
        due_min,
        after as _,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(tenants)
}

fn number(step: usize) -> i32 {
    i32::try_from(step).unwrap_or(i32::MAX)
}
