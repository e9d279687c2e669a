# shellcheck shell=bash
# For try-package and try-image: one line a step, counted, and the emulator to try against.
# shellcheck disable=SC2034 # those who source this read the counts

failed=0 passed=0

step() { # WHAT COMMAND…
    local what=$1 at=$SECONDS
    shift
    if "$@" >/tmp/said 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf '  ok   %3d s  %s\n' $((SECONDS - at)) "$what"
    else
        printf '  FAIL %3d s  %s\n' $((SECONDS - at)) "$what"
        tail -n 15 /tmp/said | sed 's/^/       | /'
        failed=$((failed + 1))
    fi
}

emulator() { # PORT DMFS…: sets $emulator_pid; told says how to reach it
    local port=$1
    shift
    "$@" emulator --port "$port" >/tmp/emulator 2>/tmp/emulator.err &
    emulator_pid=$!
    for _ in $(seq 300); do
        if [ -n "$(told client_id)" ]; then return 0; fi
        sleep 0.1
    done
    cat /tmp/emulator.err
    return 1
}

told() { # NAME: what the emulator says of itself
    sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" /tmp/emulator | head -n 1
}
