//! What was activated and failed is not activated again until the commit changes, its time is over, or a
//! person insists.

use crate::facts::{Facts, Force};
use crate::gate::{Reason, Verdict};
use crate::quarantine;

/// Holds a candidate that is in the quarantine list. Before the evaluation, when the toplevel is not known
/// yet, the revision alone decides: it would evaluate to the same toplevel again.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Verdict {
    if facts.force >= Force::Quarantine {
        return Verdict::Allow;
    }
    let candidate = facts.candidate;
    match quarantine::find(
        facts.quarantine,
        candidate.revision,
        candidate.toplevel,
        facts.now,
    ) {
        None => Verdict::Allow,
        Some(entry) => Verdict::Hold {
            reason: Reason::Quarantined {
                cause: entry.reason,
                since: entry.since,
            },
            until: entry.until,
        },
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::facts::Candidate;
    use crate::quarantine::{Cause, Entry};

    #[test]
    fn only_the_same_revision_and_toplevel_is_held() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let list = [Entry {
            revision: "r1".into(),
            toplevel: "t1".into(),
            reason: Cause::ActivationFailed,
            since: at(0),
            until: Some(at(100)),
        }];
        let cases = [
            ("r1", Some("t1"), 50, Force::None, false),
            ("r1", None, 50, Force::None, false),
            ("r1", Some("t1"), 50, Force::Retry, false),
            ("r1", Some("t1"), 50, Force::Quarantine, true),
            ("r1", Some("t1"), 100, Force::None, true),
            ("r1", Some("t2"), 50, Force::None, true),
            ("r2", Some("t1"), 50, Force::None, true),
            ("r2", None, 50, Force::None, true),
        ];
        for (revision, toplevel, now, force, allowed) in cases {
            let verdict = check(&Facts {
                quarantine: &list,
                force,
                ..Facts::new(at(now), Candidate { revision, toplevel })
            });
            assert_eq!(
                verdict.is_allow(),
                allowed,
                "{revision} {toplevel:?} {now} {force:?}"
            );
            if let Verdict::Hold { until, .. } = verdict {
                assert_eq!(until, Some(at(100)));
            }
        }
    }
}
