# The lanes. Each stands in the project's folder, prints what happens, and ends with a code as report.sh says.

# skip WHY: this lane cannot run here.
skip() {
    echo "$*"
    exit 77
}

# limited COMMAND…: nothing here hangs for ever.
limited() { timeout -k 10 1200 "$@"; }

# A component that a distribution's Rust may lack.
component() {
    cargo "$1" --version >/dev/null 2>&1 || rustup component add "$2" >/dev/null 2>&1 ||
        skip "this Rust has no $2, and no rustup to add it"
}

# Always of the whole workspace: another choice of packages is another choice of features, and all is compiled anew.
tests() { limited cargo test --locked --workspace --no-fail-fast "$@"; }

# Once, for every lane that runs something.
built() { cargo build --quiet --locked --workspace --lib --bins --examples --tests; }

# test_programs: the crates' own, as arguments.
test_programs() {
    find reconciler/*/tests policies/tests -maxdepth 2 \( -path '*/tests/*.rs' -o -name main.rs \) 2>/dev/null |
        sed -n 's,.*/tests/\([^/]*\)\.rs$,--test \1,p; s,.*/tests/\([^/]*\)/main\.rs$,--test \1,p'
}

# unit_tests LIBRARY: the program with its unit tests.
unit_tests() {
    command -v jq >/dev/null || skip "there is no jq"
    cargo test --quiet --locked --workspace --lib --no-run --message-format=json >"$work/programs"
    jq -r --arg name "$1" 'select(.profile.test? and .target.name == $name) | .executable' "$work/programs"
}

lane_fmt() {
    component fmt rustfmt
    cargo fmt --all --check
    cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
}

lane_clippy() {
    component clippy clippy
    cargo clippy --locked --workspace --all-targets -- -D warnings
}

lane_unit() {
    built
    # shellcheck disable=SC2046 # a list of arguments
    tests --lib --bins $(test_programs)
    tests --doc
    # What is left out by itself needs a tool that not every place can build.
    if [ -x "$RECONCILE_TEST_TOOLS/ssh-to-age" ] || command -v ssh-to-age; then
        tests --test interop -- --ignored
    fi
    if [ -x "$RECONCILE_TEST_TOOLS/age-1.3/age" ]; then
        tests --test agefiles --test plugins -- --ignored
    else
        echo "skipped: what age 1.3 is compared with; it could not be built"
    fi
}

lane_e2e() {
    built
    # Other users, mounts and owners are root's to try.
    if [ "$(id -u)" != 0 ] && sudo -n true 2>/dev/null; then
        triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${triple}_RUNNER=sudo --preserve-env=PATH,RECONCILE_TEST_TOOLS,RECONCILE_BIN,RUST_TEST_THREADS"
    elif [ "$(id -u)" != 0 ]; then
        echo "skipped: what only root can try; there is no sudo"
    fi
    export RECONCILE_BIN="$debug/reconcile"
    # They wait as much as they compute.
    export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"
    tests --test e2e --test entry
}

# Once more against other Nix, each time: the client's live tests, the expression that the agent evaluates, and passes
# that evaluate, remember and fail to build. Debian's own is in the lanes unit and e2e.
lane_daemons() {
    built
    export RECONCILE_BIN="$debug/reconcile" RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) * 2))}"
    tried=
    for release in trixie sid; do
        folder=$(daemon_of "$release") || { echo "skipped: the Nix of Debian $release cannot be had here"; continue; }
        echo "summary: $("$folder/nix-daemon" --version)"
        PATH=$folder:$PATH tests --test live
        folder=$(open_to_all "$folder")
        PATH=$folder:$PATH tests --test entry
        # shellcheck disable=SC2086 # a list of names
        PATH=$folder:$PATH tests --test e2e -- $of_evaluation
        tried=1
    done
    [ -n "$tried" ] || skip "no other Nix can be had here"
}

# Tests of passes whose outcome hangs on what Nix says, or on how it evaluates.
of_evaluation="evaluator::an_import evaluator::flakes_that evaluator::settings_that
    evaluate::inputs_that_are_not_locked evaluate::a_throw evaluate::nonsense evaluate::an_evaluation_that_needs
    evaluate::an_infinite remembered::a_commit_that_leaves remembered::a_flake_that_reads_outside
    remembered::another_configuration build::a_dependency build::a_download"

