//! A pinned machine stays on its revision, whatever the branch does.

use crate::facts::Facts;
use crate::gate::{Reason, Verdict};

/// Holds every revision but the pinned one.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Verdict {
    match facts.pin {
        Some(pin) if pin.revision != facts.candidate.revision => Verdict::Hold {
            reason: Reason::Pinned {
                revision: pin.revision.clone(),
                by: pin.by.clone(),
                why: pin.why.clone(),
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
    use crate::facts::{Candidate, Force, Pin};

    #[test]
    fn only_the_pinned_revision_passes() {
        let pin = Pin {
            revision: "r1".into(),
            by: "root".into(),
            why: None,
            since: Timestamp::UNIX_EPOCH,
        };
        let cases = [
            (Some(&pin), "r1", Force::None, true),
            (Some(&pin), "r2", Force::None, false),
            (Some(&pin), "r2", Force::Quarantine, false),
            (None, "r2", Force::None, true),
        ];
        for (pin, revision, force, allowed) in cases {
            let candidate = Candidate {
                revision,
                toplevel: None,
            };
            let verdict = check(&Facts {
                pin,
                force,
                ..Facts::new(Timestamp::UNIX_EPOCH, candidate)
            });
            assert_eq!(verdict.is_allow(), allowed, "{revision} {force:?}");
        }
    }
}
