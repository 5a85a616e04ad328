# services.reconciler for nix-darwin. The job is launchd/org.nixos.reconciler.plist as it stands, and
# `nix.enable` may be off: Determinate Nix and others bring their own daemon.
packages:

{ config, lib, pkgs, ... }:

let
  inherit (lib) literalExpression mkDefault mkEnableOption mkIf mkOption types;
  cfg = config.services.reconciler;
  toml = pkgs.formats.toml { };
in
{
  options.services.reconciler = {
    enable = mkEnableOption "the agent that keeps this Mac on what its fleet declares";

    package = mkOption {
      type = types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = literalExpression "reconcile.packages.\${system}.default";
      description = "The package with `bin/reconcile`.";
    };

    settings = mkOption {
      inherit (toml) type;
      default = { };
      example = literalExpression ''
        {
          fleet.url = "https://git.example.org/infra.git";
          policy.preset = "laptop";
        }
      '';
      description = ''
        /etc/reconciler/config.toml. It is readable by everybody: tokens and keys are named by the path of
        a file that holds them.
      '';
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.settings ? fleet.url;
        message = "services.reconciler.settings.fleet.url says where the fleet's repository is; it is not set";
      }
    ];

    services.reconciler.settings.machine =
      mkIf (config.networking.hostName != null) (mkDefault config.networking.hostName);

    environment.etc."reconciler/config.toml".source = toml.generate "reconciler.toml" cfg.settings;

    # The job runs the program that the profile's sw/bin holds.
    environment.systemPackages = [ cfg.package ];
    environment.launchDaemons."org.nixos.reconciler.plist".source = ./org.nixos.reconciler.plist;

    # No user of its own for the evaluator: nix-darwin makes users only where somebody is logged in at the
    # screen, and an activation that the agent starts would be refused. It evaluates as `nobody`.
  };
}
