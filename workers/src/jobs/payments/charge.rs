//! Carries an attempt out. What it asks for is fixed before it is asked, so that a repetition asks for the same; and a
//! repetition looks first whether it was heard.

use std::time::Duration;

use domain::id::{ChargeId, InvoiceId, PaymentMethodId, TenantId};
use domain::money::Money;
use domain::payment::{Charge as Told, ChargeState, Decline, ProviderName};
use domain::secret::Secret;
use jiff::{SignedDuration, Timestamp};
use jobs::catalog::Payments;
use jobs::{Options, enqueue};
use payments::sandbox::Sandbox;
use payments::{ChargeOrder, Provider};
use store::charges::{self, Charge, ChargeStatus};
use store::{TenantTx, invoices, payment_methods, subscriptions};

use super::{outcome_of, settle};
use crate::app::App;
use crate::jobs::billing::tenant_now;
use crate::runtime::outcome::Outcome;

/// Calls of one attempt, at most: to look it up, to ask, and to withdraw it.
const CALLS_MAX: i32 = 6;

/// How long whoever asks a provider asks alone: as long as all calls of an attempt may take.
pub(super) fn alone(app: &App) -> SignedDuration {
    SignedDuration::try_from(app.providers.timeout()).unwrap_or(SignedDuration::MAX) * CALLS_MAX
}

/// How soon it is looked whether somebody else is done asking.
pub(super) const ASKED_PAUSE: Duration = Duration::from_secs(60);

/// Begins the next attempt to collect an invoice, with the job that carries it out; on a test clock it is carried out at
/// once, as all that belongs to an instant. Nothing while one is under way, or where too little is due.
pub(in crate::jobs) async fn begin(
    app: &App,
    tx: &mut TenantTx,
    invoice: InvoiceId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let running = subscriptions::get_for_update(tx).await?;
    let Some(name) = running.pays_by else { return Ok(()) };
    if collectable(app, tx, name, invoice).await?.is_none() {
        return Ok(());
    }
    let id = ChargeId::new(now, rand::random());
    let Some(charge_id) = charges::begin(tx, id, invoice, now).await? else { return Ok(()) };
    if running.on_test_clock {
        return carry_out_here(app, tx, charge_id, now).await;
    }
    let job = Payments::Charge { tenant_id: tx.tenant_id(), charge_id };
    enqueue(tx, &job, Options::default()).await?;
    Ok(())
}

/// How much is asked for to collect an invoice: what is due of it, and of others of which too little was due to be charged
/// by itself. What is paid too much then pays those. `None`: too little.
async fn collectable(
    app: &App,
    tx: &mut TenantTx,
    name: ProviderName,
    invoice: InvoiceId,
) -> anyhow::Result<Option<Money>> {
    let open = invoices::open_dues(tx).await?;
    let Some((_, due)) = open.iter().find(|(id, _)| *id == invoice) else { return Ok(None) };
    let currency = due.currency;
    let (least, step) = match app.providers.get(name) {
        Some(provider) => (provider.charge_min(currency), provider.charge_step(currency).max(1)),
        None => (1, 1),
    };
    let carried = open.iter().filter(|(id, other)| {
        *id != invoice && other.currency == currency && other.amount_minor < least
    });
    let whole =
        carried.map(|(_, other)| other.amount_minor).fold(due.amount_minor, i64::saturating_add);
    let amount_minor = whole - whole % step;
    Ok((amount_minor >= least && amount_minor > 0).then_some(Money { amount_minor, currency }))
}

/// The sandbox decides by the card's name alone, so it needs no call, and no transaction of its own.
async fn carry_out_here(
    app: &App,
    tx: &mut TenantTx,
    id: ChargeId,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Ready::Send(sending) = prepare_in(app, tx, id, now).await? else { return Ok(()) };
    let told = Sandbox::decide(&sending.order(app));
    settle::settle(app, tx, id, &told, now).await
}

/// What is sent.
struct Sending {
    charge: Charge,
    tenant_id: TenantId,
    amount: Money,
    method: Secret<String>,
    number: String,
    /// It may have been sent before.
    repeated: bool,
    /// By another way to pay than the one that is charged now.
    superseded: bool,
}

impl Sending {
    fn order<'a>(&'a self, app: &'a App) -> ChargeOrder<'a> {
        ChargeOrder {
            key: self.charge.key(self.tenant_id),
            amount: self.amount,
            method: &self.method,
            description: &self.number,
            reference: self.charge.reference.as_deref(),
            begun_at: self.charge.created_at,
            return_url: app.providers.return_url(),
        }
    }
}

