//! A held machine stays as it is, until a time or until someone releases it.

use crate::facts::Facts;
use crate::gate::{Reason, Verdict};

/// Holds every candidate while a hold is in force; at its `until` it is over.
#[must_use]
pub fn check(facts: &Facts<'_>) -> Verdict {
    match facts.hold {
        Some(hold) if hold.until.is_none_or(|until| facts.now < until) => Verdict::Hold {
            reason: Reason::Held {
                by: hold.by.clone(),
                why: hold.why.clone(),
            },
            until: hold.until,
        },
        _ => Verdict::Allow,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::facts::{Candidate, Force, Hold};

    #[test]
    fn a_hold_lasts_until_its_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let hold = |until: Option<i64>| Hold {
            by: "root".into(),
            why: Some("disk swap".into()),
            since: at(0),
            until: until.map(at),
        };
        let cases = [
            (Some(hold(None)), 1_000_000, Force::None, false),
            (Some(hold(None)), 1_000_000, Force::Quarantine, false),
            (Some(hold(Some(100))), 99, Force::None, false),
            (Some(hold(Some(100))), 100, Force::None, true),
            (None, 0, Force::None, true),
        ];
        for (hold, now, force, allowed) in cases {
            let candidate = Candidate {
                revision: "r",
                toplevel: None,
            };
            let verdict = check(&Facts {
                hold: hold.as_ref(),
                force,
                ..Facts::new(at(now), candidate)
            });
            let expected = match hold {
                Some(hold) if !allowed => Verdict::Hold {
                    reason: Reason::Held {
                        by: hold.by,
                        why: hold.why,
                    },
                    until: hold.until,
                },
                _ => Verdict::Allow,
            };
            assert_eq!(verdict, expected, "{now} {force:?}");
        }
    }
}
