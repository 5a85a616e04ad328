//! A piece of policy as it is written in one place: everything optional, unknown keys refused, each value
//! valid by itself. How pieces combine is in `policy`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::preset::Preset;
use crate::values::{
    Age, ByteSize, DriftResponse, GenerationCount, Grace, KernelChange, Probe, RetryCount, Timeout, UnitName,
};

/// The keys of `[policy]`, wherever it stands: in the fleet's `reconciler.toml`, for a tag, for a machine,
/// or in the machine's own configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fragment {
    /// The set of values that holds where no fragment says otherwise.
    pub preset: Option<Preset>,
    /// How long an activation may take, probes included, before it is reverted.
    pub activation_timeout: Option<Timeout>,
    /// How long the evaluation may take.
    pub evaluation_timeout: Option<Timeout>,
    /// How much memory the evaluation may use.
    pub evaluation_memory: Option<ByteSize>,
    /// How long a build may take.
    pub build_timeout: Option<Timeout>,
    /// How long services may take to come up before the probes run.
    pub probe_grace: Option<Grace>,
    /// How often a probe that fails is asked again at the least, also beyond the grace.
    pub probe_retries: Option<RetryCount>,
    /// How long the probes have to pass on before the activation is confirmed.
    pub probe_soak: Option<Grace>,
    /// The probes, by name; a later fragment's probe replaces an earlier one of the same name.
    #[serde(default)]
    pub probes: BTreeMap<String, Probe>,
    /// How many generations are kept.
    pub keep_generations: Option<GenerationCount>,
    /// What is done about what fell out of place.
    pub drift: Option<DriftResponse>,
    /// What is done about a generation that a person activated.
    pub foreign_generation: Option<DriftResponse>,
    /// How long after a look for drift the next one is taken.
    pub drift_interval: Option<Timeout>,
    /// Up to which age generations are kept beyond that number.
    pub keep_within: Option<Age>,
    /// The units without which a machine is not to be left; a later fragment adds to an earlier one.
    #[serde(default)]
    pub critical_units: BTreeSet<UnitName>,
    /// Which specialisation is to run.
    pub specialisation: Option<String>,
    /// What is done about another kernel.
    pub kernel_change: Option<KernelChange>,
    /// How long probes may take to come back after a boot.
    pub boot_grace: Option<Grace>,
}
