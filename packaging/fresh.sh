# shellcheck shell=bash
# For scripts/package: a fresh Debian, as it comes, in a folder; the package is tried in a copy of it.
# shellcheck disable=SC2154,SC2034 # its parts are of one script, and share their variables

debian=/var/tmp/dmfs-package # 200 MB for each suite, where the next run finds it

cannot() {
    say "$@"
    exit 77
}

# shellcheck source=scripts/debian.sh
source scripts/debian.sh

child='' work=''
# shellcheck disable=SC2317 # the trap calls it
clean_up() {
    if [ -n "$child" ]; then
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    if [ -n "$work" ]; then rm -rf --one-file-system -- "$work"; fi
}

# may_make_debian: or ends with 77, before anything long is done
may_make_debian() {
    [ "$(id -u)" -eq 0 ] || cannot "needs root: a fresh Debian is made with debootstrap and chroot"
    unshare --mount --pid --fork true 2>/dev/null || cannot "may not make namespaces here (unshare)"
}

# fresh_debian: sets $base, a Debian of the suite of this one, and $work, a place for one run
fresh_debian() {
    local suite
    # shellcheck source=/dev/null
    suite=${SUITE:-$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "$VERSION_CODENAME")} ||
        cannot "this is no Debian, so say which one is to be made: SUITE=bookworm, for example"
    base=$debian/$suite
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    mkdir -p -- "$debian"
    exec 8<"$debian"
    flock 8 # two that start at once make one Debian
    is_young "$base" || make_debian "$suite" "$base" ca-certificates "$debian/debootstrap.log"
    let_it_reach_out "$base"
    exec 8<&-
    work=$(mktemp -d "$debian/run.XXXXXX")
    # As in the images of containers: a disk that others use too is not waited for at each file.
    echo force-unsafe-io >"$base/etc/dpkg/dpkg.cfg.d/unsafe-io"
    mkdir -- "$work/upper" "$work/scratch" "$work/root"
}

# in_fresh COMMAND…: in $work/root, which shows $base and what is changed there; nothing of it
# reaches $base, and no mount or process outlives it
in_fresh() {
    alone bash -c "$(declare -f inside passed_on); passed_on='$passed_on'"'; inside "$@"' \
        inside "$base" "$work" "$@"
}

inside() { # BASE WORK COMMAND… (the first process of new namespaces)
    local base=$1 work=$2 at=$2/root environment
    shift 2
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/scratch" "$at"
    mount -t proc proc "$at/proc"
    mount --rbind /sys "$at/sys"
    mount --rbind /dev "$at/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$at/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$at/run"
    mount -t tmpfs -o mode=1777 tmpfs "$at/tmp"
    mkdir -- "$at/tmp/given"
    mount --bind "$work/given" "$at/tmp/given"
    mapfile -d '' environment < <(passed_on)
    env --ignore-environment \
        HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive "${environment[@]}" chroot "$at" "$@"
}

# check_package [DEB]: builds it unless it is named
check_package() {
    local status=0
    package=${1:-}
    if [ -z "$package" ]; then make_package deb; fi
    [ -f "$package" ] || fail "there is no $package"
    fresh_debian
    mkdir -- "$work/given"
    cp -- "$package" "$work/given/dmfs.deb"
    cp -- packaging/try-package packaging/try.sh "$dist"/*.whl "$work/given/"
    if command -v lintian >/dev/null; then
        lintian --allow-root --fail-on error --tag-display-limit 0 \
            "$package" >&2 || status=1
    else
        say "lintian is not installed, so it says nothing"
    fi
    in_fresh bash /tmp/given/try-package || status=$?
    [ "$status" -eq 0 ] || fail "the package is not well"
    say "the package is well"
}

# make_image [DEB]: the steps of the Containerfile in a fresh Debian, since no registry of images is asked
make_image() {
    local sizes arch image=$dist/dmfs-$version-image.tar
    package=${1:-}
    if [ -z "$package" ]; then make_package deb; fi
    [ -f "$package" ] || fail "there is no $package"
    fresh_debian
    mkdir -- "$work/given"
    cp -- "$package" packaging/image-root packaging/try-image packaging/try.sh "$work/given/"
    in_fresh bash -c "apt-get -q update && apt-get -q -y --no-install-recommends install \
        ca-certificates /tmp/given/${package##*/} && /tmp/given/image-root /out &&
        tar --numeric-owner --sort=name --mtime=@$SOURCE_DATE_EPOCH -C /out \
            -cf /tmp/given/root.tar ." >"$work/log" 2>&1 || {
        tail -n 5 -- "$work/log" >&2
        fail "the image's root cannot be made"
    }
    in_fresh bash /tmp/given/try-image /out || fail "dmfs does not run in the image's root"
    case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
    sizes=$("$python" packaging/oci.py "$work/given/root.tar" "$image" "dmfs:$version" "$arch" \
        "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%FT%TZ)")
    say "made ${image#"$root/"}: layer ${sizes% *} bytes, unpacked ${sizes#* } (120000000 at most)"
    [ "${sizes#* }" -le 120000000 ] || fail "the image is larger than 120 MB"
}
