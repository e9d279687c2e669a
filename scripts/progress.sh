# shellcheck shell=bash
# For sourcing: long steps that say how far they are.

# with_progress WHAT COMMAND…: runs it, and says on stderr for how long and what it does: at a
# terminal in one line that is rewritten each second, elsewhere in a line every PROGRESS_S (5).
# The command's own output shows only if it fails, its last 30 lines.
with_progress() {
    local what=$1 log ticker status=0
    shift
    log=$(mktemp)
    # The command stays in the foreground: bash lets those behind ignore Ctrl-C.
    # No lock of the caller's (9) goes to the ticker, which may outlive it by a second.
    tell_progress "$what" "$log" 9<&- &
    ticker=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
    if [ "$status" -ne 0 ]; then tail -n 30 -- "$log" >&2; fi
    rm -f -- "$log"
    return "$status"
}

# tell_progress WHAT LOG: until it is killed, or the script is gone.
tell_progress() {
    local began=$SECONDS said=0 seconds line
    while sleep 1 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
        seconds=$((SECONDS - began))
        line=$({ grep -v '^WARNING' -- "$2" || true; } | tail -n 1 | LC_ALL=C tr -cd '[:print:]')
        line="$1, $seconds s${line:+: ${line:0:50}}"
        if [ -t 2 ]; then
            printf '\r\033[K%s' "${line:0:79}" >&2
        elif [ $((seconds - said)) -ge "${PROGRESS_S:-5}" ]; then
            said=$seconds
            printf '%s\n' "$line" >&2
        fi
    done
}
