//! Statements of banks become payments: entry by entry, each in a transaction of its own with the payment, its books and
//! the job that tells of it. So whatever ends an import in the middle, it goes on where it was, and no entry counts twice.

use domain::bank::{Entry, EntryKind, EntryState, MatchedBy, Statement};
use domain::id::{BankEntryId, InvoiceId, PaymentId, TenantId};
use domain::money::Money;
use domain::payment::ProviderName;
use jiff::Timestamp;
use store::bank_entries::{self, Finding, Insertion, Kept, Target};
use store::billing::BillingError;
use store::billing::payment::{self, Provider, Recorded, Report};
use store::operator_events::{self, OperatorEvent};
use store::{ControlTx, Error, Store, TenantTx, bank_statements, test_clocks};

use crate::catalog::Billing;
use crate::{Options, enqueue};

/// Who takes statements in: with which database, when, and whence ids have their random bits.
#[derive(Debug, Clone, Copy)]
pub struct Clerk<'a> {
    /// The database.
    pub store: &'a Store,
    /// The time, for all but tenants with a time of their own.
    pub now: Timestamp,
    /// Draws the bits.
    pub random: fn() -> [u8; 10],
    /// The account that invoices name, if there is one.
    pub account: Option<&'a str>,
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The account.
    pub iban: String,
    /// The bank's name of the statement.
    pub statement_id: String,
    /// Whether it was imported before.
    pub before: bool,
    /// Entries that became payments.
    pub matched: u32,
    /// Entries that wait for an operator.
    pub unmatched: u32,
    /// Entries that were known.
    pub known: u32,
    /// What somebody should look at.
    pub problems: Vec<Problem>,
}

/// What somebody should look at, although the statement was imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// One before it was not imported.
    #[error("statement {0} of the account was not imported: money on it is missing")]
    Missing(u32),
    /// It is of an account to which invoices send nobody.
    #[error("the account is not the one that invoices name (billing.issuer.bank)")]
    OtherAccount,
}

/// Takes a statement in. `event`: what an operator did, where it was one.
///
/// # Errors
/// When the database is gone; what was taken in stays so.
pub async fn import(
    clerk: Clerk<'_>,
    statement: &Statement,
    event: Option<OperatorEvent>,
) -> Result<Imported, BillingError> {
    let mut tx = clerk.store.control().await?;
    let arrival = bank_statements::keep(&mut tx, statement, clerk.now).await?;
    if let Some(event) = event.filter(|_| !arrival.before) {
        operator_events::record(&mut tx, &event).await?;
    }
    tx.commit().await?;
    let other = |own: &str| !own.chars().filter(|c| !c.is_whitespace()).eq(statement.iban.chars());
    let problems = arrival.missing.map(Problem::Missing).into_iter();
    let other = clerk.account.is_some_and(other).then_some(Problem::OtherAccount);
    let mut imported = Imported {
        iban: statement.iban.clone(),
        statement_id: statement.id.clone(),
        before: arrival.before,
        matched: 0,
        unmatched: 0,
        known: 0,
        problems: problems.chain(other).collect(),
    };
    for entry in &statement.entries {
        match take(clerk, statement, entry).await? {
            None => imported.known += 1,
            Some(EntryState::Matched) => imported.matched += 1,
            Some(_) => imported.unmatched += 1,
        }
    }
    Ok(imported)
}

/// Takes an entry in; `None`: it is known.
async fn take(
    clerk: Clerk<'_>,
    statement: &Statement,
    entry: &Entry,
) -> Result<Option<EntryState>, BillingError> {
    let id = BankEntryId::new(clerk.now, (clerk.random)());
    let mut tx = clerk.store.control().await?;
    let finding = match bank_entries::insert(&mut tx, id, statement, entry, clerk.now).await? {
        Insertion::Known => return Ok(None),
        Insertion::Doubtful => Finding::None(
            "it looks like an entry of another statement, and the bank has no reference for it",
        ),
        Insertion::New => bank_entries::find_invoice(&mut tx, entry).await?,
    };
    let target = match finding {
        Finding::One(target) => target,
        Finding::None(why) => {
            bank_entries::leave_unmatched(&mut tx, id, why).await?;
            tx.commit().await?;
            return Ok(Some(EntryState::Unmatched));
        }
    };
    let mut tx = tx.enter_tenant(target.tenant_id).await?;
    let paid = pay(clerk, &mut tx, (id, entry.amount), &target).await?;
    if let Err(unpayable) = paid {
        bank_entries::leave_unmatched(&mut tx, id, &unpayable.to_string()).await?;
    }
    tx.commit().await?;
    Ok(Some(if paid.is_ok() { EntryState::Matched } else { EntryState::Unmatched }))
}

