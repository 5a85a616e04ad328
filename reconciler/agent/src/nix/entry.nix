# What the fleet declares for one machine at one revision.
#
# One expression, for Nix from 2.8 on and for Lix, evaluated purely (never with `--impure`) and with
# `--no-update-lock-file`. It reads the flake and its lock file and changes neither. It never forces
# `clanInternals.machines` (a different closure than the machine's own), and its step "metadata"
# forces no toplevel, no generator's script and no public value, so it survives vars that are missing.
#
# Every answer carries `version` and `status`:
#   no-flake          the directory holds no flake.nix
#   unlocked          `inputs`: those that flake.nix names and the root of flake.lock does not
#   no-machine        `machines`: the names that the fleet does declare, sorted
#   no-toplevel       the machine is declared, a toplevel for it is not
#   not-a-derivation  `type`: what the toplevel is instead
#   ok                the entry (step "metadata"), the derivation (step "toplevel"), or the whole fleet's
#                     inventory in the shape of clan's `inventorySerialization` (step "inventory"), or all that
#                     a published map says of the machine (step "published"), or the machines (step "machines")
#
# What the fleet reads of its own commit, and of where its tree lies, leaves a trace: a line of the log that
# `evaluation_log.rs` knows. An answer without the first is the same at every commit with this tree.
{
  # { path, narHash, rev, lastModified, revCount }: the store path that holds the tree of `rev`.
  source,
  # Where flake.nix lies in that tree; "" is its root.
  directory ? "",
  machine,
  # "metadata", "toplevel", "published", "inventory" or "machines"; the last two look at no machine.
  step,
  # Step "published": the only system whose toplevels are evaluated.
  system ? null,
}:

