# The machine cinnabar of the example fleet on a host of ./host: its installation, its repository, and what can
# be asked of it. Whoever sources this has sourced begin.sh.

# The agent, by the name under which it can be asked.
program=reconcile

# --- Asking -----------------------------------------------------------------------------------------------

exists() { on test -e "$1"; }
property() { on systemctl show --value -p "$1" "${2:-reconciler.service}"; }
has_property() { [ "$(property "$1" "${3-}")" = "$2" ]; }
# said PATTERN JOURNALCTL-OPTION…: the journal has it since the scene or the boot began.
said() {
    pattern=$1
    shift
    on journalctl --no-pager -o cat "$since" "$@" | grep -q -e "$pattern"
}
# status FILTER, history FILTER: what the agent tells, by a filter of jq that holds.
status() { told=$(on "$program" status --json) && echo "$told" | jq -e "$@" >/dev/null; }
history() { told=$(on "$program" history --json) && echo "$told" | jq -e "$@" >/dev/null; }
activations() { on "$program" history --json -n 1000 | jq length; }
current() { on readlink /run/current-system; }
lines() { on sh -c "cat $1 2>/dev/null | wc -l"; }
# ended OUTCOME: the last pass dealt with the fleet's head, and so.
ended() {
    status --arg head "$(git_of_admin rev-parse HEAD)" --arg outcome "$1" \
        '.fleet.head == $head and .last_pass.outcome == $outcome'
}
# converged MOTD: and this motd is in force.
converged() { ended converged && status '.sync == "synced"' && [ "$(on cat /etc/motd)" = "$1" ]; }

scene() {
    echo
    echo "$1"
    since=--after-cursor=$(on journalctl -n 0 --show-cursor --no-pager | sed -n 's/^-- cursor: //p')
}
power_cut() {
    "$host" cut "$dir"
    "$host" boot "$dir"
    since=--boot
}
explain() {
    on journalctl --no-pager -o short-monotonic "$since" | tail -n 80
    on "$program" status 2>&1
    on "$program" history 2>&1 | head -n 6
}

# --- The fleet --------------------------------------------------------------------------------------------

