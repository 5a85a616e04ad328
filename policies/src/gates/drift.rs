//! Where the policy says `hold`, a machine that drifted gets nothing new until that is gone.

use crate::facts::{Facts, Force};
use crate::gate::{Reason, Verdict};

/// Holds every candidate while there is drift to be held for, unless somebody insists with `now --force`.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Verdict {
    match facts.drift {
        Some(drift) if facts.force < Force::Quarantine => Verdict::Hold {
            reason: Reason::Drifted {
                what: drift.what.clone(),
                since: drift.since,
            },
            until: None,
        },
        _ => Verdict::Allow,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::facts::{Candidate, Drift};

    #[test]
    fn drift_holds_until_somebody_insists() {
        let drift = Drift {
            what: "another system runs".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        let cases = [
            (Some(&drift), Force::None, false),
            (Some(&drift), Force::Retry, false),
            (Some(&drift), Force::Quarantine, true),
            (None, Force::None, true),
        ];
        for (drift, force, allowed) in cases {
            let candidate = Candidate {
                revision: "r",
                toplevel: None,
            };
            let verdict = check(&Facts {
                drift,
                force,
                ..Facts::new(Timestamp::UNIX_EPOCH, candidate)
            });
            assert_eq!(verdict.is_allow(), allowed, "{force:?}");
        }
    }
}
