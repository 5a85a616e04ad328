# Checks of a test in shell: one line each, counted in $passed and $failed. Whoever sources this defines
# `explain`, which prints what a person needs to understand a failure.

passed=0
failed=0

# check WHAT COMMAND…
check() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        explain | sed 's/^/        | /'
    fi
}

milliseconds() { date +%s%3N; }

# await SECONDS COMMAND…: true as soon as the command is.
await() {
    deadline=$(($(milliseconds) + $1 * 1000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(milliseconds)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# within SECONDS COMMAND…: the command succeeds, and in that time.
within() {
    limit=$1
    shift
    began=$(milliseconds)
    "$@" || return 1
    took=$(($(milliseconds) - began))
    [ "$took" -le $((limit * 1000)) ] || { echo "        it took $took ms"; return 1; }
}

# is FOUND EXPECTED
is() { [ "$1" = "$2" ] || { echo "        '$1' is not '$2'"; return 1; }; }

# not COMMAND…
not() { ! "$@"; }
