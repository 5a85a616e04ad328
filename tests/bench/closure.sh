# Reading a closure from the daemon: our client, and `nix path-info`.

measure_closure() {
    local ours='' theirs='' found expected
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
    expected=$(in_nix nix path-info -r "$root" | wc -l)
    found=$("$CLOSURE_BIN" "$nix/socket" "$root" | wc -l)
    [ "$found" = "$expected" ] || { echo "our closure has $found paths, that of nix $expected" >&2; exit 1; }
    for _ in $(seq 9); do
        wall "$CLOSURE_BIN" "$nix/socket" "$root"
        ours="$ours $took"
        wall in_nix nix path-info -r "$root"
        theirs="$theirs $took"
    done
    row "closure of $found paths: wall clock, as a process" ms "$ours" "nix path-info -r" "$theirs"
}
