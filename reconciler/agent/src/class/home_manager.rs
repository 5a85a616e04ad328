//! home-manager: the homes of one or several users, activated as those users, and looked at link by link.
//!
//! The contract is that of nix-community/home-manager: `activate --driver-version 1` and `DRY_RUN`, `home-files`,
//! the root `current-home` that an activation sets last, the profile `home-manager`. A toplevel is a generation of
//! the agent's own user, or has `users/<user>` lead to one for each user.

use super::leaf::{Links, files_below};
use super::{Action, Amiss, Declared, Invocation, Judgement, Leaf, Obstacle, Site};
use crate::config::{NixSettings, Paths};
use crate::host::{Person, unit_states};
use crate::process::{Command, Exit, locate};
use crate::transaction::{Failure, Health};
use camino::{Utf8Path, Utf8PathBuf};
use std::time::Duration;
use unix::unistd::geteuid;

/// How long a dry run may take: it talks to the nix-daemon and looks at every file.
const DRY_RUN: Duration = Duration::from_secs(300);
/// How long a question to a user's own systemd or launchd, or a change of a profile, may take.
const TOOL: Duration = Duration::from_secs(120);
/// The root that an activation sets when it has done everything else.
const CURRENT: &str = ".local/state/home-manager/gcroots/current-home";

/// One user's generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The user.
    pub user: String,
    /// The generation, where it really lies.
    pub generation: Utf8PathBuf,
}

/// The homes of a toplevel, in the order of their users.
#[must_use]
pub fn homes(paths: &Paths, toplevel: &Utf8Path) -> Vec<Home> {
    let real = |path: Utf8PathBuf| path.canonicalize_utf8().unwrap_or(path);
    if toplevel.join("activate").exists() {
        return Person::own(&paths.root)
            .map(|person| Home {
                user: person.name,
                generation: real(toplevel.to_owned()),
            })
            .into_iter()
            .collect();
    }
    let users = toplevel.join("users").read_dir_utf8().into_iter().flatten();
    let mut homes: Vec<Home> = users
        .flatten()
        .map(|entry| Home {
            user: entry.file_name().to_owned(),
            generation: real(entry.path().to_owned()),
        })
        .collect();
    homes.sort_by(|one, other| one.user.cmp(&other.user));
    homes
}

pub(super) fn profile(nix: &NixSettings, paths: &Paths) -> Utf8PathBuf {
    match Person::own(&paths.root) {
        Some(person) if !geteuid().is_root() => person.home.join(".local/state/nix/profiles/reconciler"),
        _ => nix.state.join("profiles/reconciler-home"),
    }
}

/// One command a user.
pub(super) fn invocations(site: &Site<'_>, toplevel: &Utf8Path, action: Action) -> Vec<Invocation> {
    if action == Action::Boot {
        return Vec::new();
    }
    let invocation = |home: Home| {
        let person = Person::named(&home.user, &site.paths.root)?;
        let activate = home.generation.join("activate");
        let (program, mut arguments) = as_person(site, &person, &activate);
        arguments.extend(["--driver-version".to_owned(), "1".to_owned()]);
        Some(Invocation {
            program,
            arguments,
            environment: environment(site, &person),
            unit: format!("reconciler-home-{}", person.uid),
        })
    };
    homes(site.paths, toplevel)
        .into_iter()
        .filter_map(invocation)
        .collect()
}

pub(super) fn judge(exit: Exit) -> Judgement {
    match exit {
        Exit::Code(0) => Judgement::Live(Health::Healthy),
        other => Judgement::Broken(Failure::Exit(other)),
    }
}

/// Whether every home of a toplevel is on its generation.
pub(super) fn runs(paths: &Paths, toplevel: &Utf8Path) -> bool {
    let homes = homes(paths, toplevel);
    !homes.is_empty()
        && homes.iter().all(|home| match current_of(paths, &home.user) {
            Some(current) => current == home.generation,
            // A generation may be declared to set no such root.
            None => leaves(paths, home)
                .is_ok_and(|leaves| !leaves.is_empty() && leaves.iter().all(|leaf| leaf.look().is_none())),
        })
}

