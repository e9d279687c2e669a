"""``dmfs refs``: what a drawing refers to, and what refers to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from dmfs.cli.control.bar import Event, showing_events
from dmfs.cli.control.runner import Located, locate, run_job
from dmfs.cli.control.words import plural
from dmfs.cli.exploring.links import local_paths
from dmfs.cli.exploring.type_words import type_words
from dmfs.cli.settings import Invocation
from dmfs.control.mounts import Seen
from dmfs.errors import DriveError
from dmfs.names import printable

_TYPES: Mapping[tuple[str, str], str] = {
    ("xrefs", "uses"): "xref",
    ("xrefs", "used by"): "xref",
    ("derived", "uses"): "made from",
    ("derived", "used by"): "source of",
    ("dependencies", "uses"): "dependency",
    ("dependencies", "used by"): "dependency",
    ("includes", "uses"): "part",
    ("includes", "used by"): "part",
    ("auxiliary", "uses"): "attachment",
    ("auxiliary", "used by"): "attachment",
}


def refs_command(call: Invocation) -> int:
    """Print the relations of a file, or of all files of a folder."""
    located = locate(call, [call.options.path])
    parameters = {"path": located.paths[0]}
    if call.options.json:
        return _as_json(call, located, parameters)
    whole_folder = _Show(located)
    with showing_events(whole_folder.summary) as show:
        return run_job(call, "refs", located, parameters, whole_folder.then(show))


def _as_json(call: Invocation, located: Located, parameters: Mapping[str, Any]) -> int:
    found: list[dict[str, Any]] = []

    def show(event: Event) -> None:
        if event["event"] == "ref":
            found.append(entry_of(event, located.mount))

    try:
        status = run_job(call, "refs", located, parameters, show)
    except DriveError:
        if found:  # of the other files of a folder
            _print_json(found)
        raise
    _print_json(found)
    return status


def _print_json(found: list[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def entry_of(event: Event, mount: Seen | None) -> dict[str, Any]:
    """A relation as ``--json`` prints it."""
    entry = {key: value for key, value in event.items() if key != "event"}
    entry["type_words"] = relation_words(event)
    entry["kind_words"] = "folder" if event["kind"] == "folders" else _kind(event)
    if mount is not None:
        entry["local_path"] = _local(event["path"], mount)
    return entry


class _Show:
    """Relations as lines: those of one file, or of each file of a folder under its name."""

    def __init__(self, located: Located) -> None:
        self._mount = located.mount
        self._path = located.paths[0].rstrip("/")
        self._of = ""

    def then(self, show: Any) -> Any:
        def each(event: Event) -> None:
            if event["event"] == "ref":
                self._print(event)
            else:
                show(event)

        return each

    def _print(self, event: Event) -> None:
        of = event["of"]
        if of.rstrip("/") != self._path and of != self._of:
            self._of = of
            sys.stdout.write(f"{printable(_local(of, self._mount))}\n")
        margin = "  " if self._of else ""
        sys.stdout.write(margin + line_of(event, self._mount) + "\n")

    def summary(self, event: Event) -> str:
        """The last line, for stderr's reader as well as for a person."""
        if event["event"] != "done":
            return ""
        files = plural(event["items"], "file")
        if not event["uses"] and not event["used_by"]:
            return f"{files}: no relations"
        stale = f", {event['stale']:,} to an older version" if event["stale"] else ""
        return (
            f"{files}: uses {event['uses']:,}, used by {event['used_by']:,}{stale}"
            f" ({plural(event['calls'], 'call')})"
        )


def line_of(event: Event, mount: Seen | None) -> str:
    """One relation: ``uses     xref (overlay)     /Hub/…/Walls.dwg  v3 of 5``."""
    where = _local(event["path"], mount) if event["path"] else _nowhere(event)
    parts = [f"{event['direction']:<7}", f"{relation_words(event):<17}", printable(where)]
    return "  ".join([*parts, version_words(event)]).rstrip()


def relation_words(event: Event) -> str:
    """``xref (overlay)``; a type of relation that is not known by its own name."""
    words = _TYPES.get((event["type"], event["direction"]), printable(event["type"]) or "relation")
    return f"{words} ({printable(event['nesting'])})" if event["nesting"] else words


def version_words(event: Event) -> str:
    """``v5``, ``v3 of 5: stale``, ``v3, deleted``; of what refers to a former version of the file
    that was asked about, which one: ``v2, refers to v1 of 4: stale``"""
    words = _version_words(event)
    mine, tip = event["of_version_number"], event["of_tip_number"]
    if mine != tip:
        words += f", refers to v{mine} of {tip}: stale"
    return words.removeprefix(", ")


def _version_words(event: Event) -> str:
    number, state = event["version_number"], event["state"]
    version = f"v{number}" if number is not None and event["kind"] == "versions" else ""
    if state == "stale":
        return f"{version} of {event['tip_number']}: stale"
    if state == "deleted":
        return f"{version}, deleted".removeprefix(", ")
    if state == "not visible":
        return f"{version}, in a place that you may not see".removeprefix(", ")
    if state == "unknown" and version:
        return f"{version}, of how many is not known"
    return version


def _nowhere(event: Event) -> str:
    named = (event[key] for key in ("name", "version_id", "item_id", "folder_id"))
    return str(next(filter(None, named), ""))


def _kind(event: Event) -> str:
    return type_words(str(event["extension_type"]))


def _local(path: str, mount: Seen | None) -> str:
    """Below the mountpoint, where the mount shows it."""
    if not path or mount is None:
        return path
    return next(iter(local_paths(path, [mount])), path)
