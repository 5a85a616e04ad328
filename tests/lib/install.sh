# What the tests need and a fresh Debian or Ubuntu lacks. Nothing here is fatal: a lane whose tools could not
# be had says so itself.

# Encrypts as the fleets' administrators do. Neither Debian nor Ubuntu has a package of it.
sops_module=github.com/getsops/sops/v3/cmd/sops@v3.13.3
ssh_to_age_module=github.com/Mic92/ssh-to-age/cmd/ssh-to-age@v1.2.0
# Post-quantum keys and their plugin: no distribution has an age that new.
age_modules='filippo.io/age/cmd/...@v1.3.2 filippo.io/age/extra/age-plugin-pq@v1.3.2'
# Brings what a distribution's Go is too old for; since 1.21 Go fetches it by itself.
go_toolchain=golang.org/toolchain@v0.0.1-go1.25.8.linux

# as_root COMMAND…
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
can_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; }; }

# A command or a file that shows that a package is there, and the package.
needs='
git git
cc gcc
c++ g++
make make
pkg-config pkg-config
/usr/bin/openssl openssl
/usr/bin/ssh-keygen openssh-client
/usr/sbin/sshd openssh-server
age age
jq jq
bwrap bubblewrap
busybox busybox-static
faketime faketime
strace strace
unshare util-linux
setpriv util-linux
pgrep procps
/usr/sbin/capsh libcap2-bin
nix nix-bin
nix-daemon nix-bin
/lib/systemd/system/nix-daemon.service nix-setup-systemd
/lib/systemd/systemd systemd
/lib/systemd/system/dbus.service dbus
/etc/ssl/certs/ca-certificates.crt ca-certificates
'

install_packages() {
    missing=$(echo "$needs" | while read -r sign package; do
        case $sign in
        '') continue ;;
        /*) [ -e "$sign" ] || echo "$package" ;;
        *) command -v "$sign" >/dev/null || echo "$package" ;;
        esac
    done | sort -u)
    pkg-config --exists openssl 2>/dev/null || missing="$missing libssl-dev"
    have_sops || command -v go >/dev/null || missing="$missing golang-go"
    # shellcheck disable=SC2086 # a list of packages
    set -- $missing
    [ $# -gt 0 ] || return 0
    echo "installing: $*"
    if ! command -v apt-get >/dev/null; then
        echo "this is neither Debian nor Ubuntu: install these, or what they are called here, by hand"
    elif ! can_be_root; then
        echo "only root can install them, and there is no sudo"
    elif ! { as_root apt-get update -qq &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends "$@"; } >"$work/apt" 2>&1; then
        tail -n 20 "$work/apt"
    fi
}

have_sops() { [ -x "$RECONCILE_TEST_TOOLS/sops" ] || command -v sops >/dev/null; }

install_sops() {
    have_sops && return
    echo "building sops with Go"
    go_tool "$sops_module"
}
# Only one test needs it, and says so when it is missing.
install_ssh_to_age() {
    [ -x "$RECONCILE_TEST_TOOLS/ssh-to-age" ] || command -v ssh-to-age >/dev/null || go_tool "$ssh_to_age_module" >/dev/null 2>&1
}

# Beside the distribution's, which most tests are to be right with.
install_age() {
    [ -x "$RECONCILE_TEST_TOOLS/age-1.3/age-plugin-pq" ] && return
    echo "building age 1.3 with Go"
    for module in $age_modules; do
        go_tool "$module" age-1.3 || return
    done
}

# go_tool MODULE [FOLDER]: into the folder of the tests' tools, or one below it.
go_tool() {
    go=$(command -v go) || { echo "there is no Go to build $1 with"; return 1; }
    minor=$("$go" version | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-99}" -lt 21 ]; then
        case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
        root=$("$go" mod download -json "$go_toolchain-$arch" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
        [ -n "$root" ] || { echo "cannot get a newer Go than 1.$minor"; return 1; }
        # A module has no executable files; `go` itself does the same to a toolchain that it fetched.
        chmod -R u+w "$root" && chmod +x "$root"/bin/* "$root"/pkg/tool/*/* || return 1
        go=$root/bin/go
    fi
    mkdir -p "$RECONCILE_TEST_TOOLS/${2-}"
    GOBIN=$RECONCILE_TEST_TOOLS/${2-} GOFLAGS=-trimpath CGO_ENABLED=0 "$go" install "$1" >"$work/go" 2>&1 && return
    tail -n 5 "$work/go"
    return 1
}