pub(super) async fn charge(app: &App, tenant: TenantId, id: ChargeId) -> anyhow::Result<Outcome> {
    let mut tx = app.store.begin(tenant).await?;
    let now = tenant_now(app, &mut tx).await?;
    let sending = match prepare_in(app, &mut tx, id, now).await? {
        Ready::Send(sending) => sending,
        Ready::Nothing => {
            tx.commit().await?;
            return Ok(Outcome::Done);
        }
        Ready::Asked(pause) => {
            return Ok(Outcome::RetryAfter(pause, "somebody else is asking".to_owned()));
        }
    };
    // Before it is asked for: from here on a repetition looks it up.
    tx.commit().await?;

    let order = sending.order(app);
    let told = match app.providers.get(sending.charge.provider) {
        Some(provider) => ask(provider.as_ref(), &order, &sending).await,
        None => Ok(not_set_up(&order)),
    };
    let mut tx = app.store.begin(tenant).await?;
    // Locked first, as by whoever settles it for a webhook meanwhile: the other way round both would wait for each other.
    subscriptions::get_for_update(&mut tx).await?;
    charges::note_asked(&mut tx, id).await?;
    let told = match told {
        Ok(told) => told,
        Err(error) => {
            tx.commit().await?;
            return outcome_of(error);
        }
    };
    let now = tenant_now(app, &mut tx).await?;
    settle::settle(app, &mut tx, id, &told, now).await?;
    if sending.superseded && told.state == ChargeState::Canceled {
        begin(app, &mut tx, sending.charge.invoice_id, now).await?;
    }
    tx.commit().await?;
    Ok(Outcome::Done)
}

async fn ask(
    provider: &dyn Provider,
    order: &ChargeOrder<'_>,
    sending: &Sending,
) -> Result<Told, payments::PaymentError> {
    let told = match sending.repeated {
        true => provider.look_up(order).await?,
        false => None,
    };
    let told = match told {
        Some(told) => told,
        None => provider.charge(order).await?,
    };
    // There is another way to pay by now: who was asked to confirm the old one need not.
    if sending.superseded && matches!(told.state, ChargeState::ActionRequired { .. }) {
        return provider.cancel(&told.reference).await;
    }
    Ok(told)
}

/// A way to pay with somebody who is not set up any more: its owner is asked for another.
fn not_set_up(order: &ChargeOrder<'_>) -> Told {
    let decline = Decline { hard: true, code: "provider_not_set_up".to_owned() };
    let state = ChargeState::Declined(decline);
    Told { reference: order.key.idempotency_key(), amount: order.amount, state }
}

/// Whether there is something to send.
enum Ready {
    /// This.
    Send(Box<Sending>),
    /// Not for so long: somebody else asks, or was killed while asking.
    Asked(Duration),
    /// Nothing any more.
    Nothing,
}

/// What is to be sent, marked as sent.
async fn prepare_in(
    app: &App,
    tx: &mut TenantTx,
    id: ChargeId,
    now: Timestamp,
) -> anyhow::Result<Ready> {
    let running = subscriptions::get_for_update(tx).await?;
    let charge = charges::get_for_update(tx, id).await?;
    if !charge.status.is_under_way() {
        return Ok(Ready::Nothing);
    }
    if let Some(until) = charge.asked_until.filter(|until| *until > now) {
        let pause = Duration::try_from(until.duration_since(now))?;
        return Ok(Ready::Asked(pause.min(ASKED_PAUSE)));
    }
    let repeated = charge.amount.is_some();
    let amount = match charge.amount {
        Some(amount) => amount,
        None => match collectable(app, tx, charge.provider, charge.invoice_id).await? {
            Some(amount) => amount,
            // It was paid otherwise, or withdrawn, before anything was sent.
            None => {
                charges::withdraw(tx, id, now).await?;
                return Ok(Ready::Nothing);
            }
        },
    };
    charges::note_sent(tx, id, amount, now + alone(app), now).await?;
    let method = payment_methods::token(tx, &app.sealer, charge.payment_method_id).await?;
    let full = invoices::get(tx, charge.invoice_id).await?;
    let default = default_method(tx).await?;
    let superseded = charge.status == ChargeStatus::ActionRequired
        && running.pays_by.is_some()
        && default != Some(charge.payment_method_id);
    Ok(Ready::Send(Box::new(Sending {
        tenant_id: tx.tenant_id(),
        amount,
        method,
        number: full.invoice.number.unwrap_or_default(),
        repeated,
        superseded,
        charge,
    })))
}

/// The way to pay that is charged now.
pub(in crate::jobs) async fn default_method(
    tx: &mut TenantTx,
) -> anyhow::Result<Option<PaymentMethodId>> {
    let methods = payment_methods::list(tx).await?;
    Ok(methods.into_iter().find(|method| method.is_default).map(|method| method.id))
}
