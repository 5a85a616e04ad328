//! Starting a host anew: its memory is lost, and what the boot loader's default names is activated.

use crate::host::Host;
use crate::output::{Output, run};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

impl Host {
    /// Starts the machine anew, as after a power cut: what runs is what the boot loader's default says.
    pub fn reboot(&mut self) {
        let (_, toplevel) = self.boot_default().unwrap();
        self.reboot_into(&toplevel);
    }

    /// Starts the machine anew, and a person chooses in the boot loader's menu. From here on every command is run in
    /// another boot; only root can.
    pub fn reboot_into(&mut self, toplevel: &std::path::Path) {
        for entry in std::fs::read_dir(self.path("run")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
        self.count_boot();
        let mut init = Command::new(toplevel.join("init"));
        init.env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("RECONCILER_ROOT", self.root());
        run(&mut init, Duration::from_secs(60)).ended(0);
    }

    /// What the machine was booted with.
    #[must_use]
    pub fn booted(&self) -> Option<PathBuf> {
        std::fs::read_link(self.path("run/booted-system")).ok()
    }

    /// Runs `reconcile` in a boot that is not this machine's own.
    pub(crate) fn run_in_boot(&self, boot: u32, arguments: &[&str]) -> Output {
        self.write("boot-id", &format!("00000000-0000-0000-0000-{boot:012}\n"), 0o444);
        let mount = "mount --bind \"$1/boot-id\" /proc/sys/kernel/random/boot_id";
        self.run_unshared(mount, arguments)
    }
}
