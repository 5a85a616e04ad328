//! A revision that failed is tried again, but not at once.

use jiff::{SignedDuration, Timestamp};

use crate::facts::{Facts, Failure, Force};
use crate::gate::{Reason, Verdict};

/// Holds a revision that failed until its next try, which the ladder of the failed stage sets. A different
/// revision is free to go.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Verdict {
    match facts.failure {
        Some(failure) if failure.revision == facts.candidate.revision && facts.force < Force::Retry => {
            wait(failure, facts.now)
        }
        _ => Verdict::Allow,
    }
}

/// When a failure may be tried again.
#[must_use]
pub fn next_try(failure: &Failure) -> Timestamp {
    failure
        .failed_at
        .saturating_add(delay(failure))
        .unwrap_or(Timestamp::MAX)
}

fn delay(failure: &Failure) -> SignedDuration {
    let delay = failure.stage.ladder().delay(failure.attempts.saturating_sub(1));
    SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX)
}

fn wait(failure: &Failure, now: Timestamp) -> Verdict {
    let next = next_try(failure);
    // A failure in the future means that the clock was set back; it must not hold the machine until the
    // clock has caught up.
    if now >= next || now < failure.failed_at {
        return Verdict::Allow;
    }
    Verdict::Hold {
        reason: Reason::Retrying {
            stage: failure.stage,
            attempts: failure.attempts,
        },
        until: Some(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Candidate, Stage};

    #[test]
    fn the_next_try_is_a_step_of_the_ladder_away() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let cases = [
            // revision, stage, attempts, now, force, next try
            ("r1", Stage::Build, 1, 1_000, Force::None, Some(1_060)),
            ("r1", Stage::Build, 1, 1_059, Force::None, Some(1_060)),
            ("r1", Stage::Build, 1, 1_060, Force::None, None),
            ("r1", Stage::Build, 3, 1_060, Force::None, Some(1_240)),
            ("r1", Stage::Fetch, 1, 1_004, Force::None, Some(1_005)),
            ("r1", Stage::Activate, 2, 1_060, Force::None, Some(2_800)),
            ("r1", Stage::Build, u32::MAX, 1_060, Force::None, Some(4_600)),
            ("r1", Stage::Build, 0, 1_000, Force::None, Some(1_060)),
            ("r1", Stage::Build, 3, 1_060, Force::Retry, None),
            ("r2", Stage::Build, 3, 1_060, Force::None, None),
            // The clock was set back behind the failure.
            ("r1", Stage::Build, 3, 999, Force::None, None),
        ];
        for (revision, stage, attempts, now, force, next) in cases {
            let failure = Failure {
                revision: "r1".into(),
                stage,
                attempts,
                failed_at: at(1_000),
            };
            let candidate = Candidate {
                revision,
                toplevel: None,
            };
            let facts = Facts {
                failure: Some(&failure),
                force,
                ..Facts::new(at(now), candidate)
            };
            let expected = match next {
                Some(next) => Verdict::Hold {
                    reason: Reason::Retrying { stage, attempts },
                    until: Some(at(next)),
                },
                None => Verdict::Allow,
            };
            assert_eq!(
                check(&facts),
                expected,
                "{revision} {stage} {attempts} {now} {force:?}"
            );
        }
    }
}
