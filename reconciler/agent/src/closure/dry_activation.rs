//! What `switch-to-configuration dry-activate` says it would do with units. Pure: text in, lists out.
//!
//! Its words are those of nixpkgs' switch-to-configuration-ng (`do_system_switch`, the dry run).

use serde::{Deserialize, Serialize};

/// The units that an activation would touch, each list sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// Stopped, and not started again.
    pub stop: Vec<String>,
    /// Started.
    pub start: Vec<String>,
    /// Restarted.
    pub restart: Vec<String>,
    /// Reloaded.
    pub reload: Vec<String>,
    /// Changed, and left alone all the same (`restartIfChanged = false`).
    pub skip: Vec<String>,
}

impl UnitPlan {
    /// Whether no unit is touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [&self.stop, &self.start, &self.restart, &self.reload]
            .iter()
            .all(|list| list.is_empty())
    }
}

/// Reads the dry run's output.
#[must_use]
pub fn planned_units(output: &str) -> UnitPlan {
    let mut plan = UnitPlan::default();
    for line in output.lines() {
        let line = line.trim();
        let Some((verb, names)) = line
            .strip_prefix("would ")
            .and_then(|rest| rest.split_once(" the following "))
            .and_then(|(verb, rest)| Some((verb, rest.split_once(": ")?.1)))
        else {
            continue;
        };
        let list = match verb {
            "stop" => &mut plan.stop,
            "start" => &mut plan.start,
            "restart" => &mut plan.restart,
            "reload" => &mut plan.reload,
            "NOT stop" => &mut plan.skip,
            _ => continue,
        };
        // The same verb stands twice where an activation script asks for units as well.
        list.extend(names.split(", ").map(|name| name.trim().to_owned()));
    }
    for list in [
        &mut plan.stop,
        &mut plan.start,
        &mut plan.restart,
        &mut plan.reload,
        &mut plan.skip,
    ] {
        list.retain(|name| !name.is_empty());
        list.sort();
        list.dedup();
    }
    // A unit that is stopped in order to be started again is one that restarts.
    let both: Vec<String> = plan
        .stop
        .iter()
        .filter(|name| plan.start.contains(name))
        .cloned()
        .collect();
    plan.stop.retain(|name| !both.contains(name));
    plan.start.retain(|name| !both.contains(name));
    plan.restart.extend(both);
    plan.restart.sort();
    plan.restart.dedup();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_its_list() {
        let said = "\
would stop the following units: b.service, a.service, gone.socket
would NOT stop the following changed units: display-manager.service
would activate the configuration...
would restart systemd
would reload the following units: dbus.service
would restart the following units: nginx.service
would restart the following units: sshd.service, nginx.service
would start the following units: a.service, new.service
";
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            planned_units(said),
            UnitPlan {
                stop: list(&["b.service", "gone.socket"]),
                start: list(&["new.service"]),
                restart: list(&["a.service", "nginx.service", "sshd.service"]),
                reload: list(&["dbus.service"]),
                skip: list(&["display-manager.service"]),
            }
        );
        assert!(planned_units("building the system configuration...\nwould do: x\n").is_empty());
    }
}
