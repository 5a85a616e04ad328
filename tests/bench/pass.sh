# What the agent adds to a pass: the same evaluations, build and activation, by hand, on commits in between.

entry() {
    printf '(%s) { source = { path = "%s"; narHash = "%s"; rev = "%s"; lastModified = %s; revCount = %s; }; directory = ""; machine = "cinnabar"; step = "%s"; }' \
        "$(<reconciler/agent/src/nix/entry.nix)" "$source" "$hash" "$revision" "$modified" "$count" "$1"
}
# As low in priority as the agent's, so that a busy machine slows both.
evaluate() {
    in_nix NIX_CONFIG="flake-registry = " nice -n 10 nix eval --json --no-update-lock-file --show-trace --log-format raw --expr "$1"
}
# switch_to ACTION: what the agent runs too, first to try the toplevel and then to make it the one that boots.
switch_to() {
    env -i PATH="$PATH" RECONCILER_ROOT="$home/hand" RECONCILER_PROFILE="$hand_profile" NIXOS_INSTALL_BOOTLOADER=0 \
        "$toplevel/bin/switch-to-configuration" "$1"
}

# step NAME COMMAND…: times it, into the sum of this round and the list of its own.
step() {
    wall "${@:2}"
    by_hand=$(awk -v a="$by_hand" -v b="$took" 'BEGIN { print a + b }')
    printf '%s %s\n' "$1" "$took" >>"$home/steps"
}

# The head of the fleet, evaluated, built and activated by hand.
pass_by_hand() {
    local expression drv
    revision=$(git_in_work rev-parse HEAD)
    modified=$(git_in_work log -1 --format=%ct)
    count=$(git_in_work rev-list --count HEAD)
    # The tree is in the store before the clock runs: getting it there counts as the agent's own.
    rm -rf "$home/tree"
    mkdir -p "$home/tree/source"
    git_in_work archive HEAD | tar -x -C "$home/tree/source"
    wall in_nix nix-store --add "$home/tree/source"
    source=$(<"$home/said")
    printf '(not counted) nix-store --add %s\n' "$took" >>"$home/steps"
    hash=$(in_nix nix hash path "$home/tree/source")
    by_hand=0
    expression=$(entry metadata)
    step 'nix eval, metadata' evaluate "$expression"
    expression=$(entry toplevel)
    step 'nix eval, toplevel' evaluate "$expression"
    drv=$(jq -r .drv "$home/said")
    step 'nix-store --realise' in_nix nix-store --quiet --realise "$drv"
    toplevel=$(tail -n 1 "$home/said")
    step 'switch-to-configuration test' switch_to test
    step 'nix-env --set' in_nix nix-env --profile "$hand_profile" --set "$toplevel"
    step 'switch-to-configuration boot' switch_to boot
}

measure_passes() {
    local whole='' hands='' added='' round
    about "passes: $passes by the agent, $passes by hand"
    hand_profile=$nix/var/nix/profiles/hand
    mkdir -p "$home/hand/run" "$home/hand/etc"
    make_host pass "file://$home/git/one.git" 24h
    start_agent pass
    motd "by hand, first"
    push "by hand, first"
    pass_by_hand
    : >"$home/steps"
    : >"$home/phases"
    for round in $(seq "$passes"); do
        motd "by the agent, $round"
        push "by the agent, $round"
        wall reconcile pass --quiet now
        whole="$whole $took"
        local agents=$took
        reconcile pass status --json 2>/dev/null | jq -r '.last_pass.phases[] | "\(.name) \(.ms)"' >>"$home/phases" || true
        motd "by hand, $round"
        push "by hand, $round"
        pass_by_hand
        hands="$hands $by_hand"
        added="$added $(awk -v a="$agents" -v b="$by_hand" 'BEGIN { print a - b }')"
    done
    stop_agent
    row "pass with evaluation, build and activation: wall clock" ms "$whole" "by hand" "$hands"
    row "what the agent adds to it" ms "$added" '' '' 100
    echo "  phases of the agent's passes, as it recorded them, and the steps by hand (medians, ms):"
    medians "$home/phases"
    medians "$home/steps"
}
# medians FILE: of the numbers that follow each name, in the order of their first.
medians() {
    local name median
    sed 's/ [^ ]*$//' "$1" | awk '!seen[$0]++' | while read -r name; do
        # shellcheck disable=SC2046 # a list of numbers
        read -r median _ < <(summary $(awk -v name="$name" '{ n = $0; sub(/ [^ ]*$/, "", n) } n == name { print $NF }' "$1"))
        printf '    %-30s %s\n' "$name" "$median"
    done
}
