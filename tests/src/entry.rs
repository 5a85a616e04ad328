//! What a fleet declares for one machine, as Nix.

/// The system of this machine, as Nix names it.
pub const SYSTEM: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-linux"
} else {
    "x86_64-linux"
};

/// A class whose toplevels the tests can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The example's NixOS toplevel.
    Nixos,
    /// A derivation of a shell script, with a `bin/activate`.
    Custom,
    /// The example's nix-darwin toplevel.
    Darwin,
    /// A toplevel by system-manager's contract.
    SystemManager,
    /// Generations by home-manager's contract.
    HomeManager,
}

/// An entry of `reconciler.machines`.
#[derive(Debug, Clone)]
pub struct Entry {
    class: Class,
    system: String,
    tags: Vec<String>,
    vars: String,
    toplevel: String,
}

impl Entry {
    /// A NixOS machine, composed of what lies in its folder `root` and of the example's toplevel.
    #[must_use]
    pub fn nixos() -> Entry {
        Entry::of(
            Class::Nixos,
            "toplevel { inherit name; class = \"nixos\"; inherit system; folders = [ ./root ]; }",
        )
    }

    /// A machine of the class `darwin`.
    #[must_use]
    pub fn darwin() -> Entry {
        let toplevel = "toplevel { inherit name; class = \"darwin\"; inherit system; folders = [ ./root ]; }";
        Entry::of(Class::Darwin, toplevel).system("aarch64-darwin")
    }

    /// A machine of the class `custom`, whose `bin/activate` is this script.
    #[must_use]
    pub fn custom(script: &str) -> Entry {
        // Handed over in the environment: a script is full of what Nix and a shell would read otherwise.
        let script = script.replace("''", "'''").replace("${", "''${");
        Entry::of(
            Class::Custom,
            &format!(
                "derivation {{ name = \"${{name}}\"; inherit system; builder = \"/bin/sh\"; script = ''\n{script}'';\n\
                 args = [ \"-c\" ''PATH=/usr/bin:/bin; mkdir -p $out/bin; printf %s \"$script\" >$out/bin/activate; \
                 chmod +x $out/bin/activate'' ]; }}"
            ),
        )
    }

    /// A machine of the class `system-manager`: its folder `root` has `etc`, `copies`, `masked`, `replaced`, `fault`.
    #[must_use]
    pub fn system_manager() -> Entry {
        Entry::of(Class::SystemManager, "").built_by(
            "engine=${../../classes/system-manager} declared=${./root}\n. ${../../classes/system-manager/build}\n",
        )
    }

    /// A machine of the class `home-manager`: its folder `root/users` has a folder a user, with `home`, `agents`,
    /// `forced`, `fault`.
    #[must_use]
    pub fn home_manager() -> Entry {
        let toplevel = "let
    run = name: script: derivation {
      inherit name system; builder = \"/bin/sh\"; args = [ \"-c\" (\"PATH=/usr/bin:/bin\\n\" + script) ];
    };
    generation = user: run \"home-manager-generation\" ''
      user=${user} script=${../../classes/home-manager} declared=${./root/users + \"/${user}\"}
      . $script/build
    '';
    link = user: \"mkdir -p $out/users; ln -s ${generation user} $out/users/${user}\\n\";
  in run \"home-manager-users\" (builtins.concatStringsSep \"\" (map link (builtins.attrNames (builtins.readDir ./root/users))))";
        Entry::of(Class::HomeManager, toplevel)
    }

    fn of(class: Class, toplevel: &str) -> Entry {
        let (vars, tags) = (String::new(), Vec::new());
        Entry {
            class,
            system: SYSTEM.to_owned(),
            tags,
            vars,
            toplevel: toplevel.to_owned(),
        }
    }

    /// For another system.
    #[must_use]
    pub fn system(mut self, system: &str) -> Entry {
        self.system = system.to_owned();
        self
    }

    /// With a tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Entry {
        self.tags.push(tag.to_owned());
        self
    }

    /// With `vars.generators`, as a Nix expression.
    #[must_use]
    pub fn generators(mut self, nix: &str) -> Entry {
        self.vars = format!("vars.generators = {nix};");
        self
    }

    /// With a toplevel that is this Nix expression; `name` and `system` are in scope.
    #[must_use]
    pub fn toplevel(mut self, nix: &str) -> Entry {
        self.toplevel = nix.to_owned();
        self
    }

    /// With a toplevel that this shell script builds; it makes `$out`.
    #[must_use]
    pub fn built_by(self, script: &str) -> Entry {
        let nix = format!(
            "derivation {{ name = \"${{name}}\"; inherit system; builder = \"/bin/sh\"; args = [ \"-c\" ''\n\
             PATH=/usr/bin:/bin\n{script}'' ]; }}"
        );
        self.toplevel(&nix)
    }

    pub(crate) fn to_nix(&self) -> String {
        let class = match self.class {
            Class::Nixos => "nixos",
            Class::Custom => "custom",
            Class::Darwin => "darwin",
            Class::SystemManager => "system-manager",
            Class::HomeManager => "home-manager",
        };
        let tags = self
            .tags
            .iter()
            .map(|tag| format!("\"{tag}\" "))
            .collect::<String>();
        format!(
            "{{ name, toplevel }}:\nlet system = \"{}\"; in\n{{\n  class = \"{class}\"; inherit system; tags = [ {tags}];\n  \
             {}\n  toplevel = {};\n}}\n",
            self.system, self.vars, self.toplevel
        )
    }
}
