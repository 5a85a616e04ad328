# Reading a closure from the daemon, and lists of known paths: our client, and `nix path-info`.

known_paths() { "$CLOSURE_BIN" "$nix/socket" --known <"$home/paths"; }

# share PART "NUMBERS": that part of their median.
share() {
    local median
    # shellcheck disable=SC2086 # a list of numbers
    read -r median _ < <(summary $2)
    awk -v part="$1" -v median="$median" 'BEGIN { printf "%.4g", median / part }'
}

measure_closure() {
    local ours='' known='' theirs='' expected
    about "closure: $paths text paths"
    # Layers of a hundred, each text refers to two of the layer before: a graph as wide as it is deep.
    cat >"$home/closure.nix" <<NIX
let
  text = name: references: builtins.toFile name (builtins.concatStringsSep "\n" references);
  layer = before: number: builtins.genList (index: text "text-\${toString number}-\${toString index}"
    ([ (toString (number * 100 + index)) ] ++ (if number == 0 then [ ] else
      [ (builtins.elemAt before index) (builtins.elemAt before ((index * 7) - 100 * ((index * 7) / 100))) ]))) 100;
  last = builtins.foldl' (before: number: let made = layer before number; in builtins.deepSeq made made) [ ]
    (builtins.genList (number: number) ($paths / 100));
in text "root" last
NIX
    root=$(in_nix nix-instantiate --eval --read-write-mode "$home/closure.nix" | tr -d '"')
    in_nix nix path-info -r "$root" | sort >"$home/paths"
    expected=$(wc -l <"$home/paths")
    "$CLOSURE_BIN" "$nix/socket" "$root" | sort | cmp - "$home/paths" || { echo "our closure is not that of nix" >&2; exit 1; }
    known_paths | sort | cmp - "$home/paths" || { echo "of known paths not all were found" >&2; exit 1; }
    # In turns, so that whatever else the machine does slows all of them.
    for _ in $(seq 9); do
        wall "$CLOSURE_BIN" "$nix/socket" "$root"
        ours="$ours $took"
        wall in_nix nix path-info -r "$root"
        theirs="$theirs $took"
        wall known_paths
        known="$known $took"
    done
    row "closure of $expected paths: wall clock, as a process" ms "$ours" "nix path-info -r" "$theirs" "$(share 3 "$theirs")"
    row "the same paths as a list, over two connections" ms "$known" "nix path-info -r" "$theirs" "$(share 5 "$theirs")"
}
