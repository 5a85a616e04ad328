#!/bin/sh
# Every test of the project, from a clone, Rust, and root or sudo on Debian or Ubuntu. It installs what is
# missing, runs one lane after the other, and ends with a line that counts: N passed, N failed, N skipped.
#
#   tests/run.sh [LANE…]     only these
#
#   fmt        the sources are formatted
#   clippy     no warning of the compiler or of clippy
#   unit       unit and property tests, and each crate's tests against the real tools
#   daemons    the client and the evaluation against newer Nix, unpacked into a cache (RECONCILE_TEST_CACHE)
#   e2e        whole passes against real git and a real nix-daemon
#   systemd    the service on a host with a real systemd: kills, restarts, power cuts (root)
#   demo       examples/demo.sh
#   doc        the documentation builds; Nix, shell and unit files are valid
#   fuzz       every fuzz target, for FUZZ_SECONDS each (tests/fuzz/README.md)
#   property   the property tests, with more cases (PROPTEST_CASES)
#   deny       advisories, licences and sources of the dependencies (cargo-deny)
#   house      the project's own rules for its files
#
# Only when they are asked for by name, since they take long:
#
#   darwin     the workspace is compiled and linked for Apple silicon, in 4 GB of disk (tests/darwin/cross; root)
#   soak       kills and power cuts at random, SOAK_ROUNDS of them, 200 by default (tests/systemd/soak; root)
#
# Variables: CARGO_TARGET_DIR; RECONCILE_TEST_TOOLS, the folder with sops, which is built there if missing;
# FUZZ_SECONDS; SOAK_ROUNDS.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
ahead=
trap 'kill $ahead 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
. tests/lib/install.sh
. tests/lib/daemons.sh
. tests/lib/lanes.sh
. tests/lib/report.sh

export RECONCILE_TEST_TOOLS="${RECONCILE_TEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/reconciler-tests/bin}"
# Built once and thrown away: what is kept to build the next time faster costs more than it brings.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}" CARGO_TERM_COLOR=never NO_COLOR=1
PATH=$PATH:$HOME/.cargo/bin:/usr/local/go/bin:/usr/sbin:/sbin
export PATH
target=${CARGO_TARGET_DIR:-target}
debug=$(realpath -m "$target")/debug

known="fmt clippy unit daemons e2e systemd demo doc fuzz property deny house"
optional="darwin soak"
for name; do
    case " $known $optional " in
    *" $name "*) ;;
    *)
        echo "there is no lane $name; there are: $known $optional" >&2
        exit 2
        ;;
    esac
done
wanted() { [ -z "$lanes" ] || case " $lanes " in *" $1 "*) ;; *) return 1 ;; esac; }
lanes=$*

command -v cargo >/dev/null || { echo "there is no Rust here: https://rustup.rs" >&2; exit 2; }
# Asks for the password now, if there is one to be asked for.
can_be_root || echo "neither root nor sudo: what needs them is skipped"
install_packages
if wanted unit || wanted e2e; then install_sops || true; fi
if wanted unit; then install_ssh_to_age || true; install_age || true; fi

describe() { sed -n "s/^#   $1  *//p" tests/run.sh; }
for name in $known ${lanes:+$optional}; do
    # Whole passes wait as much as they compute: what nobody else wants of the processors builds the fuzz targets.
    if [ "$name" = e2e ] && wanted e2e && wanted fuzz; then fuzz_build & ahead=$!; fi
    if [ "$name" = fuzz ] && [ -n "$ahead" ]; then
        wait "$ahead" || true
        ahead=
    fi
    if wanted "$name"; then lane "$name" "$(describe "$name")"; fi
done
close
