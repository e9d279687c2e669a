"""Puts a licence notice into a wheel and enters it in the wheel's list of files.

    notice.py NOTICE VERSION WHEEL

``@VERSION@`` in the notice becomes VERSION. The wheel is written anew, its entries in their order.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path


def record_line(name: str, content: bytes) -> str:
    """As the list of files has it: name, hash, size."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}\n"


def with_notice(wheel: Path, notice: bytes, called: str) -> None:
    """Add ``licenses/CALLED`` to the metadata folder of ``wheel``. ValueError if it is there, or if
    the wheel has no list of files."""
    with zipfile.ZipFile(wheel) as old:
        entries = [(info, old.read(info)) for info in old.infolist()]
    records = [info for info, _ in entries if info.filename.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise ValueError(f"{wheel.name} has {len(records)} lists of files")
    (record,) = records
    name = f"{record.filename.rpartition('/')[0]}/licenses/{called}"
    if name in {info.filename for info, _ in entries}:
        raise ValueError(f"{wheel.name} has {name} already")
    fresh = wheel.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as new:
        for info, content in entries:
            if info is record:
                added = zipfile.ZipInfo(name, info.date_time)
                added.external_attr = 0o100644 << 16
                new.writestr(added, notice, zipfile.ZIP_DEFLATED)
                new.writestr(info, content + record_line(name, notice).encode())
            else:
                new.writestr(info, content)
    fresh.replace(wheel)


def main(arguments: list[str]) -> int:
    """0 when done; 2 for a wrong command line."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    notice, version, wheel = arguments
    text = Path(notice).read_text("utf-8").replace("@VERSION@", version)
    with_notice(Path(wheel), text.encode(), Path(notice).name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
