# What it costs to ask and hear that nothing moved.

# When the agent last asked, as it says itself, into `checked`.
last_check() {
    checked=$(<"$presence")
    checked=${checked#*\"checked_at\":\"}
    checked=${checked%%\"*}
}
# Waits for one poll and what follows it, into `cpu_of_poll`, in nanoseconds; a second poll before the counter
# was read is waited for again, and counts for nothing.
one_poll() {
    local before
    for _ in $(seq 400); do
        last_check
        if [ "$checked" != "$seen" ]; then
            seen=$checked
            pause 0.4
            before=$counted
            cpu_ns "$agent"
            counted=$cpu
            cpu_of_poll=$((cpu - before))
            last_check
            [ "$checked" = "$seen" ] && return
            seen=$checked
            pause 0.4
            cpu_ns "$agent"
            counted=$cpu
        fi
        pause 0.05
    done
    echo "the agent polls no more" >&2
    exit 1
}

objects() { git -C "$1" count-objects -v 2>/dev/null | awk '$1 == "count:" || $1 == "in-pack:" { sum += $2 } END { print sum }'; }

# measure_polls NAME URL LABEL
measure_polls() {
    local name=$1 url=$2 label=$3 samples='' twins='' rss='' mirror=$home/$1/root/var/lib/reconciler/fleet.git
    about "polls: $label"
    make_host "$name" "$url" 1s
    start_agent "$name"
    presence=$run/$name/reconciler/agent.json
    seen=
    # The first polls after the pass ask from the start and open the connection.
    counted=0 thread_ns=()
    for _ in 1 2 3; do one_poll; done
    local first objects_before children
    first=$(memory_kb "$agent" VmRSS)
    objects_before=$(objects "$mirror")
    children=$(children_ms "$agent")
    for _ in $(seq "$polls"); do
        one_poll
        samples="$samples $(awk -v ns="$cpu_of_poll" 'BEGIN { print ns / 1e6 }')"
        rss="$rss $(memory_kb "$agent" VmRSS)"
    done
    local objects_after children_after anon most
    objects_after=$(objects "$mirror")
    children_after=$(children_ms "$agent")
    anon=$(memory_kb "$agent" RssAnon)
    most=$(memory_kb "$agent" VmHWM)
    stop_agent
    for _ in $(seq "$polls"); do
        cpu_of env GIT_CONFIG_NOSYSTEM=1 HOME="$home/home" git ls-remote "$url" main
        twins="$twins $took"
    done
    row "no-op poll, $label: CPU" ms "$samples" "git ls-remote" "$twins" 1
    row "no-op poll, $label: CPU of children, all $polls polls" ms "$((children_after - children))"
    row "no-op poll, $label: objects fetched" objects "$((objects_after - objects_before))" '' '' 0
    row "resident memory, $label, after the first pass" MB "$(megabytes "$first")"
    row "resident memory, $label, over $polls polls" MB "$(megabytes $rss)" '' '' 15
    row "of it anonymous, $label" MB "$(megabytes "$anon")"
    row "resident memory, $label, most ever (VmHWM)" MB "$(megabytes "$most")"
}
megabytes() { for kb; do awk -v kb="$kb" 'BEGIN { printf "%.2f ", kb * 1024 / 1e6 }'; done; }