git_of_admin() {
    on git -C /srv/work -c user.name=admin -c user.email=admin@example.org "$@"
}
make_fleet() {
    cp -r examples/eight-machines "$(at /srv)/work"
    sed -i "s/nixos = \"x86_64-linux\"/nixos = \"$(uname -m)-linux\"/" "$(at /srv/work)/flake.nix"
    chown -R root:root "$(at /srv/work)"
    on git init -q --bare -b main /srv/fleet.git
    git_of_admin init -q -b main
    git_of_admin remote add origin /srv/fleet.git
}
# push MOTD [HOOK]: cinnabar with this motd, and with this script in the middle of its activation; or with TEXT as that
# file of its faults: push MOTD TEXT FAULT.
push() {
    machine=$(at /srv/work/machines/cinnabar)
    rm -rf "$machine/fault"
    echo "$1" >"$machine/etc/motd"
    if [ $# -gt 1 ]; then
        mkdir "$machine/fault"
        printf '%s\n' "$2" >"$machine/fault/${3-hook}"
    fi
    git_of_admin add -A
    git_of_admin commit -qm "$1"
    git_of_admin push -q origin main
}

# declare_tokens MODE [OWNER]: two secrets of cinnabar's, each with the unit that reads it; the owner is the second's.
declare_tokens() {
    vars=$(at /srv/work/vars.nix)
    [ -e "$vars.before" ] || cp "$vars" "$vars.before"
    { cat "$vars.before"; cat; } >"$vars" <<NIX
// {
  reader.files.token = { mode = "$1"; restartUnits = [ "reader.service" ]; };
  reader.files.other = { owner = "${2-root}"; restartUnits = [ "bystander.service" ]; };
}
NIX
    # No file of the fleet's.
    grep -qx vars.nix.before "$(at /srv/work)/.gitignore" 2>/dev/null || echo vars.nix.before >>"$(at /srv/work)/.gitignore"
}
# token NAME VALUE [KEY]: encrypts it anew, to the key of cinnabar or of that name.
token() {
    folder=$(at "/srv/work/vars/per-machine/cinnabar/reader/$1")
    mkdir -p "$folder/machines"
    ln -sf ../../../../../../sops/machines/cinnabar "$folder/machines/cinnabar"
    recipient=$(sed -n 's/^# public key: //p' examples/eight-machines/example-keys/"${3-cinnabar}.txt")
    printf %s "$2" | "$SEAL_BIN" "$recipient" >"$folder/secret"
}
# Services that read their secret when they start, and end where it is a bad one.
install_readers() {
    for unit in reader:token bystander:other; do
        cat >"$(at /etc/systemd/system)/${unit%:*}.service" <<UNIT
[Unit]
Description=Reads its secret when it starts

[Service]
ExecStart=/bin/sh -euc 'secret=/run/secrets/vars/per-machine/cinnabar/reader/${unit#*:}; cat \$secret >>/var/lib/${unit%:*}-read; echo >>/var/lib/${unit%:*}-read; if grep -q bad \$secret; then exit 1; fi; exec sleep infinity'

[Install]
WantedBy=multi-user.target
UNIT
    done
    on systemctl daemon-reload
    on systemctl enable --quiet reader.service bystander.service
    on systemctl start reader.service bystander.service
}
# Makes the account keeper at each boot that finds none, with a password that is a secret, as NixOS has it made.
install_accounts() {
    cat >"$(at /etc/systemd/system)/userborn.service" <<UNIT
[Unit]
Description=Makes accounts
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -euc 'getent passwd keeper || useradd --system --no-create-home --password "\$\$(cat $hash)" keeper'

[Install]
WantedBy=sysinit.target
UNIT
    on systemctl daemon-reload
    on systemctl enable --quiet userborn.service
    on useradd --system --no-create-home keeper
}
# A machine of sops-nix's whose installer is the agent's binary: the unit of its module (modules/sops/default.nix),
# a manifest, and a service that reads what it installs.
sealed() {
    recipient=$(sed -n 's/^# public key: //p' examples/eight-machines/example-keys/"${3-cinnabar}.txt")
    printf %s "$2" | "$SEAL_BIN" "$recipient" >"$(at /etc/drop-in)/$1"
}
# drop_in_manifest MODE
drop_in_manifest() {
    jq -n --arg mode "$1" '
        def secret($name; $mode; $units): {
            name: $name, key: "", sopsFile: "/etc/drop-in/\($name)", sopsFileHash: "", format: "binary", mode: $mode,
            path: "/run/drop-in/\($name)", owner: null, uid: 0, group: null, gid: 0, neededForUsers: false,
            restartUnits: $units, reloadUnits: [] };
        {
            secrets: [secret("token"; $mode; ["reader-of-theirs.service"]), secret("other"; "0400"; [])],
            templates: [], placeholderBySecretName: {}, secretsMountPoint: "/run/drop-in.d",
            symlinkPath: "/run/drop-in", keepGenerations: 1, gnupgHome: null, sshKeyPaths: [],
            ageKeyFile: "/var/lib/sops-nix/key.txt", ageSshKeyPaths: [], useTmpfs: false, userMode: false,
            logging: {keyImport: false, secretChanges: true}
        }' >"$(at /etc/drop-in)/manifest.json"
}
install_drop_in() {
    mkdir "$(at /etc)/drop-in"
    ln -s reconcile "$(at /usr/bin)/sops-install-secrets"
    cat >"$(at /etc/systemd/system)/sops-install-secrets.service" <<UNIT
[Unit]
DefaultDependencies=no
After=systemd-sysusers.service local-fs.target
Before=sysinit.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
Environment=SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1
ExecStart=/usr/bin/sops-install-secrets /etc/drop-in/manifest.json

[Install]
WantedBy=sysinit.target
UNIT
    cat >"$(at /etc/systemd/system)/reader-of-theirs.service" <<'UNIT'
[Unit]
Description=Reads its secret when it starts

[Service]
ExecStart=/bin/sh -euc 'cat /run/drop-in/token >>/var/lib/reader-of-theirs-read; echo >>/var/lib/reader-of-theirs-read; exec sleep infinity'

[Install]
WantedBy=multi-user.target
UNIT
    on systemctl daemon-reload
    on systemctl enable --quiet sops-install-secrets.service reader-of-theirs.service
}
# has_read UNIT: all that it has read so far, in one line.
has_read() { on cat "/var/lib/$1-read" | tr '\n' ' '; }
is_read() { [ "$(has_read "$1")" = "$2" ]; }

