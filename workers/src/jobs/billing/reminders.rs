//! Who pays is reminded of what is open, before it is due and after: each time once, in the transaction that keeps it.

use jiff::Timestamp;
use jobs::catalog::SendEmail;
use store::TenantTx;
use store::invoice_reminders::{self, Reminder};

use super::tell;
use crate::app::App;

/// Invoices of one transaction.
const BATCH: i32 = 50;

pub(super) async fn remind_all(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let today = app.books.terms.issuer.time_zone.day_of(now);
    let schedule = &app.billing.reminder_days;
    loop {
        let mut tx = app.store.control().await?;
        let due = invoice_reminders::lock_due(&mut tx, today, schedule, BATCH).await?;
        let Some((first, _)) = due.first() else { return Ok(()) };
        let mut tx = tx.enter_tenant(*first).await?;
        for (tenant, reminder) in &due {
            tx = tx.go_on(*tenant).await?;
            remind(&mut tx, *reminder, now).await?;
        }
        tx.commit().await?;
    }
}

/// The tenant's next reminder, and when the day of it begins.
pub(super) async fn next(
    app: &App,
    tx: &mut TenantTx,
) -> anyhow::Result<Option<(Reminder, Timestamp)>> {
    let next = invoice_reminders::next(tx, &app.billing.reminder_days).await?;
    let zone = &app.books.terms.issuer.time_zone;
    Ok(next.and_then(|(reminder, day)| Some((reminder, zone.begin_of(day)?))))
}

/// Tells who pays of one.
pub(super) async fn remind(
    tx: &mut TenantTx,
    reminder: Reminder,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Reminder { invoice_id, days } = reminder;
    if invoice_reminders::keep(tx, reminder, now).await? {
        let occasion = format!("reminder {invoice_id} {days}");
        tell::payers(tx, &occasion, |payer| SendEmail::InvoiceReminder { payer, invoice_id, days })
            .await?;
    }
    Ok(())
}
