//! Owns the way from a declaration to requirements. It must never look at the tree.

use super::error::{NameKind, RequirementProblem, RequirementProblems, RequirementsError, check_name};
use super::requirement::{Requirement, Requirements};
use crate::declared::Declared;
use crate::mode::Mode;

impl Requirements {
    /// What `declared` says machine `machine` needs; a file without a group gets `class_group`
    /// (`wheel` on darwin, `root` elsewhere).
    ///
    /// # Errors
    /// [`RequirementsError::Declaration`] names every name that is no path component and every mode that
    /// is none.
    pub fn declared(
        declared: &Declared,
        machine: &str,
        class_group: &str,
    ) -> Result<Self, RequirementsError> {
        check_name(NameKind::Machine, machine)?;
        let mut files = Vec::new();
        let mut problems = Vec::new();
        for (generator, declaration) in &declared.generators {
            problems.extend(
                check_name(NameKind::Generator, generator)
                    .err()
                    .map(RequirementProblem::Name),
            );
            for (file, facts) in &declaration.files {
                problems.extend(
                    check_name(NameKind::File, file)
                        .err()
                        .map(RequirementProblem::Name),
                );
                let mode = facts.mode.parse::<Mode>().unwrap_or_else(|source| {
                    problems.push(RequirementProblem::Mode {
                        generator: generator.clone(),
                        file: file.clone(),
                        source,
                    });
                    Mode::OWNER_READ
                });
                files.push(Requirement {
                    generator: generator.clone(),
                    share: declaration.share,
                    file: file.clone(),
                    secret: facts.secret,
                    deploy: facts.deploy,
                    owner: facts.owner.clone(),
                    group: facts.group.clone().unwrap_or_else(|| class_group.to_owned()),
                    mode,
                    needed_for: facts.needed_for,
                    restart_units: facts.restart_units.clone(),
                });
            }
        }
        if problems.is_empty() {
            Ok(Self::from_files(files))
        } else {
            Err(RequirementsError::Declaration(RequirementProblems(problems)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::placement::{Installer, Placement};
    use super::*;

    fn declared(text: &str) -> Declared {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn paths_are_those_of_clan() {
        let text = r#"{"generators":{"wifi":{"share":true,"files":{"psk":{}}},
            "ssh":{"files":{"key":{"owner":"git","mode":"0440"},"key.pub":{"secret":false}}}}}"#;
        let requirements = Requirements::declared(&declared(text), "jon", "wheel").unwrap();
        let paths: Vec<_> = requirements
            .files()
            .iter()
            .map(|file| file.repository_path("jon"))
            .collect();
        assert_eq!(
            paths,
            [
                "vars/per-machine/jon/ssh/key/secret",
                "vars/per-machine/jon/ssh/key.pub/value",
                "vars/shared/wifi/psk/secret"
            ]
        );
        let installed: Vec<_> = requirements
            .installed()
            .map(|file| file.install_path("jon"))
            .collect();
        assert_eq!(
            installed,
            ["vars/per-machine/jon/ssh/key", "vars/shared/wifi/psk"]
        );
        assert_eq!(requirements.files()[0].group, "wheel");
    }

    #[test]
    fn what_is_not_deployed_or_only_partitions_is_not_installed() {
        let text = r#"{"generators":{"g":{"files":{"a":{"deploy":false},"b":{"neededFor":"partitioning"},
            "c":{"secret":false},"d":{"neededFor":"activation"},"e":{"neededFor":"users"}}}}}"#;
        let requirements = Requirements::declared(&declared(text), "m", "root").unwrap();
        let installed: Vec<_> = requirements.installed().map(|file| file.file.as_str()).collect();
        assert_eq!(installed, ["d", "e"]);
    }

    #[test]
    fn every_bad_name_and_mode_is_named() {
        let text = r#"{"generators":{"..":{"files":{"a/b":{},"ok":{"mode":"rw"},"":{}}}}}"#;
        let error = Requirements::declared(&declared(text), "m", "root").unwrap_err();
        let RequirementsError::Declaration(problems) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(problems.0.len(), 4);
        let text = error.to_string();
        for part in ["\"..\"", "\"a/b\"", "g", "ok", "\"rw\""] {
            assert!(text.contains(part), "{text}");
        }
        let error = Requirements::declared(&Declared::default(), "../m", "root").unwrap_err();
        assert!(matches!(error, RequirementsError::Machine(_)));
    }

    #[test]
    fn the_stored_form_is_read_back_and_a_newer_one_is_not() {
        let text = r#"{"generators":{"g":{"files":{"f":{"restartUnits":["a.service"]}}}}}"#;
        let requirements = Requirements::declared(&declared(text), "m", "root").unwrap();
        let stored = serde_json::to_string(&requirements).unwrap();
        // The form of version 1, kept so that later code goes on reading it.
        assert_eq!(
            stored,
            r#"{"version":1,"files":[{"generator":"g","share":false,"file":"f","secret":true,"deploy":true,"owner":"root","group":"root","mode":"0400","needed_for":"services","restart_units":["a.service"]}]}"#
        );
        assert_eq!(
            serde_json::from_str::<Requirements>(&stored).unwrap(),
            requirements
        );
        let newer = stored.replace("\"version\":1", "\"version\":3");
        assert!(
            serde_json::from_str::<Requirements>(&newer)
                .unwrap_err()
                .to_string()
                .contains("version 3")
        );
    }

    #[test]
    fn another_installer_leaves_what_activations_need() {
        let text = r#"{"generators":{"g":{"files":{"a":{"neededFor":"activation"},"b":{},"c":{"secret":false},
            "d":{"neededFor":"partitioning"}}}}}"#;
        let all = Requirements::declared(&declared(text), "m", "root").unwrap();
        let partitioning: Vec<_> = all.for_partitioning().map(|file| file.file.as_str()).collect();
        assert_eq!(partitioning, ["d"]);
        let usual = all.clone().with_placement(Placement::default()).for_agent();
        assert_eq!(
            (&usual, usual.placement().upload_directory()),
            (&all, "/var/lib/sops-nix")
        );
        let placed = all.with_placement(Placement {
            installer: Installer::Own,
            upload_directory: Some("/etc/secret-vars".to_owned()),
            ..Placement::default()
        });
        assert_eq!(placed.files().len(), 4);
        let placed = placed.for_agent();
        assert_eq!(
            placed.activation_paths("m").collect::<Vec<_>>(),
            ["per-machine/m/g/a"]
        );
        assert_eq!(placed.files().len(), 1);
        let stored = serde_json::to_string(&placed).unwrap();
        assert!(stored.starts_with(r#"{"version":2,"#), "{stored}");
        assert!(
            stored.ends_with(r#""placement":{"installer":"own","upload-directory":"/etc/secret-vars"}}"#),
            "{stored}"
        );
        assert_eq!(serde_json::from_str::<Requirements>(&stored).unwrap(), placed);
    }
}
