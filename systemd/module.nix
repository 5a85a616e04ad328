# services.reconciler for NixOS. The unit is the package's own (systemd/reconciler.service); what NixOS
# knows better is added to it here.
packages:

{ config, lib, pkgs, ... }:

let
  cfg = config.services.reconciler;
in
{
  imports = [ (import ./options.nix packages) ];

  config = lib.mkIf cfg.enable {
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
      restartTriggers = [ config.environment.etc."reconciler/config.toml".source ];
    };
  };
}
