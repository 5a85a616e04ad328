//! Whether a built path is what its entry says it is, before anything else is done with it.

use super::Class;
use camino::{Utf8Path, Utf8PathBuf};

/// A store path that is not a system of its class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// A file that every toplevel of the class has is missing.
    #[error("{toplevel} is no {class} toplevel: it has no {missing}")]
    Missing {
        /// The store path.
        toplevel: Utf8PathBuf,
        /// The class it should be of.
        class: Class,
        /// What it lacks.
        missing: &'static str,
    },
    /// It was built for another system.
    #[error("{toplevel} is for {found}, and this machine is {expected}")]
    System {
        /// The store path.
        toplevel: Utf8PathBuf,
        /// The system it is for.
        found: String,
        /// The system of this machine.
        expected: String,
    },
}

/// Checks that `toplevel` is a toplevel of `class` for `system`.
pub fn identify(toplevel: &Utf8Path, class: Class, system: &str) -> Result<(), IdentifyError> {
    let needed: &[&'static str] = match class {
        Class::Nixos => &["nixos-version", "bin/switch-to-configuration", "system"],
        Class::Darwin => &["systemConfig", "activate"],
        Class::HomeManager if toplevel.join("users").is_dir() => return homes(toplevel),
        Class::HomeManager => &["gen-version", "activate"],
        Class::SystemManager => &["bin/activate", "services/services.json", "etcFiles/etcFiles.json"],
        Class::Custom => &["bin/activate"],
    };
    for missing in needed {
        if !toplevel.join(missing).exists() {
            return Err(IdentifyError::Missing {
                toplevel: toplevel.to_owned(),
                class,
                missing,
            });
        }
    }
    // Older ones have the first, newer ones both.
    let versions = ["darwin-version", "darwin-version.json"];
    if class == Class::Darwin && !versions.iter().any(|version| toplevel.join(version).exists()) {
        return Err(IdentifyError::Missing {
            toplevel: toplevel.to_owned(),
            class,
            missing: "darwin-version",
        });
    }
    if matches!(class, Class::Nixos | Class::Darwin)
        && let Ok(found) = std::fs::read_to_string(toplevel.join("system"))
        && found.trim() != system
    {
        return Err(IdentifyError::System {
            toplevel: toplevel.to_owned(),
            found: found.trim().to_owned(),
            expected: system.to_owned(),
        });
    }
    Ok(())
}

/// A toplevel of several homes has a generation of home-manager for each.
fn homes(toplevel: &Utf8Path) -> Result<(), IdentifyError> {
    let users = toplevel
        .join("users")
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten();
    let mut users = users.peekable();
    let missing = |missing, toplevel: &Utf8Path| {
        Err(IdentifyError::Missing {
            toplevel: toplevel.to_owned(),
            class: Class::HomeManager,
            missing,
        })
    };
    if users.peek().is_none() {
        return missing("users/<user>", toplevel);
    }
    for user in users {
        for needed in ["gen-version", "activate"] {
            if !user.path().join(needed).exists() {
                return missing(needed, user.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Lasting, folder, replace};

    #[test]
    fn a_package_is_no_system() {
        let scratch = tempfile::tempdir().unwrap();
        let toplevel = Utf8Path::from_path(scratch.path()).unwrap();
        let missing = |class| match identify(toplevel, class, "x86_64-linux") {
            Err(IdentifyError::Missing { missing, .. }) => missing,
            other => panic!("{other:?}"),
        };
        assert_eq!(missing(Class::Nixos), "nixos-version");
        replace(&toplevel.join("nixos-version"), b"26.05", 0o644, Lasting::Process).unwrap();
        assert_eq!(missing(Class::Nixos), "bin/switch-to-configuration");
        assert_eq!(missing(Class::Custom), "bin/activate");
        folder(&toplevel.join("bin"), 0o755).unwrap();
        replace(
            &toplevel.join("bin/switch-to-configuration"),
            b"",
            0o755,
            Lasting::Process,
        )
        .unwrap();
        assert_eq!(missing(Class::Nixos), "system");
        let system = |text: &[u8]| {
            replace(&toplevel.join("system"), text, 0o644, Lasting::Process).unwrap();
            identify(toplevel, Class::Nixos, "x86_64-linux")
        };
        assert_eq!(system(b"x86_64-linux"), Ok(()));
        assert!(matches!(
            system(b"aarch64-linux"),
            Err(IdentifyError::System { .. })
        ));
    }
}
