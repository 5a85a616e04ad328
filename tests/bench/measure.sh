# Reading clocks and counters, and what a list of numbers comes to. Forks as little as it can: what it does
# runs beside what it measures.

# pause SECONDS: without a process.
exec {silence}<> <(:)
pause() { read -rt "$1" -u "$silence" || true; }

# cpu_ns PID: what its threads have run so far, in nanoseconds, into `cpu`. proc(5)'s utime and stime come in
# ticks of 10 ms; schedstat is what the scheduler itself counts. A thread that ended keeps what it last had.
declare -A thread_ns
cpu_ns() {
    local file ns rest
    for file in /proc/"$1"/task/*/schedstat; do
        { read -r ns rest <"$file"; } 2>/dev/null || continue
        thread_ns[$file]=$ns
    done
    cpu=0
    for ns in "${thread_ns[@]}"; do cpu=$((cpu + ns)); done
}

# children_ms PID: what its children that it has waited for have run, user and system, in milliseconds.
children_ms() {
    local line fields
    read -r line <"/proc/$1/stat"
    read -ra fields <<<"${line##*) }"
    echo $(((fields[13] + fields[14]) * 1000 / ticks))
}
ticks=$(getconf CLK_TCK)

# memory_kb PID NAME: VmRSS, RssAnon, VmHWM in kB.
memory_kb() { awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/status"; }

# wall COMMAND…: into `took`, in milliseconds; what it prints goes to `$home/said`.
wall() {
    local from=$EPOCHREALTIME status=0
    "$@" >"$home/said" 2>&1 || status=$?
    local to=$EPOCHREALTIME
    took=$(awk -v from="$from" -v to="$to" 'BEGIN { printf "%.3f", (to - from) * 1000 }')
    [ "$status" = 0 ] || { echo "failed: $*" >&2; tail -n 20 "$home/said" >&2; exit 1; }
}

# cpu_of COMMAND…: what it and its children run, user and system, into `took`, in milliseconds.
cpu_of() {
    local TIMEFORMAT="%3U %3S" user kernel
    read -r user kernel < <({ time "$@" >"$home/said" 2>&1; } 2>&1)
    took=$(awk -v user="$user" -v kernel="$kernel" 'BEGIN { print (user + kernel) * 1000 }')
}

# summary NUMBER…: "median min max".
summary() {
    printf '%s\n' "$@" | sort -g | awk '
        { value[NR] = $1 }
        END {
            middle = NR % 2 ? value[(NR + 1) / 2] : (value[NR / 2] + value[NR / 2 + 1]) / 2
            printf "%.4g %.4g %.4g\n", middle, value[1], value[NR]
        }'
}
