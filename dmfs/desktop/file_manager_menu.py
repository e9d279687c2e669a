"""Menu items and emblems of dmfs in Nautilus, Nemo and Caja.

It runs inside of the file manager, with the system's Python: it imports nothing of dmfs. One file
for the three, each of which loads it from a directory of its own (``dmfs desktop install``).

The file manager must not wait for a drive whose service is slow. So nothing here touches a path:
which paths are of a drive is read from the kernel's table of mounts, and what of a file is here is
asked by GIO in threads of its own (extended attributes; those never call the service). The commands
run beside it, and a failure is shown as a notification.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

import gi  # type: ignore[import-not-found, unused-ignore]

Gio: Any = importlib.import_module("gi.repository.Gio")
GLib: Any = importlib.import_module("gi.repository.GLib")
GObject: Any = importlib.import_module("gi.repository.GObject")

APIS = {
    "nemo-python": ("Nemo", ("3.0",)),
    "caja-python": ("Caja", ("2.0",)),
    "nautilus-python": ("Nautilus", ("4.1", "4.0", "3.0")),
}
"""By the directory that a file manager loads us from."""
TABLE_OF_MOUNTS = Path("/proc/self/mountinfo")
TABLE_US = 2_000_000
"""For so long it is taken to be the same: a folder of 1000 files asks 1000 times."""
FRESH_US = 1_000_000
"""A file manager asks again when it shows a folder anew; the menu asks nobody."""
LOOK_AGAIN_S = 5
LOOKS = 60
"""What goes up is looked at again for five minutes; when it is shown after that, for five more."""
WATCHED_MAX, KNOWN_MAX, SELECTED_MAX = 200, 10_000, 1000
ATTRIBUTES = "xattr::dmfs.pinned,xattr::dmfs.cached,xattr::dmfs.state"
UP, TROUBLE = ("waiting", "uploading"), ("conflict", "failed")
"""Values of ``user.dmfs.state``."""
WORDS = {
    "en": ("Keep on this computer", "Let it go", "Free up space", "Open in browser", "Versions"),
    "de": ("Auf diesem Rechner behalten", "Nicht mehr behalten", "Speicherplatz freigeben",
           "Im Browser öffnen", "Versionen"),
    "fr": ("Conserver sur cet ordinateur", "Ne plus conserver", "Libérer de l'espace",
           "Ouvrir dans le navigateur", "Versions"),
}  # fmt: skip


def _binding() -> Any:
    """The file manager's own module."""
    place = next((each for each in APIS if f"/{each}/" in __file__), "nautilus-python")
    name, versions = APIS[place]
    for version in versions:
        try:
            gi.require_version(name, version)
            break
        except ValueError:  # another version, which may be loaded already
            continue
    return importlib.import_module(f"gi.repository.{name}")


Manager: Any = _binding()


class Drives:
    """Which paths are of a drive, and which drives can be written to."""

    def __init__(self, table: Path = TABLE_OF_MOUNTS) -> None:
        self._table = table
        self._read_us = -TABLE_US
        self._mounts: list[tuple[str, str]] = []

    def has(self, path: str) -> bool:
        """Whether a drive is mounted there, or above. It looks at no path."""
        kind, longest = "", -1
        for place, each in self._rows():
            below = path == place or path.startswith(place.rstrip("/") + "/")
            if below and len(place) >= longest:
                kind, longest = each, len(place)
        return kind == "fuse.dmfs"

    def _rows(self) -> list[tuple[str, str]]:
        now_us = GLib.get_monotonic_time()
        if now_us - self._read_us >= TABLE_US:
            self._read_us = now_us
            try:
                self._mounts = _parsed(self._table.read_bytes())
            except OSError:
                self._mounts = []
        return self._mounts


def _parsed(table: bytes) -> list[tuple[str, str]]:
    """(mountpoint, type) of each row of mountinfo, if there is a drive among them; else nothing."""
    rows = []
    for line in table.split(b"\n") if b" fuse.dmfs " in table else ():
        fields = line.split(b" ")
        if len(fields) < 9 or b"-" not in fields[6:-1]:
            continue
        place = re.sub(rb"\\([0-7]{3})", lambda each: bytes([int(each[1], 8) & 255]), fields[4])
        kind = fields[fields.index(b"-", 6) + 1]
        rows.append((os.fsdecode(place), os.fsdecode(kind)))
    return rows


