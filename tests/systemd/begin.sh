# Starts a host of ./host that is there for as long as the script that sources this from the project's folder. It sets
# $host (the command) and $dir (the host), $RECONCILE_BIN and $SEAL_BIN where they name nothing yet, and brings
# ../lib/check.sh. Exit code 77: this machine cannot run a host, and the last line says why.

host=$PWD/tests/systemd/host
. tests/lib/check.sh

if [ "$(id -u)" != 0 ]; then
    echo "only root can start a host with a systemd of its own"
    exit 77
fi
if [ -z "${RECONCILE_BIN-}" ]; then
    cargo build --quiet -p reconciler --bin reconcile
    RECONCILE_BIN=${CARGO_TARGET_DIR:-target}/debug/reconcile
fi
if [ -z "${SEAL_BIN-}" ]; then
    cargo build --quiet -p reconciler-vars --example seal
    SEAL_BIN=${CARGO_TARGET_DIR:-target}/debug/examples/seal
fi

dir=$(mktemp -u /var/tmp/reconciler-host.XXXXXX)
leave() {
    code=$?
    trap - EXIT INT TERM
    "$host" remove "$dir" || true
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM
if ! output=$("$host" new "$dir" 2>&1); then
    echo "$output"
    echo "this machine cannot run a host with a systemd of its own: $(echo "$output" | tail -n 1)"
    exit 77
fi
"$host" boot "$dir"

on() { "$host" run "$dir" "$@"; }
at() { echo "$("$host" path "$dir")$1"; }
