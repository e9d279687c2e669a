# shellcheck shell=bash
# For sourcing: installs Debian packages, and only where that is possible.

# may_install: can we install packages here without asking anybody?
may_install() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}

# apt_known PACKAGE…: does apt have a release of each to offer?
apt_known() {
    local package
    for package in "$@"; do
        apt-cache show --no-all-versions "$package" >/dev/null 2>&1 || return 1
    done
}

# as_root COMMAND…: sudo asks for a password only at a terminal.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# apt_get ARGUMENT…: quiet unless it fails, waits for another apt, never asks.
apt_get() {
    local log status=0
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get --quiet --yes -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || tail -n 30 -- "$log" >&2
    rm -f -- "$log"
    return "$status"
}

# apt_install PACKAGE…: fetches package lists only when there are none or they are too old.
apt_install() {
    if apt_known "$@" && apt_get install --no-install-recommends "$@" 2>/dev/null; then
        return 0
    fi
    apt_get update || true # one dead mirror must not stop what the others have
    apt_get install --no-install-recommends "$@"
}