# on_a_host SECONDS SCRIPT [ARGUMENT…]: a script that starts a host with a systemd.
on_a_host() {
    can_be_root || skip "only root can start a host with a systemd of its own, and there is no sudo"
    built
    export RECONCILE_BIN="$debug/reconcile" SEAL_BIN="$debug/examples/seal"
    limit=$1
    shift
    [ "$(id -u)" = 0 ] || set -- sudo --preserve-env=RECONCILE_BIN,SEAL_BIN "$@"
    timeout -k 30 "$limit" "$@"
}

lane_systemd() {
    on_a_host 1200 tests/systemd/run
    on_a_host 600 tests/systemd/classes
}

lane_soak() {
    on_a_host 7200 tests/systemd/soak "${SOAK_ROUNDS:-200}"
}

lane_demo() {
    built
    limited env RECONCILE_BIN="$debug/reconcile" examples/demo.sh
}

lane_doc() {
    RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --workspace --no-deps
    files '*.nix' | while read -r file; do
        nix-instantiate --parse "$file" >/dev/null || { echo "$file is not Nix"; exit 1; }
    done
    files | while read -r file; do
        case $(head -n 1 "$file" | tr -d '\0') in
        '#!/bin/sh'*) sh -n "$file" ;;
        '#!/bin/bash'*) bash -n "$file" ;;
        esac
    done
    # Only what is installed as /usr/bin/reconcile can be started from there.
    built
    for unit in reconciler reconciler-secrets reconciler-secrets-for-users; do
        sed "s,/usr/bin/reconcile,$debug/reconcile," "systemd/$unit.service" >"$work/$unit.service"
        systemd-analyze verify --man=no "$work/$unit.service"
    done
}

# Beside another lane, with one compiler at a time.
fuzz_build() { CARGO_BUILD_JOBS=1 exec timeout 1200 chrt --idle 0 tests/fuzz/run --build >/dev/null 2>&1 </dev/null; }

# Its tools come with the compilers: libFuzzer is built from its crate.
lane_fuzz() {
    command -v c++ >/dev/null || skip "there is no C++ compiler to build libFuzzer with"
    export FUZZ_ARTIFACTS="${FUZZ_ARTIFACTS:-$debug/../fuzz/artifacts}"
    limited tests/fuzz/run
}

# Random cases that the tests take seconds for, here by the thousand.
lane_property() {
    built
    export PROPTEST_CASES="${PROPTEST_CASES:-4096}"
    echo "summary: $PROPTEST_CASES cases of each property"
    for library in reconciler_policies reconciler_inventory nix_daemon_client; do
        limited "$(unit_tests "$library")"
    done
    limited "$(unit_tests reconciler)" transaction source::pkt_line source::advertisement
    # Not those that seal: a case of theirs takes a tenth of a second, and the unit lane has some hundred.
    tests --test hostile
}

# What stands under cfg(target_os = "macos") is compiled here and nowhere else.
lane_darwin() {
    can_be_root || skip "only root can make the chroot that this is built in, and there is no sudo"
    command -v apt-get >/dev/null || skip "there is no apt here to make a chroot with"
    command -v python3 >/dev/null || skip "there is no Python here to unpack zig with"
    set --
    [ "$(id -u)" = 0 ] || set -- sudo --preserve-env=DARWIN_CROSS_ROOT,RECONCILE_TEST_CACHE,XDG_CACHE_HOME,HOME
    timeout -k 10 5400 nice -n 10 "$@" tests/darwin/cross
}

lane_deny() {
    command -v cargo-deny >/dev/null || skip "there is no cargo-deny: cargo install cargo-deny"
    cargo deny --locked --workspace check
}

# What a reader can count on in every file.
lane_house() {
    wrong=$(
        files '*.rs' | while read -r file; do
            lines=$(wc -l <"$file")
            case $file in
            */src/*)
                [ "$lines" -le 500 ] || echo "$file has $lines lines; 500 is the limit"
                head -n 1 "$file" | grep -q '^//!' || echo "$file does not open with what it owns (//!)"
                ;;
            esac
        done
        # Not in one word, so that this file may say it.
        files | xargs grep -nIE "\b(TO""DO|FIX""ME|XX""X)\b" /dev/null || true
        files 'Cargo.toml' '*/Cargo.toml' | xargs grep -nE 'git *= *"' /dev/null || true
    )
    echo "$wrong"
    [ -z "$wrong" ]
}

# files [PATTERN…]: those of the project; without git all that are no build's.
files() {
    if git rev-parse --git-dir >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
            if [ -f "$file" ] && [ ! -L "$file" ]; then echo "$file"; fi
        done
        return
    fi
    [ $# -gt 0 ] || set -- '*'
    for pattern; do find . -path ./target -prune -o -type f -path "./$pattern" -print; done
}
