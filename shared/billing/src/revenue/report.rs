//! The arithmetic of revenue reports: what the figures of a range mean, in integers. Money is minor units of one
//! currency; what is of two currencies never meets here. Rates are basis points, hundredths of a percent.
//!
//! A range is half-open, from an instant to another; "at the start" and "at the end" are just before these.
//!
//! - **MRR**: what recurs a month: the fee of each subscription that is paid for, a year's over twelve months; without
//!   discounts, tax and use. **ARR**: twelve times that.
//! - **Net new**: the sum of all movements. MRR at the end is MRR at the start and this (design: BILLING, 15). Of a
//!   single plan, [`Figures::transferred_minor`] comes to it: what those brought along who changed plans.
//! - **Gross revenue churn**: of those who paid at the start, what those who pay less at the end pay less (all of it,
//!   where they pay nothing), over what all of them paid. Never less than nothing, never more than all.
//! - **Net revenue retention** (NRR): what those who paid at the start pay at the end, over what they paid. More than
//!   100 % where they grew by more than was lost. Whoever came within the range is in neither.
//! - **Logo churn**: of those who paid at the start, how many pay nothing at the end.
//! - **ARPU**: MRR over the tenants who pay.
//! - **Trial conversion**: of the trials that ended in the range, those that became a subscription that costs.

use super::MovementKind;
use crate::rounding::{OutOfRange, round};

/// Basis points in a whole.
const WHOLE_BASIS_POINTS: i128 = 10_000;

/// `part` of `whole` in basis points, rounded half away from zero. `None` where nothing can be said: a part of nothing.
#[must_use]
pub fn basis_points(part: i64, whole: i64) -> Option<i64> {
    round(i128::from(part) * WHOLE_BASIS_POINTS, i128::from(whole)).ok()
}

/// What recurs at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// A month, minor units.
    pub mrr_minor: i64,
    /// Tenants who pay it.
    pub tenants: u64,
}

impl Standing {
    /// What recurs a year.
    ///
    /// # Errors
    /// When it is beyond 64 bits.
    pub fn arr_minor(self) -> Result<i64, OutOfRange> {
        self.mrr_minor.checked_mul(12).ok_or(OutOfRange)
    }

    /// What a tenant brings in a month, on average; `None` where there is none.
    #[must_use]
    pub fn arpu_minor(self) -> Option<i64> {
        round(i128::from(self.mrr_minor), i128::from(self.tenants)).ok()
    }

    fn add(&mut self, other: Self) -> Result<(), OutOfRange> {
        add(&mut self.mrr_minor, other.mrr_minor)?;
        count(&mut self.tenants, other.tenants)
    }
}

/// Movements of a range by kind: what each kind adds, minor units a month; negative for what takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moves {
    /// Tenants that had never paid.
    pub new_minor: i64,
    /// Tenants that had left.
    pub reactivation_minor: i64,
    /// More than before.
    pub expansion_minor: i64,
    /// Less than before; not more than zero.
    pub contraction_minor: i64,
    /// Nothing any more; not more than zero.
    pub churn_minor: i64,
}

impl Moves {
    /// Counts movements of a kind in.
    ///
    /// # Errors
    /// When the sum is beyond 64 bits.
    pub fn count(&mut self, kind: MovementKind, delta_minor: i64) -> Result<(), OutOfRange> {
        let sum = match kind {
            MovementKind::New => &mut self.new_minor,
            MovementKind::Reactivation => &mut self.reactivation_minor,
            MovementKind::Expansion => &mut self.expansion_minor,
            MovementKind::Contraction => &mut self.contraction_minor,
            MovementKind::Churn => &mut self.churn_minor,
        };
        add(sum, delta_minor)
    }

    /// What all of them come to.
    ///
    /// # Errors
    /// When the sum is beyond 64 bits.
    pub fn net_new_minor(self) -> Result<i64, OutOfRange> {
        let Self { new_minor, reactivation_minor, expansion_minor, contraction_minor, churn_minor } =
            self;
        let mut net = new_minor;
        for minor in [reactivation_minor, expansion_minor, contraction_minor, churn_minor] {
            add(&mut net, minor)?;
        }
        Ok(net)
    }

    fn add(&mut self, other: Self) -> Result<(), OutOfRange> {
        self.count(MovementKind::New, other.new_minor)?;
        self.count(MovementKind::Reactivation, other.reactivation_minor)?;
        self.count(MovementKind::Expansion, other.expansion_minor)?;
        self.count(MovementKind::Contraction, other.contraction_minor)?;
        self.count(MovementKind::Churn, other.churn_minor)
    }
}

