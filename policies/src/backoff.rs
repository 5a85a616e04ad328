//! How long to wait after the nth failure: a ladder from a shortest to a longest wait. It owns the
//! arithmetic; what failed, and when, is the caller's.

use std::time::Duration;

/// A validated ladder: 0 < `min` ≤ `max`, `factor` ≥ 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    factor: u32,
}

/// Why three numbers are no ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// Waits of zero would retry in a busy loop.
    #[error("the shortest wait of a backoff is zero")]
    ZeroMinimum,
    /// The ladder would go down.
    #[error("the longest wait of a backoff ({max:?}) is below its shortest ({min:?})")]
    MaximumBelowMinimum {
        /// The shortest wait.
        min: Duration,
        /// The longest wait.
        max: Duration,
    },
    /// Every wait after the first would be zero.
    #[error("the factor of a backoff is zero")]
    ZeroFactor,
}

impl Backoff {
    /// For the network: 5 s to 10 min, doubling. It comes back without anyone's help.
    pub const FETCH: Self = Self {
        min: Duration::from_secs(5),
        max: Duration::from_secs(10 * 60),
        factor: 2,
    };
    /// For what a commit decides (evaluation, preflight, build): 1 min to 1 h, doubling. A new commit starts
    /// anew, so the waits are only for what failed by chance.
    pub const REVISION: Self = Self {
        min: Duration::from_secs(60),
        max: Duration::from_secs(60 * 60),
        factor: 2,
    };
    /// For an activation, which disturbs the machine each time: 10 min to 6 h, tripling.
    pub const ACTIVATION: Self = Self {
        min: Duration::from_secs(10 * 60),
        max: Duration::from_secs(6 * 60 * 60),
        factor: 3,
    };

    /// A ladder that starts at `min` and grows by `factor` up to `max`; a factor of 1 never grows.
    ///
    /// # Errors
    /// [`BackoffError`] where the numbers are no ladder.
    pub const fn try_new(min: Duration, max: Duration, factor: u32) -> Result<Self, BackoffError> {
        if min.is_zero() {
            Err(BackoffError::ZeroMinimum)
        } else if max.as_nanos() < min.as_nanos() {
            Err(BackoffError::MaximumBelowMinimum { min, max })
        } else if factor == 0 {
            Err(BackoffError::ZeroFactor)
        } else {
            Ok(Self { min, max, factor })
        }
    }

    /// The wait before the retry number `attempt`, counted from 0: `min × factor^attempt`, at most `max`.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.factor
            .checked_pow(attempt)
            .and_then(|growth| self.min.checked_mul(growth))
            .map_or(self.max, |delay| delay.min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_ladders_are_accepted() {
        let second = Duration::from_secs(1);
        assert_eq!(
            Backoff::try_new(Duration::ZERO, second, 2),
            Err(BackoffError::ZeroMinimum)
        );
        assert_eq!(
            Backoff::try_new(second * 2, second, 2),
            Err(BackoffError::MaximumBelowMinimum {
                min: second * 2,
                max: second
            })
        );
        assert_eq!(Backoff::try_new(second, second, 0), Err(BackoffError::ZeroFactor));
        assert!(Backoff::try_new(second, second, 1).is_ok());
        for known in [Backoff::FETCH, Backoff::REVISION, Backoff::ACTIVATION] {
            assert_eq!(Backoff::try_new(known.min, known.max, known.factor), Ok(known));
        }
    }

    #[test]
    fn the_network_ladder() {
        let delays: Vec<u64> = (0..9)
            .map(|attempt| Backoff::FETCH.delay(attempt).as_secs())
            .collect();
        assert_eq!(delays, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(Backoff::FETCH.delay(u32::MAX).as_secs(), 600);
    }

    proptest! {
        #[test]
        fn delays_stay_within_the_ladder_and_never_shrink(
            min in 1_u64..1_000_000_000_000, more in 0_u64..1_000_000_000_000, factor in 1_u32..50, attempt in 0_u32..200
        ) {
            let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min + more));
            let ladder = Backoff::try_new(min, max, factor).unwrap();
            let delay = ladder.delay(attempt);
            prop_assert!(min <= delay && delay <= max);
            prop_assert!(delay <= ladder.delay(attempt + 1));
            prop_assert_eq!(ladder.delay(0), min);
        }
    }
}
