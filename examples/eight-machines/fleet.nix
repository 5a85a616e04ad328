# Which tags and roles a machine has, by clan's rules: its own tags first, then those of the inventory that
# list it, by name; a role is played by the machines that it names and by those with one of its tags.
inventory:

let
  inherit (builtins) any attrNames concatMap elem filter mapAttrs pathExists;

  predefined = {
    all = attrNames inventory.machines;
    nixos = ofClass "nixos";
    darwin = ofClass "darwin";
  };
  ofClass = class: filter (name: inventory.machines.${name}.machineClass == class) (attrNames inventory.machines);
  tags = predefined // inventory.tags;

  tagsOf = name:
    let own = inventory.machines.${name}.tags or [ ];
    in own ++ filter (tag: elem name tags.${tag} && !(elem tag own)) (attrNames tags);

  plays = name: role:
    role ? machines.${name} || any (tag: elem tag (tagsOf name)) (attrNames (role.tags or { }));

  # { <instance> = [ <role> ]; }, without the instances in which the machine plays none.
  rolesOf = name:
    let
      all = mapAttrs
        (_: instance: filter (role: plays name instance.roles.${role}) (attrNames instance.roles))
        inventory.instances;
    in
    removeAttrs all (filter (instance: all.${instance} == [ ]) (attrNames all));

  # What the roles bring for the machine's class; some bring nothing for a Mac.
  foldersOf = name:
    let
      roles = rolesOf name;
      folder = instance: role:
        ./services + "/${inventory.instances.${instance}.module.name}/${role}/${inventory.machines.${name}.machineClass}";
    in
    filter pathExists (concatMap (instance: map (folder instance) roles.${instance}) (attrNames roles));
in
{
  inherit tagsOf rolesOf foldersOf;
}