def emblems(attributes: dict[str, str]) -> list[str]:
    """Names of emblems for the values of ``pinned``, ``cached`` and ``state``."""
    found = []
    if attributes.get("state") in UP:
        found.append("emblem-dmfs-uploading")
    if attributes.get("state") in TROUBLE:
        found.append("emblem-dmfs-conflict")
    if attributes.get("pinned"):
        found.append("emblem-dmfs-pinned")
    elif attributes.get("cached") == "100":
        found.append("emblem-dmfs-cached")
    return found


def verbs(paths: list[str], folders: list[bool], pinned: list[str]) -> list[tuple[str, int, str]]:
    """(name, place in ``WORDS``, verb) of the items for a selection; ``pinned`` is the value of
    each one's attribute. The verb is a command of dmfs, or ``versions``."""
    items = []
    if not all(pinned):
        items.append(("Keep", 0, "pin"))
    if "yes" in pinned:  # what lies in a folder that is pinned is let go with that
        items.append(("LetGo", 1, "unpin"))
    if not all(pinned):
        items.append(("FreeUp", 2, "evict"))
    if len(paths) == 1:
        items.append(("Browser", 3, "open"))
        if not folders[0] and "/.versions/" not in paths[0]:
            items.append(("Versions", 4, "versions"))
    return items


class DmfsMenu(GObject.GObject, Manager.MenuProvider, Manager.InfoProvider):  # type: ignore[misc]
    """What the file manager calls. Files are its FileInfo objects."""

    def __init__(self) -> None:
        super().__init__()
        self._drives = Drives()
        self._known: dict[str, tuple[int, dict[str, str]]] = {}
        """path → (when it was found, values), the last found at the end"""
        self._running: list[tuple[Any, Any]] = []
        self._watched: dict[str, tuple[Any, int]] = {}
        """path → (its file, how many more looks)"""
        self._timer = 0

    # Emblems

    def update_file_info_full(self, provider: Any, handle: Any, closure: Any, file: Any) -> Any:
        """Called for each file that is shown; the answer may come later."""
        path = self._path(file)
        if path is None:
            return Manager.OperationResult.COMPLETE
        found_us, values = self._known.get(path, (-FRESH_US, {}))
        if GLib.get_monotonic_time() - found_us < FRESH_US:
            self._show(file, path, values)
            return Manager.OperationResult.COMPLETE
        cancellable = Gio.Cancellable()
        self._running.append((handle, cancellable))

        def on_found(source: Any, result: Any, *_: Any) -> None:
            self._running = [each for each in self._running if each[1] is not cancellable]
            if cancellable.is_cancelled():
                return
            self._remember(path, _values(source, result))
            self._show(file, path, self._known[path][1])
            Manager.info_provider_update_complete_invoke(
                closure, provider, handle, Manager.OperationResult.COMPLETE
            )

        file.get_location().query_info_async(
            ATTRIBUTES, Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, GLib.PRIORITY_LOW, cancellable,
            on_found,
        )  # fmt: skip
        return Manager.OperationResult.IN_PROGRESS

    def cancel_update(self, _provider: Any, handle: Any) -> None:
        """The folder is shown no more."""
        for each, cancellable in self._running:
            if each == handle:
                cancellable.cancel()

    def _show(self, file: Any, path: str, values: dict[str, str]) -> None:
        for name in emblems(values):
            file.add_emblem(name)
        if values.get("state") in UP:
            looks = self._watched.get(path, (None, LOOKS))[1]
            if path in self._watched or len(self._watched) < WATCHED_MAX:
                self._watched[path] = (file, looks)
            self._timer = self._timer or GLib.timeout_add_seconds(LOOK_AGAIN_S, self._look_again)
        else:
            self._watched.pop(path, None)

    def _look_again(self) -> bool:
        for path, (file, looks) in list(self._watched.items()):
            if looks:
                self._watched[path] = (file, looks - 1)
                self._forget([path])
                file.invalidate_extension_info()
            else:
                del self._watched[path]
        if not self._watched:
            self._timer = 0
        return bool(self._watched)

    def _remember(self, path: str, values: dict[str, str]) -> None:
        self._known.pop(path, None)
        self._known[path] = (GLib.get_monotonic_time(), values)
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def _forget(self, paths: list[str]) -> None:
        for path in paths:
            if path in self._known:
                self._known[path] = (-FRESH_US, self._known[path][1])

    # Menu

    def get_file_items(self, *arguments: Any) -> list[Any]:
        """``(files)``, or ``(window, files)`` before Nautilus 43 and in Nemo and Caja."""
        return self._items("Dmfs", list(arguments[-1]))

    def get_background_items(self, *arguments: Any) -> list[Any]:
        """Of the folder that is shown. Their names are others than those of files: Nautilus 43
        has one action for each name, and *Keep* of a file kept the whole folder."""
        return self._items("DmfsFolder", [arguments[-1]] if arguments[-1] else [])

    def _items(self, group: str, files: list[Any]) -> list[Any]:
        if not files or len(files) > SELECTED_MAX:
            return []
        found = [path for file in files if (path := self._path(file)) is not None]
        if len(found) < len(files):
            return []
        pinned = [self._known.get(path, (0, {}))[1].get("pinned", "") for path in found]
        language = (GLib.get_language_names() or ["en"])[0][:2]
        items = []
        for name, place, verb in verbs(found, [each.is_directory() for each in files], pinned):
            label = WORDS.get(language, WORDS["en"])[place]
            item = Manager.MenuItem(name=f"{group}::{name}", label=label, tip=f"dmfs {verb}")
            item.connect("activate", self._on_activate, verb, found, files)
            items.append(item)
        return items

    def _on_activate(self, _item: Any, verb: str, paths: list[str], files: list[Any]) -> None:
        if verb == "versions":
            folder, _, name = paths[0].rpartition("/")
            shown = Gio.File.new_for_path(f"{folder}/.versions/{name}").get_uri()
            Gio.AppInfo.launch_default_for_uri_async(shown, None, None, _on_launched)
            return

        def on_end() -> None:
            self._forget(paths)
            for file in files:
                file.invalidate_extension_info()

        run(verb, paths, on_end)

    def _path(self, file: Any) -> str | None:
        """Its path, if it is of a drive."""
        location = file.get_location() if file.get_uri_scheme() == "file" else None
        path = location.get_path() if location is not None else None
        return path if path and self._drives.has(path) else None


