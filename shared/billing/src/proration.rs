//! Fees for part of a period: by the second, and telescoping, so that any cutting of a period adds up to its price.

use domain::id::InvoiceId;
use domain::period::Period;
use domain::plan::{BillingCycle, PlanName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rounding::{OutOfRange, part};
use crate::tax::TaxTerms;

/// What of `price_minor` for `whole` has been used up at `at`: R(price × elapsed / length), with the *whole*
/// period as the denominator, even when the service began within it (§2.3).
///
/// # Errors
/// When the period is empty or the amount out of range.
pub fn used(price_minor: i64, whole: Period, at: Timestamp) -> Result<i64, OutOfRange> {
    let length = whole.seconds();
    if length <= 0 {
        return Err(OutOfRange);
    }
    let elapsed = (at.as_second() - whole.start.as_second()).clamp(0, length);
    part(price_minor, elapsed, length)
}

/// What `service` costs of `price_minor` for `whole`: the difference of two rounded cumulative amounts.
///
/// # Errors
/// As [`used`].
pub fn fragment(price_minor: i64, whole: Period, service: Period) -> Result<i64, OutOfRange> {
    Ok(used(price_minor, whole, service.end)? - used(price_minor, whole, service.start)?)
}

/// A fee that was billed ahead: the line that a change within its period gives credit for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The invoice.
    pub invoice_id: InvoiceId,
    /// Its number.
    pub invoice_number: String,
    /// The line on it, from 1.
    pub line: u32,
    /// Of which plan.
    pub plan: PlanName,
    /// In which cycle.
    pub cycle: BillingCycle,
    /// The price of the whole period.
    pub price_minor: i64,
    /// That whole period.
    pub whole: Period,
    /// The part of it that the line bills, to the period's end.
    pub service: Period,
    /// What the line came to before discounts.
    pub gross_minor: i64,
    /// What was taken off.
    pub discount_minor: i64,
    /// What was given back since, as the line counts: before tax, or with it where prices include it.
    pub credited_minor: i64,
    /// How it was taxed.
    pub tax: TaxTerms,
}

impl Fee {
    /// What is to be given back for the time from `at` on, as the line counts: what was billed less what was used,
    /// less the discount on it, and never more than is left of the line (§2.3).
    ///
    /// # Errors
    /// When an amount is out of range.
    pub fn unused(&self, at: Timestamp) -> Result<i64, OutOfRange> {
        let service = Period { start: self.service.start, end: at.max(self.service.start) };
        let gross = self.gross_minor - fragment(self.price_minor, self.whole, service)?;
        if gross <= 0 || self.gross_minor == 0 {
            return Ok(0);
        }
        let discount = part(self.discount_minor, gross, self.gross_minor)?;
        let left = self.gross_minor - self.discount_minor - self.credited_minor;
        Ok((gross - discount).clamp(0, left.max(0)))
    }
}
