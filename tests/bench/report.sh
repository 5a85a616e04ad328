# The table. A row is measured numbers, those of the twin if there is one, and a goal if there is one; a goal
# that is missed is said and fails nothing.

rows=$home/rows
: >"$rows"

# row WHAT UNIT "NUMBERS" [TWIN "NUMBERS" [GOAL]]: the goal is the most that the median may be.
row() {
    local what=$1 unit=$2 twin=${4-} goal=${6-} median min max other=- ratio=- met=-
    # shellcheck disable=SC2086 # a list of numbers
    read -r median min max < <(summary $3)
    if [ -n "$twin" ]; then
        # shellcheck disable=SC2086 # a list of numbers
        read -r other _ < <(summary $5)
        ratio=$(awk -v a="$median" -v b="$other" 'BEGIN { if (b > 0) printf "%.3g", a / b; else print "-" }')
        other="$twin: $other $unit"
    fi
    if [ -n "$goal" ]; then
        met=$(awk -v a="$median" -v b="$goal" 'BEGIN { print a <= b ? "yes" : "NO" }')
        goal="≤ $goal $unit"
    fi
    printf '| %s | %s (%s–%s) %s | %s | %s | %s | %s |\n' \
        "$what" "$median" "$min" "$max" "$unit" "$other" "$ratio" "${goal:--}" "$met" | tee -a "$rows"
}

# about TEXT…: what is measured now.
about() { printf '\n%s\n' "$*"; }

table() {
    printf '\n| what | measured: median (min–max) | twin | ratio | goal | met |\n|---|---|---|---|---|---|\n'
    cat "$rows"
}
