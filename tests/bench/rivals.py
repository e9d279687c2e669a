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
