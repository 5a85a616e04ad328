//! What only a boot can change on NixOS: what forbids a switch, and what a switch leaves as it was booted. Reads
//! toplevels and decides nothing.
//!
//! Reasons are named as `status` tells them: `inhibitor:NAME`, `init-interface`, `kernel` and so on.

use crate::config::Paths;
use camino::Utf8Path;
use std::collections::BTreeMap;

/// What only a boot can change, as `system.autoUpgrade` of nixpkgs compares it.
const BOOTED: [&str; 3] = ["initrd", "kernel", "kernel-modules"];

/// Why `new` cannot be switched to while `current` runs: what `switch-to-configuration` itself refuses.
pub(super) fn forbids_switch(current: &Utf8Path, new: &Utf8Path) -> Vec<String> {
    let mut reasons = inhibitors(
        &read(current, "switch-inhibitors"),
        &read(new, "switch-inhibitors"),
    );
    let interface = |toplevel| read(toplevel, "init-interface-version").map(|text| text.trim().to_owned());
    if let (Some(runs), Some(declared)) = (interface(current), interface(new))
        && runs != declared
    {
        reasons.push("init-interface".to_owned());
    }
    reasons
}

/// What of the booted system is not what a toplevel would boot. A container has no kernel of its own, and needs no
/// reboot.
pub(super) fn kernel_differs(paths: &Paths, toplevel: &Utf8Path) -> Vec<String> {
    let booted = paths.host("/run/booted-system");
    let of = |system: &Utf8Path, part: &str| system.join(part).canonicalize_utf8().ok();
    let differs = |part: &&str| match (of(&booted, part), of(toplevel, part)) {
        (Some(booted), Some(declared)) => booted != declared,
        _ => false,
    };
    BOOTED.into_iter().filter(differs).map(str::to_owned).collect()
}

/// Every reason to start the machine anew.
pub(super) fn due(paths: &Paths, toplevel: &Utf8Path) -> Vec<String> {
    let booted = paths.host("/run/booted-system");
    let mut reasons = kernel_differs(paths, toplevel);
    if let (Some(booted), Some(declared)) = (read(&booted, "kernel-params"), read(toplevel, "kernel-params"))
        && booted != declared
    {
        reasons.push("kernel-params".to_owned());
    }
    let triggers = |toplevel| read(toplevel, "reboot-triggers").and_then(|text| pairs(&text));
    if let (Some(booted), Some(declared)) = (triggers(&booted), triggers(toplevel)) {
        let changed = changed(&booted, &declared);
        reasons.extend(
            changed
                .into_iter()
                .filter(|name| !reasons.contains(name))
                .collect::<Vec<_>>(),
        );
    }
    reasons
}

/// The names that both have with another value; from before they had values, the store paths that only one has.
fn inhibitors(current: &Option<String>, new: &Option<String>) -> Vec<String> {
    let (Some(current), Some(new)) = (current, new) else {
        return Vec::new();
    };
    let named = |name: String| format!("inhibitor:{name}");
    match (pairs(current), pairs(new)) {
        (Some(current), Some(new)) => changed(&current, &new).into_iter().map(named).collect(),
        (None, None) => {
            let lines = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
            let (current, new) = (lines(current), lines(new));
            let only_new = new.into_iter().filter(|path| !current.contains(path));
            only_new
                .map(|path| named(crate::text::store_path(&path)))
                .collect()
        }
        // Of two forms neither says anything of the other.
        _ => Vec::new(),
    }
}

fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let differs = |(name, value): &(&String, &String)| before.get(*name).is_some_and(|was| was != *value);
    after
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone())
        .collect()
}

fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(text).ok()
}

fn read(toplevel: &Utf8Path, file: &str) -> Option<String> {
    std::fs::read_to_string(toplevel.join(file)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inhibitor_is_what_both_name_and_differs() {
        let table = [
            (
                r#"{"dbus": "dbus"}"#,
                r#"{"dbus": "broker"}"#,
                vec!["inhibitor:dbus"],
            ),
            (r#"{"dbus": "dbus"}"#, r#"{"dbus": "dbus"}"#, vec![]),
            (r#"{"dbus": "dbus"}"#, r#"{"init": "x"}"#, vec![]),
            ("{}", r#"{"dbus": "broker"}"#, vec![]),
            (
                r#"{"a": "1", "b": "1", "c": "1"}"#,
                r#"{"a": "2", "b": "1", "c": "3"}"#,
                vec!["inhibitor:a", "inhibitor:c"],
            ),
            (
                "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-systemd-1\n",
                "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-systemd-2\n",
                vec!["inhibitor:systemd-2 (bbbbbbbb)"],
            ),
            ("/nix/store/a\n/nix/store/b", "/nix/store/b\n", vec![]),
            // A list beside an object.
            ("/nix/store/a", r#"{"a": "1"}"#, vec![]),
            ("nonsense", "{", vec!["inhibitor:{"]),
        ];
        for (current, new, reasons) in table {
            let found = inhibitors(&Some(current.to_owned()), &Some(new.to_owned()));
            assert_eq!(found, reasons, "{current} -> {new}");
        }
        assert_eq!(inhibitors(&None, &Some("{}".to_owned())), Vec::<String>::new());
    }
}
