//! Tiers: what a unit costs, by how many there are. Only ascending lists with an open end are [`Tiers`].

use serde::{Deserialize, Serialize};

use crate::rate::Rate;

/// A range of quantities with a price: from the unit after the tier before it, to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Its last unit: "the first 10 000" contains unit 10 000 (§2.7). `None`: all the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    /// The price of a unit.
    pub unit: Rate,
    /// Charged once if the tier is reached.
    #[serde(default, skip_serializing_if = "Rate::is_zero")]
    pub flat: Rate,
}

/// At least one tier, their bounds strictly ascending, the last without a bound: every quantity from 1 on is in
/// exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Tier>", into = "Vec<Tier>")]
pub struct Tiers(Vec<Tier>);

/// Why a list is none of tiers. Tiers are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TiersError {
    /// No tier.
    #[error("must have at least one tier; one without `up_to` is enough")]
    Empty,
    /// More than [`Tiers::LEN_MAX`].
    #[error("must have at most {} tiers", Tiers::LEN_MAX)]
    TooMany,
    /// A tier that no unit is in.
    #[error("tier {0}: `up_to` must be greater than that of the tier before it, and at least 1")]
    NotAscending(usize),
    /// Tiers after the one that takes all the rest.
    #[error("tier {0} has no `up_to` and takes all the rest; only the last tier may")]
    OpenBeforeLast(usize),
    /// Quantities without a price.
    #[error("the last tier must have no `up_to`, so that every quantity has a price")]
    LastBounded,
}

impl Tiers {
    /// Most tiers: many more than a price list that people read, few enough to rate in no time.
    pub const LEN_MAX: usize = 50;

    /// The tiers, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Tier> {
        self.0.iter().copied()
    }

    /// The tier that `quantity` falls in.
    pub(super) fn of(&self, quantity: u64) -> Option<Tier> {
        self.iter().find(|tier| tier.up_to.is_none_or(|bound| quantity <= bound))
    }
}

impl TryFrom<Vec<Tier>> for Tiers {
    type Error = TiersError;

    fn try_from(tiers: Vec<Tier>) -> Result<Self, TiersError> {
        if tiers.len() > Self::LEN_MAX {
            return Err(TiersError::TooMany);
        }
        let Some((last, bounded)) = tiers.split_last() else { return Err(TiersError::Empty) };
        let mut below = 0;
        for (number, tier) in (1..).zip(bounded) {
            let bound = tier.up_to.ok_or(TiersError::OpenBeforeLast(number))?;
            if bound <= below {
                return Err(TiersError::NotAscending(number));
            }
            below = bound;
        }
        if last.up_to.is_some() { Err(TiersError::LastBounded) } else { Ok(Self(tiers)) }
    }
}

impl From<Tiers> for Vec<Tier> {
    fn from(tiers: Tiers) -> Self {
        tiers.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bounds: &[Option<u64>]) -> Result<Tiers, TiersError> {
        let tier = |up_to: &Option<u64>| Tier { up_to: *up_to, unit: Rate::ZERO, flat: Rate::ZERO };
        bounds.iter().map(tier).collect::<Vec<_>>().try_into()
    }

    #[test]
    fn only_ascending_tiers_with_an_open_end_are_tiers() {
        assert!(parse(&[None]).is_ok());
        assert!(parse(&[Some(1), Some(2), Some(u64::MAX), None]).is_ok());
        assert_eq!(parse(&[]), Err(TiersError::Empty));
        assert_eq!(parse(&[Some(1)]), Err(TiersError::LastBounded));
        assert_eq!(parse(&[Some(0), None]), Err(TiersError::NotAscending(1)));
        assert_eq!(parse(&[Some(5), Some(5), None]), Err(TiersError::NotAscending(2)));
        assert_eq!(parse(&[Some(5), Some(4), None]), Err(TiersError::NotAscending(2)));
        assert_eq!(parse(&[Some(5), None, None]), Err(TiersError::OpenBeforeLast(2)));
        assert_eq!(parse(&[None; Tiers::LEN_MAX + 1]), Err(TiersError::TooMany));
    }

    #[test]
    fn faults_are_told_while_reading() {
        let fault = |json: &str| serde_json::from_str::<Tiers>(json).unwrap_err().to_string();
        assert_eq!(
            fault(r#"[{"up_to":10,"unit":"1"},{"up_to":10,"unit":"1"},{"unit":"1"}]"#),
            "tier 2: `up_to` must be greater than that of the tier before it, and at least 1"
        );
        assert_eq!(
            fault(r#"[{"up_to":10,"unit":"1"}]"#),
            "the last tier must have no `up_to`, so that every quantity has a price"
        );
        assert!(fault(r#"[{"unit":"1","upto":10}]"#).contains("unknown field `upto`"));
        assert!(fault(r#"[{"flat":"1"}]"#).contains("missing field `unit`"));
    }

    #[test]
    fn a_bound_is_in_its_tier() {
        let tiers = parse(&[Some(10), Some(20), None]).unwrap();
        let bound = |quantity| tiers.of(quantity).and_then(|tier| tier.up_to);
        assert_eq!((bound(1), bound(10), bound(11)), (Some(10), Some(10), Some(20)));
        assert_eq!((bound(20), bound(21), bound(u64::MAX)), (Some(20), None, None));
    }
}
