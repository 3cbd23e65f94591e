//! `[billing]` of the settings, as every process that bills reads it. The edge, which does not, never parses it.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::plan::PlanName;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::dunning::DunningSchedule;
use crate::issuer::Issuer;
use crate::tax_table::{TaxTable, TaxTableError};
use crate::terms::{Dunning, Series, Terms};

/// The taxes that are compiled in.
const TAXES: &str = include_str!("../../../config/taxes.toml");
/// Longest prefix of numbers.
const PREFIX_LEN_MAX: usize = 10;

/// `[billing]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installation {
    /// Whether tenants may sign up with a time of their own.
    pub test_clocks: bool,
    issuer: Issuer,
    prices_include_tax: bool,
    payment_days: u16,
    invoice_prefix: String,
    credit_note_prefix: String,
    test_prefix: String,
    grace_minutes: u32,
    trial_notice_days: u16,
    /// Days after the one on which an invoice is due, before it where less than 0, on which owners are reminded of it
    /// while it is open.
    pub reminder_days: Vec<i16>,
    /// Days before the end of a way to pay on which its owners are told.
    pub expiry_notice_days: u16,
    dunning: DunningSchedule,
    dunning_of: BTreeMap<PlanName, DunningSchedule>,
}

/// Settings of billing that must not be.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// Limits that nobody pays for: a test clock moves only when its tenant says so.
    #[error(
        "billing.test_clocks lets tenants use a plan and never pay; set it false in production"
    )]
    TestClocks,
    /// Numbers of one series could be taken for those of another.
    #[error(
        "billing: prefixes of numbers are three different ones of at most 10 capital letters and digits"
    )]
    Prefixes,
    /// The issuer collects taxes that are not known.
    #[error("billing.issuer: {0}")]
    Taxes(#[from] TaxTableError),
}

impl Installation {
    /// The terms, with the taxes that are compiled in. `production`: real customers.
    ///
    /// # Errors
    /// When clocks would keep customers from paying, prefixes are no prefixes, or taxes are not known.
    pub fn terms(&self, production: bool) -> Result<Terms, InstallationError> {
        if production && self.test_clocks {
            return Err(InstallationError::TestClocks);
        }
        let series = Series {
            invoices: self.invoice_prefix.clone(),
            credit_notes: self.credit_note_prefix.clone(),
            tests: self.test_prefix.clone(),
        };
        let prefixes = [&series.invoices, &series.credit_notes, &series.tests];
        let different = prefixes[0] != prefixes[1] && !prefixes[..2].contains(&prefixes[2]);
        if !different || !prefixes.into_iter().all(|prefix| is_prefix(prefix)) {
            return Err(InstallationError::Prefixes);
        }
        let taxes = TaxTable::parse(TAXES)?;
        taxes.check(&self.issuer.seller())?;
        Ok(Terms {
            issuer: self.issuer.clone(),
            taxes,
            prices_include_tax: self.prices_include_tax,
            series,
            grace: SignedDuration::from_mins(i64::from(self.grace_minutes)),
            payment_days: self.payment_days,
            dunning: Dunning { standard: self.dunning.clone(), of: self.dunning_of.clone() },
        })
    }

    /// How long before a trial's end its owners are told.
    #[must_use]
    pub fn trial_notice(&self) -> Duration {
        Duration::from_secs(u64::from(self.trial_notice_days) * 24 * 60 * 60)
    }
}

fn is_prefix(text: &str) -> bool {
    let capital = text.starts_with(|first: char| first.is_ascii_uppercase());
    let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    capital && text.len() <= PREFIX_LEN_MAX && text.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(test_prefix: &str, country: &str) -> Installation {
        let text = format!(
            "test_clocks = false\nprices_include_tax = false\npayment_days = 14\n\
             invoice_prefix = \"INV\"\ncredit_note_prefix = \"CN\"\ntest_prefix = {test_prefix:?}\n\
             grace_minutes = 60\ntrial_notice_days = 3\nreminder_days = [-3, 1]\n\
             expiry_notice_days = 30\ndunning_of = {{}}\n\
             dunning = {{ retry_days = [1], read_only_day = 1, billing_only_day = 1, final_notice_day = 1, \
             cancel_day = 2 }}\n\
             [issuer]\nname = \"P\"\naddress = []\ncountry = {country:?}\ntime_zone = \"Europe/Berlin\"\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn production_has_no_time_of_its_tenants_own() {
        let clocks = Installation { test_clocks: true, ..installation("TEST", "DE") };
        assert!(clocks.terms(false).is_ok());
        assert!(matches!(clocks.terms(true), Err(InstallationError::TestClocks)));
        assert!(Installation { test_clocks: false, ..clocks }.terms(true).is_ok());
    }

    #[test]
    fn series_of_numbers_are_told_apart() {
        for prefix in ["INV", "CN", "tst", "", "1A", "ABCDEFGHIJK"] {
            let refused = installation(prefix, "DE").terms(false);
            assert!(matches!(refused, Err(InstallationError::Prefixes)), "{prefix}");
        }
    }

    #[test]
    fn an_issuer_of_unknown_taxes_is_refused() {
        let refused = installation("TEST", "CH").terms(false);
        assert!(matches!(refused, Err(InstallationError::Taxes(_))));
    }
}
