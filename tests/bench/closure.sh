# Reading a closure from the daemon: our client, and `nix path-info`.

measure_closure() {
    local ours='' theirs='' found expected
    about "closure: $paths text paths"
    # Each refers to two before it: a graph as wide as it is deep.
    cat >"$home/closure.nix" <<NIX
let
  text = name: references: builtins.toFile name (builtins.concatStringsSep "\n" references);
  chain = builtins.foldl'
    (made: index: made ++ [ (text "text-\${toString index}" ([ (toString index) ]
      ++ (if index == 0 then [ ] else [ (builtins.elemAt made (index - 1)) (builtins.elemAt made (index / 2)) ]))) ])
    [ ] (builtins.genList (index: index) $paths);
in builtins.elemAt chain ($paths - 1)
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
