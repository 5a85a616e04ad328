# What it costs to ask and hear that nothing moved.

# Waits for the poll after the last one that was seen.
next_poll() {
    local text
    for _ in $(seq 400); do
        text=$(<"$presence")
        text=${text#*\"checked_at\":\"}
        text=${text%%\"*}
        if [ "$text" != "$seen" ]; then
            seen=$text
            return
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
    for _ in 1 2 3; do next_poll; done
    pause 0.4
    local first objects_before children
    first=$(memory_kb "$agent" VmRSS)
    objects_before=$(objects "$mirror")
    children=$(children_ms "$agent")
    cpu_ns "$agent"
    local before=$cpu
    for _ in $(seq "$polls"); do
        next_poll
        pause 0.4
        cpu_ns "$agent"
        samples="$samples $(awk -v ns=$((cpu - before)) 'BEGIN { print ns / 1e6 }')"
        before=$cpu
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
