//! The policy in force on a machine: the fragments over the preset, each key decided by the last fragment
//! that names it, and then checked as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::document::{self, DocumentError};
use crate::fragment::Fragment;
use crate::preset::Preset;
use crate::values::{
    Age, ByteSize, DriftResponse, GenerationCount, Grace, KernelChange, Probe, RetryCount, Timeout, UnitName,
};

/// A complete and sound policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The preset that filled the gaps.
    pub preset: Preset,
    /// How long an activation may take, probes included, before it is reverted.
    pub activation_timeout: Timeout,
    /// How long the evaluation may take.
    pub evaluation_timeout: Timeout,
    /// How much memory the evaluation may use.
    pub evaluation_memory: ByteSize,
    /// How long a build may take; `None`: as long as it takes.
    pub build_timeout: Option<Timeout>,
    /// How long a probe that fails after the activation may take to come back.
    pub probe_grace: Grace,
    /// How often a probe that fails is asked again at the least, also beyond the grace.
    pub probe_retries: RetryCount,
    /// How long the probes have to pass on before the activation is confirmed.
    pub probe_soak: Grace,
    /// The probes, by name.
    pub probes: BTreeMap<String, Probe>,
    /// How many generations are kept, the running one included.
    pub keep_generations: GenerationCount,
    /// What is done about what fell out of place.
    pub drift: DriftResponse,
    /// What is done about a generation that a person activated.
    pub foreign_generation: DriftResponse,
    /// How long after a look for drift the next one is taken.
    pub drift_interval: Timeout,
    /// Up to which age generations are kept beyond that number; `None`: none is for its age.
    pub keep_within: Option<Age>,
    /// The units without which a machine is not to be left where an activation took them away.
    pub critical_units: BTreeSet<UnitName>,
    /// Which specialisation of a NixOS system is to run; `None`: the one that runs already, or none.
    pub specialisation: Option<String>,
    /// What is done about another kernel.
    pub kernel_change: KernelChange,
    /// How long probes may take to come back after a boot.
    pub boot_grace: Grace,
}

/// Why fragments make no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The preset that is built in cannot be read: a bug of this crate.
    #[error("cannot read the built-in preset `{preset}`; this is a bug")]
    Preset {
        /// The preset.
        preset: Preset,
        /// Where and what.
        #[source]
        source: DocumentError,
    },
    /// The activation would be reverted before the probe could speak.
    #[error(
        "probe `{probe}` may end {ends:?} after the activation, but `activation_timeout` reverts it after {limit:?}"
    )]
    ProbeOutlastsActivation {
        /// The probe's name.
        probe: String,
        /// `probe_grace`, and the probe's timeout for each of its tries.
        ends: Duration,
        /// The `activation_timeout`.
        limit: Duration,
    },
}

/// The merged values before they are checked as a whole. A preset has this shape.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Merged {
    activation_timeout: Timeout,
    evaluation_timeout: Timeout,
    evaluation_memory: ByteSize,
    build_timeout: Option<Timeout>,
    probe_grace: Grace,
    probe_retries: RetryCount,
    probe_soak: Grace,
    #[serde(default)]
    probes: BTreeMap<String, Probe>,
    keep_generations: GenerationCount,
    drift: DriftResponse,
    foreign_generation: DriftResponse,
    drift_interval: Timeout,
    keep_within: Option<Age>,
    #[serde(default)]
    critical_units: BTreeSet<UnitName>,
    specialisation: Option<String>,
    #[serde(default)]
    kernel_change: KernelChange,
    boot_grace: Grace,
}

impl Merged {
    fn preset(preset: Preset) -> Result<Self, PolicyError> {
        document::read(preset.text()).map_err(|source| PolicyError::Preset { preset, source })
    }

    fn overlay(self, fragment: &Fragment) -> Self {
        let mut probes = self.probes;
        probes.extend(fragment.probes.clone());
        let mut critical_units = self.critical_units;
        critical_units.extend(fragment.critical_units.iter().cloned());
        Self {
            activation_timeout: fragment.activation_timeout.unwrap_or(self.activation_timeout),
            evaluation_timeout: fragment.evaluation_timeout.unwrap_or(self.evaluation_timeout),
            evaluation_memory: fragment.evaluation_memory.unwrap_or(self.evaluation_memory),
            build_timeout: fragment.build_timeout.or(self.build_timeout),
            probe_grace: fragment.probe_grace.unwrap_or(self.probe_grace),
            probe_retries: fragment.probe_retries.unwrap_or(self.probe_retries),
            probe_soak: fragment.probe_soak.unwrap_or(self.probe_soak),
            probes,
            keep_generations: fragment.keep_generations.unwrap_or(self.keep_generations),
            drift: fragment.drift.unwrap_or(self.drift),
            foreign_generation: fragment.foreign_generation.unwrap_or(self.foreign_generation),
            drift_interval: fragment.drift_interval.unwrap_or(self.drift_interval),
            keep_within: fragment.keep_within.clone().or(self.keep_within),
            critical_units,
            specialisation: fragment.specialisation.clone().or(self.specialisation),
            kernel_change: fragment.kernel_change.unwrap_or(self.kernel_change),
            boot_grace: fragment.boot_grace.unwrap_or(self.boot_grace),
        }
    }

