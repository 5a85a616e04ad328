# Who is in the fleet and who does what, in the shape of clan's inventory.
{
  meta.name = "eight-machines";

  machines = {
    # The laptops and desktops.
    stibnite = { machineClass = "darwin"; tags = [ "laptop" ]; description = "the administrator's laptop"; };
    blackphos = { machineClass = "darwin"; tags = [ "laptop" ]; description = "a laptop"; };
    rosegold = { machineClass = "darwin"; tags = [ "laptop" ]; description = "a laptop"; };
    argentum = { machineClass = "darwin"; tags = [ "desktop" ]; description = "the desktop that stays on"; };

    # The servers.
    cinnabar = { machineClass = "nixos"; tags = [ "server" "canary" ]; description = "hub of the network"; };
    electrum = { machineClass = "nixos"; tags = [ "server" ]; description = "web server"; };
    galena = { machineClass = "nixos"; tags = [ "server" ]; description = "web server"; };
    scheelite = { machineClass = "nixos"; tags = [ "server" "storage" ]; description = "backups"; };
  };

  # Memberships by tag; `all`, `nixos` and `darwin` come by themselves.
  tags = {
    always-on = [ "argentum" "cinnabar" "electrum" "galena" "scheelite" ];
    web = [ "electrum" "galena" ];
  };

  instances = {
    mesh = {
      module = { input = "self"; name = "mesh"; };
      roles.hub.machines.cinnabar.settings.endpoint = "cinnabar.example.org:51820";
      roles.peer = {
        tags.all = { };
        settings.keepalive = 25;
        machines.stibnite.settings.routes = [ "10.23.0.0/16" ];
      };
    };

    web = {
      module = { input = "self"; name = "web"; };
      roles.server = {
        tags.web.settings.workers = 4;
        settings.domain = "example.org";
      };
    };

    backup = {
      module = { input = "self"; name = "backup"; };
      roles.server.machines.scheelite.settings.directory = "/srv/backup";
      roles.client = {
        tags.always-on = { };
        settings.schedule = "daily";
      };
    };
  };
}
