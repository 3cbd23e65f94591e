//! What a tenant, its bank and an operator may do at any time.

use domain::id::{InvoiceId, PaymentId, TenantId};
use harness::stripe_simulator::StripeSimulator;
use harness::{Actor, Answer};
use rand::Rng as _;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{History, any_card};
use crate::desk::usd;

/// Where histories happen.
pub(super) struct World<'a> {
    pub(super) operator: &'a Actor,
    pub(super) stripe: &'a StripeSimulator,
    pub(super) database: &'a PgPool,
}

/// A round of one.
pub(super) async fn live(world: &World<'_>, history: &mut History) {
    for _ in 0..history.dice.random_range(1..5) {
        let step = history.dice.random_range(0..20);
        let answer = match step {
            0..3 => upgrade(history).await,
            3..5 => new_card(world, history).await,
            5..8 => pay(world, history).await,
            8 => paid_by_hand(world, history).await,
            9 | 10 => credit(world, history).await,
            11 => give_back(world, history).await,
            12 => withdraw(world, history).await,
            _ => {
                world.stripe.moves(&history.owner.tenant_id, history.dice.random());
                None
            }
        };
        let Some(answer) = answer else { continue };
        // A provider that fails is told as such, and who is in each other's way may try again; a fault of ours is neither.
        let fair = answer.status < 500
            || ["upstream-unavailable", "overloaded"].iter().any(|kind| answer.body.contains(kind));
        assert!(fair, "seed {}, step {step}: {} {}", history.seed, answer.status, answer.body);
    }
}

pub(super) fn tenant(history: &History) -> Uuid {
    let id: TenantId = history.owner.tenant_id.parse().expect("a tenant's id");
    id.as_uuid()
}

/// One of the tenant's invoices, open or any; where operators act on it.
async fn an_invoice(world: &World<'_>, history: &mut History, open: bool) -> Option<InvoiceId> {
    let all: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM invoices WHERE tenant_id = $1 AND (status = 'Open' OR NOT $2) AND status <> 'Draft' ORDER BY id",
    )
    .bind(tenant(history))
    .bind(open)
    .fetch_all(world.database)
    .await
    .expect("the database answers");
    if all.is_empty() {
        return None;
    }
    Some(InvoiceId::from_uuid(all[history.dice.random_range(0..all.len())]))
}

async fn act(
    world: &World<'_>,
    history: &History,
    below: &str,
    body: serde_json::Value,
) -> Option<Answer> {
    let path = format!("/api/v1/admin/tenants/{}{below}", history.owner.tenant_id);
    Some(world.operator.post(&path, body).await)
}

async fn upgrade(history: &mut History) -> Option<Answer> {
    let plan = ["Starter", "Pro", "Enterprise"][history.dice.random_range(0..3)];
    let wish = json!({ "new_plan": plan, "billing_cycle": "Monthly", "accept_over_limit": true });
    Some(history.owner.post(&history.owner.path("/upgrade"), wish).await)
}

async fn new_card(world: &World<'_>, history: &mut History) -> Option<Answer> {
    let card = world.stripe.card(any_card(&mut history.dice));
    let path = history.owner.path("/payment-methods/default");
    Some(history.owner.put(&path, json!({ "payment_method": card })).await)
}

async fn pay(world: &World<'_>, history: &mut History) -> Option<Answer> {
    let invoice = an_invoice(world, history, true).await?;
    let path = history.owner.path(&format!("/invoices/{invoice}/pay"));
    Some(history.owner.post(&path, json!({})).await)
}

async fn paid_by_hand(world: &World<'_>, history: &mut History) -> Option<Answer> {
    let invoice = an_invoice(world, history, true).await?;
    let mut body = json!({ "reference": format!("by hand {}", history.dice.random::<u64>()) });
    if history.dice.random_bool(0.5) {
        body["amount"] = usd(history.dice.random_range(1..20_000));
    }
    act(world, history, &format!("/invoices/{invoice}/payments"), body).await
}

async fn credit(world: &World<'_>, history: &mut History) -> Option<Answer> {
    let invoice = an_invoice(world, history, false).await?;
    let mut body = json!({ "reason": "An outage", "refund": history.dice.random_bool(0.6) });
    if history.dice.random_bool(0.7) {
        let amount = history.dice.random_range(1..5_000);
        body["lines"] = json!([{ "line": 1, "amount_minor": amount }]);
    }
    act(world, history, &format!("/invoices/{invoice}/credit-notes"), body).await
}

/// What was paid too much goes back.
async fn give_back(world: &World<'_>, history: &History) -> Option<Answer> {
    let found: Option<(Uuid, i64)> = sqlx::query_as(
        "SELECT id, excess_minor FROM payments WHERE tenant_id = $1 AND excess_minor > 0 AND provider = 'Stripe' LIMIT 1",
    )
    .bind(tenant(history))
    .fetch_optional(world.database)
    .await
    .expect("the database answers");
    let (id, excess) = found?;
    let below = format!("/payments/{}/refunds", PaymentId::from_uuid(id));
    act(world, history, &below, json!({ "amount": usd(excess) })).await
}

async fn withdraw(world: &World<'_>, history: &mut History) -> Option<Answer> {
    let invoice = an_invoice(world, history, true).await?;
    let reason = json!({ "reason": "A mistake" });
    act(world, history, &format!("/invoices/{invoice}/void"), reason).await
}
