# Daemons of other Nix versions than the one installed here: Debian's packages of other releases, unpacked into a
# folder and started with the libraries that they were built for. Nothing is installed, and nobody need be root.

# Where they are kept from one run to the next.
daemons=${RECONCILE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/reconciler-tests}/daemons

# What Debian's package of Nix depends on and no daemon of the tests starts.
unneeded='^(adduser|bash-static|bzip2|curl|debconf|libpam|libperl|libsema|libsepol|login|passwd|perl|xz-utils)|-perl$|-common$'

# The mirror that this machine takes Debian's packages from.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 2>/dev/null |
        sed -n 's/ Debian Debian$//p' | head -n 1
}

# daemon_of RELEASE: prints the folder with its `nix-daemon`, `nix-instantiate` and so on.
daemon_of() {
    place=$daemons/$1
    if ! "$place/bin/nix-daemon" --version >/dev/null 2>&1; then
        unpack_daemon "$1" >"$work/daemon.$1" 2>&1 || { tail -n 5 "$work/daemon.$1" >&2; return 1; }
    fi
    echo "$place/bin"
}

# open_to_all FOLDER: prints a folder with the same tools that any user can run. The agent evaluates as somebody else where
# it is root, and root's own folders are closed to others.
open_to_all() {
    if [ "$(id -u)" != 0 ] || setpriv --reuid=65534 --regid=65534 --clear-groups "$1/nix" --version >/dev/null 2>&1; then
        echo "$1"
        return
    fi
    from=${1%/bin}
    to=$work/${from##*/}
    chmod 711 "$work"
    rm -rf "$to"
    cp -r "$from" "$to"
    sed -i "s,$from/,$to/,g" "$to"/bin/*
    chmod -R a+rX "$to"
    echo "$to/bin"
}

unpack_daemon() {
    command -v apt-get && command -v dpkg-deb || { echo "there is no apt here"; return 1; }
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || { echo "apt knows no mirror of Debian"; return 1; }
    rm -rf "$place" "$place.new"
    mkdir -p "$place.new/state/lists/partial" "$place.new/cache/archives/partial" "$place.new/bin"
    : >"$place.new/state/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$place.new/sources.list"
    # A state of apt of its own, in which nothing is installed yet.
    set -- -o Dir::Etc::sourcelist="$place.new/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State="$place.new/state" -o Dir::State::status="$place.new/state/status" -o Dir::Cache="$place.new/cache" \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root
    apt-get "$@" -qq update || return 1
    wanted=$(apt-get "$@" -qq -y --no-install-recommends --print-uris install nix-bin |
        sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | grep -vE "$unneeded")
    [ -n "$wanted" ] || return 1
    # shellcheck disable=SC2086 # a list of packages
    (cd "$place.new/cache" && apt-get "$@" -qq download $wanted) || return 1
    for package in "$place.new"/cache/*.deb; do dpkg-deb -x "$package" "$place.new/root" || return 1; done
    mv "$place.new/root" "$place.new/bin" "$place.new/sources.list" "$(mkdir -p "$place" && echo "$place")" || return 1
    rm -rf "$place.new"
    loader=$(find "$place/root/" -name 'ld-linux*.so.*' | head -n 1)
    libraries=$(find "$place/root/" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
    for tool in nix nix-daemon nix-instantiate nix-store nix-hash; do
        cat >"$place/bin/$tool" <<END
#!/bin/sh
# Where it looks for what it starts itself.
export NIX_BIN_DIR='$place/bin'
exec '$loader' --library-path '$libraries' --argv0 '$tool' '$place/root/usr/bin/$tool' "\$@"
END
        chmod +x "$place/bin/$tool"
    done
    "$place/bin/nix-daemon" --version
}
