# services.reconciler for NixOS. The unit is the package's own (systemd/reconciler.service); what NixOS
# knows better is added to it here.
packages:

{ config, lib, pkgs, ... }:

let
  cfg = config.services.reconciler;
  byUnit = (config.systemd.sysusers.enable or false) || (config.services.userborn.enable or false);
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

    # What the boot took is there again before any service starts.
    systemd.services.reconciler-secrets.wantedBy = [ "sysinit.target" ];

    # And what the accounts are made of, before they are. Where a unit makes them, by one of the package's; else in
    # the activation, which a boot runs before systemd. At any other activation the secrets are in force already.
    systemd.services.reconciler-secrets-for-users.wantedBy = lib.mkIf byUnit [ "sysinit.target" ];
    system.activationScripts = lib.mkIf (!byUnit) {
      reconcilerSecretsForUsers = lib.stringAfter [ "specialfs" ] ''
        # One secret that does not open keeps no account from being made.
        ${lib.getExe cfg.package} secrets restore --before-accounts || echo "not all secrets for accounts are there" >&2
      '';
      users.deps = [ "reconcilerSecretsForUsers" ];
    };
  };
}