# staged MOTD: what was pushed with this motd waits for a reboot.
staged() { ended held && status --arg subject "$1" '.staged.subject == $subject'; }
has_motd() { [ "$(on cat /etc/motd)" = "$1" ]; }
# policy TEXT: what the fleet's policy says besides.
policy() {
    printf '[policy]\n%s\n' "$1" >"$(at /srv/work)/reconciler.toml"
}
# lamp NAME PROGRAM: the unit NAME.service, which is on as long as it is not switched off, if PROGRAM succeeds.
lamp() {
    units=$(at /srv/work/machines/cinnabar)/etc/systemd/system
    mkdir -p "$units"
    printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s\n' "$2" >"$units/$1.service"
}
unlit() { rm -rf "$(at /srv/work/machines/cinnabar)/etc/systemd"; }
# inhibitor VALUE: an implementation of D-Bus that forbids a switch to another.
inhibitor() {
    printf '{\n  "dbus-implementation": "%s"\n}\n' "$1" >"$(at /srv/work/machines/cinnabar)/switch-inhibitors"
}

# Hooks run when a toplevel is switched to, and not when the machine boots it.
switching='[ -e /run/current-system ] || exit 0'
# A hook that says that it is there, waits until it is let on, and is counted.
gate=$switching'
echo entered >>/var/lib/gate-entered
: >/run/gate-entered
while [ ! -e /run/gate-open ]; do sleep 0.05; done
echo left >>/var/lib/gate-left'
close_gate() { on rm -f /run/gate-entered /run/gate-open /var/lib/gate-entered /var/lib/gate-left; }
open_gate() { on touch /run/gate-open; }

# --- Installation -----------------------------------------------------------------------------------------

secrets_units='reconciler-secrets.service reconciler-secrets-for-users.service'
# install_agent BINARY
install_agent() {
    install -m 755 "$1" "$(at /usr/bin)/reconcile"
    install -m 644 systemd/reconciler.service "$(at /etc/systemd/system)/reconciler.service"
    for unit in $secrets_units; do
        install -m 644 "systemd/$unit" "$(at /etc/systemd/system)/$unit"
    done
    install -D -m 644 systemd/sysusers.conf "$(at /usr/lib)/sysusers.d/reconciler.conf"
    install -D -m 600 examples/eight-machines/example-keys/cinnabar.txt "$(at /var/lib)/sops-nix/key.txt"
    install -m 600 examples/eight-machines/example-keys/electrum.txt "$(at /var/lib)/sops-nix/second.txt"
    mkdir -p "$(at /etc)/reconciler"
    cat >"$(at /etc)/reconciler/config.toml" <<'CONF'
machine = "cinnabar"

[fleet]
url = "file:///srv/fleet.git"
poll = "1s"

[identity]
age_keys = ["/var/lib/sops-nix/key.txt", "/var/lib/sops-nix/second.txt"]
ssh_host_keys = []

[policy]
probe_grace = "1s"
probe_soak = "0s"
CONF
    on systemd-sysusers
    on systemctl daemon-reload
    on systemctl enable --quiet reconciler.service $secrets_units
}

# What a boot loader and an initrd do on a NixOS machine: the default entry's system is what runs.
install_boot_loader() {
    cat >"$(at /etc/systemd/system)/boot-default.service" <<'UNIT'
[Unit]
Description=Boots the default of the boot loader
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
ConditionPathExists=/boot/loader/loader.conf

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -eu /etc/boot-default

[Install]
WantedBy=sysinit.target
UNIT
    cat >"$(at /etc)/boot-default" <<'SCRIPT'
entry=$(sed -n 's/^default //p' /boot/loader/loader.conf)
system=$(sed -n 's,^options.*init=\([^ ]*\)/init.*,\1,p' "/boot/loader/entries/$entry")
ln -s "$system" /run/booted-system
exec "$system/activate"
SCRIPT
    on systemctl daemon-reload
    on systemctl enable --quiet boot-default.service
}
