//! The machine on which the faults of `../faults.rs` happen: one of two systems, whole, and a transaction from
//! either to the other that is stopped where it is wanted.

use reconciler_tests::{Entry, Fleet, Host, Scratch, Store, Var, eventually, is_stopped, tool, wait_for};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use unix::mount::{MntFlags, MsFlags, mount, umount2};
use unix::sys::signal::{Signal, kill, killpg};
use unix::unistd::Pid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The agent is killed before the step is done, and started again.
    Killed,
    /// The agent is killed after the step was done, and before that was written down.
    KilledUnwritten,
    /// The agent is killed, and never comes back: the deadman's time comes.
    KilledForEver,
    PowerCut,
    DiskFull,
    /// The agent is killed on a full disk, and its next start, or its deadman, finds it full.
    DiskFullAndKilled,
    ReadOnly,
    TornJournal,
    ClockBack,
    ClockAhead,
    NoRemote,
    TwoAgents,
    TheirSwitch,
}

/// How the machine gets from one system to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Either can be switched to while the other runs.
    Switch,
    /// Only a boot leads from one to the other.
    Reboot,
}

impl Reach {
    /// On which way a state is.
    pub(super) fn of(state: &str) -> Reach {
        match state {
            "staging-profile" | "staging-boot" | "verifying-staged" | "arriving" => Reach::Reboot,
            _ => Reach::Switch,
        }
    }
}

/// A system that the machine may be on, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct System {
    revision: String,
    motd: &'static str,
    toplevel: PathBuf,
    token: &'static str,
}

pub(super) struct Stage {
    host: Host,
    store: Store,
    fleet: Fleet,
    tools: Scratch,
    token: Var,
    reach: Reach,
    /// The two that it is switched between, and a person's.
    systems: [System; 3],
}

