# services.reconciler for NixOS. The unit is the package's own (systemd/reconciler.service); what NixOS
# knows better is added to it here.
packages:

{ config, lib, pkgs, ... }:

let
  inherit (lib) literalExpression mkDefault mkEnableOption mkIf mkOption types;
  cfg = config.services.reconciler;
  toml = pkgs.formats.toml { };
  configFile = toml.generate "reconciler.toml" cfg.settings;
in
{
  options.services.reconciler = {
    enable = mkEnableOption "the agent that keeps this machine on what its fleet declares";

    package = mkOption {
      type = types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = literalExpression "reconcile.packages.\${system}.default";
      description = "The package with `bin/reconcile` and the unit.";
    };

    settings = mkOption {
      inherit (toml) type;
      default = { };
      example = literalExpression ''
        {
          fleet.url = "https://git.example.org/infra.git";
          trust.history = "forward";
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

    services.reconciler.settings.machine = mkDefault config.networking.hostName;

    environment.etc."reconciler/config.toml".source = configFile;
    environment.systemPackages = [ cfg.package ];

    # Evaluates the fleet, so that the fleet's code reads no more than anybody may.
    users.users.reconciler-eval = {
      isSystemUser = true;
      group = "reconciler-eval";
      description = "Evaluator of the fleet";
    };
    users.groups.reconciler-eval = { };

    systemd.packages = [ cfg.package ];
    systemd.services.reconciler = {
      wantedBy = [ "multi-user.target" ];
      path = [ config.nix.package pkgs.git pkgs.openssh config.systemd.package ];
      # The agent activates the very system that changes its unit: it ends by itself after the pass, and is
      # started as the new one. The trigger makes a new configuration change the unit.
      restartIfChanged = false;
      unitConfig.X-StopOnRemoval = false;
      restartTriggers = [ configFile ];
    };
  };
}
