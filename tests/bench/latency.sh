# What a client waits for that asks for little, in one process: a build with nothing to do, and a connection.

# times NAME: the numbers of that line.
times() { sed -n "s/^$1 //p" "$home/latency"; }

measure_latency() {
    local drv realise='' floor
    about "latency of the daemon"
    cat >"$home/toplevel.nix" <<NIX
derivation { name = "toplevel"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo >\$out" ]; }
NIX
    drv=$(in_nix nix-instantiate "$home/toplevel.nix" 2>/dev/null)
    wall in_nix nix-store --quiet --realise "$drv"
    "$LATENCY_BIN" "$nix/socket" "$drv" >"$home/latency"
    for _ in $(seq 9); do
        wall in_nix nix-store --quiet --realise "$drv"
        realise="$realise $took"
    done
    row "build of what is there, on an open connection" ms "$(times build)" "nix-store --realise" "$realise" 1
    # shellcheck disable=SC2046 # a list of numbers
    read -r floor _ < <(summary $(times daemon))
    row "connection and greeting" ms "$(times connect)" "the daemon itself" "$(times daemon)" \
        "$(awk -v floor="$floor" 'BEGIN { printf "%.4g", floor + 1 }')"
}
