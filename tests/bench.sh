#!/bin/bash
# Measures what the agent costs, beside the same work done with git, nix and the shell where there is such a
# twin, and prints a table. A missed goal is printed, and fails nothing.
#
#   tests/bench.sh [PART…]      polls pass closure latency secrets; all of them where none is named
#
# Needs what tests/run.sh installs, and a web server, lighttpd, which is unpacked from its package into a
# temporary folder where it is not installed. Builds the release binaries, unless RECONCILE_BIN, SEAL_BIN,
# CLOSURE_BIN and LATENCY_BIN name some. POLLS (30), PASSES (15), PATHS (20000) and SECRETS (1000) say how much is
# measured.
set -euo pipefail
cd "$(dirname "$0")/.."

known="polls pass closure latency secrets"
for name; do
    case " $known " in *" $name "*) ;; *) echo "there is no part $name; there are: $known" >&2; exit 2 ;; esac
done
parts=${*:-$known}
wanted() { case " $parts " in *" $1 "*) ;; *) return 1 ;; esac; }
polls=${POLLS:-30}
passes=${PASSES:-15}
paths=${PATHS:-20000}
secrets=${SECRETS:-1000}
export LC_ALL=C.UTF-8

[ -r /proc/self/schedstat ] || { echo "only Linux says what a process ran: there is no /proc/self/schedstat" >&2; exit 2; }
for need in nix-daemon git jq; do
    command -v "$need" >/dev/null || { echo "there is no $need here; tests/run.sh installs what is missing" >&2; exit 2; }
done
if [ -z "${RECONCILE_BIN-}" ] || [ -z "${SEAL_BIN-}" ] || [ -z "${CLOSURE_BIN-}" ] ||
    [ -z "${LATENCY_BIN-}" ]; then
    echo "building the release binaries"
    cargo build --quiet --locked --release -p reconciler --bin reconcile
    cargo build --quiet --locked --release -p reconciler-vars --example seal
    cargo build --quiet --locked --release -p nix-daemon-client --example closure --example latency
    built=${CARGO_TARGET_DIR:-target}/release
fi
RECONCILE_BIN=$(realpath "${RECONCILE_BIN:-$built/reconcile}")
SEAL_BIN=$(realpath "${SEAL_BIN:-$built/examples/seal}")
CLOSURE_BIN=$(realpath "${CLOSURE_BIN:-$built/examples/closure}")
LATENCY_BIN=$(realpath "${LATENCY_BIN:-$built/examples/latency}")

. tests/bench/host.sh
. tests/bench/measure.sh
. tests/bench/report.sh
. tests/bench/polls.sh
. tests/bench/pass.sh
. tests/bench/closure.sh
. tests/bench/latency.sh
. tests/bench/secrets.sh

echo "$(nproc) CPUs: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1); $(uname -sr); load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "$(nix --version); $(git --version)"
start_daemon
make_fleets

if wanted polls; then
    measure_polls file-one "file://$home/git/one.git" "file://, 1 ref"
    measure_polls file-many "file://$home/git/many.git" "file://, 5 000 refs"
    if start_web_server; then
        measure_polls http-one "$http/one.git" "http://, 1 ref"
        measure_polls http-many "$http/many.git" "http://, 5 000 refs"
    else
        echo "there is no lighttpd, and its package could not be had: nothing is measured over http" >&2
    fi
fi
if wanted pass; then measure_passes; fi
if wanted closure; then measure_closure; fi
if wanted latency; then measure_latency; fi
if wanted secrets; then measure_secrets; fi
table
echo
echo "load at the end: $(cut -d' ' -f1-3 /proc/loadavg)"