/// The toplevel of the profile where all its homes are on it; else what the first that is not runs.
pub(super) fn current(paths: &Paths, profile: &Utf8Path) -> Option<Utf8PathBuf> {
    let toplevel = profile.canonicalize_utf8().ok()?;
    if runs(paths, &toplevel) {
        return Some(toplevel);
    }
    homes(paths, &toplevel)
        .iter()
        .find_map(|home| current_of(paths, &home.user).filter(|current| *current != home.generation))
}

/// The generation that a user's home is on.
#[must_use]
pub fn current_of(paths: &Paths, user: &str) -> Option<Utf8PathBuf> {
    let person = Person::named(user, &paths.root)?;
    person.home.join(CURRENT).canonicalize_utf8().ok()
}

/// What can be seen without running anything.
pub(super) fn obstacles(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
    if toplevel.join("activate").exists() && geteuid().is_root() {
        return vec![Obstacle::Whose {
            toplevel: toplevel.to_owned(),
        }];
    }
    let obstacle = |home: Home| match Person::named(&home.user, &site.paths.root) {
        None => Some(Obstacle::NoUser { user: home.user }),
        Some(person) if !person.home.is_dir() => Some(Obstacle::NoHome {
            user: home.user,
            home: person.home,
        }),
        Some(person) if !geteuid().is_root() && !person.is_own() => {
            Some(Obstacle::AnothersHome { user: home.user })
        }
        Some(_) => None,
    };
    homes(site.paths, toplevel)
        .into_iter()
        .filter_map(obstacle)
        .collect()
}

/// What a dry run of each home says against it: files that are in the way, first of all.
pub(super) async fn dry_run(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for home in homes(site.paths, toplevel) {
        let Some(person) = Person::named(&home.user, &site.paths.root) else {
            continue;
        };
        let activate = home.generation.join("activate");
        let command = command(site, &person, &activate, DRY_RUN)
            .args(["--driver-version", "1"])
            .env("DRY_RUN", "1");
        let said = match command.run(&mut |_| {}).await {
            Ok(finished) if finished.exit == Exit::Code(0) => continue,
            Ok(finished) => {
                let said = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
                (said, finished.exit.to_string())
            }
            Err(error) => (String::new(), error.to_string()),
        };
        obstacles.extend(understand(&home.user, &crate::text::plain(&said.0), said.1));
    }
    obstacles
}

