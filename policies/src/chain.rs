//! All gates in their order. Every gate is asked and every verdict kept, so that a person sees all that
//! stands in the way at once; the first that blocks decides.

use crate::facts::Facts;
use crate::gate::{GateName, GateReport, Verdict};
use crate::gates;

/// What all gates say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// One report a gate, in the order of the gates.
    pub reports: Vec<GateReport>,
}

impl Decision {
    /// The first report that is not an allowance; `None`: the candidate may go on.
    #[must_use]
    pub fn block(&self) -> Option<&GateReport> {
        self.reports.iter().find(|report| !report.verdict.is_allow())
    }

    /// Whether no gate blocks.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.block().is_none()
    }
}

/// Asks every gate. What failed on this machine comes first, then what a person ordered, then what merely
/// waits: where several block, the one that takes most to lift is named.
#[must_use]
pub fn evaluate(facts: &Facts<'_>) -> Decision {
    let report = |gate: GateName, verdict: Verdict| GateReport { gate, verdict };
    Decision {
        reports: vec![
            report(GateName::Quarantine, gates::quarantine::check(facts)),
            report(GateName::Pin, gates::pin::check(facts)),
            report(GateName::Hold, gates::hold::check(facts)),
            report(GateName::Drift, gates::drift::check(facts)),
            report(GateName::Retry, gates::retry::check(facts)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::facts::{Candidate, Drift, Failure, Force, Hold, Pin, Stage};
    use crate::quarantine::{Cause, Entry};

    proptest! {
        #[test]
        fn all_are_recorded_and_the_first_block_decides(
            quarantined: bool, pinned: bool, held: bool, drifted: bool, failed: bool, force in 0..3_usize
        ) {
            let now = Timestamp::UNIX_EPOCH;
            let force = [Force::None, Force::Retry, Force::Quarantine][force];
            let entry = Entry {
                revision: "r".into(), toplevel: "t".into(), reason: Cause::Unconfirmed, since: now, until: None,
            };
            let pin = Pin { revision: "other".into(), by: "root".into(), why: None, since: now };
            let hold = Hold { by: "root".into(), why: None, since: now, until: None };
            let failure = Failure { revision: "r".into(), stage: Stage::Build, attempts: 1, failed_at: now };
            let drift = Drift { what: "etc".into(), since: now };
            let list = [entry];
            let decision = evaluate(&Facts {
                now,
                candidate: Candidate { revision: "r", toplevel: Some("t") },
                quarantine: if quarantined { &list } else { &[] },
                pin: pinned.then_some(&pin),
                hold: held.then_some(&hold),
                drift: drifted.then_some(&drift),
                failure: failed.then_some(&failure),
                force,
            });
            let expected = [
                (GateName::Quarantine, quarantined && force < Force::Quarantine),
                (GateName::Pin, pinned),
                (GateName::Hold, held),
                (GateName::Drift, drifted && force < Force::Quarantine),
                (GateName::Retry, failed && force < Force::Retry),
            ];
            let reported: Vec<_> =
                decision.reports.iter().map(|report| (report.gate, !report.verdict.is_allow())).collect();
            prop_assert_eq!(reported, expected);
            let first = expected.iter().find(|(_, blocks)| *blocks).map(|(gate, _)| *gate);
            prop_assert_eq!(decision.block().map(|report| report.gate), first);
            prop_assert_eq!(decision.is_allow(), first.is_none());
        }
    }
}
