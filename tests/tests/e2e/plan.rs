//! What would change, and what did: `plan`, `diff`, and the end of `now`.

use reconciler_tests::{Entry, Fleet, Host, Store};
use serde_json::{Value, json};

/// A toplevel that refers to packages, each a derivation of its own.
fn with_packages(names: &[&str]) -> Entry {
    let names: String = names.iter().map(|name| format!("\"{name}\" ")).collect();
    Entry::custom("").toplevel(&format!(
        "let package = name: derivation {{ inherit name system; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo ${{name}} >$out\" ]; }}; in\n\
         derivation {{ inherit name system; builder = \"/bin/sh\"; packages = map package [ {names}];\n\
         args = [ \"-c\" ''PATH=/usr/bin:/bin; mkdir -p $out/bin; echo $packages >$out/packages;\n\
         printf '#!/bin/sh\\n' >$out/bin/activate; chmod +x $out/bin/activate'' ]; }}"
    ))
}

#[test]
fn packages_are_told_before_and_after() {
    let (store, fleet) = (Store::new(), Fleet::new());
    fleet.declare(
        "cinnabar",
        &with_packages(&["zerotierone-1.14.2", "old-1", "same-3"]),
    );
    let first = fleet.publish("the first commit");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.declare(
        "cinnabar",
        &with_packages(&["zerotierone-1.16.0", "new-0.1", "same-3"]),
    );
    let second = fleet.publish("zerotierone: 1.16.0");

    // Nothing is built yet: what it would cost is told, and no more.
    let unbuilt = host.run(&["plan", "--no-build", "--json"]).ended(0).json();
    let change = &unbuilt["change"];
    assert_eq!(
        change["cost"]["build"],
        json!(["cinnabar", "new-0.1", "zerotierone-1.16.0"])
    );
    assert_eq!(change["packages"], Value::Null);
    let toplevel = change["to"]["toplevel"].as_str().unwrap();
    assert!(!std::path::Path::new(toplevel).exists(), "it was built");

    let before = host.picture(&store);
    let plan = host.run(&["plan"]).ended(0);
    plan.says("generation 1 · ")
        .says("↑ zerotierone  1.14.2 → 1.16.0")
        .says("+ new  0.1")
        .says("− old  1")
        .says("(3 added, 3 removed)")
        .says("build    3 derivations")
        .says("nothing was touched");
    assert_eq!(host.picture(&store), before);
    assert!(std::path::Path::new(toplevel).exists(), "it was not built");

    host.run(&["now"])
        .ended(0)
        .says("↑ zerotierone  1.14.2 → 1.16.0")
        .says("1 package changed, 1 added, 1 removed, 1 rebuilt");
    let diff = host.run(&["diff", "--json"]).ended(0).json();
    assert_eq!(
        (&diff["from"]["generation"], &diff["to"]["generation"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&diff["from"]["revision"], &diff["to"]["revision"]),
        (&json!(first), &json!(second))
    );
    let changed = &diff["packages"]["changed"][0];
    assert_eq!(
        (
            &changed["name"],
            &changed["before"],
            &changed["after"],
            &changed["direction"]
        ),
        (
            &json!("zerotierone"),
            &json!(["1.14.2"]),
            &json!(["1.16.0"]),
            &json!("upgrade")
        ),
        "{diff:#}"
    );
    assert_eq!(diff["packages"]["added"][0]["name"], "new", "{diff:#}");
    // The other way round, by number and by revision.
    let back = host.run(&["diff", "2", &first, "--json"]).ended(0).json();
    assert_eq!(
        back["packages"]["changed"][0]["direction"], "downgrade",
        "{back:#}"
    );
    assert_eq!(back["packages"]["bytes"], diff["packages"]["bytes"]);
    host.run(&["diff", "7"]).ended(2).says("there is no generation 7");
    host.run(&["plan"]).ended(0).says("cinnabar is on");
}

#[test]
fn units_are_told_as_the_dry_activation_tells_them() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let unit = |name: &str| format!("machines/cinnabar/root/etc/systemd/system/{name}");
    fleet.write(&unit("gone.service"), "[Service]\nExecStart=/bin/true\n");
    fleet.write(&unit("kept.service"), "[Service]\nExecStart=/bin/true\n");
    fleet.publish("two units");
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.write(&unit("kept.service"), "[Service]\nExecStart=/bin/false\n");
    fleet.write(&unit("new.service"), "[Service]\nExecStart=/bin/true\n");
    fleet.remove(&unit("gone.service"));
    fleet.publish("other units");
    let plan = host.run(&["plan", "--json"]).ended(0).json();
    assert_eq!(
        plan["change"]["activation"],
        json!({"stop": ["gone.service"], "start": ["kept.service", "new.service"], "restart": [], "reload": [], "skip": []}),
        "{plan:#}"
    );
    host.run(&["plan"])
        .ended(0)
        .says("units stop\n  gone.service")
        .says("units start\n  kept.service\n  new.service");
    host.now(0);
    let diff = host.run(&["diff", "--json"]).ended(0).json();
    assert_eq!(
        diff["units"],
        json!({"added": ["new.service"], "removed": ["gone.service"], "changed": ["kept.service"]}),
        "{diff:#}"
    );
}

#[test]
fn a_plan_tells_what_holds_it() {
    let (store, fleet) = (Store::new(), Fleet::with_machine("cinnabar"));
    let host = Host::new(&store, &fleet, "cinnabar");
    host.now(0);
    fleet.motd("cinnabar", "second");
    fleet.fault("cinnabar", "activate-exit", "2");
    fleet.publish("a broken activation");
    host.now(16);
    let plan = host.run(&["plan", "--json"]).ended(10).json();
    assert_eq!(plan["outcome"], "held", "{plan:#}");
    assert!(plan["change"]["packages"].is_object(), "{plan:#}");
    host.run(&["plan"])
        .ended(10)
        .says("is in quarantine until the commit changes");
}
