//! How much an evaluation for a person may use: what the fleet's `reconciler.toml` says for all of its machines, or what
//! every policy begins with.

use crate::nix::Limits;
use reconciler_policies::{FleetPolicy, Policy, PolicyError};

/// The bounds of each evaluation of the fleet with this `reconciler.toml`.
pub(super) fn limits(declared: &[u8]) -> Result<Limits, PolicyError> {
    // What is wrong in it is for those to say who act by it; to look at a fleet the usual bounds do.
    let fleet = FleetPolicy::parse(&String::from_utf8_lossy(declared)).unwrap_or_default();
    let policy = Policy::merge(&[fleet.all]).or_else(|_| Policy::merge(&[]))?;
    Ok(Limits {
        time: policy.evaluation_timeout.get(),
        memory: policy.evaluation_memory.bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::limits;

    #[test]
    fn the_fleet_says_how_much_and_nonsense_changes_nothing() {
        let of = |text: &str| {
            let limits = limits(text.as_bytes()).unwrap();
            (limits.memory >> 30, limits.time.as_secs() / 60)
        };
        let usual = of("");
        assert_eq!(
            of("[policy]\nevaluation_memory = \"3 GiB\"\nevaluation_timeout = \"40min\"\n"),
            (3, 40)
        );
        assert_ne!(usual, (3, 40));
        assert_eq!(of("[policy]\nevaluation_memory = 3\n"), usual);
        assert_eq!(
            of("[policy.machines.cinnabar]\nevaluation_memory = \"3 GiB\"\n"),
            usual
        );
    }
}
