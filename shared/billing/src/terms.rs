//! By which terms an installation bills: parsed once from its settings.

use std::collections::BTreeMap;

use domain::plan::PlanName;
use jiff::SignedDuration;

use crate::dunning::DunningSchedule;
use crate::issuer::Issuer;
use crate::tax_table::TaxTable;

/// By which terms this installation bills.
#[derive(Debug)]
pub struct Terms {
    /// Who issues invoices.
    pub issuer: Issuer,
    /// What is taxed, and how.
    pub taxes: TaxTable,
    /// Whether prices include tax, where there is any.
    pub prices_include_tax: bool,
    /// What the numbers of invoices, credit notes and those of test clocks begin with.
    pub series: Series,
    /// How long a draft waits for usage that comes late.
    pub grace: SignedDuration,
    /// Days in which an invoice is to be paid.
    pub payment_days: u16,
    /// How those are chased who do not pay.
    pub dunning: Dunning,
}

/// How those are chased who do not pay, by plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dunning {
    /// Of plans that have no schedule of their own.
    pub standard: DunningSchedule,
    /// Of single plans.
    pub of: BTreeMap<PlanName, DunningSchedule>,
}

impl Dunning {
    /// The schedule of a plan.
    #[must_use]
    pub fn schedule(&self, plan: PlanName) -> &DunningSchedule {
        self.of.get(&plan).unwrap_or(&self.standard)
    }
}

/// Prefixes of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Of invoices.
    pub invoices: String,
    /// Of credit notes.
    pub credit_notes: String,
    /// Of what test clocks make: real books have no holes for tests.
    pub tests: String,
}
