//! How exact fractions become minor units: half away from zero, once; and parts that always add up.

/// An amount beyond 64 bits, or a division by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is out of range")]
pub struct OutOfRange;

/// `numerator / denominator`, rounded half away from zero (§2, "R").
///
/// # Errors
/// When the denominator is zero or the result is beyond 64 bits.
pub fn round(numerator: i128, denominator: i128) -> Result<i64, OutOfRange> {
    if denominator == 0 {
        return Err(OutOfRange);
    }
    let negative = (numerator < 0) != (denominator < 0);
    let (numerator, denominator) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let up = u128::from(rest >= denominator - rest);
    let rounded = i128::try_from(whole + up).map_err(|_| OutOfRange)?;
    i64::try_from(if negative { -rounded } else { rounded }).map_err(|_| OutOfRange)
}

/// `amount × numerator / denominator`, rounded half away from zero.
///
/// # Errors
/// When the denominator is zero or the result is beyond 64 bits.
pub fn part(amount: i64, numerator: i64, denominator: i64) -> Result<i64, OutOfRange> {
    round(i128::from(amount) * i128::from(numerator), i128::from(denominator))
}

/// The sum of `parts`, each `part / denominator`, rounded once; and the parts so that they add up to it: each
/// rounded down, and what is missing goes to those with the largest remainders, ties to the earlier
/// (largest remainder method, §2.8).
///
/// # Errors
/// When the denominator is not positive or a result is beyond 64 bits.
pub fn apportion(parts: &[i128], denominator: i128) -> Result<(i64, Vec<i64>), OutOfRange> {
    if denominator <= 0 {
        return Err(OutOfRange);
    }
    let sum =
        parts.iter().try_fold(0_i128, |sum, part| sum.checked_add(*part)).ok_or(OutOfRange)?;
    let total = round(sum, denominator)?;
    let floor = |part: &i128| i64::try_from(part.div_euclid(denominator)).map_err(|_| OutOfRange);
    let mut shares = parts.iter().map(floor).collect::<Result<Vec<_>, _>>()?;
    let given: i128 = shares.iter().map(|share| i128::from(*share)).sum();
    let missing = usize::try_from(i128::from(total) - given).map_err(|_| OutOfRange)?;
    let mut order: Vec<usize> = (0..parts.len()).collect();
    // Stable: ties stay in the order of the lines.
    order.sort_by_key(|index| std::cmp::Reverse(parts[*index].rem_euclid(denominator)));
    for index in order.into_iter().take(missing) {
        shares[index] = shares[index].checked_add(1).ok_or(OutOfRange)?;
    }
    Ok((total, shares))
}

/// `total` in shares proportional to `weights`, which add up to it. Of equal weights of zero, the first takes all.
///
/// # Errors
/// When the weights add up to less than zero or a result is beyond 64 bits.
pub fn allocate(total: i64, weights: &[i64]) -> Result<Vec<i64>, OutOfRange> {
    let sum: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
    if sum == 0 {
        let first = (0..weights.len()).map(|index| if index == 0 { total } else { 0 });
        return Ok(first.collect());
    }
    let parts: Vec<i128> =
        weights.iter().map(|weight| i128::from(*weight) * i128::from(total)).collect();
    Ok(apportion(&parts, sum)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_go_away_from_zero() {
        let rounded = |numerator, denominator| round(numerator, denominator).unwrap();
        assert_eq!((rounded(5, 2), rounded(-5, 2), rounded(5, -2)), (3, -3, -3));
        assert_eq!((rounded(4, 3), rounded(5, 3), rounded(-4, 3)), (1, 2, -1));
        assert_eq!(round(1, 0), Err(OutOfRange));
        assert_eq!(round(i128::MAX, 1), Err(OutOfRange));
        assert_eq!(round(i128::MIN, -1), Err(OutOfRange));
    }

    #[test]
    fn a_coupon_of_1000_over_three_lines() {
        assert_eq!(allocate(1000, &[9900, 4700, 1234]), Ok(vec![625, 297, 78]));
        assert_eq!(allocate(1, &[1, 1]), Ok(vec![1, 0]));
        assert_eq!(allocate(7, &[0, 0]), Ok(vec![7, 0]));
        assert_eq!(allocate(7, &[]), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_less_than_one_from_exact(
            parts in proptest::collection::vec(-1_000_000_i64..1_000_000, 0..20),
            denominator in 1_i64..10_000,
        ) {
            let wide: Vec<i128> = parts.iter().map(|part| i128::from(*part)).collect();
            let (total, shares) = apportion(&wide, i128::from(denominator)).unwrap();
            prop_assert_eq!(shares.iter().sum::<i64>(), total);
            for (part, share) in parts.iter().zip(&shares) {
                prop_assert!((share * denominator - part).abs() < denominator);
            }
        }

        #[test]
        fn nothing_panics(numerator: i128, denominator: i128, total: i64, weights: Vec<i64>) {
            let _ = round(numerator, denominator);
            let _ = apportion(&[numerator, denominator], denominator);
            let _ = allocate(total, &weights);
        }
    }
}
