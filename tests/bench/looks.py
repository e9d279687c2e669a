"""What programs cost that only look: ``.venv/bin/python -m tests.bench.looks [--src DIR] [ROW…]``.

Each row is one real program over a mount with an empty cache and a known listing: signings, GETs
and bytes by the emulator's own count, beside the bytes that the kernel asked for and the seconds.
``--src DIR`` measures the dmfs of another checkout over this one's emulator.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.support import mounts
from tests.support.mounts import Drive, start_emulator, stop_emulator, wait_until

FILES = "Bench/Bench Project/Project Files"
WORLD = "small:files=200,min=300000,max=430000+big:size=60000000,count=20"
ZIP_WORLD = "big:size=96000000,count=1,zip=1,members=256"
LINK = {"api_latency_ms": 150, "cdn_latency_ms": 40, "cdn_mb_per_s": 20}
PDFS = {"20 small": (20, 1500, 300), "40 large": (40, 1200, 1200)}
"""Name → pictures of page 1, lines of a picture, lines of those."""
_PAGE = ["pdftoppm", "-f", "1", "-l", "1", "-r", "20"]
_OPEN_AND_CLOSE = "import os,sys\nfor p in sys.argv[1:]: os.stat(p); os.close(os.open(p, 0))"

Words = Sequence[str]


def a_pdf(scattered: int, rows: int, first_rows: int, pages: int = 150) -> str:
    """A PDF of ASCII only, of 14.9 MB: one picture a page, ``rows`` × 64 bytes. The pictures of
    page 1, ``first_rows`` high, lie all over the file; its directory at the end, as usual."""
    objects: list[str] = []

    def add(text: str) -> int:
        objects.append(text)
        return len(objects)

    def add_picture(side: int) -> int:
        words = (
            "<< /Type /XObject /Subtype /Image /Width 32 /Height "
            f"{side} /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /ASCIIHexDecode /Length "
        )
        data = f"{len(objects) * 2654435761 % (1 << 32):08x}" * (side * 8) + ">"
        return add(f"{words}{len(data)} >>\nstream\n{data}\nendstream")

    first: list[int] = []
    each: list[list[int]] = []
    for number in range(pages):
        each.append([add_picture(rows if number else first_rows)])
        if number * scattered // pages != (number + 1) * scattered // pages:
            first.append(add_picture(first_rows))
    each[0] += first
    parent = len(objects) + 2 * pages + 1
    kids = []
    for number in range(pages):
        draw = "".join(
            f"q 60 0 0 60 {40 + place % 8 * 62} {700 - place // 8 * 62} cm /I{picture_} Do Q\n"
            for place, picture_ in enumerate(each[number])
        )
        content = add(f"<< /Length {len(draw)} >>\nstream\n{draw}endstream")
        named = " ".join(f"/I{picture_} {picture_} 0 R" for picture_ in each[number])
        kids.append(add(
            f"<< /Type /Page /Parent {parent} 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R "
            f"/Resources << /XObject << {named} >> >> >>"
        ))  # fmt: skip
    add(f"<< /Type /Pages /Count {pages} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>")
    catalog = add(f"<< /Type /Catalog /Pages {parent} 0 R >>")
    return _assembled(objects, catalog)


def _assembled(objects: Sequence[str], catalog: int) -> str:
    parts, offsets, at = ["%PDF-1.4\n"], [], len("%PDF-1.4\n")
    for number, text in enumerate(objects, 1):
        offsets.append(at)
        parts.append(f"{number} 0 obj\n{text}\nendobj\n")
        at += len(parts[-1])
    parts.append(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n")
    parts += [f"{offset:010d} 00000 n \n" for offset in offsets]
    parts.append(
        f"trailer << /Size {len(objects) + 1} /Root {catalog} 0 R >>\nstartxref\n{at}\n%%EOF\n"
    )
    return "".join(parts)


def _small(drive: Drive, count: int) -> list[str]:
    return [drive.path(FILES, "small", f"small-{number:05d}.txt") for number in range(count)]


def _big(drive: Drive, count: int) -> list[str]:
    return [drive.path(FILES, "big", f"big-{number:02d}.bin") for number in range(count)]


def _pdf(name: str, words: Words, drive: Drive) -> Words:
    return [*words, drive.path(FILES, "pdf", f"{name}.pdf")]


def _tar(order: str, drive: Drive) -> Words:
    return ["tar", "-cf", "-", f"--sort={order}", drive.path(FILES, "small")]


def _by_inode(paths: Sequence[str]) -> list[str]:
    return sorted(paths, key=lambda path: Path(path).stat().st_ino)


def _one_member(drive: Drive) -> Words:
    path = drive.path(FILES, "big", "big-00.zip")
    listed = drive.tool("unzip", "-Z1", path).stdout.decode().splitlines()
    return ["unzip", "-p", path, listed[len(listed) // 2]]


def _borg(archive: str, drive: Drive) -> Words | None:
    if shutil.which("borg") is None:
        return None
    repository = drive.home.directory.parent / "repository"
    if not repository.exists():
        drive.tool("borg", "init", "-e", "none", str(repository))
    return ["borg", "create", f"{repository}::{archive}", drive.path(FILES, "small")]


ROWS: dict[str, Callable[[Drive], Words | None]] = {
    "head -c 100, 60 MB": lambda drive: ["head", "-c", "100", *_big(drive, 1)],
    "tail -c 100, 60 MB": lambda drive: ["tail", "-c", "100", *_big(drive, 1)],
    "head -c 64K, 60 MB": lambda drive: ["head", "-c", "64K", *_big(drive, 1)],
    "head -c 1M, 60 MB": lambda drive: ["head", "-c", "1M", *_big(drive, 1)],
    "file, 60 MB": lambda drive: ["file", *_big(drive, 1)],
    "rg, 20 × 60 MB": lambda drive: ["rg", "-j1", "zzzzqqqq", drive.path(FILES, "big")],
    **{f"pdfinfo, {name}": partial(_pdf, name, ["pdfinfo"]) for name in PDFS},
    **{f"{' '.join(_PAGE[:5])}, {name}": partial(_pdf, name, _PAGE) for name in PDFS},
    "unzip -l, 96 MB": lambda drive: ["unzip", "-l", drive.path(FILES, "big", "big-00.zip")],
    "unzip -p one member, 96 MB": _one_member,
    "20 opens, no read": lambda drive: ["python3", "-c", _OPEN_AND_CLOSE, *_small(drive, 20)],
    "190 opens, no read": lambda drive: ["python3", "-c", _OPEN_AND_CLOSE, *_small(drive, 190)],
    "sha256sum, 40 by name": lambda drive: ["sha256sum", *_small(drive, 40)],
    "sha256sum, 40 by inode": lambda drive: ["sha256sum", *_by_inode(_small(drive, 200))[:40]],
    "tar --sort=name, 200 files": partial(_tar, "name"),
    "tar --sort=inode, 200 files": partial(_tar, "inode"),
    "borg create, 200 files": partial(_borg, "first"),
    "borg create again, unchanged, cache emptied": partial(_borg, "again"),
}


def settled(drive: Drive) -> tuple[int, int, int]:
    """Signings, GETs, bytes, once nothing is on its way any more."""
    last: list[object] = []

    def still() -> bool:
        last.append((drive.counts(), drive.emulator.calls()["cdn_bytes"]))
        return len(last) > 30 and last[-1] == last[-30]

    wait_until(still, 30)
    counts = drive.counts()
    fetched = drive.emulator.calls()["cdn_bytes"]
    return counts.get("sign", 0), counts.get("cdn_get", 0), fetched


def measure(name: str, place: Path, number: int) -> str:
    zipped = "unzip" in name
    emulator = start_emulator(world=ZIP_WORLD if zipped else WORLD, **LINK)
    try:
        if "pdf" in name:
            emulator.change("add_folder", path=FILES, name="pdf")
            for title, shape in PDFS.items():
                emulator.change(
                    "add_item", path=f"{FILES}/pdf", name=f"{title}.pdf", text=a_pdf(*shape)
                )
        # borg knows a file by its path, times and inode: the mountpoint stays, the cache goes
        here = place / ("borg" if "borg" in name else f"row{number}")
        for part in ("cache", "state"):
            shutil.rmtree(here / part, ignore_errors=True)
        with Drive(here, emulator, config={"ttl": "10m", "hub_ttl": "10m"}) as drive:
            drive.tool("find", drive.path(), timeout_s=60)
            if "one member" in name:
                words = ROWS[name](drive)
                drive.close()
                shutil.rmtree(here / "cache", ignore_errors=True)
                drive.start()
                drive.tool("find", drive.path(), timeout_s=60)
            else:
                words = ROWS[name](drive)
            if words is None:
                return f"| {name} | not installed |"
            return _run(drive, name, words)
    finally:
        stop_emulator(emulator)


def _run(drive: Drive, name: str, words: Words) -> str:
    time.sleep(1)
    drive.emulator.reset()
    before = len(drive.log())
    started = time.monotonic()
    done = drive.tool(*words, timeout_s=300)
    seconds = time.monotonic() - started
    signed, gets, fetched = settled(drive)
    reads = re.findall(r" read .* (hit|miss) bytes=(\d+)", drive.log()[before:])
    asked = sum(int(length) for _, length in reads)
    waited = sum(end == "miss" for end, _ in reads)
    return (
        f"| {name} | {signed} | {gets} | {fetched / 1e6:.2f} | {asked / 1e6:.2f} | {waited} "
        f"| {seconds:.1f} | rc {done.returncode} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tests.bench.looks", description="What programs cost that only look."
    )
    parser.add_argument("--src", default="", help="measure the dmfs of another checkout")
    parser.add_argument("rows", nargs="*", help="parts of the rows' names; default: all")
    options = parser.parse_args()
    mounts.OTHER_SOURCE = str(Path(options.src).resolve()) if options.src else ""
    with tempfile.TemporaryDirectory(prefix="dmfs-looks-") as place:
        print(
            "| | signings | GETs | MB | MB the kernel asked for | reads that waited | s | |",
            flush=True,
        )
        for number, name in enumerate(ROWS):
            if not options.rows or any(part in name for part in options.rows):
                print(measure(name, Path(place), number), flush=True)


if __name__ == "__main__":
    main()
