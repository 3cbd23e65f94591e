//! Who issues invoices, and to whom: what is stored with each, as it was.

use std::collections::BTreeSet;

use domain::time_zone::NamedTimeZone;
use serde::{Deserialize, Serialize};

use crate::tax_table::{Country, Customer, Seller, TaxId};

/// Who issues invoices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The legal name.
    pub name: String,
    /// Street and the like, a line each; with town and postal code.
    pub address: Vec<String>,
    /// The country (ISO 3166).
    pub country: Country,
    /// The state, where taxes go by states.
    #[serde(default)]
    pub region: Option<String>,
    /// The tax id that invoices print.
    #[serde(default)]
    pub tax_id: Option<TaxId>,
    /// Where else it collects tax: `US-NY`, `GB`, `EU`.
    #[serde(default)]
    pub registered: BTreeSet<String>,
    /// Where questions go.
    #[serde(default)]
    pub email: Option<String>,
    /// By whose calendar invoices are dated and numbered.
    pub time_zone: NamedTimeZone,
    /// Where transfers go.
    #[serde(default)]
    pub bank: Option<Bank>,
}

/// Where transfers go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// The bank.
    pub name: String,
    /// Whose account it is.
    pub account_holder: String,
    /// The account.
    pub iban: String,
    /// The bank's code.
    pub bic: String,
}

impl Issuer {
    /// As the tax rules know it.
    #[must_use]
    pub fn seller(&self) -> Seller {
        Seller {
            country: self.country,
            region: self.region.clone(),
            tax_id: self.tax_id.clone(),
            registered: self.registered.clone(),
        }
    }
}

/// To whom an invoice is made out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The legal name.
    pub name: String,
    /// Where invoices go beside the owners.
    pub email: Option<String>,
    /// Street and the like, a line each.
    pub address: Vec<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// The town.
    pub city: Option<String>,
    /// The country, where it is known.
    pub country: Option<Country>,
    /// The state, where taxes go by states.
    pub region: Option<String>,
    /// The tax id.
    pub tax_id: Option<TaxId>,
    /// Whether an operator has seen that it pays no tax.
    pub tax_exempt: bool,
}

impl Recipient {
    /// As the tax rules know it.
    #[must_use]
    pub fn customer(&self) -> Customer {
        Customer {
            country: self.country,
            region: self.region.clone(),
            tax_id: self.tax_id.clone(),
            exempt: self.tax_exempt,
        }
    }
}
