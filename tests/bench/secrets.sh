# Opening and staging many secrets, beside one `sops` for each.

seal() { head -c 32 /dev/urandom | "$SEAL_BIN" "$1" >"$2/secret"; }

measure_secrets() {
    local sops ours='' recipient number folder from to
    sops=$(PATH=${RECONCILE_TEST_TOOLS:-/nonexistent}:$PATH command -v sops) || {
        echo "there is no sops, nor RECONCILE_TEST_TOOLS that has it: nothing is measured with secrets" >&2
        return 0
    }
    about "secrets: $secrets in one pass"
    make_host secrets "file://$home/git/one.git" 24h
    recipient=$(sed -n 's/^# public key: //p' "$home/work/example-keys/cinnabar.txt")
    folder=$home/work/vars/per-machine/cinnabar/bench
    for number in $(seq "$secrets"); do
        mkdir -p "$folder/s$number/machines"
        ln -s ../../../../../../sops/machines/cinnabar "$folder/s$number/machines/cinnabar"
        seal "$recipient" "$folder/s$number"
    done
    cat >>"$home/work/vars.nix" <<NIX
// {
  bench.files = builtins.listToAttrs
    (builtins.genList (n: { name = "s\${toString (n + 1)}"; value = { }; }) $secrets);
}
NIX
    push "many secrets"
    start_agent secrets
    for _ in $(seq 5); do
        # With one that changed all are staged again.
        seal "$recipient" "$folder/s1"
        push "one secret changes"
        wall reconcile secrets --quiet now
        ours="$ours $(reconcile secrets status --json 2>/dev/null |
            jq '[.last_pass.phases[] | select(.name == "preflight" or .name == "stage") | .ms] | add')"
    done
    stop_agent
    mkdir "$run/plain"
    from=$EPOCHREALTIME
    for number in $(seq "$secrets"); do
        SOPS_AGE_KEY_FILE=$home/work/example-keys/cinnabar.txt "$sops" --decrypt --input-type json --output-type binary \
            "$folder/s$number/secret" >"$run/plain/s$number"
    done
    to=$EPOCHREALTIME
    cmp "$run/plain/s1" "$run/secrets/secrets/vars/per-machine/cinnabar/bench/s1" || exit 1
    row "$secrets secrets opened and staged, of a pass" ms "$ours" "sops -d, each" \
        "$(awk -v from="$from" -v to="$to" 'BEGIN { print (to - from) * 1000 }')" "$secrets"
}
