//! `refunds`: money that goes back to who paid. It is taken from the balance when it is asked for, so that nobody spends
//! it meanwhile; what does not get through is put back there (§2.13).

use billing::{LedgerAccount, Posting};
use domain::id::{CreditNoteId, InvoiceId, PaymentId, RefundId, TenantId};
use domain::money::{Currency, Money};
use domain::payment::{ProviderName, Refund as Told, RefundState};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::billing::payment::Provider;
use crate::error::Error;
use crate::ledger::{self, Booked};
use crate::payment_methods::provider;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// A refund that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The id that it will have.
    pub id: RefundId,
    /// Of which payment.
    pub payment_id: PaymentId,
    /// For which credit note; `None`: of what was paid too much.
    pub credit_note_id: Option<CreditNoteId>,
    /// How much, in minor units.
    pub amount_minor: i64,
}

/// Why nothing can be given back.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
    /// More than was paid, less what was given back or is disputed.
    #[error("at most {left_minor} minor units of this payment can be given back")]
    TooMuch {
        /// What can.
        left_minor: i64,
    },
    /// The balance has not as much: it was spent on another invoice.
    #[error("only {balance_minor} minor units are in credit")]
    NotInCredit {
        /// What is.
        balance_minor: i64,
    },
    /// The credit note is of another invoice, or gave less to the balance.
    #[error("the credit note is of another invoice, or gave less to the balance")]
    ForeignNote,
    /// Without a credit note only what was paid too much is given back.
    #[error(
        "only what was paid too much is given back without a credit note: {excess_minor} minor units"
    )]
    NotPaidTooMuch {
        /// How much that is.
        excess_minor: i64,
    },
}

impl From<sqlx::Error> for RefundError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// A refund, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Of which payment.
    pub payment_id: PaymentId,
    /// Of which invoice that was.
    pub invoice_id: InvoiceId,
    /// Through whom, as payments spell it.
    pub through: String,
    /// The provider's id of the payment.
    pub payment_reference: String,
    /// How much.
    pub amount: Money,
    /// `Pending`, `Processing`, `Succeeded` or `Failed`.
    pub state: String,
    /// The provider's id of it, once it is known.
    pub reference: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Whether it may have reached the provider.
    pub sent: bool,
    /// Until when somebody asks the provider, who is not to be joined.
    pub asked_until: Option<Timestamp>,
}

impl Refund {
    /// Through which provider it goes; `None`: by hand.
    #[must_use]
    pub fn provider(&self) -> Option<ProviderName> {
        provider(&self.through).ok()
    }
}

