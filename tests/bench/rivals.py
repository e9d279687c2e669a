"""rclone's configurations that are worth a trial, by kind of workload."""

from __future__ import annotations

_FULL = "--vfs-cache-mode=full"
_OFF = "--vfs-cache-mode=off"
_STREAMS = "--vfs-read-chunk-streams=16"

DEFAULTS: tuple[str, ...] = ()

SEQUENTIAL = {
    "off, 16×8M": (_OFF, _STREAMS, "--vfs-read-chunk-size=8M"),
    "off, 16×4M": (_OFF, _STREAMS, "--vfs-read-chunk-size=4M"),
    "full, 16×8M, 128M ahead": (
        _FULL, _STREAMS, "--vfs-read-chunk-size=8M", "--vfs-read-ahead=128M",
    ),
    "full, 16×4M, 64M buffer": (
        _FULL, _STREAMS, "--vfs-read-chunk-size=4M", "--buffer-size=64M",
    ),
}  # fmt: skip
"""One reader, front to back, on a link with latency."""

LOCAL = SEQUENTIAL | {
    "off": (_OFF, "--buffer-size=64M"),
    "full": (_FULL, "--buffer-size=64M"),
}
"""The same on a link without."""

WARM = {
    "full, 16×8M, 128M ahead": SEQUENTIAL["full, 16×8M, 128M ahead"],
    "full": (_FULL,),
}

RANDOM = {
    "off, no buffer": (_OFF, "--buffer-size=0", "--vfs-read-chunk-size=64k"),
    "off, 128K chunks": (_OFF, "--buffer-size=0", "--vfs-read-chunk-size=128k"),
    "full, 128K chunks": (_FULL, "--buffer-size=0", "--vfs-read-chunk-size=128k"),
    "full": (_FULL,),
}

SMALL = {
    "off": (_OFF,),
    "full": (_FULL,),
    "off, no buffer": (_OFF, "--buffer-size=0"),
}

_WRITES = "--vfs-cache-mode=writes"
_AT_ONCE = "--vfs-write-back=0s"
WRITE_BACK = {
    "16×8M": (_WRITES, _AT_ONCE, "--s3-chunk-size=8M", "--s3-upload-concurrency=16"),
    "8×16M": (_WRITES, _AT_ONCE, "--s3-chunk-size=16M", "--s3-upload-concurrency=8"),
    "4×64M": (_WRITES, _AT_ONCE, "--s3-chunk-size=64M", "--s3-upload-concurrency=4"),
    "full, 16×8M": (
        "--vfs-cache-mode=full", _AT_ONCE, "--s3-chunk-size=8M", "--s3-upload-concurrency=16",
    ),
    "one PUT": (_WRITES, _AT_ONCE, "--s3-upload-cutoff=5G"),
    "defaults, 0 s": (_WRITES, _AT_ONCE),
}  # fmt: skip
"""A file written, then sent by itself; the default waits for five seconds first. All of them keep
a digest of the whole file, as dmfs does."""

WRITE_BACK_UNCHECKED = (
    _WRITES, _AT_ONCE, "--s3-chunk-size=8M", "--s3-upload-concurrency=16",
    "--s3-disable-checksum", "--s3-use-unsigned-payload=true",
)  # fmt: skip
"""The same without one: nobody can compare later what arrived."""
