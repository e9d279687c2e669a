# shellcheck shell=bash
# For sourcing: makes a Debian in a folder, and runs commands apart from this machine. The one that
# sources it has say and cannot, and `root`, the checkout.

oldest_days=30 # then a Debian is made anew, with the packages of that day

is_young() { [ -e "$1" ] && [ -z "$(find "$1" -maxdepth 0 -mtime "+$oldest_days")" ]; }

# What a command may need to reach the registries as this machine does, and pytest's and our knobs.
passed_on='CI|TERM|PYTHONDONTWRITEBYTECODE|HYPOTHESIS_PROFILE|PYTEST_ADDOPTS|DMFS_[A-Z_]+'
passed_on+='|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY'
passed_on+='|SSL_CERT_FILE|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE'
passed_on+='|PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT|RETRIES)'

# passed_on: those of our environment, each ended by NUL
passed_on() {
    local name pattern="^($passed_on)\$"
    while IFS='=' read -r -d '' name _; do
        if [[ $name =~ $pattern ]]; then printf '%s\0' "$name=${!name}"; fi
    done </proc/self/environ
}

# mirror: where this machine gets Debian from.
mirror() {
    apt-get indextargets --format "\$(SITE)" \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null | sed -n 1p
}

# make_debian SUITE BASE PACKAGES LOG: with those packages (commas between) and no others
make_debian() {
    local suite=$1 base=$2 packages=$3 log=$4 from=${MIRROR:-$(mirror)}
    [ -n "$from" ] || cannot "apt knows no mirror of Debian here; name one: MIRROR=URL $0"
    PATH=$PATH:/usr/sbin
    if ! command -v debootstrap >/dev/null; then
        say "installing debootstrap"
        # shellcheck source=scripts/apt.sh disable=SC2154 # ours is given, as said above
        source "$root/scripts/apt.sh"
        if ! may_install || ! apt_install debootstrap; then
            cannot "needs debootstrap, and could not install it"
        fi
    fi
    say "making a Debian ($suite) in $base (a minute or two)"
    rm -rf --one-file-system -- "$base" "$base.new"
    # It mounts /proc and /sys for a while: in a namespace, so that they are gone whatever happens.
    if ! alone debootstrap --variant=minbase --include="$packages" \
        "$suite" "$base.new" "$from" >"$log" 2>&1; then
        tail -n 5 -- "$log" >&2
        cannot "debootstrap could not make a Debian ($suite); all it said: $log"
    fi
    touch -- "$base.new"
    mv -- "$base.new" "$base"
}

# let_it_reach_out BASE: names, certificates and proxies as they are here today.
let_it_reach_out() {
    local base=$1 file
    for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt \
        "${SSL_CERT_FILE:-}" "${PIP_CERT:-}"; do
        if [ -f "$file" ]; then install -D -m 644 -- "$file" "$base$file"; fi
    done
    apt-config dump 2>/dev/null | grep -iE '^Acquire::(https?|ftp)::' \
        >"$base/etc/apt/apt.conf.d/90machine" || true
    if [ -z "${PIP_INDEX_URL:-}" ]; then
        PIP_INDEX_URL=$(python3 -m pip config get global.index-url 2>/dev/null || true)
        if [ -n "$PIP_INDEX_URL" ]; then export PIP_INDEX_URL; else unset PIP_INDEX_URL; fi
    fi
}

# alone COMMAND…: in new namespaces of mounts and processes, which end with this script however
# that ends. (SIGKILL alone ends a namespace's first process, and all others with it.)
alone() {
    local status=0
    setpriv --pdeathsig KILL \
        unshare --mount --propagation private --pid --fork --kill-child "$@" <&0 &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}
