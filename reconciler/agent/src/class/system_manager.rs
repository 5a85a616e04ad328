//! system-manager: its engine, whose exit code says little, and every file and unit that it should have laid down.
//!
//! The contract is that of numtide/system-manager: `etcFiles/etcFiles.json` and `services/services.json` of the
//! toplevel, `system-manager-state.json` of the host. The engine logs what goes wrong and ends with 0 all the same.

use super::leaf::{Links, files_below};
use super::{Action, Amiss, Declared, Invocation, Judgement, Leaf, Obstacle, Site};
use crate::config::NixSettings;
use crate::durable::{self, DurableError, Lasting};
use crate::host::{systemctl, unit_states};
use crate::process::Exit;
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};
use reconciler_vars::{AccountKind, Accounts};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Where the engine keeps what it laid down.
const STATE: &str = "/var/lib/system-manager/state/system-manager-state.json";
/// The target that wants everything which is to run.
const WANTS: &str = "systemd/system/system-manager.target.wants";

/// `etcFiles.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EtcFiles {
    entries: BTreeMap<String, EtcFile>,
    static_env: Utf8PathBuf,
}

/// One entry of `/etc`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EtcFile {
    source: Utf8PathBuf,
    target: Utf8PathBuf,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    mode: String,
    #[serde(default)]
    replace_existing: bool,
}

/// One entry of `services.json`.
#[derive(Debug, Deserialize)]
struct Service {
    #[serde(default)]
    masked: bool,
}

/// What matters here of the engine's own state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    file_tree: FileTree,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileTree {
    files: BTreeSet<Utf8PathBuf>,
    backed_up_files: BTreeSet<Utf8PathBuf>,
}

/// A file of `/etc`, and whether the engine may put it where another one is.
struct Planned {
    leaf: Leaf,
    replaces: bool,
}

pub(super) fn profile(nix: &NixSettings) -> Utf8PathBuf {
    nix.state.join("profiles/system-manager-profiles/system-manager")
}

/// The root that the engine's own `register` keeps beside the profile. The agent has one of its own: what fails
/// here is told only.
pub(super) fn follow_profile(nix: &NixSettings, toplevel: &Utf8Path) {
    let root = nix.state.join("gcroots/system-manager-current");
    if let Err(error) = durable::replace_link(&root, toplevel) {
        tracing::warn!("{error}");
    }
}

pub(super) fn invocation(toplevel: &Utf8Path, action: Action) -> Option<Invocation> {
    match action {
        Action::Test | Action::Return => Some(Invocation {
            program: toplevel.join("bin/activate"),
            arguments: Vec::new(),
            // Its warnings and errors are read.
            environment: vec![("RUST_LOG".to_owned(), "info".to_owned())],
            unit: "system-manager-activate".to_owned(),
        }),
        Action::Boot => None,
    }
}

pub(super) fn judge(exit: Exit, log: &str) -> Judgement {
    match exit {
        Exit::Code(1) if log.contains("Failure in pre-activation assertions") => {
            Judgement::Untouched(Failure::Refused("a pre-activation assertion failed".to_owned()))
        }
        // Whether it did what it says, the host is asked.
        Exit::Code(0) if log.lines().any(is_error) => Judgement::Live(Health::Degraded),
        Exit::Code(0) => Judgement::Live(Health::Healthy),
        other => Judgement::Broken(Failure::Exit(other)),
    }
}

/// Whether a line of the engine's log is an error: `[2026-07-20T10:00:00Z ERROR system_manager_engine] …`.
fn is_error(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .is_some_and(|head| head.split_whitespace().any(|word| word == "ERROR"))
}

/// Files of the host that the engine would leave as they are, with no more than a warning.
pub(super) fn obstacles(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
    let Ok((planned, _)) = planned(site, toplevel) else {
        return Vec::new();
    };
    // A state that cannot be read says nothing of whose a file is.
    let Some(own) = state(site) else {
        return Vec::new();
    };
    let in_the_way = planned.into_iter().filter(|planned| {
        let target = &planned.leaf.target;
        target.symlink_metadata().is_ok()
            && !planned.replaces
            && !own.contains(target)
            && planned.leaf.look().is_some()
    });
    in_the_way
        .map(|planned| Obstacle::Unmanaged {
            path: planned.leaf.target,
        })
        .collect()
}

/// What is not as the toplevel declares it: every file of `/etc`, every unit.
pub(super) async fn amiss(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
    let (planned, mut found) = match planned(site, toplevel) {
        Ok(planned) => planned,
        Err(amiss) => return vec![amiss],
    };
    found.extend(planned.iter().filter_map(|planned| planned.leaf.look()));
    found.extend(units(site, toplevel).await);
    found
}

