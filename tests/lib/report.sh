# Runs lanes and counts what they prove. A lane is a function `lane_NAME`; its exit code is 0, 77 where it
# cannot run here (its last line says why), or anything else where something is wrong.

total_passed=0
total_failed=0
total_skipped=0
unhappy=

# lane NAME WHAT
lane() {
    log=$work/log.$1
    echo
    echo "=== $1: $2"
    began=$(date +%s)
    # A command that fails ends the lane, which no shell does where the code is asked for at once.
    set +e
    (set -e; "lane_$1") >"$log" 2>&1 </dev/null
    code=$?
    set -e
    took=$(($(date +%s) - began))
    count "$log"
    case $code in
    0)
        # What is no set of counted tests is one test.
        [ $((passed + skipped)) -gt 0 ] || passed=1
        summary "$log"
        result=passed
        ;;
    77)
        skipped=$((skipped + 1))
        result="skipped: $(tail -n 1 "$log")"
        ;;
    *)
        [ "$failed" -gt 0 ] || failed=1
        cat "$log"
        result=FAILED
        unhappy="$unhappy $1"
        ;;
    esac
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
    total_skipped=$((total_skipped + skipped))
    echo "--- $1: $result ($passed passed, $failed failed, $skipped skipped, $took s)"
}

# What cargo's and our own closing lines say.
count() {
    eval "$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p
        s/^skipped: .*/0 0 1/p
        s/^\([0-9]*\) checks held, \([0-9]*\) did not$/\1 \2 0/p' "$1" |
        awk '{ p += $1; f += $2; s += $3 } END { printf "passed=%d failed=%d skipped=%d", p, f, s }')"
}

summary() {
    grep -E '^ +(Running|Doc-tests) |^test result: |\.\.\. ignored|^[0-9]+ checks held|^skipped: |^summary: ' "$1" || true
}

close() {
    echo
    [ -z "$unhappy" ] || echo "failed:$unhappy"
    echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
    [ "$total_failed" = 0 ]
}
