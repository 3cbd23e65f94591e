//! `charges`: attempts to collect an invoice. The row is made by what causes the attempt, with the job that carries it out;
//! it stays one charge at the provider, however often the job runs.

use domain::id::{ChargeId, InvoiceId, PaymentMethodId, TenantId};
use domain::money::Money;
use domain::payment::{Charge as Told, ChargeKey, ChargeState, ProviderName};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::error::Error;
use crate::payment_methods::provider;
use crate::tenant_tx::{ControlTx, TenantTx, Tx};

/// An attempt, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Its id.
    pub id: ChargeId,
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// By whom.
    pub provider: ProviderName,
    /// By which way to pay.
    pub payment_method_id: PaymentMethodId,
    /// Where it is.
    pub status: ChargeStatus,
    /// How much, once it was sent.
    pub amount: Option<Money>,
    /// When it began.
    pub created_at: Timestamp,
    /// Until when somebody asks the provider, who is not to be joined.
    pub asked_until: Option<Timestamp>,
    /// The provider's id of it, once it is known.
    pub reference: Option<String>,
    /// Where the customer confirms it.
    pub action_url: Option<String>,
    /// The provider's word for why not, and whether asking again is of no use.
    pub decline: Option<(String, bool)>,
}

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeStatus {
    /// It is to be sent, or was, and nothing is known of it.
    Pending,
    /// On its way.
    Processing,
    /// The customer has to confirm it.
    ActionRequired,
    /// The money is there.
    Succeeded,
    /// It was refused.
    Declined,
    /// It was withdrawn.
    Canceled,
}

impl ChargeStatus {
    /// Every one, as they are stored.
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::ActionRequired,
        Self::Succeeded,
        Self::Declined,
        Self::Canceled,
    ];

    /// The stored and told spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Processing => "Processing",
            Self::ActionRequired => "ActionRequired",
            Self::Succeeded => "Succeeded",
            Self::Declined => "Declined",
            Self::Canceled => "Canceled",
        }
    }

    /// Whether it may yet get through by itself, or by its customer.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Pending | Self::Processing | Self::ActionRequired)
    }

    /// What a provider says.
    #[must_use]
    pub const fn of(state: &ChargeState) -> Self {
        match state {
            ChargeState::Processing => Self::Processing,
            ChargeState::ActionRequired { .. } => Self::ActionRequired,
            ChargeState::Succeeded => Self::Succeeded,
            ChargeState::Declined(_) => Self::Declined,
            ChargeState::Canceled => Self::Canceled,
        }
    }

    /// Whether what a provider says now goes before what is known. Money goes before everything, and nothing before
    /// money; what has ended does not begin again.
    #[must_use]
    pub fn gives_way_to(self, told: Self) -> bool {
        self != told && (told == Self::Succeeded || self.is_under_way()) && self != Self::Succeeded
    }
}

impl Charge {
    /// By which its provider knows it.
    #[must_use]
    pub const fn key(&self, tenant_id: TenantId) -> ChargeKey {
        ChargeKey { tenant_id, invoice_id: self.invoice_id, attempt: self.attempt }
    }
}

/// Begins the next attempt to collect an invoice by the default way to pay; its id. `None` while one is under way, or
/// where there is no way to pay.
///
/// # Errors
/// When the database is gone.
pub async fn begin(
    tx: &mut TenantTx,
    id: ChargeId,
    invoice_id: InvoiceId,
    now: Timestamp,
) -> Result<Option<ChargeId>, Error> {
    let begun = sqlx::query_scalar!(
        r#"INSERT INTO charges (tenant_id, id, invoice_id, attempt, provider, payment_method_id, state, currency, created_at)
        SELECT $1, $2, $3,
            (SELECT coalesce(max(attempt), 0) + 1 FROM charges WHERE tenant_id = $1 AND invoice_id = $3),
            methods.provider, methods.id, 'Pending', invoices.currency, $4
        FROM invoices
        JOIN payment_methods AS methods ON methods.tenant_id = $1 AND is_default AND provider <> 'BankTransfer'
        WHERE invoices.tenant_id = $1 AND invoices.id = $3
        ON CONFLICT DO NOTHING
        RETURNING id AS "id: ChargeId""#,
        tx.tenant_id() as _,
        id as _,
        invoice_id as _,
        now.to_sqlx() as _
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(begun)
}

/// An attempt of the tenant, locked until the transaction ends.
///
/// # Errors
/// `NotFound` when there is none of that id.
pub async fn get_for_update(tx: &mut TenantTx, id: ChargeId) -> Result<Charge, Error> {
    sqlx::query!(
        "SELECT id FROM charges WHERE tenant_id = $1 AND id = $2 FOR UPDATE",
        tx.tenant_id() as _,
        id as _
    )
    .fetch_optional(tx.connection())
    .await?;
    let found = find(tx, Some(id), None).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

/// The attempts to collect an invoice, first to last.
///
/// # Errors
/// When the database is gone or holds what this release does not know.
pub async fn of_invoice(tx: &mut TenantTx, id: InvoiceId) -> Result<Vec<Charge>, Error> {
    find(tx, None, Some(id)).await
}

async fn find(
    tx: &mut TenantTx,
    id: Option<ChargeId>,
    invoice_id: Option<InvoiceId>,
) -> Result<Vec<Charge>, Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: ChargeId", invoice_id AS "invoice_id: InvoiceId", attempt, provider,
            payment_method_id AS "payment_method_id: PaymentMethodId", state, currency, amount_minor, created_at,
            asked_until, reference, action_url, decline_code, decline_hard
        FROM charges
        WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR invoice_id = $3)
        ORDER BY attempt"#,
        tx.tenant_id() as _,
        id as _,
        invoice_id as _
    )
    .fetch_all(tx.connection())
    .await?;
    let charges = rows.into_iter().map(|row| {
        let currency = row.currency.parse().map_err(|_| Error::Foreign("charges.currency"))?;
        let status = ChargeStatus::ALL.into_iter().find(|known| known.as_str() == row.state);
        Ok(Charge {
            id: row.id,
            invoice_id: row.invoice_id,
            attempt: row.attempt.unsigned_abs(),
            provider: provider(&row.provider)?,
            payment_method_id: row.payment_method_id,
            status: status.ok_or(Error::Foreign("charges.state"))?,
            amount: row.amount_minor.map(|amount_minor| Money { amount_minor, currency }),
            created_at: row.created_at.to_jiff(),
            asked_until: row.asked_until.map(|at| at.to_jiff()),
            reference: row.reference,
            action_url: row.action_url,
            decline: row.decline_code.map(|code| (code, row.decline_hard.unwrap_or(false))),
        })
    });
    charges.collect()
}

