//! What must hold when everything has come to its end.

use std::collections::BTreeMap;

use domain::id::{InvoiceId, TenantId};
use harness::stripe_simulator::Booked;
use uuid::Uuid;

use super::Stage;
use super::steps::tenant;

/// What contradicts itself, in words, and whose it is.
const FAULTS: &str = "
    SELECT tenant_id, 'a transaction is off by ' || sum(amount_minor) FROM ledger_entries
        GROUP BY tenant_id, transaction_id HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT invoices.tenant_id, number || ' is ' || status || ' with ' || due_minor || ' due, and the books say '
        || booked.owed || ' owed and ' || booked.lost || ' given up'
    FROM invoices
    JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE account = 'Receivable'), 0) AS owed,
            coalesce(sum(amount_minor) FILTER (WHERE account = 'BadDebt' AND NOT EXISTS (SELECT FROM ledger_entries AS other
                WHERE other.tenant_id = posted.tenant_id AND other.transaction_id = posted.id AND account = 'Disputed')), 0)
                AS lost
        FROM ledger_transactions AS posted
        JOIN ledger_entries AS entries
            ON (entries.tenant_id, entries.transaction_id) = (posted.tenant_id, posted.id)
        WHERE (posted.tenant_id, posted.invoice_id) = (invoices.tenant_id, invoices.id)
    ) AS booked ON true
    WHERE (owed, lost) <> (CASE status WHEN 'Open' THEN due_minor ELSE 0 END,
        CASE status WHEN 'Uncollectible' THEN due_minor ELSE 0 END)
    UNION ALL
    SELECT coalesce(booked.tenant_id, kept.tenant_id),
        'in credit are ' || coalesce(balance, 0) || ' and not ' || coalesce(credit, 0)
    FROM (SELECT tenant_id, -sum(amount_minor) AS credit FROM ledger_entries WHERE account = 'Credit' GROUP BY 1) AS booked
    FULL JOIN (SELECT tenant_id, sum(balance_minor) AS balance FROM credit_balances GROUP BY 1) AS kept
        ON kept.tenant_id = booked.tenant_id
    WHERE coalesce(balance, 0) <> coalesce(credit, 0) OR coalesce(balance, 0) < 0
    UNION ALL
    SELECT tenant_id, 'nothing is chased, and yet it is ' || standing FROM subscriptions
    WHERE standing <> 'Good' AND NOT EXISTS (SELECT FROM dunning_cases
        WHERE dunning_cases.tenant_id = subscriptions.tenant_id AND ended_at IS NULL)
    UNION ALL
    SELECT dunning_cases.tenant_id, number || ' is chased, which is ' || invoices.status || ' with ' || due_minor || ' due'
    FROM dunning_cases
    JOIN invoices ON (invoices.tenant_id, invoices.id) = (dunning_cases.tenant_id, dunning_cases.invoice_id)
    WHERE dunning_cases.ended_at IS NULL AND (invoices.status <> 'Open' OR due_minor < 50)
    UNION ALL
    SELECT invoices.tenant_id, number || ' could not be collected, and nobody is chased'
    FROM invoices
    WHERE invoices.status = 'Open' AND due_minor >= 50
        AND EXISTS (SELECT FROM charges WHERE charges.tenant_id = invoices.tenant_id AND invoice_id = invoices.id
            AND state = 'Declined')
        AND NOT EXISTS (SELECT FROM dunning_cases WHERE dunning_cases.tenant_id = invoices.tenant_id AND ended_at IS NULL)
    UNION ALL
    SELECT tenant_id, 'an attempt has no end: ' || state || ' ' || coalesce(reference, '-') FROM charges
    WHERE state IN ('Pending', 'Processing', 'ActionRequired')
    UNION ALL
    SELECT tenant_id, 'a refund has no end: ' || state FROM refunds WHERE state IN ('Pending', 'Processing')
    UNION ALL
    SELECT tenant_id, 'is on its way back and not: ' || sum(amount_minor) FROM ledger_entries WHERE account = 'Refunding'
        GROUP BY 1 HAVING sum(amount_minor) <> 0
    UNION ALL
    SELECT entries.tenant_id, 'held back are ' || sum(amount_minor) FROM ledger_entries AS entries WHERE account = 'Disputed'
        GROUP BY 1 HAVING sum(amount_minor) <> (SELECT coalesce(sum(amount_minor), 0) FROM disputes
            WHERE disputes.tenant_id = entries.tenant_id AND state = 'Open')
    UNION ALL
    SELECT coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'), 'a difference: ' || what || ' ' || reference
        || ', ours ' || coalesce(ours_minor, 0) || ', theirs ' || coalesce(theirs_minor, 0) || ', begun ' || begun_at
        || ', compared until ' || coalesce((SELECT max(to_at)::text FROM reconciliations), 'never')
    FROM reconciliation_differences WHERE state = 'Open'
    UNION ALL
    SELECT '00000000-0000-0000-0000-000000000000', 'given up: ' || convert_from(job, 'UTF8') || ' '
        || coalesce(last_result::text, '')
    FROM apalis.jobs WHERE job_type IN ('billing', 'payments')
        AND (status = 'Killed' OR (status = 'Failed' AND attempts >= max_attempts))";

