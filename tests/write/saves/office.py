"""Opens a spreadsheet in LibreOffice, changes a cell and saves, so many times:
``/usr/bin/python3 office.py FILE PROFILE PIPE WORD…``. For a Python that has ``uno``."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def connect(pipe: str) -> Any:
    import uno  # type: ignore[import-not-found]

    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext(
        "com.sun.star.bridge.UnoUrlResolver", local
    )
    url = f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext"
    for _ in range(300):
        try:
            context = resolver.resolve(url)
        except Exception:  # noqa: BLE001 - it has classes of its own
            time.sleep(0.1)
        else:
            return context.ServiceManager.createInstanceWithContext(
                "com.sun.star.frame.Desktop", context
            )
    raise SystemExit("LibreOffice does not answer")


def hidden() -> Any:
    """Without a window: that of a headless one may crash."""
    import uno

    value = uno.createUnoStruct("com.sun.star.beans.PropertyValue")
    value.Name, value.Value = "Hidden", True
    return value


def main() -> None:
    path, profile, pipe, *words = sys.argv[1:]
    office = subprocess.Popen(
        [
            "soffice", "--headless", "--norestore", "--nologo", "--nodefault",
            f"-env:UserInstallation={Path(profile).as_uri()}",
            f"--accept=pipe,name={pipe};urp;",
        ]
    )  # fmt: skip
    try:
        desktop = connect(pipe)
        there = Path(path).exists()
        url = Path(path).as_uri() if there else "private:factory/scalc"
        document = desktop.loadComponentFromURL(url, "_blank", 0, (hidden(),))
        if there and document.isReadonly():
            raise SystemExit("it was opened read-only")
        for word in words:
            document.Sheets.getByIndex(0).getCellByPosition(0, 0).String = word
            if there:
                document.store()
            else:
                document.storeAsURL(Path(path).as_uri(), ())
                there = True
            print("saved", word, flush=True)
            if sys.stdin.readline().strip() != "go on":
                raise SystemExit("nobody goes on")
        document.close(True)
        desktop.terminate()
        office.wait(30)
    finally:
        office.kill()


if __name__ == "__main__":
    main()
