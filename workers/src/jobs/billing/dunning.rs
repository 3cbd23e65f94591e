//! The chasing of who does not pay. A case begins with the first failure, or the day after the one on which an invoice was
//! due; its steps come by its schedule (`billing::DunningSchedule`), each once; it ends when nothing more is owed, or with
//! the subscription. The invoice that is owed longest drives it.

use billing::{CHASED_MIN_MINOR, DunningStep};
use domain::event::Action;
use domain::id::{DunningCaseId, InvoiceId, TenantId};
use domain::payment::ProviderName;
use domain::standing::Standing;
use jiff::{SignedDuration, Timestamp};
use jobs::catalog::{DunningStage, SendEmail};
use serde_json::json;
use store::billing::account;
use store::charges::{self, ChargeStatus};
use store::dunning::{self, Case, Ending, Owed};
use store::subscriptions::{self, Running, told};
use store::{TenantTx, disputes, invoices};
use webhooks::events::billing::SubscriptionUpdated;

use super::tell;
use crate::app::App;
use crate::jobs::payments::charge;

mod end;

/// Cases of one transaction.
const BATCH: i32 = 20;
/// Tenants of one page.
const PAGE: i32 = 200;
/// How long a step waits for an attempt that has not ended.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Begins cases of what is overdue, and does all steps that are due.
pub(super) async fn dun_all(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    begin_overdue(app, now).await?;
    loop {
        let mut tx = app.store.control().await?;
        let due = dunning::lock_due(&mut tx, now, BATCH).await?;
        let Some(first) = due.first() else { return Ok(()) };
        let mut tx = tx.enter_tenant(*first).await?;
        for tenant in due {
            tx = tx.go_on(tenant).await?;
            go_on(app, &mut tx, now).await?;
        }
        tx.commit().await?;
    }
}

