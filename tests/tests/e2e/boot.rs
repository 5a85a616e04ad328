//! The boot loader: what it lacks is found before an activation or after it, and ends on the old system.

use reconciler_tests::{Fleet, Host, Store, is_root};
use std::path::PathBuf;

/// A machine with a /boot of 256 KiB, whose loader has copies of kernels and initrds as systemd-boot has.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
    old: PathBuf,
}

const MOUNT: &str = "{ [ -d \"$1/boot.kept\" ] || mkdir \"$1/boot.kept\"; } && \
                     mount -t tmpfs -o size=256k boot \"$1/boot\" && cp -a \"$1/boot.kept/.\" \"$1/boot\"";

impl Stage {
    fn new() -> Stage {
        let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
        let host = Host::new(&store, &fleet, "cinnabar");
        host.now(0);
        std::fs::rename(host.path("boot"), host.path("boot.kept")).unwrap();
        std::fs::create_dir(host.path("boot")).unwrap();
        std::fs::create_dir_all(host.path("boot.kept/EFI/nixos")).unwrap();
        let old = host.current().unwrap();
        Stage {
            store,
            fleet,
            host,
            old,
        }
    }

    /// Pushes another kernel of so many KiB.
    fn push(&self, kib: usize) {
        self.fleet
            .write("machines/cinnabar/root/kernel", &"k".repeat(kib << 10));
        self.fleet.motd("cinnabar", "second");
        self.fleet.publish("another kernel");
    }
}

#[test]
fn a_full_boot_is_found_before_anything_is_touched() {
    if !is_root() {
        eprintln!("only root can mount a small file system");
        return;
    }
    let stage = Stage::new();
    stage.push(300);
    let before = stage.host.picture(&stage.store).without_activations();
    stage
        .host
        .run_unshared(MOUNT, &["now"])
        .ended(1)
        .says("has no room for its kernel and initrd: they take 300 KiB")
        .says("nothing was changed")
        .says("hint:");
    assert_eq!(stage.host.picture(&stage.store).without_activations(), before);
    assert_eq!(stage.host.current(), Some(stage.old));
    stage.host.run(&["status", "--check"]).ended(1);
    // With room it goes on by itself, once its wait is over, or at once when somebody asks.
    let larger = MOUNT.replace("256k", "1m");
    stage.host.run_unshared(&larger, &["now"]).ended(0);
    assert_eq!(stage.host.motd(), "second");
}

#[test]
fn a_boot_that_fills_up_is_found_after_it() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    let before = host.picture(&store).without_activations();
    // As a builder that goes on without what it could not copy.
    fleet.fault("cinnabar", "boot-full", "");
    fleet.motd("cinnabar", "second");
    fleet.publish("one too many");
    host.run(&["now"])
        .ended(16)
        .says("there was no space left for it on /boot")
        .says("No space left on device");
    let mut after = host.picture(&store).without_activations();
    after.generations = before.generations;
    assert_eq!(after, before);
}
