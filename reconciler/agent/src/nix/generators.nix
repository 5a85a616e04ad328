# What a native fleet's generators are, for the person who makes their values: a function that `nix eval --apply`
# calls with the flake's output `reconciler`, in the folder that the person works in, with what is not committed.
#
# Step "generators" tells all of every machine but scripts and runtime inputs, which are never forced there. Step
# "scripts" tells those of `wanted`, and writes their derivations to the store.
{
  # "generators" or "scripts".
  step,
  # The system of the person's machine: scripts run there.
  system,
  # JSON: [ { machine, generator } ].
  wanted ? "[]",
}:
reconciler:

let
  inherit (builtins) attrNames concatLists concatStringsSep filter isAttrs isFunction isList isPath listToAttrs mapAttrs;

  text = value: builtins.unsafeDiscardStringContext (toString value);
  textOrNull = value: if value == null then null else text value;

  # ---- What is declared.

  generatorsOf = machine: machine.vars.generators or { };

  prompt = declared: {
    type = text (declared.type or "line");
    description = text (declared.description or "");
    persist = declared.persist or false;
    display = {
      group = textOrNull (declared.display.group or null);
      label = textOrNull (declared.display.label or null);
      required = declared.display.required or true;
      helperText = textOrNull (declared.display.helperText or null);
    };
  };
  file = declared: {
    secret = declared.secret or true;
    deploy = declared.deploy or true;
  };

  # The answer to a persisted prompt is a file of its own, as in clan.
  persisted = prompts: listToAttrs (map (name: { inherit name; value = { }; })
    (filter (name: prompts.${name}.persist or false) (attrNames prompts)));

  hash = declared:
    if declared.validationHash or null != null then text declared.validationHash
    else if declared.validation or null == null then null
    else builtins.hashString "sha256" (builtins.toJSON declared.validation);

  generator = declared: {
    share = declared.share or false;
    dependencies =
      let dependencies = declared.dependencies or [ ];
      in if isList dependencies then map text dependencies else attrNames dependencies;
    prompts = mapAttrs (_: prompt) (declared.prompts or { });
    files = mapAttrs (_: file) (persisted (declared.prompts or { }) // declared.files or { });
    validationHash = hash declared;
    scripted = declared ? script;
  };

  generators = {
    version = 1;
    storeDir = builtins.storeDir;
    readers = {
      users = reconciler.vars.users or null;
      groups = reconciler.vars.groups or [ ];
    };
    machines = mapAttrs (_: machine: mapAttrs (_: generator) (generatorsOf machine)) (reconciler.machines or { });
  };

  # ---- What is run.

  # A machine's own packages are of no use on another system, so both may be functions of the person's.
  forSystem = value: if isFunction value then value system else value;

  # The output with programs, as nixpkgs' `getBin`.
  binOf = input:
    if isAttrs input && !(input.outputSpecified or false) then input.bin or input.out or input else input;

  scriptOf = { machine, generator }:
    let
      declared = (generatorsOf reconciler.machines.${machine}).${generator};
      given = forSystem (declared.script or "");
      script = if isPath given then builtins.readFile given else "${given}";
      path = concatStringsSep ":" (map (input: "${binOf input}/bin") (forSystem (declared.runtimeInputs or [ ])));
      context = builtins.getContext (script + path);
    in
    {
      inherit machine generator;
      script = text script;
      path = text path;
      # In the form that `nix-store --realise` takes.
      needs = concatLists (map
        (derivation: map (output: "${derivation}!${output}") (context.${derivation}.outputs or [ ]))
        (attrNames context));
    };

  scripts = {
    version = 1;
    scripts = map scriptOf (builtins.fromJSON wanted);
  };

  result =
    if step == "generators" then generators
    else if step == "scripts" then scripts
    else throw "the step is \"${step}\", none of generators, scripts";
in
# Forced first: Nix 2.8 prints JSON as it evaluates, and half an answer before an error.
builtins.deepSeq result result
