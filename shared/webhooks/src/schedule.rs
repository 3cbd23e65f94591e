//! When a message is tried again, and when an endpoint is given up.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// What is waited after each failure, in seconds: the example of Standard Webhooks 1.0, 75 hours and a half in all.
const PAUSES: [u64; 9] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];
/// How much of a pause it may be shorter or longer, so that what failed together does not come back together.
const JITTER: f64 = 0.2;
/// Longest pause that an endpoint may ask for.
const ASKED_MAX: Duration = Duration::from_secs(24 * HOUR);

/// Attempts of a message, the first included.
pub const ATTEMPTS_MAX: u32 = 10;
/// An endpoint through which nothing has got for so long is disabled. Longer than all attempts of a message take: one
/// message never disables an endpoint.
pub const FAILING_MAX: SignedDuration = SignedDuration::from_hours(5 * 24);
/// Parts of [`FAILING_MAX`], in per cent, at which its tenant is told. At the last it is disabled.
pub const WARNINGS: [u8; 4] = [50, 70, 90, 100];

/// What is waited after so many failures, `None` when that was the last. `jitter` is a random number from 0 to 1;
/// `asked` is what the endpoint asked for by `Retry-After`, and makes it longer, never shorter.
#[must_use]
pub fn pause_after(failures: u32, jitter: f64, asked: Option<Duration>) -> Option<Duration> {
    let place = usize::try_from(failures).ok()?.checked_sub(1)?;
    let pause = Duration::from_secs(*PAUSES.get(place)?);
    // What is no number would be a panic of the multiplication.
    let jitter = if jitter.is_nan() { 0.5 } else { jitter.clamp(0.0, 1.0) };
    let pause = pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * jitter);
    Some(pause.max(asked.unwrap_or_default().min(ASKED_MAX)))
}

/// Of what is to be told about an endpoint that fails since `first`, and did so last at `last`: the highest that was
/// reached.
#[must_use]
pub fn warning(first: Timestamp, last: Timestamp) -> Option<u8> {
    let failing = last.duration_since(first);
    let reached =
        |percent: &u8| failing.as_secs() >= FAILING_MAX.as_secs() / 100 * i64::from(*percent);
    WARNINGS.into_iter().rev().find(reached)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_schedule_is_the_standards_and_ends() {
        let pauses: Vec<_> = (1..).map_while(|failures| pause_after(failures, 0.5, None)).collect();
        assert_eq!(u32::try_from(pauses.len()), Ok(ATTEMPTS_MAX - 1));
        assert_eq!(pauses.iter().map(Duration::as_secs).sum::<u64>(), 75 * HOUR + 35 * MINUTE + 5);
        for none in [0, ATTEMPTS_MAX, u32::MAX] {
            assert_eq!(pause_after(none, 0.5, Some(ASKED_MAX)), None, "{none}");
        }
        for jitter in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 2.0] {
            assert!((4..=6).contains(&pause_after(1, jitter, None).unwrap().as_secs()), "{jitter}");
        }
        // Jitter included, one message is done with before its endpoint is.
        let longest: u64 = PAUSES.iter().map(|pause| pause + pause / 5).sum();
        assert!((longest as i64) < FAILING_MAX.as_secs());
    }

    #[test]
    fn an_endpoint_is_told_of_on_the_way() {
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let warned = [0, 59, 60, 84, 108, 119, 120, 999].map(|hours| warning(at(0), at(hours)));
        let expected = [None, None, Some(50), Some(70), Some(90), Some(90), Some(100), Some(100)];
        assert_eq!(warned, expected);
        assert_eq!(warning(at(9), at(0)), None);
    }

    proptest! {
        #[test]
        fn a_pause_is_near_its_place_and_as_long_as_asked(
            failures in 1_u32..10, jitter in 0.0..=1.0_f64, asked in prop::option::of(0_u64..1_000_000),
        ) {
            let asked = asked.map(Duration::from_secs);
            let pause = pause_after(failures, jitter, asked).unwrap();
            let plain = PAUSES[failures as usize - 1] as f64;
            prop_assert!(pause.as_secs_f64() >= plain * 0.8);
            prop_assert!(pause >= asked.unwrap_or_default().min(ASKED_MAX));
            let longest = asked.unwrap_or_default().min(ASKED_MAX).as_secs_f64().max(plain * 1.2);
            prop_assert!(pause.as_secs_f64() <= longest + 1e-6);
        }

        #[test]
        fn warnings_only_rise_and_say_how_much_is_reached(first in 0_i64..1_000_000, seconds in 0_i64..1_000_000) {
            let at = |second| Timestamp::from_second(second).unwrap();
            let told = warning(at(first), at(first + seconds));
            let reached = |percent: u8| seconds * 100 >= FAILING_MAX.as_secs() * i64::from(percent);
            prop_assert_eq!(told, WARNINGS.into_iter().filter(|percent| reached(*percent)).max());
            prop_assert!(warning(at(first), at(first + seconds + 1)) >= told);
        }
    }
}