/// What became of those who paid at the start of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// How many they were.
    pub tenants: u64,
    /// What they paid a month, minor units.
    pub start_minor: i64,
    /// What they pay at the end.
    pub end_minor: i64,
    /// What those who pay less pay less.
    pub lost_minor: i64,
    /// How many pay nothing any more.
    pub lost_tenants: u64,
}

impl Kept {
    /// Counts one in by what it paid at the start and pays at the end. Who paid nothing then is not counted.
    ///
    /// # Errors
    /// When a sum is beyond 64 bits.
    pub fn count(&mut self, start_minor: i64, end_minor: i64) -> Result<(), OutOfRange> {
        if start_minor <= 0 {
            return Ok(());
        }
        self.add(Self {
            tenants: 1,
            start_minor,
            end_minor,
            lost_minor: (start_minor - end_minor).max(0),
            lost_tenants: u64::from(end_minor == 0),
        })
    }

    /// What was lost of what there was.
    #[must_use]
    pub fn gross_churn_bp(self) -> Option<i64> {
        basis_points(self.lost_minor, self.start_minor)
    }

    /// What those who were there bring in now, of what they did then.
    #[must_use]
    pub fn net_retention_bp(self) -> Option<i64> {
        basis_points(self.end_minor, self.start_minor)
    }

    /// How many of them are gone.
    #[must_use]
    pub fn logo_churn_bp(self) -> Option<i64> {
        share(self.lost_tenants, self.tenants)
    }

    fn add(&mut self, other: Self) -> Result<(), OutOfRange> {
        count(&mut self.tenants, other.tenants)?;
        add(&mut self.start_minor, other.start_minor)?;
        add(&mut self.end_minor, other.end_minor)?;
        add(&mut self.lost_minor, other.lost_minor)?;
        count(&mut self.lost_tenants, other.lost_tenants)
    }
}

/// What was billed and collected, minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revenue {
    /// Billed, without tax.
    pub billed_minor: i64,
    /// Taken back of what was billed, by credit notes and voided invoices; without tax.
    pub credited_minor: i64,
    /// Money that came in, with tax.
    pub collected_minor: i64,
}

impl Revenue {
    fn add(&mut self, other: Self) -> Result<(), OutOfRange> {
        add(&mut self.billed_minor, other.billed_minor)?;
        add(&mut self.credited_minor, other.credited_minor)?;
        add(&mut self.collected_minor, other.collected_minor)
    }
}

/// How trials went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trials {
    /// Began in the range.
    pub started: u64,
    /// Became, in the range, a subscription that costs.
    pub converted: u64,
    /// Ended in the range without one.
    pub ended: u64,
}

impl Trials {
    /// Of those that ended one way or the other, how many converted.
    #[must_use]
    pub fn conversion_bp(self) -> Option<i64> {
        share(self.converted, self.converted.checked_add(self.ended)?)
    }

    fn add(&mut self, other: Self) -> Result<(), OutOfRange> {
        count(&mut self.started, other.started)?;
        count(&mut self.converted, other.converted)?;
        count(&mut self.ended, other.ended)
    }
}

/// All figures of a range, of a plan or of a currency as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// At the start.
    pub start: Standing,
    /// At the end.
    pub end: Standing,
    /// Between.
    pub moves: Moves,
    /// Who stayed.
    pub kept: Kept,
    /// What was billed.
    pub revenue: Revenue,
    /// Who tried.
    pub trials: Trials,
}

impl Figures {
    /// The figures of several plans together, all of one currency.
    ///
    /// # Errors
    /// When a sum is beyond 64 bits.
    pub fn total<'a>(plans: impl IntoIterator<Item = &'a Self>) -> Result<Self, OutOfRange> {
        plans.into_iter().try_fold(Self::default(), |mut total, plan| {
            total.start.add(plan.start)?;
            total.end.add(plan.end)?;
            total.moves.add(plan.moves)?;
            total.kept.add(plan.kept)?;
            total.revenue.add(plan.revenue)?;
            total.trials.add(plan.trials)?;
            Ok(total)
        })
    }

    /// What MRR changed by beside the movements: of a plan, what those brought along who came from other plans, less
    /// what those took away who went to others. Of a currency as a whole it is zero; if not, a movement is missing.
    ///
    /// # Errors
    /// When it is beyond 64 bits.
    pub fn transferred_minor(&self) -> Result<i64, OutOfRange> {
        let change = self.end.mrr_minor.checked_sub(self.start.mrr_minor).ok_or(OutOfRange)?;
        change.checked_sub(self.moves.net_new_minor()?).ok_or(OutOfRange)
    }
}

