//! The billing engine: from what was agreed and used to what is owed. Pure: no clock, no database, no floats;
//! the same inputs give the same invoice to the cent, today and in five years.
//!
//! An invoice comes about in three steps: a [`Turn`] of the subscription ([`change`], [`cancel`], [`close`])
//! leaves a [`Draft`]; [`compose`] makes lines of it; a [`Posting`] books them.
//!
//! Rules and worked numbers: design BILLING and its reference, "billing-semantics" (cited as §).

#![deny(clippy::float_arithmetic)]

mod change;
mod charge;
mod coupon;
mod credit_note;
mod draft;
mod dunning;
mod installation;
mod invoice;
mod issuer;
mod ledger;
mod number;
mod overage;
mod proration;
mod rate;
pub mod revenue;
mod rounding;
mod subscription;
mod tax;
mod tax_table;
mod terms;
#[cfg(test)]
mod tests;

pub use change::{
    Account, ChangeError, ChangeKind, Decision, Turn, cancel, change, close, resume, terminate,
};
pub use charge::{Charge, ChargeError, Model, Rated, Step, Tier, Tiers, TiersError, late};
pub use coupon::{Coupon, Discount, Duration, Percent, PercentError};
pub use credit_note::{CreditNote, CreditNoteError, CreditNoteLine, Creditable, credit_note};
pub use draft::{CreditTerm, Draft, FeeTerm, InvoiceKind, UsageTerm};
pub use dunning::{CHASED_MIN_MINOR, DunningSchedule, DunningScheduleError, DunningStep};
pub use installation::{Installation, InstallationError};
pub use invoice::{
    Facts, Invoice, InvoiceError, LateCap, LateUse, Line, Rule, Used, compose, total,
};
pub use issuer::{Bank, Issuer, Recipient};
pub use ledger::{Allocation, LedgerAccount, Posting};
pub use number::DocumentNumber;
pub use overage::quotas;
pub use proration::{Fee, fragment, used};
pub use rate::{Rate, RateError};
pub use revenue::{Movement, MovementKind};
pub use rounding::{OutOfRange, allocate, apportion, part, round};
pub use subscription::{Offer, Scheduled, Subscription, SubscriptionStatus};
pub use tax::{Levied, TaxCategory, TaxError, TaxGroup, TaxRate, TaxTerms, Taxed, credited, levy};
pub use tax_table::{Country, Customer, ProductCategory, Seller, TaxId, TaxTable, TaxTableError};
pub use terms::{Dunning, Series, Terms};
