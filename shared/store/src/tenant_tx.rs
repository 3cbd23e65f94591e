//! Transactions: one for a tenant's tables, one for the control tables. Nothing else reaches the database.

use domain::id::TenantId;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, Transaction};

use crate::error::Error;

/// A transaction in which the database shows one tenant and no other. Tenant repositories take nothing
/// else, so a query without a tenant does not compile. Rolled back when dropped.
#[derive(Debug)]
pub struct TenantTx {
    tenant_id: TenantId,
    inner: Transaction<'static, Postgres>,
}

/// A transaction without a tenant: tenant tables show no rows in it. Rolled back when dropped.
#[derive(Debug)]
pub struct ControlTx {
    inner: Transaction<'static, Postgres>,
}

/// The database's number of a transaction that wrote: once a snapshot sees it, all it wrote is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed(u64);

impl Committed {
    /// The number (`xid8`).
    #[must_use]
    pub const fn xid(self) -> u64 {
        self.0
    }
}

/// Either kind of transaction, for what is written in both (jobs).
pub trait Tx: Send {
    /// The tenant that the transaction is for, if it is for one.
    fn tenant(&self) -> Option<TenantId>;
    /// The connection, for a statement of a crate beside this one.
    fn connection(&mut self) -> &mut PgConnection;
}

impl TenantTx {
    /// Begins and names the tenant in one round trip.
    pub(crate) async fn begin(pool: &PgPool, tenant_id: TenantId) -> Result<Self, Error> {
        let statement =
            format!("BEGIN; SELECT set_config('app.tenant_id', '{}', true)", tenant_id.as_uuid());
        #[expect(
            clippy::disallowed_methods,
            reason = "BEGIN takes no parameters, and a UUID's text holds hexadecimal digits and hyphens only"
        )]
        let inner = pool.begin_with(AssertSqlSafe(statement)).await?;
        Ok(Self { tenant_id, inner })
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant_id(&self) -> TenantId {
        self.tenant_id
    }

    /// Goes on with another tenant, in the same transaction: a run of billing takes many at a time.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn go_on(mut self, tenant_id: TenantId) -> Result<Self, Error> {
        set_tenant(&mut self.inner, Some(tenant_id)).await?;
        Ok(Self { tenant_id, inner: self.inner })
    }

    /// Goes on without a tenant, in the same transaction.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn leave_tenant(mut self) -> Result<ControlTx, Error> {
        set_tenant(&mut self.inner, None).await?;
        Ok(ControlTx { inner: self.inner })
    }

    /// Commits; the transaction's number if it wrote anything.
    ///
    /// # Errors
    /// When the database is gone; then nothing, or all, was committed.
    pub async fn commit(self) -> Result<Option<Committed>, Error> {
        commit(self.inner).await
    }
}

impl ControlTx {
    pub(crate) async fn begin(pool: &PgPool) -> Result<Self, Error> {
        Ok(Self { inner: pool.begin().await? })
    }

    /// Names the tenant from here on: sign-up makes a tenant in the transaction that made its owner.
    ///
    /// # Errors
    /// When the database is gone.
    pub async fn enter_tenant(mut self, tenant_id: TenantId) -> Result<TenantTx, Error> {
        set_tenant(&mut self.inner, Some(tenant_id)).await?;
        Ok(TenantTx { tenant_id, inner: self.inner })
    }

    /// Commits; the transaction's number if it wrote anything.
    ///
    /// # Errors
    /// When the database is gone; then nothing, or all, was committed.
    pub async fn commit(self) -> Result<Option<Committed>, Error> {
        commit(self.inner).await
    }
}

impl Tx for TenantTx {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant_id)
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.inner.as_mut()
    }
}

impl Tx for ControlTx {
    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.inner.as_mut()
    }
}

async fn set_tenant(
    inner: &mut Transaction<'static, Postgres>,
    tenant_id: Option<TenantId>,
) -> Result<(), Error> {
    let text = tenant_id.map(|id| id.as_uuid().to_string()).unwrap_or_default();
    sqlx::query!("SELECT set_config('app.tenant_id', $1, true) AS tenant", text)
        .fetch_one(inner.as_mut())
        .await?;
    Ok(())
}

async fn commit(mut inner: Transaction<'static, Postgres>) -> Result<Option<Committed>, Error> {
    let xid = sqlx::query_scalar!("SELECT pg_current_xact_id_if_assigned()::text")
        .fetch_one(inner.as_mut())
        .await?;
    inner.commit().await?;
    Ok(xid.and_then(|text| text.parse().ok()).map(Committed))
}