/// Takes a refund from the balance, to be sent.
///
/// # Errors
/// When it is more than can be given back, or the balance has.
pub async fn begin(tx: &mut TenantTx, wish: &Wish, now: Timestamp) -> Result<Refund, RefundError> {
    lock_invoice(tx, wish.payment_id).await?;
    let payment = sqlx::query!(
        r#"SELECT invoice_id AS "invoice_id: InvoiceId", currency, amount_minor, excess_minor,
            (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds
                WHERE tenant_id = $1 AND payment_id = $2 AND state <> 'Failed') AS "refunded!",
            (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds
                WHERE tenant_id = $1 AND payment_id = $2 AND state <> 'Failed' AND credit_note_id IS NULL)
                AS "excess_refunded!",
            (SELECT coalesce(sum(amount_minor), 0)::bigint FROM disputes
                WHERE tenant_id = $1 AND payment_id = $2 AND state <> 'Won') AS "disputed!"
        FROM payments WHERE tenant_id = $1 AND id = $2 AND provider <> 'Balance'"#,
        tx.tenant_id() as _,
        wish.payment_id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let left_minor = payment.amount_minor - payment.refunded - payment.disputed;
    if wish.amount_minor > left_minor {
        return Err(RefundError::TooMuch { left_minor: left_minor.max(0) });
    }
    match wish.credit_note_id {
        Some(note) => check_note(tx, note, payment.invoice_id, wish.amount_minor).await?,
        None => {
            let excess_minor = payment.excess_minor - payment.excess_refunded;
            if wish.amount_minor > excess_minor {
                return Err(RefundError::NotPaidTooMuch { excess_minor });
            }
        }
    }
    let currency: Currency =
        payment.currency.parse().map_err(|_| Error::Foreign("payments.currency"))?;
    let balance_minor = balance(tx, currency).await?;
    if balance_minor < wish.amount_minor {
        return Err(RefundError::NotInCredit { balance_minor });
    }
    sqlx::query!(
        "INSERT INTO refunds (tenant_id, id, payment_id, credit_note_id, currency, amount_minor, state, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'Pending', $7)",
        tx.tenant_id() as _,
        wish.id as _,
        wish.payment_id as _,
        wish.credit_note_id as _,
        currency.as_str(),
        wish.amount_minor,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    let posting = Posting::moved(
        currency,
        LedgerAccount::Credit,
        LedgerAccount::Refunding,
        wish.amount_minor,
    );
    ledger::post(tx, Booked::Refund(wish.id), payment.invoice_id, &posting, now).await?;
    Ok(get(tx, wish.id).await?)
}

/// The payment's invoice is locked: of two refunds at once the second sees the first.
async fn lock_invoice(tx: &mut TenantTx, payment: PaymentId) -> Result<(), Error> {
    sqlx::query!(
        "SELECT invoices.id FROM invoices
        JOIN payments ON (payments.tenant_id, payments.invoice_id) = (invoices.tenant_id, invoices.id)
        WHERE invoices.tenant_id = $1 AND payments.id = $2
        FOR UPDATE OF invoices",
        tx.tenant_id() as _,
        payment as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(())
}

/// Gives back what a credit note gave to the balance: of the payments of its invoice, the last first. What was paid from
/// the balance stays there.
///
/// # Errors
/// When the database is gone, or the balance has not as much.
pub async fn begin_of_note(
    tx: &mut TenantTx,
    note: CreditNoteId,
    mut id: impl FnMut() -> RefundId,
    now: Timestamp,
) -> Result<Vec<Refund>, RefundError> {
    let payments = sqlx::query!(
        r#"SELECT payments.id AS "payment_id: PaymentId", balance_minor,
            payments.amount_minor - payments.excess_minor
                - (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds
                    WHERE refunds.tenant_id = $1 AND payment_id = payments.id AND state <> 'Failed')
                - (SELECT coalesce(sum(amount_minor), 0)::bigint FROM disputes
                    WHERE disputes.tenant_id = $1 AND payment_id = payments.id AND state <> 'Won') AS "left_minor!"
        FROM credit_notes
        JOIN payments ON (payments.tenant_id, payments.invoice_id) = (credit_notes.tenant_id, credit_notes.invoice_id)
        WHERE credit_notes.tenant_id = $1 AND credit_notes.id = $2 AND payments.provider <> 'Balance'
        ORDER BY received_at DESC, payments.id DESC"#,
        tx.tenant_id() as _,
        note as _
    )
    .fetch_all(tx.connection())
    .await?;
    let mut begun = Vec::new();
    let mut rest = payments.first().map_or(0, |row| row.balance_minor);
    for row in payments {
        let amount_minor = row.left_minor.min(rest);
        if amount_minor <= 0 {
            continue;
        }
        let wish =
            Wish { id: id(), payment_id: row.payment_id, credit_note_id: Some(note), amount_minor };
        begun.push(begin(tx, &wish, now).await?);
        rest -= amount_minor;
    }
    Ok(begun)
}

/// The credit note must be of the payment's invoice, and have given as much to the balance.
async fn check_note(
    tx: &mut TenantTx,
    note: CreditNoteId,
    invoice: InvoiceId,
    amount_minor: i64,
) -> Result<(), RefundError> {
    let left = sqlx::query_scalar!(
        r#"SELECT balance_minor - (SELECT coalesce(sum(amount_minor), 0)::bigint FROM refunds
                WHERE tenant_id = $1 AND credit_note_id = $2 AND state <> 'Failed') AS "left!"
        FROM credit_notes WHERE tenant_id = $1 AND id = $2 AND invoice_id = $3"#,
        tx.tenant_id() as _,
        note as _,
        invoice as _
    )
    .fetch_optional(tx.connection())
    .await?;
    if left.is_some_and(|left| amount_minor <= left) {
        Ok(())
    } else {
        Err(RefundError::ForeignNote)
    }
}

async fn balance(tx: &mut TenantTx, currency: Currency) -> Result<i64, Error> {
    // Locked, so that nobody spends it before this is booked.
    let balance = sqlx::query_scalar!(
        "SELECT balance_minor FROM credit_balances WHERE tenant_id = $1 AND currency = $2 FOR UPDATE",
        tx.tenant_id() as _,
        currency.as_str()
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(balance.unwrap_or(0))
}

/// A refund of the tenant.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get(tx: &mut TenantTx, id: RefundId) -> Result<Refund, Error> {
    let row = sqlx::query!(
        r#"SELECT refunds.id AS "id: RefundId", payment_id AS "payment_id: PaymentId",
            invoice_id AS "invoice_id: InvoiceId", provider, payments.reference AS payment_reference,
            refunds.currency, refunds.amount_minor, state, refunds.reference AS "reference?", created_at, sent_at,
            asked_until
        FROM refunds JOIN payments ON (payments.tenant_id, payments.id) = (refunds.tenant_id, payment_id)
        WHERE refunds.tenant_id = $1 AND refunds.id = $2"#,
        tx.tenant_id() as _,
        id as _
    )
    .fetch_one(tx.connection())
    .await?;
    let currency = row.currency.parse().map_err(|_| Error::Foreign("refunds.currency"))?;
    Ok(Refund {
        id: row.id,
        payment_id: row.payment_id,
        invoice_id: row.invoice_id,
        through: row.provider,
        payment_reference: row.payment_reference,
        amount: Money { amount_minor: row.amount_minor, currency },
        state: row.state,
        reference: row.reference,
        created_at: row.created_at.to_jiff(),
        sent: row.sent_at.is_some(),
        asked_until: row.asked_until.map(|at| at.to_jiff()),
    })
}

/// As [`get`], and nobody else changes it until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get_for_update(tx: &mut TenantTx, id: RefundId) -> Result<Refund, Error> {
    sqlx::query!(
        "SELECT id FROM refunds WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_optional(tx.connection())
    .await?;
    get(tx, id).await
}

/// Whoever asked is done, whatever came of it.
///
/// # Errors
/// When the database is gone.
pub async fn note_asked(tx: &mut TenantTx, id: RefundId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE refunds SET asked_until = NULL WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// From now on it may have reached the provider; until `asked_until` nobody else asks.
///
/// # Errors
/// When the database is gone.
pub async fn note_sent(
    tx: &mut TenantTx,
    id: RefundId,
    asked_until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE refunds SET sent_at = coalesce(sent_at, $3), asked_until = $4 WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _,
        asked_until.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Stores what a provider says of a refund that [`get_for_update`] holds, and books it; whether that is new.
///
/// # Errors
/// When the database is gone.
pub async fn settle(
    tx: &mut TenantTx,
    refund: &Refund,
    told: &Told,
    now: Timestamp,
) -> Result<bool, Error> {
    let ended = matches!(refund.state.as_str(), "Succeeded" | "Failed");
    // Banks send back what was told to have succeeded; nothing else follows an end.
    let returned = refund.state == "Succeeded" && told.state == RefundState::Failed;
    if refund.state == told.state.as_str() || (ended && !returned) {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE refunds SET state = $3, reference = $4, begun_at = coalesce($6, begun_at),
            settled_at = CASE WHEN $3 = 'Processing' THEN NULL ELSE $5::timestamptz END
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        refund.id as _,
        told.state.as_str(),
        told.reference,
        now.to_sqlx() as _,
        told.begun_at.map(ToSqlx::to_sqlx) as _
    )
    .execute(tx.connection())
    .await?;
    let through = match refund.provider() {
        Some(name) => Provider::Through(name),
        None => Provider::Manual,
    };
    let (booked, debit, credit) = match told.state {
        RefundState::Processing => return Ok(true),
        RefundState::Succeeded => {
            (Booked::Refunded(refund.id), LedgerAccount::Refunding, through.cash())
        }
        RefundState::Failed if returned => {
            (Booked::RefundFailed(refund.id), through.cash(), LedgerAccount::Credit)
        }
        RefundState::Failed => {
            (Booked::RefundFailed(refund.id), LedgerAccount::Refunding, LedgerAccount::Credit)
        }
    };
    let amount = refund.amount;
    let posting = Posting::moved(amount.currency, debit, credit, amount.amount_minor);
    ledger::post(tx, booked, refund.invoice_id, &posting, now).await?;
    Ok(true)
}

/// Refunds of all tenants that were asked for before `before` and have no end, in pages by id.
///
/// # Errors
/// When the database is gone.
pub async fn unsettled(
    tx: &mut ControlTx,
    before: Timestamp,
    after: Option<Uuid>,
    count: i32,
) -> Result<Vec<(TenantId, RefundId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", refund_id AS "refund_id!: RefundId"
        FROM unsettled_refunds($1, $2, $3)"#,
        before.to_sqlx() as _,
        after,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.refund_id)).collect())
}