/// Reads what a dry run said: home-manager names each file that it would clobber.
fn understand(user: &str, said: &str, ended: String) -> Vec<Obstacle> {
    let clobbered = said.lines().filter(|line| line.contains("would be clobbered"));
    let clobbered: Vec<Obstacle> = clobbered
        .filter_map(|line| line.split('\'').nth(1))
        .map(|path| Obstacle::Clobbered {
            user: user.to_owned(),
            path: path.into(),
        })
        .collect();
    if !clobbered.is_empty() {
        return clobbered;
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    vec![Obstacle::DryRun {
        user: user.to_owned(),
        ended,
        said: last.unwrap_or_default().trim().to_owned(),
    }]
}

/// What of the homes is not as their generations declare it.
pub(super) async fn amiss(site: &Site<'_>, toplevel: &Utf8Path) -> Vec<Amiss> {
    let mut found = Vec::new();
    for home in homes(site.paths, toplevel) {
        match leaves(site.paths, &home) {
            Ok(leaves) => found.extend(leaves.iter().filter_map(Leaf::look)),
            Err(error) => found.push(Amiss::Undeclared {
                path: home.generation.join("home-files"),
                why: error.to_string(),
            }),
        }
        if let Some(person) = Person::named(&home.user, &site.paths.root) {
            found.extend(units(site, &person, &home).await);
        }
    }
    found
}

/// Every file of a home that is declared. launchd takes no links: its agents are copies.
fn leaves(paths: &Paths, home: &Home) -> std::io::Result<Vec<Leaf>> {
    let Some(person) = Person::named(&home.user, &paths.root) else {
        return Ok(Vec::new());
    };
    let files = home.generation.join("home-files").canonicalize_utf8()?;
    let links = files_below(&files, Links::Kept)?.into_iter().map(|name| Leaf {
        target: person.home.join(&name),
        declared: Declared::LinkOrSame(files.join(&name)),
    });
    let agents = home.generation.join("LaunchAgents");
    let agents = agents.read_dir_utf8().into_iter().flatten().flatten();
    let copies = agents.map(|agent| Leaf {
        target: person.home.join("Library/LaunchAgents").join(agent.file_name()),
        declared: Declared::Copy {
            source: agent.path().to_owned(),
            mode: None,
            owner: None,
        },
    });
    Ok(links.chain(copies).collect())
}

/// The user's own units. Where that user has no systemd they are read when there is one.
async fn units(site: &Site<'_>, person: &Person, home: &Home) -> Vec<Amiss> {
    let folder = home.generation.join("home-files/.config/systemd/user");
    let files = folder.read_dir_utf8().into_iter().flatten().flatten();
    let names: Vec<String> = files
        .filter(|file| file.path().is_file() && !file.file_name().contains("@."))
        .map(|file| file.file_name().to_owned())
        .collect();
    let (Ok(asker), false, true) = (
        tool(site, person, "systemctl"),
        names.is_empty(),
        has_systemd(site, person),
    ) else {
        return Vec::new();
    };
    let asker = asker.arg("--user");
    let states = match unit_states(&asker, &names).await {
        Ok(states) => states,
        Err(error) => {
            return vec![Amiss::NotRunning {
                unit: format!("the systemd of {}", person.name),
                found: error.to_string(),
            }];
        }
    };
    let judge = |state: crate::host::UnitState| {
        let unit = format!("{} of {}", state.name, person.name);
        match state.load.as_str() {
            "loaded" if state.stale => Some(Amiss::NotReloaded { unit }),
            "loaded" | "masked" => state.trouble().map(|found| Amiss::NotRunning { unit, found }),
            _ => Some(Amiss::NotRunning {
                unit,
                found: format!("not loaded ({})", state.load),
            }),
        }
    };
    states.into_iter().filter_map(judge).collect()
}

/// Points each user's profile at the generation, so that `home-manager generations` and the collector know it.
pub(super) async fn follow_profile(site: &Site<'_>, toplevel: &Utf8Path) -> Result<(), String> {
    for home in homes(site.paths, toplevel) {
        let Some(person) = Person::named(&home.user, &site.paths.root) else {
            continue;
        };
        let profile = profile_of(site, &person);
        if profile
            .canonicalize_utf8()
            .is_ok_and(|found| found == home.generation)
        {
            continue;
        }
        if let Some(folder) = profile.parent().filter(|folder| !folder.is_dir()) {
            run(tool(site, &person, "mkdir")?.args(["-p", folder.as_str()])).await?;
        }
        let nix_env = tool(site, &person, "nix-env")?.args(["--profile", profile.as_str()]);
        let nix_env = match crate::nix::Profile::at(profile.clone()).number_of(&home.generation) {
            Some(number) => nix_env.args(["--switch-generation", &number.to_string()]),
            None => nix_env.args(["--set", home.generation.as_str()]),
        };
        run(nix_env)
            .await
            .map_err(|said| format!("{profile} of {}: {said}", person.name))?;
    }
    Ok(())
}

/// A tool of the host, run as a user.
fn tool(site: &Site<'_>, person: &Person, name: &str) -> Result<Command, String> {
    let program = locate(name, site.folders).and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    match program {
        Some(program) => Ok(command(site, person, &program, TOOL)),
        None => Err(format!("there is no `{name}` on this host")),
    }
}

async fn run(command: Command) -> Result<(), String> {
    match command.run(&mut |_| {}).await {
        Ok(finished) if finished.exit == Exit::Code(0) => Ok(()),
        Ok(finished) => Err(finished.stderr.trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Where home-manager looks for a user's profile: in the home where Nix keeps any there, else in Nix's state.
fn profile_of(site: &Site<'_>, person: &Person) -> Utf8PathBuf {
    let own = person.home.join(".local/state/nix/profiles");
    let shared = site.nix.state.join("profiles/per-user").join(&person.name);
    if !own.is_dir() && shared.is_dir() {
        shared.join("home-manager")
    } else {
        own.join("home-manager")
    }
}

fn runtime(site: &Site<'_>, person: &Person) -> Utf8PathBuf {
    site.paths.host(&format!("/run/user/{}", person.uid))
}

/// Whether a user's own systemd runs: it leaves its socket in the user's runtime directory.
fn has_systemd(site: &Site<'_>, person: &Person) -> bool {
    runtime(site, person).join("systemd").is_dir()
}

/// What a login would set, and where Nix is.
fn environment(site: &Site<'_>, person: &Person) -> Vec<(String, String)> {
    let mut environment = site.environment();
    let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
    set("HOME", person.home.as_str());
    set("USER", &person.name);
    set("LOGNAME", &person.name);
    set("NIX_REMOTE", "daemon");
    set("NIX_DAEMON_SOCKET_PATH", site.nix.daemon.as_str());
    set("NIX_STORE_DIR", site.nix.store.as_str());
    set("NIX_STATE_DIR", site.nix.state.as_str());
    let runtime = runtime(site, person);
    if runtime.is_dir() {
        set("XDG_RUNTIME_DIR", runtime.as_str());
        let bus = runtime.join("bus");
        if bus.exists() {
            set("DBUS_SESSION_BUS_ADDRESS", &format!("unix:path={bus}"));
        }
    }
    environment
}

/// A program and its arguments so far, run as a user: by the agent's own binary, which becomes that user.
fn as_person(site: &Site<'_>, person: &Person, program: &Utf8Path) -> (Utf8PathBuf, Vec<String>) {
    let binary = Utf8Path::from_path(site.binary);
    let (Some(binary), false) = (binary, person.is_own()) else {
        return (program.to_owned(), Vec::new());
    };
    let (uid, gid) = (person.uid.to_string(), person.gid.to_string());
    let words = [
        "become",
        "--user",
        &person.name,
        "--uid",
        &uid,
        "--gid",
        &gid,
        "--",
    ];
    let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
    arguments.push(program.to_string());
    (binary.to_owned(), arguments)
}

fn command(site: &Site<'_>, person: &Person, program: &Utf8Path, limit: Duration) -> Command {
    let (program, arguments) = as_person(site, person, program);
    let command = Command::new(program.into_std_path_buf(), limit).args(arguments);
    environment(site, person)
        .into_iter()
        .fold(command, |command, (name, value)| command.env(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_names_what_it_would_clobber() {
        let said = "Starting Home Manager activation\nThis is a dry run\n\
                    Please do one of the following:\n- In standalone mode, use 'home-manager switch -b backup'\n\
                    Existing file '/home/kim/.bashrc' would be clobbered\n\
                    Existing file '/home/kim/.config/git/config' would be clobbered\n";
        let paths: Vec<String> = understand("kim", said, "exit code 1".to_owned())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            paths,
            [
                "/home/kim/.bashrc of kim is there already and is not home-manager's",
                "/home/kim/.config/git/config of kim is there already and is not home-manager's"
            ]
        );
        let other = understand(
            "kim",
            "HOME is \"/x\", expected \"/y\"\n",
            "exit code 1".to_owned(),
        );
        assert_eq!(
            other[0].to_string(),
            "the dry run for kim ended with exit code 1: HOME is \"/x\", expected \"/y\""
        );
    }
}
