# services.reconciler as NixOS and nix-darwin share it: the options, and the configuration file they write.
packages:

{ config, lib, options, pkgs, ... }:

let
  inherit (lib) literalExpression mkDefault mkEnableOption mkIf mkMerge mkOption types;
  cfg = config.services.reconciler;
  toml = pkgs.formats.toml { };
  installer = packages.${pkgs.stdenv.hostPlatform.system}.sops-install-secrets.override { reconcile = cfg.package; };
in
{
  options.services.reconciler = {
    enable = mkEnableOption "the agent that keeps this machine on what its fleet declares";

    package = mkOption {
      type = types.package;
      default = packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = literalExpression "reconcile.packages.\${system}.default";
      description = "The package with `bin/reconcile` and, for Linux, the unit.";
    };

    installsForSopsNix = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the agent's binary is the program with which sops-nix checks and installs secrets:
        `sops.package` and `sops.validationPackage`. The agent itself need not be enabled for it.
      '';
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

  config = mkMerge [
    (mkIf cfg.enable {
      assertions = [
        {
          assertion = cfg.settings ? fleet.url;
          message = "services.reconciler.settings.fleet.url says where the fleet's repository is; it is not set";
        }
      ];

      # A Mac may leave its name to the system; the agent asks for it then.
      services.reconciler.settings.machine =
        mkIf (config.networking.hostName != null) (mkDefault config.networking.hostName);

      environment.etc."reconciler/config.toml".source = toml.generate "reconciler.toml" cfg.settings;
      environment.systemPackages = [ cfg.package ];
    })

    (mkIf cfg.installsForSopsNix {
      assertions = [
        {
          assertion = options ? sops;
          message = "services.reconciler.installsForSopsNix needs the module of sops-nix, which is not imported";
        }
      ];
    })

    # Options that are not declared cannot be set, not even conditionally.
    (lib.optionalAttrs (options ? sops) {
      sops = mkIf cfg.installsForSopsNix {
        package = installer;
        validationPackage = installer;
      };
    })
  ];
}
