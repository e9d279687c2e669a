# shellcheck shell=bash
# For scripts/package: the files of a package as they will lie below /, and nfpm that packs them.
# shellcheck disable=SC2154,SC2034 # its parts are of one script, and share their variables

home=/usr/lib/dmfs
# What a package has beyond the locks of running: the extra `metrics`.
extras=prometheus-client

# make_tree KIND: sets $tree, which is what will be installed. deb and rpm differ in few places.
make_tree() {
    local kind=$1 lib minor
    tree=$build/$kind
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    rm -rf -- "$tree"
    mkdir -p -- "$tree$home" "$tree/usr/bin" "$tree/usr/sbin" "$tree/usr/share/doc/dmfs" "$tree/etc/dmfs"

    # A venv that finds the distribution's Python by its own version's name: a newer one has
    # another name, and would not find these packages.
    "$python" -m venv --without-pip --symlinks "$tree$home"
    lib=$tree$home/lib/python$minor/site-packages
    pinned run.lock "$(names_of run.lock pyfuse3)" >"$build/tree.lock"
    pinned dev.lock "$extras" >>"$build/tree.lock"
    pip --python "$tree$home/bin/python" install --no-deps --no-compile \
        --require-hashes --only-binary :all: -r "$build/tree.lock"
    pip --python "$tree$home/bin/python" install --no-deps --no-compile --no-index \
        "$pyfuse3_wheel" "$wheel"
    pip --python "$tree$home/bin/python" check
    settle "$minor" "$lib"

    put_commands
    put_desktop_files "$lib"
    put_documents "$lib"
    put_units
    if [ "$kind" = rpm ] && [ -d "$tree/usr/share/zsh/vendor-completions" ]; then
        mv -- "$tree/usr/share/zsh/vendor-completions" "$tree/usr/share/zsh/site-functions"
    fi
    find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

# put_commands: those of the wheel; mount(8) looks for its helper in /sbin, which is /usr/sbin
put_commands() {
    local name
    for name in "$tree$home"/bin/*dmfs*; do
        name=${name##*/}
        case $name in
            mount.*) ln -s -- "../lib/dmfs/bin/$name" "$tree/usr/sbin/$name" ;;
            *) ln -s -- "../lib/dmfs/bin/$name" "$tree/usr/bin/$name" ;;
        esac
    done
}

# names_of LOCK LEFT_OUT: the packages of a lock, but for one
names_of() { sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' "$locks/$1" | grep -vx -- "$2" | xargs; }

# settle MINOR LIB: from a venv of this place to one of $home, with what runs and nothing else
settle() {
    local minor=$1 lib=$2 bin=$tree$home/bin name
    for name in "$bin"/*; do
        case ${name##*/} in
            dmfs | dmfs-* | mount.dmfs) sed -i "1s|.*|#!$home/bin/python3|" "$name" ;;
            *) rm -f -- "$name" ;;
        esac
    done
    ln -s -- "../../../bin/python$minor" "$bin/python3"
    rm -rf -- "${tree:?}$home"/{include,share,lib64}
    printf '%s\n' 'home = /usr/bin' 'include-system-site-packages = false' \
        "executable = /usr/bin/python$minor" >"$tree$home/pyvenv.cfg"
    # Where a wheel came from and who installed it are of this machine; sources in C and
    # the packages' own tests need no room.
    find "$lib" \( -name direct_url.json -o -name INSTALLER -o -name REQUESTED \) -delete
    find "$lib" \( -name '*.c' -o -name '*.h' -o -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' \
        \) -delete
    find "$lib" -depth -type d \( -name tests -o -name _tests \) -exec rm -rf -- {} +
    find "$lib" -type f -exec chmod 644 -- {} +
    # The bytes are trusted by hash and not by the time of a file: packages set that as they like.
    "$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -s "$tree" -p / "$tree$home" || fail "the tree cannot be compiled"
}

# in_tree ARGUMENT…: dmfs as it lies in the tree
in_tree() {
    local lib=$1
    shift
    PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1 "$python" -s -m dmfs "$@"
}

# put_desktop_files LIB: types, pictures, menus, icons, with the permissions that dmfs knows
put_desktop_files() {
    local lib=$1 name source mode
    while IFS=$'\t' read -r name mode source; do
        install -D -m "$mode" -- "$source" "$tree/usr/share/$name"
    done < <(PYTHONPATH=$lib PYTHONDONTWRITEBYTECODE=1 "$python" -s packaging/share_files.py)
}

# put_documents LIB: man pages, completions, and what people read
put_documents() {
    local lib=$1 doc=$tree/usr/share/doc/dmfs
    in_tree "$lib" documents "$tree/usr/share" >/dev/null || fail "dmfs documents failed"
    if [ -d "$tree/usr/share/man" ]; then
        find "$tree/usr/share/man" -type f -exec gzip -9n -- {} +
    fi
    cp -- README.md docs/*.md packaging/copyright "$doc/"
    cp -r -- packaging/examples "$doc/examples"
    gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
    if [ "$kind" = deb ]; then
        debian_changelog | gzip -9n >"$doc/changelog.Debian.gz"
        install -D -m 644 packaging/lintian-overrides "$tree/usr/share/lintian/overrides/dmfs"
    fi
}

debian_changelog() {
    printf 'dmfs (%s) unstable; urgency=medium\n\n' "$version-$(release)"
    printf '  * Release %s: changelog.gz beside this file says what is new.\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date --utc -R --date="@$SOURCE_DATE_EPOCH")"
}

# put_units: as the folders say, a user's or the system's
put_units() {
    local unit place
    while read -r unit; do
        case $unit in
            systemd/dmfs@.service | systemd/user/*) place=user ;;
            *) place=system ;;
        esac
        install -D -m 644 -- "$unit" "$tree/usr/lib/systemd/$place/${unit##*/}"
    done < <(find systemd -type f -name '*.service' -o -type f -name '*.socket' \
        -o -type f -name '*.target' -o -type f -name '*.mount' | sort)
}

# Who publishes says who that is.
maintainer=${MAINTAINER:-dmfs developers <dmfs@localhost>}

# release: one build of a version for each Python; that of a newer Debian is the newer package
release() { "$python" -c 'import sys; print("1~py%d%d" % sys.version_info[:2])'; }

# make_package deb|rpm: sets $package
make_package() {
    local kind=$1 minor arch
    make_tools && make_wheel && make_pyfuse3
    make_tree "$kind"
    minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    arch=$(uname -m)
    case $arch in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; esac
    rm -f -- "$dist"/dmfs[-_]"$version"*."$kind"
    TREE=$tree VERSION=$version RELEASE=$(release) PYTHON_MINOR=$minor ARCH=$arch \
        MAINTAINER=$maintainer SIZE=$(du -sk -- "$tree" | cut -f 1) \
        "$build/tools/bin/nfpm" package --packager "$kind" \
        --config packaging/nfpm.yaml --target "$dist/" >/dev/null
    package=$(echo "$dist"/dmfs[-_]"$version"*."$kind")
    say "made ${package#"$root/"} ($(size_of "$package"), installed $(size_of "$tree"))"
}
