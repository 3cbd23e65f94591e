//! Who pays is told in time that the way to pay runs out: once for each date of it.

use jiff::ToSpan;
use jobs::catalog::SendEmail;
use store::payment_methods;

use crate::app::App;
use crate::jobs::billing::tell;

/// Ways to pay of one transaction.
const BATCH: i32 = 50;

pub(super) async fn tell_all(app: &App) -> anyhow::Result<()> {
    let today = app.books.terms.issuer.time_zone.day_of(app.clock.now());
    let before = today.checked_add(i64::from(app.billing.expiry_notice_days).days())?;
    loop {
        let mut tx = app.store.control().await?;
        let due = payment_methods::lock_expiring(&mut tx, before, BATCH).await?;
        let Some((first, _)) = due.first() else { return Ok(()) };
        let mut tx = tx.enter_tenant(*first).await?;
        for (tenant, payment_method_id) in due {
            tx = tx.go_on(tenant).await?;
            payment_methods::note_expiry(&mut tx, payment_method_id).await?;
            let message = |payer| SendEmail::PaymentMethodExpiring { payer, payment_method_id };
            let method = payment_methods::get(&mut tx, payment_method_id).await?;
            let date = method.label.expires_on.map(|date| date.to_string()).unwrap_or_default();
            tell::payers(&mut tx, &format!("expiring {payment_method_id} {date}"), message).await?;
        }
        tx.commit().await?;
    }
}
