//! Specialisations: the one that runs goes on, the one that the policy names is chosen.

use reconciler_tests::{Entry, Fleet, Host, Store, run};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A NixOS toplevel with the specialisations that the folder `specialisations` of the machine names; each has a motd
/// of its own.
const TOPLEVEL: &str = "for folder in ${../../toplevels/nixos} ${../../toplevels/linux-6.12} ${./root}; do
  mkdir -p $out; cp -r $folder/. $out; chmod -R u+w $out
done
for name in $(cat ${./specialisations}); do
  child=$out/children/$name
  mkdir -p $out/specialisation $child
  for folder in ${../../toplevels/nixos} ${../../toplevels/linux-6.12} ${./root}; do cp -r $folder/. $child; chmod -R u+w $child; done
  echo \"$name $(cat $out/etc/motd)\" >$child/etc/motd
  ln -s ../children/$name $out/specialisation/$name
done
";

struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new(specialisations: &str) -> Stage {
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("cinnabar", &Entry::nixos().built_by(TOPLEVEL));
        let stage = Stage {
            host: Host::new(&store, &fleet, "cinnabar"),
            store,
            fleet,
        };
        stage.push("first", specialisations);
        stage.host.now(0);
        stage
    }

    fn push(&self, motd: &str, specialisations: &str) {
        self.fleet
            .write("machines/cinnabar/specialisations", specialisations);
        self.fleet.motd("cinnabar", motd);
        self.fleet.publish(motd);
    }

    /// A person switches to a specialisation of what runs.
    fn switch(&self, name: &str) {
        let toplevel = self.store.profile("system").unwrap();
        let mut switch = Command::new(
            toplevel
                .join("specialisation")
                .join(name)
                .join("bin/switch-to-configuration"),
        );
        switch
            .arg("test")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("RECONCILER_ROOT", self.host.root());
        run(&mut switch, Duration::from_secs(60)).ended(0);
    }

    /// What runs as its name below the toplevel that boots.
    #[track_caller]
    fn runs(&self, name: Option<&str>, motd: &str) {
        let boots = self.host.boot_default().unwrap().1;
        let expected = match name {
            Some(name) => std::fs::canonicalize(boots.join("specialisation").join(name)).unwrap(),
            None => PathBuf::from(&boots),
        };
        assert_eq!(self.host.current(), Some(expected));
        assert_eq!(self.host.motd().trim(), motd);
        assert_eq!(self.store.profile("system"), Some(boots));
    }
}

#[test]
fn the_one_that_runs_goes_on() {
    let stage = Stage::new("gaming work");
    stage.runs(None, "first");
    stage.switch("gaming");
    stage.runs(Some("gaming"), "gaming first");
    // It is the generation's own: nothing drifted, and nothing is done.
    let status = stage.host.status();
    assert_eq!(
        (&status["drift"], &status["sync"]),
        (&json!([]), &"synced".into()),
        "{status:#}"
    );
    let activations = stage.host.activations().len();
    stage.host.now(0);
    assert_eq!(stage.host.activations().len(), activations);

    stage.push("second", "gaming work");
    stage.host.now(0);
    stage.runs(Some("gaming"), "gaming second");
    // What fails goes back to it.
    stage.fleet.fault("cinnabar", "test-exit", "1");
    stage.push("third", "gaming work");
    stage.host.run(&["now"]).ended(16);
    stage.runs(Some("gaming"), "gaming second");
    stage.fleet.remove("machines/cinnabar/root/fault/test-exit");
    // Where it is declared no more, the system itself runs.
    stage.push("fourth", "work");
    stage
        .host
        .run(&["now"])
        .ended(0)
        .says("the specialisation gaming runs, which is declared no more");
    stage.runs(None, "fourth");
}

#[test]
fn the_one_that_the_policy_names_is_chosen() {
    let stage = Stage::new("gaming work");
    let policy = |name: &str| {
        let text = format!("[policy.machines.cinnabar]\nspecialisation = \"{name}\"\n");
        stage.fleet.write("reconciler.toml", &text);
    };
    policy("work");
    stage.push("second", "gaming work");
    stage.host.now(0);
    stage.runs(Some("work"), "work second");
    // A boot brings the system itself, and the next pass what is named.
    stage.host.run(&["status", "--check"]).ended(0);
    let toplevel = stage.store.profile("system").unwrap();
    let mut boot = Command::new(toplevel.join("activate"));
    boot.env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("RECONCILER_ROOT", stage.host.root());
    run(&mut boot, Duration::from_secs(60)).ended(0);
    stage.runs(None, "second");
    stage.host.now(0);
    stage.runs(Some("work"), "work second");
    // One that there is not is refused, and nothing is touched.
    policy("nightly");
    stage.push("third", "gaming work");
    stage
        .host
        .run(&["now"])
        .ended(15)
        .says("has no specialisation `nightly`: it has gaming, work");
    stage.runs(Some("work"), "work second");
}