def _values(source: Any, result: Any) -> dict[str, str]:
    """``pinned``, ``cached`` and ``state`` as far as they are there."""
    try:
        info = source.query_info_finish(result)
    except GLib.Error:
        return {}
    found = {}
    for each in ATTRIBUTES.split(","):
        value = info.get_attribute_as_string(each)
        if value:
            found[each.rpartition(".")[2]] = value
    return found


def run(verb: str, paths: list[str], on_end: Any) -> None:
    """``dmfs VERB PATHS`` beside the file manager; ``on_end()`` when it is over, however."""
    own = Path(GLib.get_home_dir(), ".local/bin/dmfs")
    program = GLib.find_program_in_path("dmfs") or (str(own) if own.exists() else None)
    if program is None:
        notify(verb, "The command dmfs is not on the PATH of this session.")
        return
    try:
        child = Gio.Subprocess.new(
            [program, verb, "--", *paths],
            Gio.SubprocessFlags.STDOUT_SILENCE | Gio.SubprocessFlags.STDERR_PIPE,
        )
    except GLib.Error as error:
        notify(verb, error.message)
        return

    def on_output(process: Any, result: Any, *_: Any) -> None:
        try:
            _, _, said = process.communicate_finish(result)
        except GLib.Error as error:
            notify(verb, error.message)
        else:
            if not process.get_successful():
                text = (said.get_data() or b"").decode("utf-8", "replace") if said else ""
                lines = text.strip().splitlines()
                words = lines[-1] if lines else "it ended without a word"
                notify(verb, words.removeprefix("dmfs: "))
        on_end()

    child.communicate_async(None, None, on_output)


def notify(verb: str, words: str) -> None:
    """Show why nothing was done; in the session's log where notifications cannot be sent."""
    program = GLib.find_program_in_path("notify-send")
    title = f"dmfs {verb}"
    try:
        if program is not None:
            Gio.Subprocess.new(
                [program, "--app-name=dmfs", "--icon=dialog-warning", "--", title, words[:500]],
                Gio.SubprocessFlags.STDOUT_SILENCE | Gio.SubprocessFlags.STDERR_SILENCE,
            )
            return
    except GLib.Error:
        pass
    os.write(2, f"{title}: {words}\n".encode())


def _on_launched(_source: Any, result: Any, *_: Any) -> None:
    try:
        Gio.AppInfo.launch_default_for_uri_finish(result)
    except GLib.Error as error:
        notify("versions", error.message)
