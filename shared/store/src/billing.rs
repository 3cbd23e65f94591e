//! Billing's use cases, for API and workers alike: each is one transaction that loads, calls the engine and stores what
//! it says. In the order in which an invoice passes them: [`account`] → [`turn`] → [`facts`] → [`finalize`] →
//! [`payment`].

pub mod account;
pub mod facts;
pub mod finalize;
pub mod payment;
pub mod runs;
pub mod threshold;
pub mod turn;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use billing::{ChangeError, ChargeError, InvoiceError, Terms};
use domain::plan::PlanName;

use crate::catalogue::{self, PlanVersion};
use crate::error::Error;
use crate::tenant_tx::Tx;

/// The terms, and the versions of plans that were looked up: these never change, so each is read once a process.
#[derive(Debug)]
pub struct Books {
    /// The terms.
    pub terms: Terms,
    versions: Mutex<HashMap<(PlanName, i32), Arc<PlanVersion>>>,
}

impl Books {
    /// Books by these terms.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self { terms, versions: Mutex::default() }
    }

    /// A version of a plan.
    ///
    /// # Errors
    /// When there is none, or the database is gone.
    pub async fn version(
        &self,
        tx: &mut impl Tx,
        plan: PlanName,
        version: i32,
    ) -> Result<Arc<PlanVersion>, Error> {
        let known = |books: &Self| {
            let versions = books.versions.lock().unwrap_or_else(PoisonError::into_inner);
            versions.get(&(plan, version)).cloned()
        };
        if let Some(version) = known(self) {
            return Ok(version);
        }
        let found = Arc::new(catalogue::get(tx, plan, version).await?);
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(versions.entry((plan, version)).or_insert(found)))
    }
}

/// Why something could not be billed.
#[derive(Debug, thiserror::Error)]
pub enum BillingError {
    /// The database.
    #[error(transparent)]
    Store(#[from] Error),
    /// The engine cannot tell what becomes of the subscription.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The engine cannot make the invoice.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// The catalogue has no such offer (any more).
    #[error("{0} is not offered in this cycle and currency; add its price to config/plans.toml")]
    NotOffered(PlanName),
    /// An amount.
    #[error(transparent)]
    Charge(#[from] ChargeError),
}

impl From<sqlx::Error> for BillingError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
