# shellcheck shell=bash
# For sourcing: installs Debian packages, and only where that is possible.
# shellcheck source=scripts/progress.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/progress.sh"

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

# apt_get ARGUMENT…: says how far it is, waits for another apt, never asks.
apt_get() {
    with_progress apt-get as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get --quiet --yes -o DPkg::Lock::Timeout=600 "$@"
}

# apt_install PACKAGE…: fetches package lists only when there are none or they are too old.
apt_install() {
    if apt_known "$@" && apt_get install --no-install-recommends "$@"; then
        return 0
    fi
    echo "apt-get: once more, with new package lists" >&2
    apt_get update || true # one dead mirror must not stop what the others have
    apt_get install --no-install-recommends "$@"
}