    fn validate(self, preset: Preset) -> Result<Policy, PolicyError> {
        let limit = self.activation_timeout.get();
        for (name, probe) in &self.probes {
            let looks = probe.timeout.get().saturating_mul(self.probe_retries.get() + 1);
            let ends = self.probe_grace.get().saturating_add(looks);
            if ends >= limit {
                return Err(PolicyError::ProbeOutlastsActivation {
                    probe: name.clone(),
                    ends,
                    limit,
                });
            }
        }
        Ok(Policy {
            preset,
            activation_timeout: self.activation_timeout,
            evaluation_timeout: self.evaluation_timeout,
            evaluation_memory: self.evaluation_memory,
            build_timeout: self.build_timeout,
            probe_grace: self.probe_grace,
            probe_retries: self.probe_retries,
            probe_soak: self.probe_soak,
            probes: self.probes,
            keep_generations: self.keep_generations,
            drift: self.drift,
            foreign_generation: self.foreign_generation,
            drift_interval: self.drift_interval,
            keep_within: self.keep_within,
            critical_units: self.critical_units,
            specialisation: self.specialisation,
            kernel_change: self.kernel_change,
            boot_grace: self.boot_grace,
        })
    }
}

impl Policy {
    /// Combines fragments: of those that name a key the last one decides; probes are combined by name, critical
    /// units added up; the
    /// last named preset (`server` where none is) fills what no fragment names.
    ///
    /// # Errors
    /// [`PolicyError::ProbeOutlastsActivation`] where the values contradict each other.
    pub fn merge(order: &[Fragment]) -> Result<Self, PolicyError> {
        let preset = order
            .iter()
            .rev()
            .find_map(|fragment| fragment.preset)
            .unwrap_or_default();
        order
            .iter()
            .fold(Merged::preset(preset)?, Merged::overlay)
            .validate(preset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_policy() {
        for preset in Preset::ALL {
            let fragment = Fragment {
                preset: Some(preset),
                ..Fragment::default()
            };
            assert_eq!(Policy::merge(&[fragment]).unwrap().preset, preset);
        }
    }

    #[test]
    fn nothing_declared_is_a_server() {
        let policy = Policy::merge(&[]).unwrap();
        assert_eq!(policy.preset, Preset::Server);
        assert_eq!(policy.activation_timeout.get(), Duration::from_secs(30 * 60));
        assert_eq!(policy.evaluation_timeout.get(), Duration::from_secs(15 * 60));
        assert_eq!(policy.evaluation_memory.bytes(), 8 << 30);
        assert_eq!(policy.build_timeout, None);
        assert_eq!(policy.probe_grace.get(), Duration::from_secs(10));
        assert_eq!(policy.probe_retries.get(), 1);
        assert_eq!(policy.probe_soak.get(), Duration::from_secs(5));
        assert_eq!(policy.keep_generations.get(), 10);
        assert_eq!(policy.drift, DriftResponse::Report);
        assert_eq!(policy.foreign_generation, DriftResponse::Report);
        assert_eq!(policy.drift_interval.get(), Duration::from_secs(60 * 60));
    }

    #[test]
    fn a_probe_must_end_before_the_deadman_acts() {
        let fragment = |limit: &str| -> Fragment {
            document::read(&format!(
                "activation_timeout = '{limit}'\nprobe_grace = '10s'\nprobe_retries = 0\nprobes.web = {{ command = ['x'], timeout = '50s' }}"
            ))
            .unwrap()
        };
        assert!(Policy::merge(&[fragment("61s")]).is_ok());
        let error = Policy::merge(&[fragment("60s")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "probe `web` may end 60s after the activation, but `activation_timeout` reverts it after 60s"
        );
    }

    #[test]
    fn a_later_fragment_takes_nothing_away() {
        let first = document::read::<Fragment>("build_timeout = '1h'\nprobes.a.command = ['a']").unwrap();
        let second = document::read::<Fragment>("probes.b.command = ['b']").unwrap();
        let policy = Policy::merge(&[first, second]).unwrap();
        assert!(policy.build_timeout.is_some());
        assert_eq!(policy.probes.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}
