"""``dmfs status``: what each mount does, knows, holds and waits for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from dmfs.cli import DONE, FAILED
from dmfs.cli.control.target import (
    how_it_ended,
    mount_named,
    mounts_of,
    refuse_strangers,
    user_name,
)
from dmfs.cli.control.words import clip_start, duration, plural, share, size
from dmfs.cli.settings import Invocation
from dmfs.control.client import ask
from dmfs.control.mounts import Seen
from dmfs.errors import BadResponseError, DriveError
from dmfs.grammar.moments import past_of
from dmfs.names import printable

PATIENCE_S = 5.0
QUESTIONS_AT_ONCE = 16
ENDED_SHOWN = 3
PATH_COLUMNS = 40
PROGRAMS_SHOWN = 5
STATES = {
    "online": "online",
    "offline": "offline: the service cannot be reached",
    "offline_forced": "offline, as you asked (dmfs offline off)",
    "signed_out": "signed out (dmfs login)",
}
WELL = ("online", "offline_forced")


def status_command(call: Invocation) -> int:
    """Print a status of each; 1 if one of them is not well."""
    given = call.options
    mounts = mounts_of(call)
    if given.mountpoints:
        chosen = [mount_named(each, mounts) for each in given.mountpoints]
        for each in chosen:
            refuse_strangers(each)
    else:
        chosen = [seen for seen in mounts if seen.is_mounted]
        chosen = chosen or [seen for seen in mounts if not seen.is_mounted][-ENDED_SHOWN:]
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
        found = list(pool.map(status_of_mount, chosen))
    if given.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        blocks = ["\n".join(status_lines(each)) + "\n" for each in found]
        _write("\n".join(blocks))
        if not found:
            sys.stderr.write("dmfs: no drive is mounted — dmfs mount / DIRECTORY\n")
    ours = [each for each in found if each["state"] != "private"]
    return DONE if ours and all(map(_is_well, ours)) else FAILED


def _is_well(status: Mapping[str, Any]) -> bool:
    writing = status.get("writing") or {}
    needs_a_person = writing.get("failed") or writing.get("conflicts")
    return status["state"] in WELL and not needs_a_person


def status_of_mount(seen: Seen) -> dict[str, Any]:
    """What the drive says, or what is known of one that says nothing."""
    known = {"mountpoint": seen.mountpoint} | (asdict(seen.card) if seen.card else {})
    if not seen.is_mounted:
        return {**known, "state": "ended", "reason": how_it_ended(seen)}
    if os.getuid() not in (0, seen.owner):
        return {**known, "state": "private", "reason": f"it is {user_name(seen.owner)}'s"}
    if seen.socket is None:
        return {**known, "state": "dead", "reason": how_it_ended(seen)}
    try:
        answer = ask(seen.socket, seen.owner, "/v1/status", timeout_s=PATIENCE_S)
        if not isinstance(answer, dict) or not isinstance(answer.get("state"), str):
            raise BadResponseError("the drive's answer is no status")
    except DriveError as error:
        return {**known, "state": "silent", "reason": error.message}
    return {**known, **answer}


def _shown(source: str) -> str:
    place, at = past_of(source)
    return printable(place) + (f" as it was at {at}" if at else "")


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """For people. Pure."""
    state, person = str(status["state"]), status.get("person") or ""
    head = printable(str(status["mountpoint"]))
    if "quotas" not in status:
        reason = status.get("reason", "")
        return [f"{head}  {state}" + (f": {printable(str(reason))}" if reason else "")]
    who = f"profile {status['profile']}" + (f", {person}" if person else "")
    rows = [
        ("shows", f"{_shown(str(status['source']))}  ({printable(who)})"),
        ("state", f"{STATES.get(state, state)}, since {status['since']}"),
        ("calls", _calls(status["quotas"])),
        ("cache", _cache(status["cache"])),
        (
            "listings",
            f"{status['listings']['known']:,} known, {status['listings']['stale']:,} stale",
        ),
        ("files", _files(status)),
    ]
    if status.get("quota_sharing"):
        rows.insert(3, ("quota", _sharing(status["quota_sharing"])))
    if status.get("kept_away"):
        rows.append(("kept away", _refusals(status["kept_away"])))
    if status.get("descriptor"):
        rows.insert(1, ("mounted", f"by its opener, as {status['descriptor']}, who unmounts it"))
    if status["pins"]["pins"]:
        rows.append(("pins", _pins(status["pins"])))
    if status.get("writing"):
        rows += _writing(status["writing"])
    rows += [("failed" if n == 0 else "", _failure(f)) for n, f in enumerate(status["failures"])]
    return [head, *(printable(f"  {name:<9} {text}") for name, text in rows)]


def _calls(quotas: Sequence[Mapping[str, Any]]) -> str:
    """Of the last minute, the fullest quota first; those that nobody used are left out."""
    used = [each for each in quotas if each["used"] or each["waiting"] or each["held_until"]]
    used.sort(key=lambda each: -each["used"] / each["limit"])
    if not quotas:
        return "without limits"
    return ", ".join(map(_quota, used)) or "none in the last minute"


def _sharing(sharing: Mapping[str, Any]) -> str:
    """Where many machines share the quotas, and how that goes."""
    text = f"shared at {sharing['where']}"
    if sharing["state"] == "alone":
        reason = f": {sharing['reason']}" if sharing["reason"] else ""
        text = f"1/{sharing['workers']} for this machine since {sharing['since']}{reason}"
    elif sharing["state"] == "settling":
        text += f", soon: 1/{sharing['workers']} for this machine until all have told their calls"
    if abs(sharing["skew_s"]) > 1:
        text += f"; the clock here is {sharing['skew_s']:+.1f} s off"
    return text


def _quota(quota: Mapping[str, Any]) -> str:
    text = f"{quota['name']} {quota['used']}/{quota['limit']}"
    if quota["waiting"]:
        text += f" ({quota['waiting']} wait)"
    return text + (f" (held until {quota['held_until']})" if quota["held_until"] else "")


def _cache(cache: Mapping[str, Any]) -> str:
    at_rest = "?" if cache["bytes"] is None else size(cache["bytes"])
    text = f"{at_rest} of {size(cache['limit_bytes'])}"
    hits, read = cache["hits"], sum(cache["hits"].values())
    if read:
        memory = hits["memory"] + hits["page_cache"]
        text += (
            f"; reads from memory {share(memory, read)}, disk {share(hits['disk'], read)}, "
            f"network {share(hits['network'], read)}"
        )
    return text + (f"; evicted {size(cache['evicted_bytes'])}" if cache["evicted_bytes"] else "")


def _files(status: Mapping[str, Any]) -> str:
    requests = status["requests"]
    text = f"{status['open_files']:,} open"
    if not requests["waiting"]:
        return text
    oldest = requests["oldest"]
    path = clip_start(printable(oldest["path"]), PATH_COLUMNS)
    return (
        f"{text}; {plural(requests['waiting'], 'request waits', 'requests wait')}, the oldest for "
        f"{duration(requests['oldest_s'])}: {oldest['op']} {path} "
        f"by {printable(oldest['program'])} ({oldest['pid']})"
    )


def _refusals(programs: Sequence[Mapping[str, Any]]) -> str:
    """Programs that open all they see, by how many opens they were refused."""
    words = [f"{each['program']} {each['refused']} ({each['kind']})" for each in programs]
    more = len(words) - PROGRAMS_SHOWN
    return ", ".join(words[:PROGRAMS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _pins(pins: Mapping[str, Any]) -> str:
    done, total = size(pins["bytes"]), size(pins["total_bytes"])
    states = ", ".join(f"{count} {state}" for state, count in pins["states"].items())
    text = f"{pins['done']:,} of {plural(pins['total'], 'file')} here, {done} of {total} ({states})"
    return "; ".join([text, *map(printable, pins["errors"][:1])])


def _writing(writing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    states = [
        f"{writing[state]:,} {word}"
        for state, word in (
            ("uploading", "uploading"), ("waiting", "waiting"), ("names", "renames or deletions"),
            ("failed", "failed"), ("conflicts", "conflicts unseen"),
        )
        if writing[state]
    ]  # fmt: skip
    text = ", ".join(states) or "nothing waits"
    text += f"; spool {size(writing['used_bytes'])} of {size(writing['limit_bytes'])}"
    if writing["others"]:
        text += f"; {plural(writing['others'], 'file')} of another sign-in"
    yield "writing", text
    for row in writing["bad"]:
        yield "", f"{row['path']}: {row['reason']} (dmfs uploads)"
    if writing["damaged"]:
        yield "", f"damaged: {writing['damaged']}"


def _failure(failure: Mapping[str, Any]) -> str:
    times = f" ({failure['times']} times)" if failure["times"] > 1 else ""
    hint = f" — {failure['hint']}" if failure["hint"] else ""
    return printable(f"{failure['at']} {failure['errno']}{times}: {failure['message']}{hint}")


def _write(text: str) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        shown = Text(text, end="")
        shown.highlight_regex(r"(?m)^  \w+ ", "bold cyan")
        shown.highlight_regex(r"(?m)^/.*$", "bold")
        Console(soft_wrap=True).print(shown, end="")
    else:
        sys.stdout.write(text)