/// Everything of `/etc` that the toplevel declares, and the owners that do not exist.
fn planned(site: &Site<'_>, toplevel: &Utf8Path) -> Result<(Vec<Planned>, Vec<Amiss>), Amiss> {
    let path = toplevel.join("etcFiles/etcFiles.json");
    let unreadable = |why: String| Amiss::Undeclared {
        path: path.clone(),
        why,
    };
    let declared: EtcFiles = read(&path)?;
    let etc = site.paths.host("/etc");
    let (mut files, mut unknown) = (Vec::new(), Vec::new());
    for name in
        files_below(&declared.static_env, Links::Entered).map_err(|error| unreadable(error.to_string()))?
    {
        let source = declared.static_env.join(&name);
        let replaces = declared
            .entries
            .values()
            .any(|entry| entry.target == name && entry.replace_existing);
        files.push(Planned {
            leaf: Leaf {
                target: etc.join(&name),
                declared: Declared::Link(source.canonicalize_utf8().unwrap_or(source)),
            },
            replaces: replaces || is_dependency(&name),
        });
    }
    let accounts =
        Accounts::of_process(site.paths.root.as_std_path()).map_err(|error| unreadable(error.to_string()))?;
    let privileged = unix::unistd::geteuid().is_root();
    for entry in declared.entries.values().filter(|entry| entry.mode != "symlink") {
        let target = etc.join(&entry.target);
        let mut number = |kind, name: &str, number: u32| {
            if name.starts_with('+') {
                return Some(number);
            }
            let found = accounts.resolve(kind, name).ok().flatten();
            if found.is_none() && privileged {
                unknown.push(Amiss::Account {
                    path: target.clone(),
                    account: name.to_owned(),
                });
            }
            found
        };
        let user = number(AccountKind::User, &entry.user, entry.uid);
        let group = number(AccountKind::Group, &entry.group, entry.gid);
        files.push(Planned {
            leaf: Leaf {
                declared: Declared::Copy {
                    source: entry.source.join(&entry.target),
                    mode: u32::from_str_radix(&entry.mode, 8).ok(),
                    owner: user.zip(group).filter(|_| privileged),
                },
                target,
            },
            replaces: entry.replace_existing,
        });
    }
    Ok((files, unknown))
}

/// Whether a file of `/etc` lies in a folder of wants or requirements, where the engine replaces what it finds.
fn is_dependency(name: &Utf8Path) -> bool {
    let Some(folder) = name.parent() else {
        return false;
    };
    matches!(folder.extension(), Some("wants" | "requires"))
        && folder
            .parent()
            .is_some_and(|parent| parent.ends_with("systemd/system"))
}

/// Every unit of the toplevel, as systemd has it.
async fn units(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
    let path = toplevel.join("services/services.json");
    let services: BTreeMap<String, Service> = match read(&path) {
        Ok(services) => services,
        Err(amiss) => return vec![amiss],
    };
    let etc: Result<EtcFiles, _> = read(&toplevel.join("etcFiles/etcFiles.json"));
    let wanted = |unit: &str| {
        etc.as_ref()
            .is_ok_and(|etc| etc.static_env.join(WANTS).join(unit).symlink_metadata().is_ok())
    };
    // A template is no unit until it has an instance.
    let names: Vec<String> = services
        .keys()
        .filter(|name| !name.contains("@."))
        .cloned()
        .collect();
    // A host below another root has no systemd of its own, unless one has left its mark there.
    if names.is_empty() || !site.paths.host("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let states = match unit_states(&systemctl(site.folders, &site.environment()), &names).await {
        Ok(states) => states,
        Err(error) => {
            return vec![Amiss::Undeclared {
                path,
                why: error.to_string(),
            }];
        }
    };
    let judge = |state: crate::host::UnitState| {
        let unit = state.name.clone();
        let masked = services.get(&unit).is_some_and(|service| service.masked);
        match (masked, state.load.as_str()) {
            (true, "masked") => None,
            (true, _) => Some(Amiss::NotMasked { unit }),
            (false, "loaded") if state.stale => Some(Amiss::NotReloaded { unit }),
            (false, "loaded") => {
                let found = if wanted(&unit) {
                    state.trouble_of_wanted()
                } else {
                    state.trouble()
                };
                found.map(|found| Amiss::NotRunning { unit, found })
            }
            (false, _) => Some(Amiss::NotLoaded {
                unit,
                found: state.load,
            }),
        }
    };
    states.into_iter().filter_map(judge).collect()
}

