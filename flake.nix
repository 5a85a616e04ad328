{
  description = "A pull agent for fleets of NixOS and macOS machines";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixpkgs-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" "x86_64-darwin" ];
      each = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      package = { lib, stdenv, rustPlatform, pkg-config, openssl, zlib, gitMinimal }:
        rustPlatform.buildRustPackage {
          pname = "reconcile";
          inherit ((lib.importTOML ./Cargo.toml).workspace.package) version;
          src = lib.fileset.toSource {
            root = ./.;
            fileset = lib.fileset.unions [
              ./Cargo.toml
              ./Cargo.lock
              ./clippy.toml
              ./policies
              ./reconciler
              ./tests
              ./examples
              ./systemd
              ./launchd
              ./docs
            ];
          };
          cargoLock.lockFile = ./Cargo.lock;

          nativeBuildInputs = [ pkg-config ];
          buildInputs = [ openssl zlib ];
          nativeCheckInputs = [ gitMinimal ];

          cargoBuildFlags = [ "--package" "reconciler" ];
          # The end-to-end tests need a Nix and a systemd of their own, which a build has not.
          cargoTestFlags = [ "--workspace" "--exclude" "reconciler-tests" ];

          postInstall = lib.optionalString stdenv.hostPlatform.isLinux ''
            for unit in reconciler reconciler-secrets reconciler-secrets-for-users; do
              install -Dm644 systemd/$unit.service $out/lib/systemd/system/$unit.service
              substituteInPlace $out/lib/systemd/system/$unit.service \
                --replace-fail /usr/bin/reconcile $out/bin/reconcile
            done
          '' + lib.optionalString stdenv.hostPlatform.isDarwin ''
            install -Dm644 launchd/org.nixos.reconciler.plist -t $out/Library/LaunchDaemons
          '';

          meta = {
            description = "A pull agent for fleets of NixOS and macOS machines";
            license = [ lib.licenses.mit lib.licenses.asl20 ];
            mainProgram = "reconcile";
            platforms = systems;
          };
        };

      # The same binary under the name by which sops-nix calls it.
      installer = { lib, runCommand, reconcile }:
        runCommand "sops-install-secrets-${reconcile.version}"
          { meta = reconcile.meta // { mainProgram = "sops-install-secrets"; }; }
          ''
            mkdir -p $out/bin
            ln -s ${lib.getExe reconcile} $out/bin/sops-install-secrets
          '';
    in
    {
      packages = each (pkgs: rec {
        reconcile = pkgs.callPackage package { };
        sops-install-secrets = pkgs.callPackage installer { inherit reconcile; };
        default = reconcile;
      });

      nixosModules.default = lib.setDefaultModuleLocation ./systemd/module.nix (import ./systemd/module.nix self.packages);
      darwinModules.default = lib.setDefaultModuleLocation ./launchd/module.nix (import ./launchd/module.nix self.packages);

      devShells = each (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [ pkgs.clippy pkgs.rustfmt pkgs.age pkgs.sops ];
        };
      });

      checks = each (pkgs:
        { package = self.packages.${pkgs.stdenv.hostPlatform.system}.default; }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux (
          let
            machine = lib.nixosSystem {
              modules = [
                self.nixosModules.default
                {
                  nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
                  boot.isContainer = true;
                  system.stateVersion = lib.trivial.release;
                  networking.hostName = "cinnabar";
                  services.reconciler.enable = true;
                  services.reconciler.settings.fleet.url = "https://git.example.org/infra.git";
                }
              ];
            };
          in
          {
            # The whole system of a machine that runs the agent, with the module's assertions.
            module = machine.config.system.build.toplevel;

            unit = pkgs.runCommand "reconciler-unit" { nativeBuildInputs = [ pkgs.systemd ]; } ''
              systemd-analyze verify --man=no ${self.packages.${pkgs.stdenv.hostPlatform.system}.default}/lib/systemd/system/*.service
              touch $out
            '';
          }
        ));
    };
}
