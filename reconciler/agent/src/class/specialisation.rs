//! Which specialisation of a NixOS toplevel is to run. Reads toplevels and switches nothing.

use super::nixos;
use crate::transaction::Specialisation;
use camino::{Utf8Path, Utf8PathBuf};

/// Which one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The policy names it.
    Declared(String),
    /// The one that runs goes on.
    Running(String),
    /// None: the toplevel itself.
    Itself,
}

/// The specialisation that the policy names is none of the toplevel's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{toplevel} has no specialisation `{name}`{}", but(.known))]
pub struct NoSpecialisation {
    /// The store path.
    pub toplevel: Utf8PathBuf,
    /// What was asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

fn but(known: &[String]) -> String {
    if known.is_empty() {
        String::new()
    } else {
        format!(": it has {}", known.join(", "))
    }
}

impl Wanted {
    /// What the policy declares; or else what runs, where it is a specialisation of one of `parents`.
    #[must_use]
    pub fn of(declared: Option<&str>, current: Option<&Utf8Path>, parents: &[Utf8PathBuf]) -> Wanted {
        if let Some(declared) = declared {
            return Wanted::Declared(declared.to_owned());
        }
        let running = current.and_then(|current| {
            parents
                .iter()
                .find_map(|parent| nixos::specialisation_of(parent, current))
        });
        running.map_or(Wanted::Itself, Wanted::Running)
    }

    /// It as a specialisation of `toplevel`; none where the toplevel itself is to run, which is also so where what
    /// runs is no specialisation of it any more.
    pub fn choose(&self, toplevel: &Utf8Path) -> Result<Option<Specialisation>, NoSpecialisation> {
        let there = nixos::specialisations(toplevel);
        let find = |name: &String| there.iter().find(|known| known.name == *name).cloned();
        match self {
            Wanted::Itself => Ok(None),
            Wanted::Running(name) => Ok(find(name)),
            Wanted::Declared(name) => find(name).map(Some).ok_or_else(|| NoSpecialisation {
                toplevel: toplevel.to_owned(),
                name: name.clone(),
                known: there.into_iter().map(|known| known.name).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_one_or_the_one_that_runs() {
        let scratch = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(scratch.path())
            .unwrap()
            .canonicalize_utf8()
            .unwrap();
        let system = |name: &str, children: &[&str]| {
            let toplevel = root.join(name);
            crate::durable::folder(&toplevel.join("specialisation"), 0o755).unwrap();
            for child in children {
                let target = root.join(format!("{name}-{child}"));
                crate::durable::folder(&target, 0o755).unwrap();
                crate::durable::replace_link(&toplevel.join("specialisation").join(child), &target).unwrap();
            }
            toplevel
        };
        let (old, new, plain) = (
            system("old", &["gaming"]),
            system("new", &["gaming", "work"]),
            system("plain", &[]),
        );
        let child = root.join("old-gaming");
        let parents = [plain.clone(), old.clone()];
        let name =
            |wanted: &Wanted, toplevel: &Utf8Path| wanted.choose(toplevel).unwrap().map(|chosen| chosen.name);

        let running = Wanted::of(None, Some(&child), &parents);
        assert_eq!(running, Wanted::Running("gaming".to_owned()));
        assert_eq!(name(&running, &new).as_deref(), Some("gaming"));
        assert_eq!(
            running.choose(&new).unwrap().unwrap().toplevel,
            root.join("new-gaming")
        );
        // It is declared no more.
        assert_eq!(name(&running, &plain), None);
        assert_eq!(Wanted::of(None, Some(&old), &parents), Wanted::Itself);

        let declared = Wanted::of(Some("work"), Some(&child), &parents);
        assert_eq!(name(&declared, &new).as_deref(), Some("work"));
        let refused = declared.choose(&old).unwrap_err().to_string();
        assert!(
            refused.ends_with("/old has no specialisation `work`: it has gaming"),
            "{refused}"
        );
    }
}
