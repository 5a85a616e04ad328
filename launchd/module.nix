# services.reconciler for nix-darwin. The job is launchd/org.nixos.reconciler.plist as it stands, and
# `nix.enable` may be off: Determinate Nix and others bring their own daemon.
packages:

{ config, lib, ... }:

{
  imports = [ (import ../systemd/options.nix packages) ];

  config = lib.mkIf config.services.reconciler.enable {
    # The job runs the program that the profile's sw/bin holds.
    environment.launchDaemons."org.nixos.reconciler.plist".source = ./org.nixos.reconciler.plist;

    # No user of its own for the evaluator: nix-darwin makes users only where somebody is logged in at the
    # screen, and an activation that the agent starts would be refused. It evaluates as `nobody`.
  };
}
