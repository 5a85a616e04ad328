# What the benchmarks run on, all of it below one temporary folder: a nix-daemon on a store of its own, the
# example's fleet in repositories, a web server for them, hosts with an agent each.

# Short: a socket's path has 108 bytes at the most.
home=$(mktemp -d /tmp/bench.XXXXXX)
run=$(mktemp -d /dev/shm/bench.XXXXXX)
chmod 755 "$home"
started=
leave() {
    status=$?
    trap - EXIT INT TERM
    for process in $started; do kill "$process" 2>/dev/null || true; done
    for process in $started; do wait "$process" 2>/dev/null || true; done
    chmod -R u+w "$home" 2>/dev/null || true
    rm -rf "$home" "$run"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

nix=$home/nix
nix_environment=(PATH="$PATH" HOME="$home/home" NIX_STORE_DIR="$nix/store" NIX_STATE_DIR="$nix/var/nix"
    NIX_LOG_DIR="$nix/var/log" NIX_LOCALSTATE_DIR="$nix/var" NIX_CONF_DIR="$nix/etc"
    NIX_DAEMON_SOCKET_PATH="$nix/socket" NIX_USER_CONF_FILES=/dev/null)
# Through the daemon, as anybody but root.
in_nix() { env -i "${nix_environment[@]}" NIX_REMOTE=daemon "$@"; }

start_daemon() {
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
    env -i "${nix_environment[@]}" nix-daemon >"$home/daemon.log" 2>&1 &
    started="$started $!"
    until [ -S "$nix/socket" ]; do pause 0.05; done
}

git_in_work() {
    env -i PATH="$PATH" HOME="$home/home" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=admin GIT_AUTHOR_EMAIL=admin@example.org \
        GIT_COMMITTER_NAME=admin GIT_COMMITTER_EMAIL=admin@example.org git -C "$home/work" "$@"
}
# push SUBJECT [BRANCH]: the branch's head is then what lies in the work tree.
push() {
    git_in_work add -A
    git_in_work commit -qm "$1"
    git_in_work push -q origin main
}
motd() { echo "$1" >"$home/work/machines/cinnabar/etc/motd"; }

# The fleet with one ref, and a copy with 5 000 more as a forge has them: one for each pull request.
make_fleets() {
    cp -r examples/eight-machines "$home/work"
    sed -i "s/nixos = \"x86_64-linux\"/nixos = \"$(uname -m)-linux\"/" "$home/work/flake.nix"
    mkdir -p "$home/git"
    git init -q --bare -b main "$home/git/one.git"
    git_in_work init -q -b main
    git_in_work remote add origin "$home/git/one.git"
    push "the fleet as it is"
    cp -r "$home/git/one.git" "$home/git/many.git"
    head=$(git_in_work rev-parse HEAD)
    for number in $(seq 5000); do echo "create refs/pull/$number/head $head"; done |
        git -C "$home/git/many.git" update-ref --stdin
    git -C "$home/git/many.git" pack-refs --all
}

# git's own CGI program behind a web server that keeps connections, as a forge does.
start_web_server() {
    local server backend
    backend=$(git --exec-path)/git-http-backend
    server=$(command -v lighttpd || true)
    [ -x "$backend" ] || return 1
    if [ -z "$server" ]; then
        # Its package would start a service.
        mkdir -p "$home/web"
        chmod 777 "$home/web"
        (cd "$home/web" && apt-get download -q lighttpd >"$home/apt.log" 2>&1 && dpkg-deb -x lighttpd_*.deb .) || return 1
        server=$home/web/usr/sbin/lighttpd
    fi
    modules=$(dirname "$(dirname "$server")")/lib/lighttpd
    [ -d "$modules" ] || modules=/usr/lib/lighttpd
    for port in $(seq 18080 18180); do
        cat >"$home/web.conf" <<CONF
server.document-root = "$home/git"
server.bind = "127.0.0.1"
server.port = $port
server.errorlog = "$home/web.log"
server.max-keep-alive-idle = 300
server.max-keep-alive-requests = 30000
server.modules = ("mod_alias", "mod_setenv", "mod_cgi")
alias.url = ("/git" => "$backend")
\$HTTP["url"] =~ "^/git/" {
    cgi.assign = ("" => "")
    setenv.set-environment = ("GIT_PROJECT_ROOT" => "$home/git", "GIT_HTTP_EXPORT_ALL" => "1", "HOME" => "$home/home",
        "PATH" => "$PATH")
}
CONF
        "$server" -D -f "$home/web.conf" -m "$modules" >"$home/web.out" 2>&1 &
        web=$!
        for _ in $(seq 40); do
            pause 0.05
            if git ls-remote -q "http://127.0.0.1:$port/git/one.git" main >/dev/null 2>&1; then
                started="$started $web"
                http=http://127.0.0.1:$port/git
                return 0
            fi
            kill -0 "$web" 2>/dev/null || break
        done
        kill "$web" 2>/dev/null || true
        wait "$web" 2>/dev/null || true
    done
    cat "$home/web.out" "$home/web.log" >&2 2>/dev/null || true
    return 1
}

# make_host NAME URL PERIOD: its folder is `$home/NAME`.
make_host() {
    local root=$home/$1/root
    mkdir -p "$root/var/lib/sops-nix" "$root/etc" "$run/$1"
    ln -s "$run/$1" "$root/run"
    install -m 600 "$home/work/example-keys/cinnabar.txt" "$root/var/lib/sops-nix/key.txt"
    cat >"$home/$1/config.toml" <<CONF
machine = "cinnabar"

[fleet]
url = "$2"
poll = "$3"

[paths]
root = "$root"

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
}
reconcile() { "$RECONCILE_BIN" --config "$home/$1/config.toml" "${@:2}"; }

# start_agent NAME: into `agent`; returns when its first pass has ended well.
start_agent() {
    "$RECONCILE_BIN" --config "$home/$1/config.toml" agent 2>"$home/$1/agent.log" &
    agent=$!
    started="$started $agent"
    for _ in $(seq 600); do
        if grep -q 'cinnabar is on\|stays on\|converged' "$home/$1/agent.log"; then return; fi
        kill -0 "$agent" 2>/dev/null || break
        pause 0.1
    done
    echo "the agent's first pass did not end well:" >&2
    cat "$home/$1/agent.log" >&2
    exit 1
}
stop_agent() {
    kill "$agent"
    wait "$agent" || true
    started=${started% "$agent"}
}
