//! Exact fractions of 127 bits. What does not fit is a fault of the check, and told.

use anyhow::{Context, Result};

/// A fraction in lowest terms; the denominator is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exact {
    above: i128,
    under: i128,
}

impl Exact {
    pub(super) const ZERO: Self = Self { above: 0, under: 1 };

    pub(super) fn of(over: i128, under: i128) -> Result<Self> {
        anyhow::ensure!(under != 0, "a fraction of nothing");
        let common = common(over, under) * under.signum();
        Ok(Self { above: over / common, under: under / common })
    }

    pub(super) fn whole(number: i64) -> Self {
        Self { above: i128::from(number), under: 1 }
    }

    pub(super) fn plus(self, other: Self) -> Result<Self> {
        let shared = common(self.under, other.under);
        let (left, right) = (other.under / shared, self.under / shared);
        let over = checked(self.above, left)?.checked_add(checked(other.above, right)?);
        Self::of(over.context("beyond 127 bits")?, checked(self.under, left)?)
    }

    pub(super) fn minus(self, other: Self) -> Result<Self> {
        self.plus(Self { above: -other.above, ..other })
    }

    pub(super) fn times(self, over: i128, under: i128) -> Result<Self> {
        // Shortened crosswise first, so that more fits.
        let other = Self::of(over, under)?;
        let (a, b) = (common(self.above, other.under), common(other.above, self.under));
        let over = checked(self.above / a, other.above / b)?;
        Self::of(over, checked(self.under / b, other.under / a)?)
    }

    pub(super) fn by(self, other: Self) -> Result<Self> {
        self.times(other.above, other.under)
    }

    pub(super) fn over(self, other: Self) -> Result<Self> {
        self.times(other.under, other.above)
    }

    pub(super) fn least(self, other: Self) -> Result<Self> {
        Ok(if self.minus(other)?.above < 0 { self } else { other })
    }

    pub(super) fn most(self, other: Self) -> Result<Self> {
        Ok(if self.minus(other)?.above < 0 { other } else { self })
    }

    /// Whether `amount` is at most so many halves away.
    pub(super) fn is_near(self, amount: i64, halves: i64) -> Result<bool> {
        let off = self.minus(Self::whole(amount))?.above.abs();
        Ok(checked(off, 2)? <= checked(i128::from(halves), self.minus(Self::whole(amount))?.under)?)
    }

    /// The next whole number below it.
    pub(super) fn floor(self) -> Result<i64> {
        Ok(i64::try_from(self.above.div_euclid(self.under))?)
    }

    /// The nearest whole number, halves away from zero.
    pub(super) fn nearest(self) -> Result<i64> {
        let doubled = checked(self.above.abs(), 2)?.checked_add(self.under).context("beyond")?;
        let nearest = doubled.div_euclid(checked(self.under, 2)?);
        Ok(i64::try_from(nearest * self.above.signum())?)
    }
}

/// As a number to read.
impl std::fmt::Display for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.above, self.under)
    }
}

fn checked(one: i128, other: i128) -> Result<i128> {
    one.checked_mul(other).context("beyond 127 bits")
}

/// The greatest common divisor, at least 1.
fn common(one: i128, other: i128) -> i128 {
    let (mut one, mut other) = (one.abs(), other.abs());
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one.max(1)
}