async fn begin_overdue(app: &App, now: Timestamp) -> anyhow::Result<()> {
    let today = app.books.terms.issuer.time_zone.day_of(now);
    let mut after: Option<TenantId> = None;
    loop {
        let mut tx = app.store.control().await?;
        let page = dunning::overdue(&mut tx, today, CHASED_MIN_MINOR, after, PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(*last);
        for tenant in page {
            let mut tx = app.store.begin(tenant).await?;
            begin(app, &mut tx, now).await?;
            tx.commit().await?;
        }
    }
}

/// Begins a case, if something is owed and none runs. Of what is owed for long already, the steps of the past are not done
/// again; but what they restricted holds.
pub(in crate::jobs) async fn begin(
    app: &App,
    tx: &mut TenantTx,
    now: Timestamp,
) -> anyhow::Result<()> {
    let running = subscriptions::get_for_update(tx).await?;
    if dunning::running(tx).await?.is_some() {
        return Ok(());
    }
    let owed = owed(app, tx, &running, now).await?;
    let Some(longest) = owed.first() else { return Ok(()) };
    let disputed = disputes::any_open(tx).await?;
    let mut case = Case {
        id: DunningCaseId::new(now, rand::random()),
        invoice_id: longest.invoice_id,
        began_at: longest.since.min(now),
        schedule: app.books.terms.dunning.schedule(running.plan).clone(),
        next_step: 0,
        next_at: None,
        paused_at: disputed.then_some(now),
    };
    let mut standing = Standing::PastDue;
    while let Some((step, at)) = step_of(tx, &case).await? {
        if at > now || step == DunningStep::Cancel {
            case.next_at = Some(at).filter(|_| !disputed);
            break;
        }
        standing = standing_of(step).unwrap_or(standing);
        case.next_step += 1;
    }
    if !dunning::begin(tx, &case).await? {
        return Ok(());
    }
    let changes = json!({ "invoice": case.invoice_id.to_string(), "case": case.id.to_string() });
    tell::audit(tx, Action::SubscriptionPastDue, running.id.to_string(), changes, now).await?;
    stand(app, tx, &running, standing, &format!("{} begun", case.id), now).await
}

/// What is owed of which the tenant is to be chased, longest first.
async fn owed(
    app: &App,
    tx: &mut TenantTx,
    running: &Running,
    now: Timestamp,
) -> anyhow::Result<Vec<Owed>> {
    let zone = &app.books.terms.issuer.time_zone;
    let today = zone.day_of(now);
    let begins = zone.begin_of(today).unwrap_or(now);
    let min = chased_min(app, running);
    Ok(dunning::owed(tx, today, min, begins).await?)
}

/// Below what its provider charges nobody is chased: it is carried forward.
fn chased_min(app: &App, running: &Running) -> i64 {
    let provider = running.pays_by.and_then(|name| app.providers.get(name));
    let least = provider.map_or(0, |provider| provider.charge_min(running.currency));
    least.max(CHASED_MIN_MINOR)
}

/// The next step of a case, and when it is due.
async fn step_of(
    tx: &mut TenantTx,
    case: &Case,
) -> anyhow::Result<Option<(DunningStep, Timestamp)>> {
    let zone = account::time_zone(tx).await?;
    let spread = case.id.as_uuid().as_u128();
    Ok(case.schedule.step(case.next_step, case.began_at, &zone, spread))
}

/// When a case begins because something is overdue by then, unless it is paid.
pub(super) async fn next_overdue(
    app: &App,
    tx: &mut TenantTx,
) -> anyhow::Result<Option<Timestamp>> {
    let running = subscriptions::get(tx).await?;
    if dunning::running(tx).await?.is_some() {
        return Ok(None);
    }
    let due_on = dunning::first_due_on(tx, chased_min(app, &running)).await?;
    let zone = &app.books.terms.issuer.time_zone;
    Ok(due_on.and_then(|day| zone.begin_of(day.tomorrow().ok()?)))
}

/// When the running case's next step is due.
pub(super) async fn next(tx: &mut TenantTx) -> anyhow::Result<Option<Timestamp>> {
    Ok(dunning::running(tx).await?.and_then(|case| case.next_at))
}

/// Does the steps of the tenant's case that are due.
pub(super) async fn go_on(app: &App, tx: &mut TenantTx, now: Timestamp) -> anyhow::Result<()> {
    subscriptions::get_for_update(tx).await?;
    review(app, tx, now).await?;
    while let Some(mut case) = dunning::running(tx).await? {
        if case.next_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        let Some((step, at)) = step_of(tx, &case).await? else {
            case.next_at = None;
            return Ok(dunning::update(tx, &case).await?);
        };
        if at > now {
            case.next_at = Some(at);
            dunning::update(tx, &case).await?;
            return Ok(());
        }
        // Nobody is restricted while an attempt may yet get through.
        if step != DunningStep::Retry && is_asking(tx, case.invoice_id).await? {
            case.next_at = now.checked_add(PATIENCE).ok();
            dunning::update(tx, &case).await?;
            return Ok(());
        }
        let done = case.next_step;
        case.next_step += 1;
        case.next_at = step_of(tx, &case).await?.map(|(_, at)| at);
        dunning::update(tx, &case).await?;
        if dunning::keep_step(tx, case.id, done, step, now).await? {
            carry_out(app, tx, &case, step, now).await?;
        }
    }
    Ok(())
}

/// Whether an attempt for an invoice has no end yet, and needs nobody to confirm it.
async fn is_asking(tx: &mut TenantTx, invoice: InvoiceId) -> anyhow::Result<bool> {
    let last = charges::of_invoice(tx, invoice).await?.pop();
    let asking = [ChargeStatus::Pending, ChargeStatus::Processing];
    Ok(last.is_some_and(|last| asking.contains(&last.status)))
}

async fn carry_out(
    app: &App,
    tx: &mut TenantTx,
    case: &Case,
    step: DunningStep,
    now: Timestamp,
) -> anyhow::Result<()> {
    let running = subscriptions::get(tx).await?;
    let stage = match step {
        DunningStep::Retry => return retry(app, tx, &running, case, now).await,
        DunningStep::Cancel => return end::end(app, tx, case, now).await,
        DunningStep::ReadOnly => DunningStage::ReadOnly,
        DunningStep::BillingOnly => DunningStage::BillingOnly,
        DunningStep::FinalNotice => DunningStage::FinalNotice,
    };
    if let Some(standing) = standing_of(step) {
        let changes = json!({ "access": standing.access().as_str(), "case": case.id.to_string() });
        let (action, target) = (Action::SubscriptionSuspended, running.id.to_string());
        tell::audit(tx, action, target, changes, now).await?;
        let occasion = format!("{} {}", case.id, step.as_str());
        stand(app, tx, &running, standing, &occasion, now).await?;
    }
    notice(tx, case, stage).await
}

const fn standing_of(step: DunningStep) -> Option<Standing> {
    match step {
        DunningStep::ReadOnly => Some(Standing::ReadOnly),
        DunningStep::BillingOnly => Some(Standing::BillingOnly),
        DunningStep::Retry | DunningStep::FinalNotice | DunningStep::Cancel => None,
    }
}

async fn notice(tx: &mut TenantTx, case: &Case, stage: DunningStage) -> anyhow::Result<()> {
    let invoice_id = case.invoice_id;
    let occasion = format!("dunning {} {stage:?}", case.id);
    tell::payers(tx, &occasion, |payer| SendEmail::Dunning { payer, invoice_id, stage }).await
}

/// All that is owed is charged again; where asking the provider again is of no use, who pays is asked.
async fn retry(
    app: &App,
    tx: &mut TenantTx,
    running: &Running,
    case: &Case,
    now: Timestamp,
) -> anyhow::Result<()> {
    let method = charge::default_method(tx).await?;
    for owed in owed(app, tx, running, now).await? {
        let last = charges::of_invoice(tx, owed.invoice_id).await?.pop();
        let useless = last.is_some_and(|last| {
            let same = method == Some(last.payment_method_id);
            let hard = last.decline.is_some_and(|(_, hard)| hard);
            same && (hard || last.status == ChargeStatus::ActionRequired)
        });
        let charged = running.pays_by.is_some_and(|name| name != ProviderName::BankTransfer);
        if charged && !useless {
            charge::begin(app, tx, owed.invoice_id, now).await?;
        } else {
            let invoice_id = owed.invoice_id;
            let occasion = format!("payment failed {invoice_id} {} {}", case.id, case.next_step);
            tell::payers(tx, &occasion, |payer| SendEmail::PaymentFailed { payer, invoice_id })
                .await?;
        }
    }
    Ok(())
}

/// Stores a standing, which every edge acts by as soon as it is committed, and tells of it.
async fn stand(
    app: &App,
    tx: &mut TenantTx,
    running: &Running,
    standing: Standing,
    occasion: &str,
    now: Timestamp,
) -> anyhow::Result<()> {
    if running.standing != standing {
        subscriptions::set_standing(tx, running.id, standing).await?;
        let told = SubscriptionUpdated(told(running, standing));
        tell::endpoints(app, tx, &told, format!("updated {occasion}"), now).await?;
    }
    Ok(())
}

/// Ends the case when what drove it is not owed any more: the service is back as soon as this is committed. Is something
/// else owed, that drives a case of its own, which counts from its own first failure.
pub(in crate::jobs) async fn review(
    app: &App,
    tx: &mut TenantTx,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Some(case) = dunning::running(tx).await? else { return Ok(()) };
    let running = subscriptions::get_for_update(tx).await?;
    let driver = invoices::get(tx, case.invoice_id).await?.invoice;
    if driver.status == "Open" && driver.due.amount_minor >= chased_min(app, &running) {
        return Ok(());
    }
    dunning::end(tx, case.id, Ending::Recovered, now).await?;
    begin(app, tx, now).await?;
    if dunning::running(tx).await?.is_some() {
        return Ok(());
    }
    let changes = json!({ "case": case.id.to_string() });
    let (action, target) = (Action::SubscriptionRecovered, running.id.to_string());
    tell::audit(tx, action, target, changes, now).await?;
    stand(app, tx, &running, Standing::Good, &format!("{} recovered", case.id), now).await
}

/// A dispute was opened or closed: while one is open, the clock of the case stands still.
pub(in crate::jobs) async fn pause_or_go_on(
    app: &App,
    tx: &mut TenantTx,
    now: Timestamp,
) -> anyhow::Result<()> {
    let Some(mut case) = dunning::running(tx).await? else { return begin(app, tx, now).await };
    match (disputes::any_open(tx).await?, case.paused_at) {
        (true, None) => {
            case.paused_at = Some(now);
            case.next_at = None;
        }
        (false, Some(paused_at)) => {
            case.began_at = case.began_at.checked_add(now.duration_since(paused_at))?;
            case.paused_at = None;
            case.next_at = step_of(tx, &case).await?.map(|(_, at)| at);
        }
        _ => return Ok(()),
    }
    Ok(dunning::update(tx, &case).await?)
}
