{
  description = "Eight machines: four Macs and four NixOS servers, without an input";

  outputs = { self }:
    let
      inventory = import ./inventory.nix;
      fleet = import ./fleet.nix inventory;
      toplevel = import ./toplevel.nix;

      system = { nixos = "x86_64-linux"; darwin = "aarch64-darwin"; };

      entry = name: { machineClass, ... }:
        let
          tags = fleet.tagsOf name;
          roles = fleet.rolesOf name;
        in
        {
          class = machineClass;
          system = system.${machineClass};
          inherit tags roles;
          vars.generators = import ./vars.nix { inherit machineClass tags roles; };
          toplevel = toplevel {
            inherit name;
            class = machineClass;
            system = system.${machineClass};
            # What the machine says itself wins over what its roles bring.
            folders = [ (./machines + "/${name}") ] ++ fleet.foldersOf name;
          };
        };
    in
    {
      reconciler.machines = builtins.mapAttrs entry inventory.machines;
      reconciler.inventory = inventory;

      # A toplevel that brings its own activation, for a machine of the class `custom`.
      packages.x86_64-linux.custom = toplevel {
        name = "custom";
        class = "custom";
        system = "x86_64-linux";
        folders = [ ];
      };
    };
}