/// What the engine laid down before; none where its state cannot be read.
fn state(site: &Site<'_>) -> Option<BTreeSet<Utf8PathBuf>> {
    let text = match fs::read_to_string(site.paths.host(STATE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(BTreeSet::new()),
        Err(_) => return None,
    };
    let state: State = serde_json::from_str(&text).ok()?;
    let mut own = state.file_tree.files;
    own.extend(state.file_tree.backed_up_files);
    Some(own)
}

/// Keeps the engine's state before and after it is run, or gives it back what was kept.
///
/// The engine writes its state in place: a power cut leaves a torn one, with which it refuses every later run. Where there
/// was none yet, an empty copy says so: then there is none again.
pub(super) fn keep_state(site: &Site<'_>) -> Result<(), DurableError> {
    let (state, kept) = (
        site.paths.host(STATE),
        site.paths.state.join("system-manager-state.json"),
    );
    let whole = |path: &Utf8Path| {
        let text = fs::read(path).ok()?;
        serde_json::from_slice::<Value>(&text).ok()?;
        Some(text)
    };
    match whole(&state) {
        Some(text) => durable::replace(&kept, &text, 0o600, Lasting::Power),
        None if !state.exists() => durable::replace(&kept, b"", 0o600, Lasting::Power),
        None => match whole(&kept) {
            Some(text) => durable::replace(&state, &text, 0o644, Lasting::Power),
            None if kept.metadata().is_ok_and(|found| found.len() == 0) => durable::remove(&state),
            None => Ok(()),
        },
    }
}

/// Tells the engine of what a run of it laid down and did not live to record, so that the next one takes it away:
/// the files and units of `toplevel`. A copy counts only if it is newer than `since`, when that run began; a link
/// into the store was nobody else's.
pub(super) fn own_up(site: &Site<'_>, toplevel: &Utf8Path, since: SystemTime) -> Result<(), DurableError> {
    let path = site.paths.host(STATE);
    let state = fs::read(&path).ok();
    let state = state.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    let (Some(mut state), Some(own), Ok((planned, _))) = (state, self::state(site), planned(site, toplevel))
    else {
        return Ok(());
    };
    let newer = |path: &Utf8Path| {
        path.symlink_metadata().is_ok_and(|found| {
            let changed = Duration::from_secs(u64::try_from(found.ctime()).unwrap_or_default());
            SystemTime::UNIX_EPOCH + changed + Duration::from_secs(1) >= since
        })
    };
    let laid_down = planned.into_iter().map(|planned| planned.leaf).filter(|leaf| {
        !own.contains(&leaf.target)
            && leaf.look().is_none()
            && (matches!(leaf.declared, Declared::Link(_)) || newer(&leaf.target))
    });
    let laid_down: Vec<Value> = laid_down.map(|leaf| leaf.target.into_string().into()).collect();
    let services: serde_json::Map<String, Value> =
        read(&toplevel.join("services/services.json")).unwrap_or_default();
    let mut told = laid_down.len();
    if let Some(files) = state.pointer_mut("/fileTree/files").and_then(Value::as_array_mut) {
        files.extend(laid_down);
    }
    if let Some(known) = state.get_mut("services").and_then(Value::as_object_mut) {
        for (name, service) in services {
            if !known.contains_key(&name) {
                known.insert(name, service);
                told += 1;
            }
        }
    }
    if told == 0 {
        return Ok(());
    }
    durable::replace(&path, state.to_string().as_bytes(), 0o644, Lasting::Power)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Utf8Path) -> Result<T, Amiss> {
    let unreadable = |why: String| Amiss::Undeclared {
        path: path.to_owned(),
        why,
    };
    let text = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_alone_says_little() {
        let error = "[2026-07-20T10:00:00Z INFO  system_manager_engine::activate] Activating\n\
                     [2026-07-20T10:00:01Z ERROR system_manager_engine::activate] Error during activation: Timeout\n";
        let warned = "[2026-07-20T10:00:00Z WARN  x] Can't link /etc/x: an ERROR\n";
        let refused = "[2026-07-20T10:00:00Z ERROR x] Failure in pre-activation assertions.\n";
        let table = [
            (Exit::Code(0), "", Judgement::Live(Health::Healthy)),
            (Exit::Code(0), warned, Judgement::Live(Health::Healthy)),
            (Exit::Code(0), error, Judgement::Live(Health::Degraded)),
            (
                Exit::Code(1),
                refused,
                Judgement::Untouched(Failure::Refused("a pre-activation assertion failed".to_owned())),
            ),
            (
                Exit::Code(1),
                error,
                Judgement::Broken(Failure::Exit(Exit::Code(1))),
            ),
            (
                Exit::Signal(9),
                "",
                Judgement::Broken(Failure::Exit(Exit::Signal(9))),
            ),
        ];
        for (exit, log, meaning) in table {
            assert_eq!(judge(exit, log), meaning, "{exit} {log}");
        }
    }

    #[test]
    fn folders_of_dependencies_are_replaced_by_the_engine() {
        for (name, is) in [
            ("systemd/system/multi-user.target.wants/x.service", true),
            ("systemd/system/x.service.requires/y.service", true),
            ("systemd/system/x.service", false),
            ("other.wants/x", false),
        ] {
            assert_eq!(is_dependency(Utf8Path::new(name)), is, "{name}");
        }
    }
}