fn add(sum: &mut i64, minor: i64) -> Result<(), OutOfRange> {
    *sum = sum.checked_add(minor).ok_or(OutOfRange)?;
    Ok(())
}

fn count(sum: &mut u64, more: u64) -> Result<(), OutOfRange> {
    *sum = sum.checked_add(more).ok_or(OutOfRange)?;
    Ok(())
}

/// A share of counts, in basis points.
fn share(part: u64, whole: u64) -> Option<i64> {
    round(i128::from(part) * WHOLE_BASIS_POINTS, i128::from(whole)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revenue::Movement;
    use proptest::prelude::*;

    #[test]
    fn a_month_worked_by_hand() {
        // Paid at the start: A 29.00, B 99.00, C 29.00. A goes to 99.00, B leaves, C stays; D comes with 99.00.
        let mut figures = Figures {
            start: Standing { mrr_minor: 15_700, tenants: 3 },
            end: Standing { mrr_minor: 22_700, tenants: 3 },
            ..Figures::default()
        };
        for (kind, delta) in [
            (MovementKind::Expansion, 7_000),
            (MovementKind::Churn, -9_900),
            (MovementKind::New, 9_900),
        ] {
            figures.moves.count(kind, delta).unwrap();
        }
        for (start, end) in [(2_900, 9_900), (9_900, 0), (2_900, 2_900), (0, 9_900)] {
            figures.kept.count(start, end).unwrap();
        }
        assert_eq!(figures.moves.net_new_minor(), Ok(7_000));
        assert_eq!(figures.transferred_minor(), Ok(0));
        assert_eq!(figures.end.arr_minor(), Ok(272_400));
        assert_eq!(figures.end.arpu_minor(), Some(7_567));
        let Figures { kept, .. } = figures;
        // 99.00 of 157.00 lost; 128.00 of 157.00 left; one of three gone.
        assert_eq!(kept.gross_churn_bp(), Some(6_306));
        assert_eq!(kept.net_retention_bp(), Some(8_153));
        assert_eq!(kept.logo_churn_bp(), Some(3_333));
        assert_eq!(Trials { started: 9, converted: 1, ended: 2 }.conversion_bp(), Some(3_333));
    }

    #[test]
    fn of_nothing_there_is_no_rate() {
        assert_eq!(Standing::default().arpu_minor(), None);
        assert_eq!(Kept::default().gross_churn_bp(), None);
        assert_eq!(Kept::default().net_retention_bp(), None);
        assert_eq!(Kept::default().logo_churn_bp(), None);
        assert_eq!(Trials { started: 3, ..Trials::default() }.conversion_bp(), None);
    }

    #[test]
    fn what_is_too_much_is_said() {
        let most = Standing { mrr_minor: i64::MAX, tenants: 1 };
        assert_eq!(most.arr_minor(), Err(OutOfRange));
        let figures = Figures { start: most, end: most, ..Figures::default() };
        assert_eq!(Figures::total([&figures, &figures]), Err(OutOfRange));
        assert_eq!(basis_points(i64::MAX, 1), None);
    }

    /// What a tenant has from a day on: one of three plans, for so much a month.
    type Step = (u32, usize, i64);

    const DAYS: u32 = 60;
    const PLANS: usize = 3;

    /// A tenant's life, in order; a price of nothing is no subscription.
    fn life() -> impl Strategy<Value = Vec<Step>> {
        let prices = prop_oneof![Just(0_i64), Just(2_900), Just(9_900), 1_i64..50_000];
        proptest::collection::vec((0..DAYS, 0..PLANS, prices), 0..8).prop_map(|mut steps| {
            steps.sort_by_key(|(day, ..)| *day);
            steps
        })
    }

    fn lives() -> impl Strategy<Value = Vec<Vec<Step>>> {
        proptest::collection::vec(life(), 0..12)
    }

    /// What a life has come to before a day.
    fn standing(life: &[Step], before: u32) -> (usize, i64) {
        let last = life.iter().rev().find(|(day, ..)| *day < before);
        last.map_or((0, 0), |(_, plan, minor)| (*plan, *minor))
    }

    /// By plan, as the database groups it: movements by the plan after, churn by the one before.
    fn report(lives: &[Vec<Step>], since: u32, until: u32) -> [Figures; PLANS] {
        let mut plans = [Figures::default(); PLANS];
        for life in lives {
            let (start_plan, start_minor) = standing(life, since);
            let (end_plan, end_minor) = standing(life, until);
            plans[start_plan].kept.count(start_minor, end_minor).unwrap();
            let paid = |minor| Standing { mrr_minor: minor, tenants: u64::from(minor > 0) };
            plans[start_plan].start.add(paid(start_minor)).unwrap();
            plans[end_plan].end.add(paid(end_minor)).unwrap();
            let (mut before, mut returning) = ((0, 0), false);
            for (day, plan, minor) in life {
                if let Some(movement) = Movement::between(before.1, *minor) {
                    let kind = movement.kind(returning);
                    returning = true;
                    let plan = if kind == MovementKind::Churn { before.0 } else { *plan };
                    if (since..until).contains(day) {
                        plans[plan].moves.count(kind, movement.delta_minor()).unwrap();
                    }
                }
                before = (*plan, *minor);
            }
        }
        plans
    }

    proptest! {
        /// §4.2, 18; and of all plans together nothing came from elsewhere.
        #[test]
        fn mrr_changes_by_its_movements(
            lives in lives(), since in 0..=DAYS, length in 0..=DAYS,
        ) {
            let plans = report(&lives, since, since + length);
            let total = Figures::total(&plans).unwrap();
            let change = total.end.mrr_minor - total.start.mrr_minor;
            prop_assert_eq!(change, total.moves.net_new_minor().unwrap());
            prop_assert_eq!(total.transferred_minor(), Ok(0));
            let between: i64 = plans.iter().map(|plan| plan.transferred_minor().unwrap()).sum();
            prop_assert_eq!(between, 0);
        }

        #[test]
        fn what_adds_adds_and_what_takes_takes(lives in lives(), since in 0..=DAYS) {
            for Figures { moves, .. } in report(&lives, since, DAYS) {
                prop_assert!(moves.new_minor >= 0 && moves.reactivation_minor >= 0);
                prop_assert!(moves.expansion_minor >= 0);
                prop_assert!(moves.contraction_minor <= 0 && moves.churn_minor <= 0);
            }
        }

        /// Two ranges, one after the other, come to the whole: reports can be laid side by side.
        #[test]
        fn ranges_add_up(lives in lives(), cut in 0..=DAYS) {
            let whole = Figures::total(&report(&lives, 0, DAYS)).unwrap();
            let first = Figures::total(&report(&lives, 0, cut)).unwrap();
            let second = Figures::total(&report(&lives, cut, DAYS)).unwrap();
            let mut moves = first.moves;
            moves.add(second.moves).unwrap();
            prop_assert_eq!(moves, whole.moves);
            prop_assert_eq!(first.end, second.start);
            prop_assert_eq!((whole.start, whole.end), (first.start, second.end));
        }

        /// Those who paid at the start are all of those who paid then. They cannot lose more than they had, and what
        /// they have left is no less than what they did not lose.
        #[test]
        fn rates_are_of_those_who_paid_at_the_start(
            lives in lives(), since in 0..=DAYS, length in 0..=DAYS,
        ) {
            let total = Figures::total(&report(&lives, since, since + length)).unwrap();
            let kept = total.kept;
            prop_assert_eq!((kept.tenants, kept.start_minor), (total.start.tenants, total.start.mrr_minor));
            prop_assert!(kept.end_minor <= total.end.mrr_minor);
            prop_assert!((0..=kept.start_minor).contains(&kept.lost_minor));
            prop_assert!(kept.end_minor >= kept.start_minor - kept.lost_minor);
            for rate in [kept.gross_churn_bp(), kept.logo_churn_bp()].into_iter().flatten() {
                prop_assert!((0..=10_000).contains(&rate));
            }
            prop_assert_eq!(kept.net_retention_bp().is_some(), total.start.mrr_minor > 0);
            if length == 0 {
                prop_assert!(kept.gross_churn_bp().is_none_or(|rate| rate == 0));
                prop_assert!(kept.net_retention_bp().is_none_or(|rate| rate == 10_000));
            }
        }

        #[test]
        fn nothing_panics(part: i64, whole: i64, mrr_minor: i64, tenants: u64, deltas: [i64; 5]) {
            let _ = basis_points(part, whole);
            let standing = Standing { mrr_minor, tenants };
            let _ = (standing.arr_minor(), standing.arpu_minor());
            let mut figures = Figures { start: standing, ..Figures::default() };
            for (kind, delta) in MovementKind::ALL.into_iter().zip(deltas) {
                let _ = figures.moves.count(kind, delta);
            }
            let _ = figures.transferred_minor();
            let _ = Figures::total([&figures, &figures]);
        }
    }
}
