//! Whether a reboot is due on NixOS: what was booted beside what the generation would boot.

use super::document::RebootStatus;
use crate::config::Paths;
use camino::Utf8Path;

/// What only a boot can change, as `system.autoUpgrade` of nixpkgs compares it.
const BOOTED: [&str; 3] = ["initrd", "kernel", "kernel-modules"];

/// Compares the booted system with a toplevel. A container has no kernel of its own, and needs no reboot.
pub(super) fn reboot(paths: &Paths, toplevel: &Utf8Path) -> RebootStatus {
    let booted = paths.host("/run/booted-system");
    let mut reasons = Vec::new();
    for part in BOOTED {
        let of = |system: &Utf8Path| system.join(part).canonicalize_utf8().ok();
        if let (Some(booted), Some(declared)) = (of(&booted), of(toplevel))
            && booted != declared
        {
            reasons.push(part.to_owned());
        }
    }
    let parameters = |system: &Utf8Path| std::fs::read_to_string(system.join("kernel-params")).ok();
    if let (Some(booted), Some(declared)) = (parameters(&booted), parameters(toplevel))
        && booted != declared
    {
        reasons.push("kernel-params".to_owned());
    }
    RebootStatus {
        required: !reasons.is_empty(),
        reasons,
    }
}
