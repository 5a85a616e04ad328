#!/bin/sh
# The agent's main job on a small fleet, from nothing to a rollback, on this machine and without touching it:
# everything lies in a temporary folder that is gone at the end. Needs Rust, and root or sudo where something
# has to be installed.
#
#   examples/demo.sh            RECONCILE_BIN=… uses a binary that is built already
set -eu
cd "$(dirname "$0")/.."

missing=
for need in nix-daemon:nix-bin git:git cc:gcc make:make pkg-config:pkg-config flock:util-linux; do
    command -v "${need%%:*}" >/dev/null || missing="$missing ${need#*:}"
done
pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev pkg-config"
if [ -n "$missing" ]; then
    echo "installing:$missing"
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends $missing >/dev/null
fi

if [ -z "${RECONCILE_BIN-}" ]; then
    echo "building the agent"
    cargo build --quiet --release -p reconciler --bin reconcile
    RECONCILE_BIN=${CARGO_TARGET_DIR:-target}/release/reconcile
fi
reconcile_bin=$(realpath "$RECONCILE_BIN")

# Short: a socket's path has 108 bytes at the most.
home=$(mktemp -d /tmp/demo.XXXXXX)
# What a reboot forgets lies in memory, as on any host.
run=$(mktemp -d /dev/shm/demo.XXXXXX)
agent=
daemon=
leave() {
    status=$?
    trap - EXIT INT TERM
    [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
    [ -z "$agent" ] || wait "$agent" 2>/dev/null || true
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    [ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
    if [ "$status" != 0 ] && [ -e "$home/agent.log" ]; then
        echo "the demo failed; the agent said:" >&2
        cat "$home/agent.log" >&2
    fi
    chmod -R u+w "$home" 2>/dev/null || true
    rm -rf "$home" "$run"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM
# Whoever evaluates is another user, and has to get there.
chmod 755 "$home" "$run"

bold= dim= plain=
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m'); fi
chapter() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
show() { printf '%s$ %s%s\n' "$dim" "$1" "$plain"; }

# A nix-daemon of the demo's own, on a store of its own.
nix=$home/nix
mkdir -p "$nix/store" "$nix/etc" "$nix/var/nix" "$home/home"
cat >"$nix/etc/nix.conf" <<CONF
sandbox = false
build-users-group =
substituters =
require-sigs = false
experimental-features = nix-command flakes
trusted-users = $(id -un)
allowed-users = *
CONF
# Becomes a program that finds the demo's Nix: to be called in a shell of its own.
in_demo() {
    exec env -i PATH="$PATH" HOME="$home/home" NIX_STORE_DIR="$nix/store" NIX_STATE_DIR="$nix/var/nix" \
        NIX_LOG_DIR="$nix/var/log" NIX_LOCALSTATE_DIR="$nix/var" NIX_CONF_DIR="$nix/etc" \
        NIX_DAEMON_SOCKET_PATH="$nix/socket" NIX_USER_CONF_FILES=/dev/null GIT_CONFIG_NOSYSTEM=1 "$@"
}
(in_demo nix-daemon) >"$home/daemon.log" 2>&1 &
daemon=$!

# The fleet: the example's eight machines in a repository. This host plays one of them, cinnabar.
cp -r examples/eight-machines "$home/work"
key=$home/root/var/lib/sops-nix/key.txt
mkdir -p "$home/root/var/lib/sops-nix" "$home/root/etc"
ln -s "$run" "$home/root/run"
install -m 600 "$home/work/example-keys/cinnabar.txt" "$key"
sed -i "s/nixos = \"x86_64-linux\"/nixos = \"$(uname -m)-linux\"/" "$home/work/flake.nix"
git_in_work() {
    env -i PATH="$PATH" HOME="$home/home" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=admin GIT_AUTHOR_EMAIL=admin@example.org \
        GIT_COMMITTER_NAME=admin GIT_COMMITTER_EMAIL=admin@example.org git -C "$home/work" "$@"
}
push() {
    git_in_work add -A
    git_in_work commit -qm "$1"
    show "git push    # $1"
    git_in_work push -q origin main
}
git init -q --bare -b main "$home/fleet.git"
git_in_work init -q -b main
git_in_work remote add origin "$home/fleet.git"

mkdir "$home/etc"
cat >"$home/etc/config.toml" <<CONF
machine = "cinnabar"

[fleet]
url = "file://$home/fleet.git"
poll = "1s"

[paths]
root = "$home/root"

[nix]
daemon = "$nix/socket"
store = "$nix/store"
state = "$nix/var/nix"

[identity]
age_keys = ["/var/lib/sops-nix/key.txt"]

[policy]
probe_grace = "1s"
probe_soak = "0s"
CONF
reconcile() {
    show "reconcile $*"
    "$reconcile_bin" --config "$home/etc/config.toml" "$@"
}
quietly() { "$reconcile_bin" --config "$home/etc/config.toml" "$@"; }
# Waits until the agent's last pass of the pushed commit ended with an outcome.
await() {
    tries=0
    while :; do
        head=$(git_in_work rev-parse HEAD)
        case $(quietly status --json 2>/dev/null | tr -d '\n ') in
            *"\"head\":\"$head\""*"\"last_pass\":{"*"\"outcome\":\"$1\""*) return ;;
        esac
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { echo "waited 30 s for: $1" >&2; quietly status >&2; exit 1; }
        sleep 0.1
    done
}
tell_agent() { tail -n +"$((told + 1))" "$home/agent.log" | sed "s/^.*INFO /  agent: /; s/^.*WARN /  agent! /; s/^.*ERROR /  agent! /"; told=$(wc -l <"$home/agent.log"); }
told=0

chapter "1. An agent starts on an empty machine, and the machine converges"
push "the fleet as it is"
show "reconcile agent &"
# The binary itself and not a function: that one would be a shell of its own, and killing it would leave the agent.
"$reconcile_bin" --config "$home/etc/config.toml" agent 2>"$home/agent.log" &
agent=$!
await converged
tell_agent
show "cat /etc/motd"
cat "$home/root/etc/motd"

chapter "2. A push deploys"
echo "cinnabar, hub of the network, since the second commit" >"$home/work/machines/cinnabar/etc/motd"
push "cinnabar: a new motd"
await converged
tell_agent
show "cat /etc/motd"
cat "$home/root/etc/motd"

chapter "3. A bad push reverts by itself"
echo "this motd comes with a broken activation" >"$home/work/machines/cinnabar/etc/motd"
mkdir -p "$home/work/machines/cinnabar/fault"
echo 2 >"$home/work/machines/cinnabar/fault/activate-exit"
push "cinnabar: a broken activation"
await reverted
tell_agent
show "cat /etc/motd"
cat "$home/root/etc/motd"
reconcile status

chapter "4. A fix is taken at once"
rm -r "$home/work/machines/cinnabar/fault"
echo "cinnabar, mended" >"$home/work/machines/cinnabar/etc/motd"
push "cinnabar: mend the activation"
await converged
tell_agent

chapter "5. A secret changes, and nothing else"
installed=$home/root/run/secrets/vars/per-machine/cinnabar/backup/key
show "sha256sum backup/key    # before"
sha256sum <"$installed"
show "head -c 24 /dev/urandom | base64 | reconcile vars set cinnabar backup/key"
head -c 24 /dev/urandom | base64 |
    (in_demo NIX_REMOTE=daemon "$reconcile_bin" vars set --fleet "$home/work" cinnabar backup/key)
push "vars: a new backup key for cinnabar"
await converged
tell_agent
show "sha256sum backup/key    # after"
sha256sum <"$installed"

chapter "6. A pin is the rollback"
reconcile pin "$(git_in_work rev-parse --short=8 HEAD~3)" --why "the second commit worked best"
show "cat /etc/motd"
cat "$home/root/etc/motd"
reconcile status
reconcile unpin

chapter "What happened here"
reconcile history
