//! Postgres, for API and workers: transactions that know their tenant, then one file a table group.
//!
//! Every statement on a tenant table says `tenant_id = $1` although row-level security would do: the planner
//! needs it, and it is a second lock on the door.

pub mod api_keys;
pub mod audit_events;
pub mod audit_keys;
pub mod audit_tree;
pub mod bank_entries;
pub mod bank_statements;
pub mod billing;
pub mod billing_profiles;
pub mod catalogue;
pub mod charges;
pub mod coupons;
pub mod credit_notes;
pub mod data_keys;
pub mod disputes;
pub mod dunning;
pub mod idempotency_keys;
pub mod invitations;
pub mod invoice_documents;
pub mod invoice_reminders;
pub mod invoices;
pub mod ip_allowlists;
pub mod login_attempts;
pub mod mail_facts;
pub mod memberships;
pub mod meters;
pub mod migrate;
pub mod operator_events;
pub mod page;
pub mod payment_methods;
pub mod platform_credentials;
pub mod provider_events;
pub mod reconciliation;
pub mod refunds;
pub mod revenue;
pub mod sealer;
pub mod sessions;
pub mod signing_keys;
pub mod subscriptions;
pub mod tenants;
pub mod test_clocks;
pub mod usage;
pub mod usage_events;
pub mod usage_rollup;
pub mod users;
pub mod webhook_deliveries;
pub mod webhook_dispatch;
pub mod webhook_endpoints;
pub mod webhook_messages;
pub mod webhook_replays;
pub mod webhook_retention;
pub mod webhook_secrets;

mod document_numbers;
mod error;
mod ledger;
mod tenant_tx;

use std::time::Duration;

use domain::id::TenantId;
use domain::secret::Secret;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

pub use error::{Constraint, Error};
pub use tenant_tx::{Committed, ControlTx, TenantTx, Tx};

/// A pool of connections of one role.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// A store that connects when it is first used.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn connect_lazy(
        url: &Secret<String>,
        max_connections: u32,
        acquire_timeout: Duration,
    ) -> Result<Self, Error> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(acquire_timeout)
            .connect_lazy(url.expose())?;
        Ok(Self { pool })
    }

    /// A store that acts as the owner of the schema: for `migrate` alone.
    ///
    /// # Errors
    /// When the URL is malformed.
    pub fn connect_as_owner(url: &Secret<String>) -> Result<Self, Error> {
        let options: PgConnectOptions = url.expose().parse()?;
        let options = options.options([("role", "pytake_owner")]);
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        Ok(Self { pool })
    }

    /// A transaction in which `tenant_id` is seen and no other.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self, tenant_id: TenantId) -> Result<TenantTx, Error> {
        TenantTx::begin(&self.pool, tenant_id).await
    }

    /// A transaction on the control tables.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn control(&self) -> Result<ControlTx, Error> {
        ControlTx::begin(&self.pool).await
    }

    /// The pool, for libraries that bring their own statements (the job runtime).
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query_scalar!("SELECT 1").fetch_one(&self.pool).await?;
        Ok(())
    }
}
