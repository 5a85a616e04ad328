//! Owns one finding: where, for whom, what, and the command that mends it. It must never hold a value.

use std::collections::BTreeSet;

use super::defect::Defect;
use super::keybook::Holder;
use super::rule::{Level, Rule};
use crate::fleet_kind::{FleetKind, word};
use crate::readers::ReaderKind;

/// Something that is wrong, or worth to know.
#[derive(Debug)]
pub struct Finding {
    /// The file, link or folder, below the fleet's directory.
    pub path: String,
    /// The machines that it is about; none where it is about a person or about the fleet.
    pub machines: BTreeSet<String>,
    /// The machine and generator whose values have to be made for it to go away, where that is what mends it.
    pub(super) values_of: Option<(String, String)>,
    /// What it is.
    pub defect: Defect,
}

impl Finding {
    pub(super) fn new<'m>(
        path: impl Into<String>,
        machines: impl IntoIterator<Item = &'m str>,
        defect: Defect,
    ) -> Self {
        Self {
            path: path.into(),
            machines: machines.into_iter().map(str::to_owned).collect(),
            values_of: None,
            defect,
        }
    }

    /// A finding about a holder's own files.
    pub(super) fn of_holder(path: impl Into<String>, holder: &Holder, defect: Defect) -> Self {
        let machine = (holder.kind == ReaderKind::Machine).then_some(holder.name.as_str());
        Self::new(path, machine, defect)
    }

    /// The same, for the values of a machine's generator.
    pub(super) fn of_values(mut self, machine: &str, generator: &str) -> Self {
        self.values_of = Some((machine.to_owned(), generator.to_owned()));
        self
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.defect.rule()
    }

    /// How bad it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.rule().level()
    }

    /// What to type or to do; none where there is nothing to be done.
    #[must_use]
    pub fn hint(&self, kind: FleetKind) -> Option<String> {
        let Self { path, .. } = self;
        let generate = || self.generate(kind);
        Some(match &self.defect {
            Defect::Missing | Defect::NeverGenerated { .. } | Defect::StaleHash { .. } => generate(),
            Defect::NotLinked { holder, .. } => {
                let link = self.link_of(holder);
                format!(
                    "if they may read it: mkdir -p {} && ln -s {} {}; if not: {}",
                    word(folder(&link)),
                    word(&way_to(
                        &link,
                        &format!("sops/{}/{}", holder.kind.folder(), holder.name)
                    )),
                    word(&link),
                    self.rekey(kind)
                )
            }
            Defect::NotEncrypted { .. }
            | Defect::NotSealed { .. }
            | Defect::NotAlone { .. }
            | Defect::NoList
            | Defect::UnknownRecipient { .. }
            | Defect::NotDeployed { .. }
            | Defect::Sidecar { .. } => self.rekey(kind),
            Defect::Shared { holder, shares } => format!(
                "put the key of {holder} into {} of its key groups (`key_groups` in .sops.yaml), then sops updatekeys {}",
                shares.needed,
                word(path)
            ),
            Defect::PlainAge => match kind {
                FleetKind::Clan => self.regenerate(kind),
                FleetKind::Native => self.rekey(kind),
            },
            Defect::RemovedMachine { machine } => match kind {
                FleetKind::Clan => format!(
                    "git rm {} && {}, then change the value",
                    word(&self.link_of(machine)),
                    kind.rekey_all()
                ),
                FleetKind::Native => format!(
                    "reconcile vars rekey --remove-machine {}, then change the value",
                    word(&machine.name)
                ),
            },
            Defect::NoLinks => {
                let link = format!("{}/users/NAME", folder(path));
                format!(
                    "link who may read it: mkdir -p {} && ln -s {} {}",
                    word(folder(&link)),
                    word(&way_to(&link, "sops/users/NAME")),
                    word(&link)
                )
            }
            Defect::Dangling { .. }
            | Defect::Misdirected { .. }
            | Defect::Endless { .. }
            | Defect::NotALink { .. } => {
                format!("git rm -r {} && {}", word(path), self.rekey(kind))
            }
            Defect::NoKey { holder } => match (kind, holder.kind) {
                (FleetKind::Clan, ReaderKind::Machine) => {
                    format!("clan vars generate {}", word(&holder.name))
                }
                (FleetKind::Clan, ReaderKind::User) => {
                    format!("clan secrets users add {} <public key>", word(&holder.name))
                }
                (FleetKind::Native, _) => {
                    let name = word(&holder.name);
                    format!("reconcile vars rekey --add-{} {name}=<public key>", holder.kind)
                }
            },
            Defect::KeyFile(_) => {
                format!("write {path} as [{{\"publickey\": \"age1…\", \"type\": \"age\"}}]")
            }
            Defect::Cleartext | Defect::PublishedSecret => match self.values_of {
                Some(_) => format!(
                    "{}; the old value is in the history, so change it wherever it is used",
                    self.regenerate(kind)
                ),
                None => format!("encrypt {path}; it is in the history, so change the value as well"),
            },
            Defect::File(_) | Defect::Tree(_) | Defect::DoesNotOpen { .. } => match self.values_of {
                Some(_) => format!(
                    "restore {path} from an earlier commit, or {}",
                    self.regenerate(kind)
                ),
                None => format!("restore {path} from an earlier commit: git log -- {}", word(path)),
            },
            Defect::OpensUnlisted { .. } => {
                format!(
                    "see who changed it (git log -- {}), then {}",
                    word(path),
                    self.rekey(kind)
                )
            }
            Defect::MachineKey { machine } => format!(
                "put the public key of the machine's own key into sops/machines/{machine}/key.json, then {}",
                kind.rekey(machine)
            ),
            Defect::NoMachineKey => {
                format!("restore {path} from an earlier commit: git log -- {}", word(path))
            }
            Defect::NotPullable { .. } => {
                "set clan.vars.settings.secretStore to \"sops\" or \"age\", and migrate the values".to_owned()
            }
            Defect::Conflicting { .. } => {
                "declare the generator once, in a module that both import".to_owned()
            }
            Defect::Superseded { .. } => "remove them when the old store is not gone back to".to_owned(),
            Defect::UnknownMachine { .. } | Defect::Undeclared => format!("git rm -r {}", word(path)),
            Defect::Declaration(_) | Defect::NotEvaluated { .. } => return None,
        })
    }

    fn generate(&self, kind: FleetKind) -> String {
        match (&self.values_of, self.machines.first()) {
            (Some((machine, generator)), _) => kind.generate(machine, Some(generator)),
            (None, Some(machine)) => kind.generate(machine, None),
            (None, None) => kind.generate("<machine>", None),
        }
    }

    fn regenerate(&self, kind: FleetKind) -> String {
        match &self.values_of {
            Some((machine, generator)) => kind.regenerate(machine, generator),
            None => self.generate(kind),
        }
    }

    /// clan's `vars fix` knows the vars of a machine; everything else is re-encrypted as a whole.
    fn rekey(&self, kind: FleetKind) -> String {
        match &self.values_of {
            Some((machine, _)) if self.path.starts_with("vars/") || self.path.starts_with("secrets/") => {
                kind.rekey(machine)
            }
            _ => kind.rekey_all().to_owned(),
        }
    }

    fn link_of(&self, holder: &Holder) -> String {
        format!("{}/{}/{}", folder(&self.path), holder.kind.folder(), holder.name)
    }
}

/// The target of a link at `link` that leads to `target`, both below the fleet's directory.
fn way_to(link: &str, target: &str) -> String {
    let depth = link.matches('/').count();
    format!("{}{target}", "../".repeat(depth))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(folder, _)| folder)
}
