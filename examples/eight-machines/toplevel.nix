# A toplevel that keeps the contract of its class, composed of folders by Nix's own `builtin:buildenv`: it
# needs no compiler, no shell and no network, builds in any sandbox and for any system on any other, and
# changes only when a file in one of its folders does.
{
  name,
  # nixos, darwin or custom: a folder in ./toplevels.
  class,
  system,
  # Further folders; of two that hold the same file the first wins.
  folders,
}:

let
  # Each on its own, so that its store path is that of its content and not of the whole fleet. The kernel
  # lies apart: a new one is what needs a reboot.
  imported = map
    (path: builtins.path { inherit path; name = baseNameOf path; })
    (folders ++ [ (./toplevels + "/${class}") ] ++ (if class == "nixos" then [ ./toplevels/linux-6.12 ] else [ ]));

  numbered = builtins.genList
    (index: [ "true" index 1 (builtins.elemAt imported index) ])
    (builtins.length imported);

  label = {
    nixos = "nixos-system-${name}-${builtins.readFile ./toplevels/nixos/nixos-version}";
    darwin = "darwin-system-${name}-${builtins.readFile ./toplevels/darwin/darwin-version}";
    custom = name;
  };
in
derivation {
  name = label.${class};
  inherit system;
  builder = "builtin:buildenv";
  # Four words a folder: active, priority (the lowest wins), number of outputs, path.
  derivations = builtins.concatLists numbered;
  # buildenv links it as manifest.nix; it was made for profiles.
  manifest = builtins.toFile "manifest.nix" "[ ]";
  preferLocalBuild = true;
  allowSubstitutes = false;
}