/// What moved a tenant's money back and forth, and where it differed.
const MOVED: &str = "
    SELECT 'refund ' || coalesce(refunds.reference, '-') || ' ' || state || ' ' || refunds.amount_minor || ', begun '
        || coalesce(begun_at, created_at)
    FROM refunds JOIN payments ON (payments.tenant_id, payments.id) = (refunds.tenant_id, payment_id)
    WHERE refunds.tenant_id = $1 AND provider = 'Stripe'
    UNION ALL
    SELECT 'dispute ' || reference || ' ' || state || ' ' || amount_minor || ', opened ' || opened_at FROM disputes WHERE tenant_id = $1
    UNION ALL
    SELECT 'difference: ' || what || ' ' || reference || ' ' || state || ', ours ' || coalesce(ours_minor, 0) || ', theirs '
        || coalesce(theirs_minor, 0) || ', begun ' || begun_at
    FROM reconciliation_differences WHERE tenant_id = $1
    UNION ALL
    SELECT 'compared ' || from_at || ' to ' || to_at || ' at ' || compared_at FROM reconciliations";

/// A payment that is on record.
#[derive(Debug, sqlx::FromRow)]
struct Paid {
    tenant_id: Uuid,
    invoice_id: Uuid,
    reference: String,
    amount_minor: i64,
}

impl Stage {
    pub(super) async fn check(&self) {
        let mut faults: Vec<(Uuid, String)> =
            sqlx::query_as(FAULTS).fetch_all(&self.database).await.expect("the database answers");
        let paid: Vec<Paid> = sqlx::query_as(
            "SELECT tenant_id, invoice_id, reference, amount_minor FROM payments WHERE provider = 'Stripe'",
        )
        .fetch_all(&self.database)
        .await
        .expect("the database answers");
        let cash: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT tenant_id, sum(amount_minor)::bigint FROM ledger_entries WHERE account = 'CashStripe' GROUP BY 1",
        )
        .fetch_all(&self.database)
        .await
        .expect("the database answers");
        let book = self.stripe.book();
        faults.extend(payments_are_those_of(&book, paid));
        for (id, fault) in cash_is_that_of(&book, &cash.into_iter().collect()) {
            let moved: Vec<String> = sqlx::query_scalar(MOVED)
                .bind(id)
                .fetch_all(&self.database)
                .await
                .expect("the database answers");
            let theirs = book.iter().filter(|one| tenant_of(one) == id);
            faults.push((id, format!("{fault}: {moved:#?} {:#?}", theirs.collect::<Vec<_>>())));
        }
        let told: Vec<String> =
            faults.into_iter().map(|(id, fault)| self.told(id, &fault)).collect();
        assert!(told.is_empty(), "{}: {told:#?}", self.seeds());
        assert!(book.iter().any(|one| one.captured > 0), "nobody paid anything");
    }

    fn told(&self, id: Uuid, fault: &str) -> String {
        let whose = self.histories.iter().find(|history| tenant(history) == id);
        let seed = whose.map_or_else(|| "-".to_owned(), |history| history.seed.to_string());
        format!("seed {seed}, {}: {fault}", TenantId::from_uuid(id))
    }
}

fn tenant_of(one: &Booked) -> Uuid {
    one.tenant().parse::<TenantId>().map_or(Uuid::nil(), |id| id.as_uuid())
}

/// Each charge that took money took it once, is the only one of its invoice, and is on record with its amount, once.
fn payments_are_those_of(book: &[Booked], paid: Vec<Paid>) -> Vec<(Uuid, String)> {
    let mut faults = Vec::new();
    let mut on_record: BTreeMap<String, Vec<Paid>> = BTreeMap::new();
    for one in paid {
        on_record.entry(one.reference.clone()).or_default().push(one);
    }
    let mut invoices: BTreeMap<&str, &str> = BTreeMap::new();
    for one in book.iter().filter(|one| one.captured > 0) {
        let whose = tenant_of(one);
        if one.captures > 1 {
            faults.push((whose, format!("{} was captured {} times", one.reference, one.captures)));
        }
        if let Some(other) = invoices.insert(one.invoice(), &one.reference) {
            let twice = format!("{} was charged twice: {other}, {}", one.invoice(), one.reference);
            faults.push((whose, twice));
        }
        let found = on_record.remove(&one.reference).unwrap_or_default();
        let invoice = one.invoice().parse::<InvoiceId>().map(|id| id.as_uuid()).ok();
        let same = |paid: &Paid| {
            paid.amount_minor == one.captured
                && paid.tenant_id == whose
                && Some(paid.invoice_id) == invoice
        };
        if found.len() != 1 || !found.iter().all(same) {
            faults.push((whose, format!("{one:?} is on record as {found:?}")));
        }
    }
    let unknown = on_record.into_values().flatten();
    faults.extend(unknown.map(|one| (one.tenant_id, format!("{one:?} was never paid"))));
    faults
}

/// The books say of each tenant's money at the provider what the provider's own say.
fn cash_is_that_of(book: &[Booked], cash: &BTreeMap<Uuid, i64>) -> Vec<(Uuid, String)> {
    let mut theirs: BTreeMap<Uuid, i64> = BTreeMap::new();
    for one in book {
        *theirs.entry(tenant_of(one)).or_default() += one.kept();
    }
    let mut faults = Vec::new();
    for id in theirs.keys().chain(cash.keys().filter(|id| !theirs.contains_key(id))) {
        let (ours, theirs) = (cash.get(id).unwrap_or(&0), theirs.get(id).unwrap_or(&0));
        if ours != theirs {
            faults.push((*id, format!("at the provider are {theirs}, and the books say {ours}")));
        }
    }
    faults
}