/// Which attempt a provider tells of.
///
/// # Errors
/// `NotFound` when the tenant has none such.
pub async fn of_key(tx: &mut TenantTx, key: ChargeKey) -> Result<ChargeId, Error> {
    let id = sqlx::query_scalar!(
        r#"SELECT id AS "id: ChargeId" FROM charges WHERE tenant_id = $1 AND invoice_id = $2 AND attempt = $3"#,
        tx.tenant_id() as _,
        key.invoice_id as _,
        i32::try_from(key.attempt).unwrap_or(i32::MAX)
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(id)
}

/// From now on it may have reached the provider, and is for this much, whatever becomes of the invoice. Until `asked_until`
/// nobody else asks.
///
/// # Errors
/// When the database is gone.
pub async fn note_sent(
    tx: &mut TenantTx,
    id: ChargeId,
    amount: Money,
    asked_until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE charges SET amount_minor = coalesce(amount_minor, $3), sent_at = coalesce(sent_at, $4), asked_until = $5
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        amount.amount_minor,
        now.to_sqlx() as _,
        asked_until.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Whoever asked is done, whatever came of it.
///
/// # Errors
/// When the database is gone.
pub async fn note_asked(tx: &mut TenantTx, id: ChargeId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE charges SET asked_until = NULL WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// It is not to be sent any more.
///
/// # Errors
/// When the database is gone.
pub async fn withdraw(tx: &mut TenantTx, id: ChargeId, now: Timestamp) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE charges SET state = 'Canceled', settled_at = $3
        WHERE tenant_id = $1 AND id = $2 AND state = 'Pending' AND sent_at IS NULL",
        tx.tenant_id() as _,
        id as _,
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Stores what a provider says of an attempt that [`get_for_update`] holds.
///
/// # Errors
/// When the database is gone.
pub async fn note_told(
    tx: &mut TenantTx,
    id: ChargeId,
    told: &Told,
    now: Timestamp,
) -> Result<(), Error> {
    let status = ChargeStatus::of(&told.state);
    let url = match &told.state {
        ChargeState::ActionRequired { url } => url.as_deref(),
        _ => None,
    };
    let decline = match &told.state {
        ChargeState::Declined(decline) => Some(decline),
        _ => None,
    };
    sqlx::query!(
        "UPDATE charges SET state = $3, reference = $4, action_url = $5, decline_code = left($6, 200), decline_hard = $7,
            settled_at = CASE WHEN $8 THEN NULL ELSE $9::timestamptz END
        WHERE tenant_id = $1 AND id = $2",
        tx.tenant_id() as _,
        id as _,
        status.as_str(),
        told.reference,
        url,
        decline.map(|decline| decline.code.as_str()),
        decline.map(|decline| decline.hard),
        status.is_under_way(),
        now.to_sqlx() as _
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Attempts of all tenants that began before `before` and have no end, in pages by id.
///
/// # Errors
/// When the database is gone.
pub async fn unsettled(
    tx: &mut ControlTx,
    before: Timestamp,
    after: Option<Uuid>,
    count: i32,
) -> Result<Vec<(TenantId, ChargeId)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id AS "tenant_id!: TenantId", charge_id AS "charge_id!: ChargeId"
        FROM unsettled_charges($1, $2, $3)"#,
        before.to_sqlx() as _,
        after,
        count
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.charge_id)).collect())
}

#[cfg(test)]
mod tests {
    use super::ChargeStatus::{ActionRequired, Canceled, Declined, Pending, Processing, Succeeded};
    use super::*;

    #[test]
    fn money_goes_before_everything_and_nothing_before_money() {
        for known in ChargeStatus::ALL {
            assert_eq!(known.gives_way_to(Succeeded), known != Succeeded, "{known:?}");
            assert!(!Succeeded.gives_way_to(known), "{known:?}");
        }
        // What has ended does not begin again, nor end another way.
        for told in [Pending, Processing, ActionRequired, Canceled] {
            assert!(!Declined.gives_way_to(told), "{told:?}");
        }
        assert!(Pending.gives_way_to(Declined) && Processing.gives_way_to(ActionRequired));
        assert!(!Processing.gives_way_to(Processing));
    }
}
