//! Each day, what each provider says moved is compared with what is on record, by its reference: every difference is kept,
//! until it is gone by itself, repaired or accepted. The books are right when none is left.

pub(super) mod repair;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::{DifferenceId, TenantId};
use domain::money::Money;
use domain::payment::{ChargeKey, ChargeState, DisputeState, ProviderName, RefundKey, RefundState};
use jiff::{SignedDuration, Timestamp};
use payments::{About, Fact, PaymentError, Provider, Settled, SettledKind};
use store::reconciliation::{self, Difference, Ending, Recorded};

use crate::app::App;

/// So far back it is compared, from where it was compared last: what took days to settle is seen, and the refund that a bank
/// sends back, which may be up to 30 days later.
const WINDOW: SignedDuration = SignedDuration::from_hours(24 * 35);
/// What differs and was begun before is looked up one by one; so many of it.
const OLDER_MAX: i64 = 500;
/// What is younger may be on its way.
const QUIET: SignedDuration = SignedDuration::from_hours(1);
/// By so much a provider's clock, and when it heard of a charge, may differ from ours.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

pub(super) async fn reconcile(app: &App) -> anyhow::Result<()> {
    let mut failed = None;
    for provider in app.providers.all() {
        // One that does not answer keeps nobody from the others.
        if let Err(error) = compare(app, provider).await {
            tracing::warn!(provider = %provider.name(), "cannot be reconciled: {error:#}");
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

async fn compare(app: &App, provider: &Arc<dyn Provider>) -> anyhow::Result<()> {
    let now = app.clock.now();
    let to = now - QUIET;
    let name = provider.name();
    let mut tx = app.store.control().await?;
    // Whatever kept a provider from being compared, nothing is left out.
    let until = reconciliation::compared_until(&mut tx, name).await?.unwrap_or(to);
    let from = until.min(to) - WINDOW;
    let older = reconciliation::open_before(&mut tx, name, from, OLDER_MAX).await?;
    drop(tx);
    let theirs = match provider.settled(from - MARGIN, to + MARGIN).await {
        Ok(theirs) => theirs,
        // It remembers nothing, or is told of by statements.
        Err(PaymentError::Unsupported(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut older_theirs = Vec::new();
    for found in &older {
        older_theirs.push(provider.read(&about(found)).await?.as_ref().and_then(moved));
    }

    let references = theirs.iter().map(|one| &one.reference);
    let references: Vec<_> =
        references.chain(older.iter().map(|one| &one.reference)).cloned().collect();
    let mut tx = app.store.control().await?;
    let ours = reconciliation::recorded(&mut tx, name, from, to, &references).await?;
    for (found, theirs) in older.iter().zip(older_theirs) {
        let same = |one: &&Recorded| one.what == found.what && one.reference == found.reference;
        if ours.iter().find(same).map(|one| one.amount) == theirs {
            reconciliation::end(&mut tx, found.id, Ending::Matched, now).await?;
        }
    }
    let compared = theirs.len() + ours.len();
    let differ = side_by_side(name, theirs, ours, (from, to), now);
    for found in &differ {
        reconciliation::keep(&mut tx, found).await?;
    }
    reconciliation::note_matched(&mut tx, name, (from, to), &differ, now).await?;
    let open = reconciliation::note_compared(&mut tx, name, from, to, compared, now).await?;
    tx.commit().await?;
    app.metrics.payments.compared(name, open);
    Ok(())
}

/// What a difference is about.
fn about(found: &Difference) -> About {
    let reference = found.reference.clone();
    match found.what.as_str() {
        "Payment" => About::Charge(reference),
        "Refund" => About::Refund(reference),
        _ => About::Dispute(reference),
    }
}

/// How much it has moved, and has not moved back: a refund that came back and a dispute that was won have moved nothing.
fn moved(fact: &Fact) -> Option<Money> {
    match fact {
        Fact::Charge(_, charge) if charge.state == ChargeState::Succeeded => Some(charge.amount),
        Fact::Refund(_, refund) if refund.state != RefundState::Failed => Some(refund.amount),
        Fact::Dispute(_, dispute) if dispute.state != DisputeState::Won => Some(dispute.amount),
        Fact::Charge(..) | Fact::Refund(..) | Fact::Dispute(..) | Fact::Method(..) => None,
    }
}

/// Compares both sides by `what` and reference. What was begun outside of `[from, to)` is looked at only to find what the
/// other side begins within.
fn side_by_side(
    provider: ProviderName,
    theirs: Vec<Settled>,
    ours: Vec<Recorded>,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Vec<Difference> {
    type Sides = (Option<Settled>, Option<Recorded>);
    let mut all: BTreeMap<(String, String), Sides> = BTreeMap::new();
    for one in theirs {
        let key = (what(one.kind).to_owned(), one.reference.clone());
        all.entry(key).or_default().0 = Some(one);
    }
    for one in ours {
        let key = (one.what.clone(), one.reference.clone());
        all.entry(key).or_default().1 = Some(one);
    }
    let mut differ = Vec::new();
    for ((what, reference), (theirs, ours)) in all {
        let amount = |side: Option<Money>| side.map(|money| money.amount_minor);
        let their_amount = theirs.as_ref().map(|one| one.amount);
        let our_amount = ours.as_ref().map(|one| one.amount);
        if their_amount == our_amount {
            continue;
        }
        let begun = theirs.as_ref().map(|one| one.at).or(ours.as_ref().map(|one| one.begun_at));
        let (Some(begun_at), Some(money)) = (begun, their_amount.or(our_amount)) else { continue };
        if begun_at < from || begun_at >= to {
            continue;
        }
        let tenant = ours.as_ref().map(|one| one.tenant_id);
        let named = || theirs.as_ref().and_then(|one| one.key.as_deref()).and_then(tenant_of);
        differ.push(Difference {
            id: DifferenceId::new(now, rand::random()),
            provider,
            what,
            reference,
            tenant_id: tenant.or_else(named),
            currency: money.currency,
            ours_minor: amount(our_amount),
            theirs_minor: amount(their_amount),
            begun_at,
            found_at: now,
            state: "Open".to_owned(),
            reason: None,
        });
    }
    differ
}

const fn what(kind: SettledKind) -> &'static str {
    match kind {
        SettledKind::Payment => "Payment",
        SettledKind::Refund => "Refund",
        SettledKind::Dispute => "Dispute",
    }
}

fn tenant_of(key: &str) -> Option<TenantId> {
    let charge = key.parse::<ChargeKey>().map(|key| key.tenant_id);
    charge.or_else(|_| key.parse::<RefundKey>().map(|key| key.tenant_id)).ok()
}

#[cfg(test)]
mod tests {
    use domain::money::Currency;
    use uuid::Uuid;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn usd(amount_minor: i64) -> Money {
        Money { amount_minor, currency: Currency::USD }
    }

    fn theirs(reference: &str, amount: i64, day: &str) -> Settled {
        Settled {
            kind: SettledKind::Payment,
            reference: reference.to_owned(),
            key: None,
            amount: usd(amount),
            at: at(day),
        }
    }

    fn ours(reference: &str, amount: i64, day: &str) -> Recorded {
        Recorded {
            what: "Payment".to_owned(),
            reference: reference.to_owned(),
            tenant_id: TenantId::from_uuid(Uuid::from_u128(7)),
            amount: usd(amount),
            begun_at: at(day),
        }
    }

    #[test]
    fn every_difference_is_found_and_nothing_else() {
        const IN: &str = "2026-11-10T12:00:00Z";
        const BEFORE: &str = "2026-11-09T23:59:00Z";
        let window = (at("2026-11-10T00:00:00Z"), at("2026-11-11T00:00:00Z"));
        let differ = side_by_side(
            ProviderName::Stripe,
            vec![
                theirs("same", 100, IN),
                theirs("missing here", 200, IN),
                theirs("other amount", 300, IN),
                // Begun before on their clock, and within on ours: the same all the same.
                theirs("edge", 400, BEFORE),
                theirs("too early", 500, BEFORE),
            ],
            vec![
                ours("same", 100, IN),
                ours("other amount", 301, IN),
                ours("edge", 400, IN),
                ours("missing there", 600, IN),
                ours("too early as well", 700, BEFORE),
            ],
            window,
            at(IN),
        );
        let found: Vec<_> = differ
            .iter()
            .map(|one| (one.reference.as_str(), one.ours_minor, one.theirs_minor))
            .collect();
        assert_eq!(
            found,
            [
                ("missing here", None, Some(200)),
                ("missing there", Some(600), None),
                ("other amount", Some(301), Some(300)),
            ]
        );
    }
}