let
  answer = status: fields: { version = 1; inherit status; } // fields;

  # Paths become text, or `--json` would copy what they point to into the store.
  text = value: builtins.unsafeDiscardStringContext (toString value);
  textOrNull = value: if value == null then null else text value;

  # Sorted, each once.
  names = list: builtins.attrNames (builtins.listToAttrs (map (name: { inherit name; value = null; }) list));

  # What `value` is when it can be had; `default` when it throws.
  attempt = default: value:
    let tried = builtins.tryEval (builtins.deepSeq value value);
    in if tried.success then tried.value else default;

  # ---- The lock, read before the flake is called: `getFlake` says the same only as an error.

  tree = builtins.fetchTree {
    type = "path";
    inherit (source) path narHash rev lastModified revCount;
  };
  root = tree.outPath + (if directory == "" then "" else "/" + directory);
  declaration = import (root + "/flake.nix");

  # Every argument of `outputs` is an input too, even one that has a default.
  declaredInputs = builtins.filter (name: name != "self") (names (
    builtins.attrNames (declaration.inputs or { })
    ++ (if builtins.isFunction (declaration.outputs or null)
        then builtins.attrNames (builtins.functionArgs declaration.outputs) else [ ])
  ));
  lock =
    if builtins.pathExists (root + "/flake.lock")
    then builtins.fromJSON (builtins.readFile (root + "/flake.lock"))
    else { root = "root"; nodes.root = { }; };
  lockedInputs = lock.nodes.${lock.root}.inputs or { };
  unlockedInputs = builtins.filter (name: !(lockedInputs ? ${name})) declaredInputs;

  # ---- What leaves a trace.

  traced = mark: attributes: set: set // builtins.mapAttrs
    (_: value: builtins.trace mark value)
    (builtins.intersectAttrs (builtins.listToAttrs (map (name: { inherit name; value = null; }) attributes)) set);
  readsCommit = "reconcile-reads-commit";
  # The root of the repository, which only a flake in a folder of it can be told from its own.
  readsRepository = "reconcile-reads-repository";
  ofCommit = traced readsCommit [ "rev" "shortRev" "revCount" "lastModified" "lastModifiedDate" ];
  ofRepository = attributes: set: if directory == "" then set else traced readsRepository attributes set;
  ownInfo = sourceInfo: ofRepository [ "outPath" "narHash" ] (ofCommit sourceInfo);

  # ---- The flake.

  # RFC 3986, the reserved characters of ASCII.
  percentEncode = builtins.replaceStrings
    [ "%" " " "!" "\"" "#" "$" "&" "'" "(" ")" "*" "+" "," "/" ":" ";" "<" "=" ">" "?" "@" "[" "\\" "]" "^" "`" "{" "|" "}" ]
    [ "%25" "%20" "%21" "%22" "%23" "%24" "%26" "%27" "%28" "%29" "%2A" "%2B" "%2C" "%2F" "%3A" "%3B" "%3C" "%3D" "%3E" "%3F" "%40" "%5B" "%5C" "%5D" "%5E" "%60" "%7B" "%7C" "%7D" ];

  # Nix before 2.26 may refuse `dir` in a `path:` URL (2.8 does), so there the locked inputs are
  # called as Nix's own call-flake.nix calls them. What that lacks: a lock whose input is locked for
  # another URL than flake.nix now gives is served as it stands, where `getFlake` refuses it.
  takesDirectory = directory == "" || builtins.compareVersions builtins.nixVersion "2.26" >= 0;

  calledNodes = builtins.mapAttrs (key: node:
    let
      isRoot = key == lock.root;
      fetched = if isRoot then tree else builtins.fetchTree (node.info or { } // removeAttrs node.locked [ "dir" ]);
      sourceInfo = if isRoot then ownInfo tree else fetched;
      subdirectory = if isRoot then directory else node.locked.dir or "";
      called = import (fetched.outPath + (if subdirectory == "" then "" else "/" + subdirectory) + "/flake.nix");
      inputs = builtins.mapAttrs (_: input: calledNodes.${nodeOf input}) (node.inputs or { });
      outputs = called.outputs (inputs // { self = result; });
      result = outputs // sourceInfo // { inherit inputs outputs sourceInfo; _type = "flake"; };
    in
    if node.flake or true then result else sourceInfo
  ) lock.nodes;
  nodeOf = input: if builtins.isList input then builtins.foldl' (node: name: nodeOf lock.nodes.${node}.inputs.${name}) lock.root input else input;

  # Nix resolves and checks the inputs; the outputs are asked once more, by a `self` that leaves traces.
  locked =
      builtins.getFlake (
        "path:${source.path}?narHash=${percentEncode source.narHash}&rev=${source.rev}"
        + "&lastModified=${toString source.lastModified}&revCount=${toString source.revCount}"
        + (if directory == "" then "" else "&dir=${percentEncode directory}")
      );
  # An input that follows the fleet itself, or lies in its tree, has the commit from Nix, which leaves none.
  followsFleet = builtins.any
    (node:
      builtins.any (input: input == [ ]) (builtins.attrValues (node.inputs or { }))
      || (node.locked.type or "" == "path" && builtins.substring 0 1 (node.locked.path or "/") != "/"))
    (builtins.attrValues lock.nodes);
  followed = inputs: if followsFleet then builtins.trace readsCommit (builtins.trace readsRepository inputs) else inputs;
  self =
    let
      sourceInfo = ownInfo locked.sourceInfo;
      inputs = followed locked.inputs;
      outputs = declaration.outputs (inputs // { inherit self; });
    in
    outputs // sourceInfo // { inherit (locked) outPath; inherit inputs outputs sourceInfo; _type = "flake"; };

  flake = if takesDirectory then self else calledNodes.${lock.root};
  inherit (flake) outputs;

  # ---- The machine: the first of these outputs that declares it.

  # home-manager names a configuration `user`, or `user@host`; of the latter a host may have several.
  homeNames = builtins.filter
    (name: name == machine || builtins.match ".*@(.*)" name == [ machine ])
    (builtins.attrNames (outputs.homeConfigurations or { }));

  systemOf = configuration:
    configuration.pkgs.stdenv.hostPlatform.system or (configuration.config.nixpkgs.hostPlatform.system or null);

  found =
    if outputs ? reconciler.machines.${machine} then native outputs.reconciler.machines.${machine}
    else if outputs ? nixosConfigurations.${machine} then
      let configuration = outputs.nixosConfigurations.${machine}; in {
        kind = "nixos";
        class = "nixos";
        system = systemOf configuration;
        config = configuration.config;
        toplevel = configuration.config.system.build.toplevel or null;
      }
    else if outputs ? darwinConfigurations.${machine} then darwin "darwin" outputs.darwinConfigurations.${machine}
    else if outputs ? clan.darwinConfigurations.${machine} then
      # The templates of clan-core export no `darwinConfigurations`.
      darwin "clan-darwin" outputs.clan.darwinConfigurations.${machine}
    else if homeNames != [ ] then
      let
        configurations = map (name: outputs.homeConfigurations.${name}) homeNames;
        first = builtins.head configurations;
      in {
        kind = "home-manager";
        class = "home-manager";
        system = systemOf first;
        # Says whose each home is, which a generation does not.
        toplevel =
          if builtins.all (configuration: configuration ? activationPackage) configurations then
            first.pkgs.linkFarm "home-manager-users" (map
              (configuration: {
                name = "users/${configuration.config.home.username}";
                path = configuration.activationPackage;
              })
              configurations)
          else null;
      }
    else if systemConfigs ? ${machine} then
      let toplevel = systemConfigs.${machine}; in {
        kind = "system-manager";
        class = "system-manager";
        system = toplevel.system or null;
        inherit toplevel;
      }
    else null;

  # system-manager looks for `systemConfigs.<system>.<host>` first, then for `systemConfigs.<host>`.
  systemConfigs =
    let
      all = outputs.systemConfigs or { };
      isSystem = name:
        builtins.match "[a-z0-9_]+-linux" name != null && (all.${name}.type or null) != "derivation";
      systems = builtins.filter isSystem (builtins.attrNames all);
    in
    builtins.foldl' (found: system: found // all.${system}) (removeAttrs all systems) systems;

  darwin = kind: configuration: {
    inherit kind;
    class = "darwin";
    system = systemOf configuration;
    config = configuration.config or { };
    toplevel = configuration.system or (configuration.config.system.build.toplevel or null);
  };

  classes = [ "nixos" "darwin" "home-manager" "system-manager" "custom" ];
  native = declared: {
    kind = "native";
    class =
      if builtins.elem (declared.class or null) classes then declared.class
      else throw "reconciler.machines.${machine}.class is not one of ${toString classes}";
    system = declared.system or (throw "reconciler.machines.${machine}.system is not declared");
    toplevel = declared.toplevel or null;
    inherit declared;
  };
  declared = found.declared or { };

  machines = names (builtins.concatLists (map (output: attempt [ ] (builtins.attrNames output)) [
    (outputs.reconciler.machines or { })
    (outputs.nixosConfigurations or { })
    (outputs.darwinConfigurations or { })
    (outputs.clan.darwinConfigurations or { })
    (outputs.homeConfigurations or { })
    systemConfigs
  ]));

  # ---- The clan: inventory and vars.

  isClan = outputs ? clanInternals;
  inventoryClass = outputs.clanInternals.inventoryClass or { };
  inventory = inventoryClass.inventorySerialization or { };
  clanTags = inventory.machines.${machine}.tags or [ ];

  # Named itself, or by one of its tags. Settings stay unforced.
  hasRole = role:
    role ? machines.${machine}
    || builtins.any (tag: builtins.elem tag clanTags)
      (let tags = role.tags or { }; in if builtins.isList tags then tags else builtins.attrNames tags);
  rolesOf = instance:
    let roles = instance.roles or { };
    in builtins.filter (name: hasRole roles.${name}) (builtins.attrNames roles);
  clanRoles =
    let all = builtins.mapAttrs (_: rolesOf) (inventory.instances or { });
    in removeAttrs all (builtins.filter (name: all.${name} == [ ]) (builtins.attrNames all));

  clanConfig = found.config.clan.core or { };
  secretStore = textOrNull (clanConfig.vars.settings.secretStore or null);
  clan = if !isClan then null else {
    name = textOrNull (inventory.meta.name or null);
    directory = text (inventoryClass.relativeDirectory or "");
    inherit secretStore;
    uploadDirectory = textOrNull (
      if secretStore == "sops" then clanConfig.vars.sops.secretUploadDirectory or null
      else if secretStore == "age" then clanConfig.vars.age.secretLocation or null
      else if secretStore == "password-store" then clanConfig.vars.password-store.secretLocation or null
      else null
    );
    ageKeyFile = textOrNull (found.config.sops.age.keyFile or null);
    sshKeyPaths = map text (found.config.sops.age.sshKeyPaths or [ ]);
    # Forces every service of the clan; what one of them throws must not stop this machine.
    checks = attempt null (outputs.clanInternals.cliChecks or [ ]);
  };

  # Key files with which the machine's own tools open secrets: sops-nix, agenix, clan's backends. None is forced
  # but by itself: what one module throws is no reason to lose the keys of another.
  identityPaths =
    let
      path = value: let one = attempt null (textOrNull value); in if one == null then [ ] else [ one ];
      paths = values: let list = builtins.tryEval values; in
        if list.success then builtins.concatLists (map path list.value) else [ ];
      inherit (found) config;
      given =
        path (config.sops.age.keyFile or null)
        ++ paths (config.sops.age.sshKeyPaths or [ ])
        ++ paths (config.age.identityPaths or [ ])
        ++ (if clan != null && builtins.elem secretStore [ "sops" "age" ] && clan.uploadDirectory != null
            then [ "${clan.uploadDirectory}/key.txt" ] else [ ]);
    in
    if found ? config then builtins.foldl' (seen: one: if builtins.elem one seen then seen else seen ++ [ one ]) [ ] given
    else [ ];

  # ---- Vars.

  varsFile = file: {
    secret = file.secret or true;
    deploy = file.deploy or true;
    owner = text (file.owner or "root");
    group = text (file.group or (if found.class == "darwin" then "wheel" else "root"));
    mode = text (file.mode or "0400");
    neededFor = text (file.neededFor or "services");
    # clan throws where a machine without systemd declares any.
    restartUnits = if found.class == "darwin" then [ ] else map text (file.restartUnits or [ ]);
  };
  generator = declared: {
    share = declared.share or false;
    files = builtins.mapAttrs (_: varsFile) (answers (declared.prompts or { }) // declared.files or { });
    dependencies =
      let dependencies = declared.dependencies or [ ];
      in if builtins.isList dependencies then map text dependencies else builtins.attrNames dependencies;
    # A native fleet may leave the hashing to us; clan has done it.
    validationHash =
      if declared.validationHash or null != null || declared.validation or null == null
      then textOrNull (declared.validationHash or null)
      else builtins.hashString "sha256" (builtins.toJSON declared.validation);
  };
  # The answer to a prompt that is kept is a file of its own.
  answers = prompts: builtins.listToAttrs (map (name: { inherit name; value = { }; })
    (builtins.filter (name: prompts.${name}.persist or false) (builtins.attrNames prompts)));
  vars =
    let
      generators =
        if declared ? vars then declared.vars.generators or { }
        else if isClan then clanConfig.vars.generators or null
        else null;
    in
    if generators == null then null else { generators = builtins.mapAttrs (_: generator) generators; };

  # ---- The answers.

  metadata = answer "ok" {
    inherit (found) kind class;
    system = textOrNull found.system;
    tags = map text (declared.tags or clanTags);
    roles = declared.roles or clanRoles;
    inherit vars clan identityPaths;
  };

  toplevel = found.toplevel;
  fleet =
    let
      ofClass = machineClass: output: builtins.mapAttrs (_: _: { inherit machineClass; }) (attempt { } (builtins.mapAttrs (_: _: null) output));
      natives = builtins.mapAttrs
        (_: declared: attempt { } { machineClass = text declared.class; tags = map text (declared.tags or [ ]); })
        (outputs.reconciler.machines or { });
    in
    answer "ok" {
      inventory =
        if isClan then {
          machines = inventory.machines or { };
          tags = inventory.tags or { };
          instances = inventory.instances or { };
        }
        else outputs.reconciler.inventory or {
          machines =
            ofClass "system-manager" systemConfigs
            // ofClass "home-manager" (outputs.homeConfigurations or { })
            // ofClass "darwin" (outputs.darwinConfigurations or { })
            // ofClass "nixos" (outputs.nixosConfigurations or { })
            // natives;
        };
      checks = if isClan then attempt null (outputs.clanInternals.cliChecks or [ ]) else [ ];
    };

  derivation =
    if toplevel == null then answer "no-toplevel" { }
    else if !(builtins.isAttrs toplevel && toplevel.type or null == "derivation") then
      answer "not-a-derivation" { type = builtins.typeOf toplevel; }
    else answer "ok" {
      # Asking for drvPath is what writes the derivation to the store.
      drv = text toplevel.drvPath;
      out = text toplevel.outPath;
      name = text toplevel.name;
      system = text toplevel.system;
    };

  published = answer "ok" {
    inherit metadata;
    toplevel = if system == null || metadata.system == null || metadata.system == system then derivation else null;
  };

  # As the machines themselves say their names: of `user@host` it is the host.
  hosts = names (map
    (name: let host = builtins.match ".*@(.*)" name; in if host == null then name else builtins.head host)
    machines);

  result =
    if !(builtins.pathExists (root + "/flake.nix")) then answer "no-flake" { }
    else if unlockedInputs != [ ] then answer "unlocked" { inputs = unlockedInputs; }
    else if step == "inventory" then fleet
    else if step == "machines" then answer "ok" { machines = hosts; }
    else if found == null then answer "no-machine" { inherit machines; }
    else if step == "metadata" then metadata
    else if step == "toplevel" then derivation
    else if step == "published" then published
    else throw "the step is \"${step}\", none of metadata, toplevel, published, inventory, machines";
in
# Forced first: Nix 2.8 prints JSON as it evaluates, and half an answer before an error.
builtins.deepSeq result result