/// What the hook of every toplevel does besides being counted: the probe `fit` fails after it, where that is wanted.
const HOOK: &str = "if [ -e \"$RECONCILER_ROOT/spoil-probe\" ]; then touch \"$RECONCILER_ROOT/unfit\"; fi\n";
const POLICY: &str = "[policy.probes.fit]
command = [\"/bin/sh\", \"-c\", \"! [ -e $RECONCILER_ROOT/unfit ]\"]
timeout = \"5s\"
";
/// The boot loader fails for the toplevel that a file of the host names.
const LOADER: &str = "install_boot_loader() {
  if [ \"$(cat \"$root/spoil-boot\" 2>/dev/null)\" = \"$toplevel\" ]; then
    echo \"no space left on /boot\" >&2
    return 1
  fi
";

impl Stage {
    pub(super) fn new(reach: Reach) -> Stage {
        let (store, fleet, tools) = (Store::new(), Fleet::new(), Scratch::on_disk());
        let script = "toplevels/nixos/bin/switch-to-configuration";
        fleet.write(
            script,
            &fleet.read(script).replace("install_boot_loader() {\n", LOADER),
        );
        let units = "{ web.files.token.restartUnits = [ \"web.service\" ]; }";
        fleet.declare("cinnabar", &Entry::nixos().generators(units));
        let hook = "machines/cinnabar/root/fault/hook";
        fleet.write(hook, &(fleet.read(hook) + HOOK));
        fleet.write("reconciler.toml", POLICY);
        let token = Var::per_machine("cinnabar", "web", "token");
        let host = Host::new(&store, &fleet, "cinnabar");
        std::fs::create_dir_all(host.state()).unwrap();
        mount::<str, Path, str, str>(
            None,
            &host.state(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=64m,mode=711"),
        )
        .unwrap();
        let boot_id = tools.path().join("boot-id");
        reconciler_tests::write(&boot_id, &new_boot_id());
        mount::<Path, str, str, str>(Some(&boot_id), BOOT_ID, None, MsFlags::MS_BIND, None).unwrap();
        let mut stage = Stage {
            host,
            store,
            fleet,
            tools,
            token,
            reach,
            systems: [
                ("first", "token-of-first"),
                ("second", "token-of-second"),
                ("theirs", "token-of-theirs"),
            ]
            .map(|(motd, token)| System {
                revision: String::new(),
                motd,
                toplevel: PathBuf::new(),
                token,
            }),
        };
        for number in [2, 0, 1] {
            stage.install(number);
        }
        stage
    }

    /// Has the machine converge on one of the systems for the first time.
    fn install(&mut self, number: usize) {
        let motd = self.systems[number].motd;
        self.fleet.motd("cinnabar", motd);
        self.token
            .encrypt(&self.fleet, self.systems[number].token, &["cinnabar"]);
        if self.reach == Reach::Reboot {
            let inhibitor = format!("{{\n  \"dbus-implementation\": \"{motd}\"\n}}\n");
            self.fleet
                .write("machines/cinnabar/root/switch-inhibitors", &inhibitor);
        }
        self.systems[number].revision = self.fleet.publish(motd);
        self.host.run(&["now"]);
        self.reboot_if_staged();
        self.systems[number].toplevel = self.host.current().unwrap();
        assert_eq!(self.side().motd, motd);
    }

    /// Where something waits for a reboot, there is one.
    fn reboot_if_staged(&self) {
        if !self.host.status()["staged"].is_null() {
            self.power_cut(self.transaction());
            self.host.run(&["now"]);
        }
    }

    /// Which of the systems the machine is on, whole.
    #[track_caller]
    fn side(&self) -> &System {
        let picture = self.host.picture(&self.store);
        let token = self.host.secret(self.token.installed());
        let found = self.systems.iter().find(|system| {
            let toplevel = Some(&system.toplevel);
            // A person's own tool knows nothing of the agent's secrets.
            let has_token = system.motd == "theirs" || token.as_deref() == Some(system.token);
            picture.current.as_ref() == toplevel
                && picture.profile.as_ref() == toplevel
                && picture.boot.as_ref().map(|boot| &boot.1) == toplevel
                && picture.motd == system.motd
                && has_token
        });
        found.unwrap_or_else(|| panic!("this is a third system\n{picture:#?}\ntoken: {token:?}"))
    }

    /// One state, one fault: where the machine ends, seen from where it was.
    pub(super) fn cell(&self, state: &str, fault: Fault) -> &'static str {
        let old = self.side().clone();
        let new = self.systems[..2]
            .iter()
            .find(|system| **system != old)
            .unwrap()
            .clone();
        match state {
            "restoring-secrets" | "returning" | "verifying-return" => {
                self.host.write("spoil-probe", "", 0o644);
            }
            "restoring-profile" | "restoring-boot" => {
                self.host
                    .write("spoil-boot", &new.toplevel.display().to_string(), 0o644);
            }
            _ => {}
        }
        let at = match fault {
            Fault::KilledUnwritten => format!("{state}/done"),
            _ => state.to_owned(),
        };
        let says = self.tools.path().join("says");
        let mut request = vec!["pin", &new.revision];
        if state == "arriving" {
            self.host.run(&request).ended(10);
            self.power_cut(self.transaction());
            request = vec!["now"];
        }
        let mut agent = self.host.start(&[("RECONCILER_HALT", &at)], &request, &says);
        wait_for(
            &format!("the agent stops at {at}"),
            Duration::from_secs(120),
            || {
                assert!(
                    agent.try_wait().unwrap().is_none(),
                    "it ended before {at}\n{}",
                    read(&says)
                );
                is_stopped(agent.id()).then_some(())
            },
            || read(&says),
        );
        let transaction = self.transaction();
        self.strike(&mut agent, transaction, fault);
        if let Some(deadman) = self.host.deadman(transaction) {
            // Its time would come in the middle of the next cells.
            let _ = killpg(Pid::from_raw(deadman.cast_signed()), Signal::SIGKILL);
        }
        self.reboot_if_staged();
        let end = self.side().clone();
        for spoiled in ["spoil-probe", "spoil-boot", "unfit"] {
            let _ = std::fs::remove_file(self.host.path(spoiled));
        }
        if end == new {
            self.host.now(0);
            return "new";
        }
        if end != old {
            // A person's own system has their secrets, the agent those of what ran before.
            let token = self.host.secret(self.token.installed());
            assert_eq!(token.as_deref(), Some(old.token));
        }
        // Who was killed for ever before there was a deadman is found at the next start.
        self.host.run(&["now"]);
        // What holds it back is what failed; nothing else does.
        self.host.run(&["pin", &new.revision]);
        self.host.run(&["now", "--force"]);
        self.reboot_if_staged();
        assert_eq!(self.side(), &new);
        self.host.now(0);
        if end == old { "old" } else { "theirs" }
    }

    /// Makes the fault happen to an agent that is stopped, and the agent go on where it can.
    fn strike(&self, agent: &mut Child, transaction: u64, fault: Fault) {
        let host = &self.host;
        match fault {
            Fault::Killed | Fault::KilledUnwritten => {
                end(agent);
                host.run(&["now"]);
            }
            Fault::KilledForEver => {
                end(agent);
                let config = host
                    .state()
                    .join(format!("transactions/{transaction}/config.toml"));
                let (config, transaction) = (config.display().to_string(), transaction.to_string());
                host.run(&[
                    "--config",
                    &config,
                    "deadman",
                    "--transaction",
                    &transaction,
                    "--until-ms",
                    "0",
                ])
                .ended(0);
            }
            Fault::PowerCut => {
                end(agent);
                self.power_cut(transaction);
                host.run(&["now"]);
            }
            Fault::DiskFull => {
                let filler = self.fill_disk();
                resume(agent);
                agent.wait().unwrap();
                std::fs::remove_file(filler).unwrap();
                host.run(&["now"]);
            }
            Fault::DiskFullAndKilled => {
                let filler = self.fill_disk();
                end(agent);
                let ended = host.run(&["now"]);
                let open = host.status()["last_pass"]["outcome"].is_null();
                assert!(!open, "{ended}");
                std::fs::remove_file(filler).unwrap();
            }
            Fault::ReadOnly => {
                end(agent);
                if let Some(deadman) = host.deadman(transaction) {
                    killpg(Pid::from_raw(deadman.cast_signed()), Signal::SIGKILL).unwrap();
                    eventually("the deadman is gone", || host.deadman(transaction).is_none());
                }
                self.remount(MsFlags::MS_RDONLY);
                let refused = host.run(&["now"]);
                assert!(!matches!(refused.code, Some(0 | 16)), "{refused}");
                self.remount(MsFlags::empty());
                host.run(&["now"]);
            }
            Fault::TornJournal => {
                end(agent);
                let log = std::fs::File::options()
                    .write(true)
                    .open(host.state().join("journal.db-wal"))
                    .unwrap();
                let length = log.metadata().unwrap().len();
                // In the middle of the last page that was written.
                log.set_len(length.saturating_sub(2000)).unwrap();
                host.run(&["now"]);
            }
            Fault::ClockBack => self.with_clock(agent, "1970-01-01 00:00:10"),
            Fault::ClockAhead => self.with_clock(agent, "+1y"),
            Fault::NoRemote => {
                let (from, to) = (self.fleet.bare(), self.fleet.bare().with_extension("away"));
                std::fs::rename(&from, &to).unwrap();
                resume(agent);
                agent.wait().unwrap();
                std::fs::rename(to, from).unwrap();
            }
            Fault::TwoAgents => {
                host.run(&["now"]).ended(75);
                host.run(&["agent"]).ended(75);
                resume(agent);
                agent.wait().unwrap();
            }
            Fault::TheirSwitch => {
                // As nixos-rebuild does it: the profile first, and then the switch.
                let profile = self.store.state().join("profiles/system");
                let system = &self.systems[2].toplevel;
                let (profile, theirs) = (profile.display().to_string(), system.display().to_string());
                self.store
                    .nix("nix-env", &["--profile", &profile, "--set", &theirs])
                    .ended(0);
                let status = self
                    .as_booted(&system.join("bin/switch-to-configuration"))
                    .env("NIXOS_NO_CHECK", "1")
                    .arg("switch")
                    .status();
                assert!(status.unwrap().success());
                // The way back may come to the same step again.
                let mut ended = None;
                eventually("the agent ends", || {
                    resume(agent);
                    ended = agent.try_wait().unwrap();
                    ended.is_some()
                });
                let code = ended.and_then(|ended| ended.code());
                let quarantined = host.status()["quarantine"].as_array().map(Vec::len);
                match self.reach {
                    // Nobody's fault.
                    Reach::Switch => assert_eq!((code, quarantined), (Some(75), Some(0))),
                    // It was to be booted, and somebody runs something else.
                    Reach::Reboot => assert!(matches!(code, Some(75 | 16)), "{code:?}"),
                }
            }
        }
    }

    /// Leaves no byte of the disk of the agent's state.
    fn fill_disk(&self) -> PathBuf {
        let filler = self.host.state().join("filler");
        let file = std::fs::File::create_new(&filler).unwrap();
        let mut at = 0;
        while let Ok(written @ 1..) = file.write_at(&[1; 4096], at) {
            at += written as u64;
        }
        filler
    }

    fn with_clock(&self, agent: &mut Child, time: &str) {
        end(agent);
        let library = faketime();
        let variables = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME", time),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        self.host.run_with(&variables, &["now"]);
    }

    /// Everything of the host is gone that was in memory, and what the boot loader boots by default is there.
    fn power_cut(&self, transaction: u64) {
        if let Some(deadman) = self.host.deadman(transaction) {
            killpg(Pid::from_raw(deadman.cast_signed()), Signal::SIGKILL).unwrap();
            eventually("the deadman is gone", || self.host.deadman(transaction).is_none());
        }
        std::fs::remove_dir_all(self.host.path("run")).unwrap();
        reconciler_tests::write(&self.tools.path().join("boot-id"), &new_boot_id());
        let (_, toplevel) = self.host.boot_default().unwrap();
        std::fs::create_dir_all(self.host.path("run")).unwrap();
        assert!(
            self.as_booted(&toplevel.join("activate"))
                .status()
                .unwrap()
                .success()
        );
    }

    fn as_booted(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RECONCILER_ROOT", self.host.root())
            .env("RECONCILER_PROFILE", self.store.state().join("profiles/system"))
            .stdout(std::process::Stdio::null());
        command
    }

    fn remount(&self, flags: MsFlags) {
        // What the killed agent had started ends by itself, and lets go of what it writes to.
        eventually("nobody writes to the agent's state", || {
            let flags = MsFlags::MS_REMOUNT | flags;
            mount::<str, Path, str, str>(None, &self.host.state(), None, flags, None).is_ok()
        });
    }

    /// The number of the transaction that is open.
    fn transaction(&self) -> u64 {
        let folders = std::fs::read_dir(self.host.state().join("transactions")).unwrap();
        let numbers = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
        numbers.filter_map(|name| name.parse().ok()).max().unwrap_or(0)
    }

    pub(super) fn leave(self) {
        let _ = umount2(BOOT_ID, MntFlags::MNT_DETACH);
        let _ = umount2(&self.host.state(), MntFlags::MNT_DETACH);
    }
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn new_boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap()
}

fn end(agent: &mut Child) {
    agent.kill().unwrap();
    agent.wait().unwrap();
}

fn resume(agent: &Child) {
    kill(Pid::from_raw(agent.id().cast_signed()), Signal::SIGCONT).unwrap();
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The library of faketime, beside the tool of that name.
fn faketime() -> PathBuf {
    let _installed = tool("faketime");
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let library = |folder| PathBuf::from(format!("/usr/lib/{folder}/faketime/libfaketime.so.1"));
    folders
        .map(library)
        .into_iter()
        .find(|library| library.exists())
        .unwrap()
}