/// Why an invoice takes no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Unpayable {
    /// It is void.
    #[error("the invoice that it names is void")]
    Void,
    /// Another currency.
    #[error("the invoice that it names is in another currency")]
    Currency,
}

/// Pays an invoice by an entry, tells of it, and notes it.
async fn pay(
    clerk: Clerk<'_>,
    tx: &mut TenantTx,
    (id, amount): (BankEntryId, Money),
    target: &Target,
) -> Result<Result<PaymentId, Unpayable>, BillingError> {
    let now = test_clocks::get(tx).await?.map_or(clerk.now, |clock| clock.now);
    let report = Report {
        id: PaymentId::new(now, (clerk.random)()),
        invoice_id: target.invoice_id,
        provider: Provider::Through(ProviderName::BankTransfer),
        reference: id.to_string(),
        amount: Some(amount),
    };
    let payment = match payment::record(tx, &report, now).await? {
        Recorded::New { id, .. } | Recorded::Before(id) => id,
        Recorded::NothingDue => return Ok(Err(Unpayable::Void)),
        Recorded::OtherCurrency => return Ok(Err(Unpayable::Currency)),
    };
    let invoice_id = target.invoice_id;
    let job = Billing::Collect { tenant_id: tx.tenant_id(), invoice_id };
    enqueue(tx, &job, Options::default()).await?;
    bank_entries::set_matched(tx, id, target, payment, clerk.now).await?;
    Ok(Ok(payment))
}

/// Why an operator's word is not followed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// It was matched to another invoice.
    #[error("The entry has paid another invoice.")]
    PaidOther,
    /// It has become a payment.
    #[error("The entry has become a payment.")]
    Paid,
    /// It is no money in.
    #[error("The entry is no money that came in from a customer.")]
    NoPayment,
    /// The invoice takes no money.
    #[error("The invoice is void.")]
    Void,
    /// It is in another currency.
    #[error("The invoice is in another currency.")]
    Currency,
    /// The database, or the engine.
    #[error(transparent)]
    Billing(#[from] BillingError),
}

impl From<Error> for SettleError {
    fn from(error: Error) -> Self {
        Self::Billing(error.into())
    }
}

/// Says which invoice an entry pays. Said again, nothing more happens.
///
/// # Errors
/// `NotFound` when there is no such entry or invoice; when it cannot be.
pub async fn settle(
    clerk: Clerk<'_>,
    id: BankEntryId,
    tenant_id: TenantId,
    invoice_id: InvoiceId,
    event: OperatorEvent,
) -> Result<Kept, SettleError> {
    let mut tx = clerk.store.control().await?;
    let entry = bank_entries::get_for_update(&mut tx, id).await?;
    if let Some((target, _)) = &entry.matched {
        let same = (target.tenant_id, target.invoice_id) == (tenant_id, invoice_id);
        return if same { Ok(entry) } else { Err(SettleError::PaidOther) };
    }
    if !matches!(entry.kind, EntryKind::Credit | EntryKind::Lump) {
        return Err(SettleError::NoPayment);
    }
    let mut tx = tx.enter_tenant(tenant_id).await?;
    let target = Target { tenant_id, invoice_id, by: MatchedBy::Operator };
    match pay(clerk, &mut tx, (id, entry.amount), &target).await? {
        Ok(_) => {}
        Err(Unpayable::Void) => return Err(SettleError::Void),
        Err(Unpayable::Currency) => return Err(SettleError::Currency),
    }
    operator_events::record(&mut tx, &event).await?;
    let entry = bank_entries::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(entry)
}

/// Says that an entry is no payment of an invoice. Said again, nothing more happens.
///
/// # Errors
/// `NotFound` when there is no such entry; when it has become a payment.
pub async fn ignore(
    clerk: Clerk<'_>,
    id: BankEntryId,
    reason: &str,
    event: OperatorEvent,
) -> Result<Kept, SettleError> {
    let mut tx: ControlTx = clerk.store.control().await?;
    let entry = bank_entries::get_for_update(&mut tx, id).await?;
    match entry.state {
        EntryState::Matched => return Err(SettleError::Paid),
        EntryState::Ignored => return Ok(entry),
        EntryState::Unmatched => {}
    }
    bank_entries::set_ignored(&mut tx, id, reason, clerk.now).await?;
    operator_events::record(&mut tx, &event).await?;
    let entry = bank_entries::get(&mut tx, id).await?;
    tx.commit().await?;
    Ok(entry)
}
