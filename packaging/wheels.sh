# shellcheck shell=bash
# For scripts/package: dmfs' wheel, and a wheel of pyfuse3 that needs no compiler and no libfuse3.
# shellcheck disable=SC2154,SC2034 # its parts are of one script, and share their variables

# pip ARGUMENT…: of the tools' venv, quietly
pip() {
    with_progress "package: pip $1" env PIP_PROGRESS_BAR=off "$build/tools/bin/python" -m pip \
        --disable-pip-version-check --no-input --no-color "$@" 9<&-
}

# needs PACKAGE…: of Debian; installed where that can be done without asking, else named
needs() {
    if command -v apt-get >/dev/null && may_install; then
        say "installing $*"
        if apt_install "$@" 9<&-; then return; fi
    fi
    fail "this machine lacks: $*"
}

# make_tools: a venv of PYTHON with the pinned tools; made anew when the pins have changed.
make_tools() {
    local stamp
    command -v "$python" >/dev/null || fail "PYTHON=$python: no such program"
    stamp=$("$python" -c 'import sys; print(sys.version, sys.base_prefix)'
        sha256sum "$locks/build.lock" "$locks/package.lock")
    if [ -f "$build/tools/stamp" ] && [ "$(<"$build/tools/stamp")" = "$stamp" ]; then return; fi
    rm -rf -- "$build/tools"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || needs python3-venv
    "$python" -m venv "$build/tools"
    pip install --require-hashes -r "$locks/build.lock"
    pip install --require-hashes -r "$locks/package.lock" # a newer pip, too
    printf '%s\n' "$stamp" >"$build/tools/stamp"
}

# make_wheel: sets $wheel
make_wheel() {
    rm -f -- "$dist"/dmfs-*.whl
    pip wheel --no-deps --no-build-isolation --wheel-dir "$dist" "$root"
    wheel=$(echo "$dist"/dmfs-"$version"-*.whl)
    say "made ${wheel#"$root/"} ($(size_of "$wheel"))"
}

# pinned LOCK NAME…: those requirements of a lock, with their hashes
pinned() {
    local lock=$locks/$1
    shift
    awk -v wanted=" $* " '
        /^[A-Za-z0-9]/ { name = $1; sub(/==.*/, "", name); taken = index(wanted, " " name " ") }
        taken && !/^ *#/' "$lock"
}

# make_pyfuse3: sets $pyfuse3_wheel. libfuse3 and what it needs go in, renamed, under a run path of
# the wheel's own; fusermount3, which is set-user-id, is the distribution's.
make_pyfuse3() {
    local raw=$build/raw
    local missing=() headers
    headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    command -v gcc >/dev/null || missing+=(gcc libc6-dev)
    command -v pkg-config >/dev/null && pkg-config --exists fuse3 ||
        missing+=(pkg-config libfuse3-dev)
    [ -e "$headers/Python.h" ] || missing+=(python3-dev)
    if [ ${#missing[@]} -gt 0 ]; then needs "${missing[@]}"; fi
    rm -rf -- "$raw"
    mkdir -p -- "$raw"
    pinned run.lock pyfuse3 >"$raw/pyfuse3.lock"
    [ -s "$raw/pyfuse3.lock" ] || fail "run.lock has no pyfuse3"
    # no cache: a wheel that another machine's libfuse3 went into is another one
    pip wheel --no-cache-dir --require-hashes --no-deps --no-build-isolation \
        --wheel-dir "$raw" -r "$raw/pyfuse3.lock"
    # The tag is the oldest glibc whose symbols it uses: auditwheel finds it.
    PATH="$build/tools/bin:$PATH" with_progress "package: auditwheel" \
        auditwheel repair --strip --wheel-dir "$raw/repaired" "$raw"/pyfuse3-*.whl
    "$build/tools/bin/python" packaging/notice.py packaging/libfuse3.notice \
        "$(pkg-config --modversion fuse3)" "$raw"/repaired/pyfuse3-*.whl
    rm -f -- "$dist"/pyfuse3-*-"$(python_tag)"-*.whl
    mv -- "$raw"/repaired/pyfuse3-*.whl "$dist/"
    pyfuse3_wheel=$(echo "$dist"/pyfuse3-*-"$(python_tag)"-*.whl)
    say "made ${pyfuse3_wheel#"$root/"} ($(size_of "$pyfuse3_wheel"))"
}

python_tag() { "$python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])'; }

size_of() { du -sh --apparent-size -- "$1" | cut -f 1; }
