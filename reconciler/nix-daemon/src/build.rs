//! Builds: how they are asked for and how they end. Holds the daemon's verdict, and adds none.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::open_enum;
use crate::store_path::StorePath;

/// How targets are built: Nix's `BuildMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BuildMode {
    /// Build what is not there.
    #[default]
    Normal,
    /// Rebuild or fetch again what is corrupt; trusted users only.
    Repair,
    /// Build again and compare.
    Check,
}

impl BuildMode {
    pub(crate) fn code(self) -> u64 {
        match self {
            BuildMode::Normal => 0,
            BuildMode::Repair => 1,
            BuildMode::Check => 2,
        }
    }
}

open_enum! {
    /// How a build ended: Nix's `BuildResult::Status`.
    BuildStatus {
        /// It was built.
        Built = 0,
        /// It was substituted.
        Substituted = 1,
        /// It was there.
        AlreadyValid = 2,
        /// The builder failed.
        PermanentFailure = 3,
        /// The daemon refused the derivation.
        InputRejected = 4,
        /// An output is not what was declared, such as by its hash.
        OutputRejected = 5,
        /// It failed, and may succeed another time.
        TransientFailure = 6,
        /// It failed before, and was not tried.
        CachedFailure = 7,
        /// It took too long, or was silent for too long.
        TimedOut = 8,
        /// Anything else; with an empty message it was not attempted, because another target failed.
        MiscFailure = 9,
        /// A derivation it needs failed.
        DependencyFailed = 10,
        /// The builder printed more than allowed.
        LogLimitExceeded = 11,
        /// Built again, the outputs differ.
        NotDeterministic = 12,
        /// It resolves to a derivation whose outputs are there.
        ResolvesToAlreadyValid = 13,
        /// No substituter has it.
        NoSubstituters = 14,
    }
}

impl BuildStatus {
    /// Whether the outputs are valid now.
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(
            self,
            BuildStatus::Built
                | BuildStatus::Substituted
                | BuildStatus::AlreadyValid
                | BuildStatus::ResolvesToAlreadyValid
        )
    }
}

/// How one target of a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildResult {
    /// The verdict.
    pub status: BuildStatus,
    /// What the daemon said about a failure, without terminal escapes; empty otherwise. Untrusted: it quotes
    /// the builder's last lines.
    pub message: String,
    /// How many times it was built.
    pub times_built: u64,
    /// Whether repeated builds differed.
    pub non_deterministic: bool,
    /// Seconds since the epoch at which the build began; 0 when nothing was built, or the daemon does not tell.
    pub started_at: u64,
    /// Seconds since the epoch at which the build ended; 0 when nothing was built, or the daemon does not tell.
    pub stopped_at: u64,
    /// Processor time in user mode, where the daemon knows it (protocol 1.37).
    pub cpu_user: Option<Duration>,
    /// Processor time in kernel mode, where the daemon knows it (protocol 1.37).
    pub cpu_system: Option<Duration>,
    /// The outputs by name; empty for a failure and for an opaque target.
    pub outputs: BTreeMap<String, StorePath>,
}

impl BuildResult {
    /// Whether the outputs are valid now.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Of a target that the daemon did not get to.
    pub(crate) fn not_attempted() -> BuildResult {
        BuildResult {
            status: BuildStatus::MiscFailure,
            message: String::new(),
            times_built: 0,
            non_deterministic: false,
            started_at: 0,
            stopped_at: 0,
            cpu_user: None,
            cpu_system: None,
            outputs: BTreeMap::new(),
        }
    }

    /// Whether the target was left alone because another one failed and `keep-going` is off.
    #[must_use]
    pub fn is_not_attempted(&self) -> bool {
        self.status == BuildStatus::MiscFailure && self.message.is_empty()
    }
}
