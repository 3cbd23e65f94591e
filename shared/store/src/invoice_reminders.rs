//! `invoice_reminders`: which owners were reminded of what is open (`0021_invoice_reminders.sql`).

use domain::id::{InvoiceId, TenantId};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;

use crate::error::Error;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// An invoice of which somebody is to be reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reminder {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Which of the schedule: days after the one on which it is due.
    pub days: i16,
}

/// Up to `count` open invoices of which somebody is to be reminded on a day, longest due first, locked.
///
/// # Errors
/// When the database is gone.
pub async fn lock_due(
    tx: &mut ControlTx,
    on_day: Date,
    schedule: &[i16],
    count: i32,
) -> Result<Vec<(TenantId, Reminder)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", invoice_id AS "invoice_id!: InvoiceId", days AS "days!"
        FROM lock_due_reminders($1, $2, $3)"#,
        on_day.to_sqlx() as _,
        schedule,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    let reminder = |invoice_id, days| Reminder { invoice_id, days };
    Ok(rows.into_iter().map(|row| (row.tenant_id, reminder(row.invoice_id, row.days))).collect())
}

/// The tenant's next reminder, and on which day it is; the invoice is locked.
///
/// # Errors
/// When the database is gone.
pub async fn next(tx: &mut TenantTx, schedule: &[i16]) -> Result<Option<(Reminder, Date)>, Error> {
    let row = sqlx::query!(
        r#"SELECT id AS "id: InvoiceId", days AS "days!", due_on + days AS "on_day!: jiff_sqlx::Date"
        FROM invoices
        CROSS JOIN unnest($2::smallint[]) AS days
        WHERE tenant_id = $1 AND status = 'Open' AND due_on + days > issued_on
            AND days > coalesce((
                SELECT max(sent.days) FROM invoice_reminders AS sent
                WHERE sent.tenant_id = $1 AND sent.invoice_id = invoices.id), -32768)
        ORDER BY due_on + days, id
        LIMIT 1
        FOR UPDATE OF invoices"#,
        tx.tenant_id() as _,
        schedule
    )
    .fetch_optional(tx.connection())
    .await?;
    let reminder = |invoice_id, days| Reminder { invoice_id, days };
    Ok(row.map(|row| (reminder(row.id, row.days), row.on_day.to_jiff())))
}

/// Keeps that it was sent; whether it had not been.
///
/// # Errors
/// When the database is gone.
pub async fn keep(tx: &mut TenantTx, reminder: Reminder, now: Timestamp) -> Result<bool, Error> {
    let kept = sqlx::query!(
        "INSERT INTO invoice_reminders (tenant_id, invoice_id, days, reminded_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING",
        tx.tenant_id() as _,
        reminder.invoice_id as _,
        reminder.days,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(kept.rows_affected() == 1)
}
