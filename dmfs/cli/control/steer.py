"""``dmfs refresh``, ``warm``, ``evict`` and ``offline``: jobs of a mount, or of a drive of our
own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dmfs.cli.control.bar import Event, print_json, showing_events
from dmfs.cli.control.runner import Located, locate, run_job
from dmfs.cli.control.target import mounts_of, the_mount
from dmfs.cli.control.words import duration, plural, size
from dmfs.cli.settings import Invocation
from dmfs.errors import UsageError
from dmfs.setting_types import parse_size


def refresh_command(call: Invocation) -> int:
    """List again now, and print what changed."""
    located = locate(call, [call.options.path])
    parameters = {"path": located.paths[0], "recursive": call.options.recursive}
    return _run(call, "refresh", located, parameters, _refreshed)


def warm_command(call: Invocation) -> int:
    """Fetch ahead of need; first say what it will cost."""
    given = call.options
    located = locate(call, given.paths)
    parameters = {
        "paths": located.paths, "match": given.match, "newer": given.newer,
        "max_size": _size_of(given.max_size), "listings_only": given.listings_only,
        "dry_run": given.dry_run,
    }  # fmt: skip
    return _run(call, "warm", located, parameters, _warmed(dry_run=given.dry_run))


def evict_command(call: Invocation) -> int:
    """Let go of cached bytes."""
    located = locate(call, call.options.paths)
    return _run(call, "evict", located, {"paths": located.paths}, _evicted)


def offline_command(call: Invocation) -> int:
    """Work offline, or no longer."""
    mount = the_mount(call.options.mountpoint, mounts_of(call))
    on = call.options.state == "on"
    return _run(call, "offline", Located([], mount), {"on": on}, _offline)


def _run(
    call: Invocation,
    verb: str,
    located: Located,
    parameters: Mapping[str, Any],
    summary: Callable[[Event], str],
) -> int:
    if call.options.json:
        return run_job(call, verb, located, parameters, print_json)
    with showing_events(summary) as show:
        return run_job(call, verb, located, parameters, show)


def _size_of(text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(f"--max-size: {text!r} is not {error}") from None


# One line each


def _refreshed(event: Event) -> str:
    if event["event"] != "done":
        return ""
    kinds = ", ".join(f"{event[what]:,} {what}" for what in ("added", "removed", "changed"))
    return f"{plural(event['folders'], 'folder')} listed, {plural(event['calls'], 'call')}: {kinds}"


def _warmed(*, dry_run: bool) -> Callable[[Event], str]:
    def summary(event: Event) -> str:
        if event["event"] == "estimate":
            return _estimated(event)
        if dry_run:
            return ""
        what = f"{plural(event['files'], 'file')}, {size(event['bytes'])} fetched"
        return f"{plural(event['folders'], 'folder')}, {what}, {plural(event['calls'], 'call')}"

    return summary


def _estimated(event: Event) -> str:
    there = (
        f"{plural(event['folders_known'], 'folder')}, {plural(event['files'], 'file')}, "
        f"{size(event['bytes'])}"
    )
    listed = plural(event["listing_calls"], "call")
    if not event["files_missing"]:
        return f"{there} ({listed} to know that): nothing to fetch"
    return (
        f"{there} ({listed} to know that): {plural(event['files_missing'], 'file')}, "
        f"{size(event['bytes_missing'])} to fetch, {plural(event['calls'], 'call')}, "
        f"at least {duration(event['least_s'])}"
    )


def _evicted(event: Event) -> str:
    if event["event"] != "done":
        return ""
    stays = [
        f"{plural(event[kind], 'file')} {kind} ({size(event[f'{kind}_bytes'])})"
        for kind in ("open", "pinned")
        if event[kind]
    ]
    gone = f"{plural(event['evicted'], 'file')} let go, {size(event['evicted_bytes'])}"
    return gone + (f"; stay: {', '.join(stays)}" if stays else "")


def _offline(event: Event) -> str:
    if event.get("forced"):
        return "working offline until dmfs offline off: what is cached can be read"
    if event.get("offline"):
        return "no longer offline by wish, but the service does not answer: it is asked on"
    return "online"
