# The values that a machine's roles need, in the shape of clan's `vars.generators`.
{ machineClass, tags, roles }:

let
  inherit (builtins) elem hashString toJSON;

  plays = instance: role: elem role (roles.${instance} or [ ]);
  optional = condition: generators: if condition then generators else { };

  # launchd has no units.
  units = names: if machineClass == "nixos" then names else [ ];
in
optional (plays "mesh" "peer") {
  mesh = {
    share = true;
    # The value is stale when this is another than the hash beside it.
    validationHash = hashString "sha256" (toJSON { network = "10.23.0.0/16"; });
    files.psk.restartUnits = units [ "mesh-peer.service" ];
    files.network.secret = false;
  };
}
// optional (plays "backup" "client") {
  backup.files.key = { };
  backup.files."key.pub".secret = false;
}
// optional (plays "web" "server") {
  tls.files.key = {
    mode = "0440";
    restartUnits = units [ "web.service" ];
  };
  tls.files."cert.pem".secret = false;
}
// optional (elem "server" tags) {
  root-password = {
    # Only people read it.
    files.password.deploy = false;
    files.hash.neededFor = "users";
  };
}
