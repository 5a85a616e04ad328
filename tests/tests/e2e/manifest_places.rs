//! Where a built system names the manifests of its secrets, and with which `PATH`: units, jobs of launchd, homes, the
//! phase before users exist. Each is opened before the switch, or nothing is switched.

use crate::manifests::{declare, declare_with, secret};
use crate::sops_nix::{placeholder, with};
use reconciler_tests::{Class, Entry, Fleet, Host, Key, SYSTEM, Store, fixtures};
use serde_json::json;

/// An entry whose toplevel is that of its class, and what this shell script adds in `$out`. `@call@` is the program with its
/// manifest, `@plugin@` a folder that has an age plugin.
fn entry(class: Class, adds: &str) -> Entry {
    let (entry, name) = match class {
        Class::Darwin => (Entry::darwin().system(SYSTEM), "darwin"),
        _ => (Entry::nixos(), "nixos"),
    };
    let adds = adds
        .replace("@call@", "${program}/bin/sops-install-secrets ${manifest}")
        .replace(
            "@users@",
            "${program}/bin/sops-install-secrets -ignore-passwd ${manifest}",
        )
        .replace("@plugin@", "${plugin}/bin")
        .replace("@home@", "${home}");
    entry.toplevel(&format!(
        "let
  run = name: script: derivation {{
    inherit name system; builder = \"/bin/sh\"; args = [ \"-c\" (\"PATH=/usr/bin:/bin; set -e\\n\" + script) ];
  }};
  manifest = builtins.toFile \"manifest.json\" (builtins.replaceStrings [ \"@file@\" ] [ \"${{./s.json}}\" ]
    (builtins.readFile ./manifest.json));
  program = run \"sops-install-secrets\" \"mkdir -p $out/bin; echo >$out/bin/sops-install-secrets\";
  plugin = run \"age-plugin-marked\" ''
    mkdir -p $out/bin; cp ${{./age-plugin-marked}} $out/bin/age-plugin-marked; chmod 755 $out/bin/age-plugin-marked
  '';
  script = run \"sops-nix-user\" \"printf '%s\\n' '#!/bin/sh' '${{program}}/bin/sops-install-secrets ${{manifest}}' >$out\";
  home = run \"home-manager-generation\" ''
    mkdir -p $out/home-files/.config/systemd/user
    printf '%s\\n' '[Service]' 'ExecStart=${{script}}' >$out/home-files/.config/systemd/user/sops-nix.service
  '';
  base = toplevel {{ inherit name system; class = \"{name}\"; folders = [ ./root ]; }};
in run base.name ''
  mkdir $out; cp -a ${{base}}/. $out; chmod u+w $out
  open() {{ if [ -L $out/$1 ]; then cp -rL $out/$1 $out/new; rm $out/$1; mv $out/new $out/$1; fi; mkdir -p $out/$1; chmod -R u+w $out/$1; }}
  {adds}''"
    ))
}

/// A fleet of this entry, its host, and the system that the host is on.
struct Stage {
    store: Store,
    fleet: Fleet,
    host: Host,
}

impl Stage {
    fn new(class: Class, adds: &str) -> Stage {
        let (store, fleet) = (Store::new(), Fleet::new());
        fleet.declare("cinnabar", &entry(class, adds));
        let plugin = std::fs::read_to_string(fixtures().join("bin/age-plugin-marked")).unwrap();
        fleet.write("machines/cinnabar/age-plugin-marked", &plugin);
        let host = Host::new(&store, &fleet, "cinnabar");
        if class == Class::Darwin {
            host.install("launchctl");
        }
        Stage { store, fleet, host }
    }

    /// One secret for another machine is refused, and for this one it is not.
    fn opens_or_is_refused(&self) {
        let before = self.host.picture(&self.store);
        declare(&self.fleet, &[secret("one", "a")], "electrum");
        self.fleet.publish("not for this machine");
        self.host
            .run(&["now"])
            .ended(14)
            .says("secret one: machines/cinnabar/s.json is not encrypted to this machine")
            .never_says("canary-of");
        assert_eq!(self.host.picture(&self.store), before);
        declare(&self.fleet, &[secret("one", "a")], "cinnabar");
        self.fleet.publish("for this machine");
        self.host
            .run(&["plan"])
            .ended(0)
            .says("1 secret of the new system opens");
    }
}

/// As sops-nix's module has it where systemd makes the users.
const UNIT: &str = "open etc/systemd/system
printf '%s\\n' '[Service]' 'Environment=\"PATH=@plugin@:/nowhere/bin\"' 'ExecStart=@call@' \
>$out/etc/systemd/system/sops-install-secrets.service";

#[test]
fn a_unit_of_systemd() {
    Stage::new(Class::Nixos, UNIT).opens_or_is_refused();
}

#[test]
fn a_job_of_launchd() {
    Stage::new(
        Class::Darwin,
        "open Library/LaunchDaemons
         printf '%s\\n' '<plist version=\"1.0\"><dict><key>Label</key><string>org.nixos.sops-install-secrets</string>' \
         '<key>ProgramArguments</key><array><string>/bin/sh</string><string>-c</string>' \
         '<string>/bin/wait4path /nix/store &amp;&amp; exec sh -c &apos;@call@&apos;</string></array></dict></plist>' \
         >$out/Library/LaunchDaemons/org.nixos.sops-install-secrets.plist",
    )
    .opens_or_is_refused();
}

#[test]
fn a_home_of_the_system() {
    Stage::new(
        Class::Nixos,
        "open etc/systemd/system
         printf '%s\\n' '[Service]' 'ExecStart=/bin/sh -c @home@/activate' >$out/etc/systemd/system/home-manager-kim.service",
    )
    .opens_or_is_refused();
}

#[test]
fn the_phase_before_users_exist() {
    let stage = Stage::new(
        Class::Nixos,
        "mv $out/activate $out/old; { cat $out/old; echo 'false && @users@'; } >$out/activate; chmod 755 $out/activate",
    );
    stage.opens_or_is_refused();
    // Accounts are not looked up: there are none yet.
    let owned = with(secret("one", "a"), json!({"owner": "no-such-user"}));
    declare(&stage.fleet, &[owned], "cinnabar");
    stage.fleet.publish("of a user who is not there");
    stage
        .host
        .run(&["plan"])
        .ended(0)
        .says("1 secret of the new system opens")
        .never_says("no-such-user");
}

#[test]
fn a_template_without_its_secret() {
    let stage = Stage::new(Class::Nixos, UNIT);
    let template = |name: &str, content: String| {
        json!({"name": name, "content": content, "mode": "0400", "path": format!("/run/secrets/rendered/{name}"),
            "owner": "root", "group": "root"})
    };
    let declare = |content: String| {
        let fields = json!({"templates": [template("conf", content)],
            "placeholderBySecretName": {"one": placeholder("one"), "gone": placeholder("no such")}});
        declare_with(&stage.fleet, &[secret("one", "a")], &Key::of("cinnabar"), fields);
        stage.fleet.publish("a template");
    };
    let before = stage.host.picture(&stage.store);
    declare(placeholder("stands for none"));
    stage
        .host
        .run(&["now"])
        .ended(14)
        .says("template conf: has the placeholder")
        .says("hint: take the placeholder from config.sops.placeholder")
        .never_says("canary-of");
    declare(placeholder("no such"));
    stage
        .host
        .run(&["now"])
        .ended(14)
        .says("template conf: takes the value of secret gone, which this manifest does not install");
    assert_eq!(stage.host.picture(&stage.store), before);
    declare(format!("token = {}\n", placeholder("one")));
    stage
        .host
        .run(&["plan"])
        .ended(0)
        .says("2 secrets of the new system open")
        .never_says("canary-of");
}

#[test]
fn a_plugin_is_looked_for_where_the_system_will() {
    let stage = Stage::new(Class::Nixos, UNIT);
    let key = Key::of_plugin();
    stage.host.write("var/lib/sops-nix/key.txt", &key.identity, 0o600);
    declare_with(&stage.fleet, &[secret("one", "a")], &key, json!({}));
    stage.fleet.publish("a secret for the plugin's key");
    stage
        .host
        .run(&["plan"])
        .ended(0)
        .says("1 secret of the new system opens");

    // On the PATH of whoever asks it is of no use to the system.
    let unit = UNIT.replace("@plugin@:", "");
    stage.fleet.declare("cinnabar", &entry(Class::Nixos, &unit));
    stage.fleet.publish("without the plugin");
    stage.host.install("age-plugin-marked");
    stage
        .host
        .run(&["now"])
        .ended(14)
        .says("secret one: machines/cinnabar/s.json is not encrypted to this machine")
        .says("needs the age plugin marked: age-plugin-marked is not installed in any of /nowhere/bin")
        .says("hint: add the plugin's package to `sops.age.plugins`")
        .never_says("canary-of");
}
