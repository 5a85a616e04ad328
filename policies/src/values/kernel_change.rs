//! What is done where only a boot changes a part of what is declared.

use serde::{Deserialize, Serialize};

/// How a system with another kernel, initrd or kernel modules than those that were booted comes to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelChange {
    /// It is switched to, and runs on the kernel that was booted until the next boot.
    #[default]
    Switch,
    /// It is made the boot default and waits for a boot.
    Reboot,
}
