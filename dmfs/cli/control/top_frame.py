"""What ``dmfs top`` shows: two statuses and the time between them, as lines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dmfs.cli.control.words import cells, clip, clip_start, duration, plural, share, size
from dmfs.names import printable

BAR_CHARS = 10
PROGRAM_CHARS = 16
Status = Mapping[str, Any]


class Line(NamedTuple):
    """One line, and how it looks where there are colours."""

    text: str
    style: str = ""


def frame(before: Status, now: Status, elapsed_s: float, width: int, height: int) -> list[Line]:
    """At most ``height`` lines of at most ``width`` characters."""
    lines = [
        Line(f"{printable(now['mountpoint'])}  {now['state']} since {now['since']}", "bold"),
        *_quota_lines(now, width),
        Line(_cache_line(before, now, elapsed_s)),
        Line(_waiting_line(now, width), "yellow" if now["requests"]["waiting"] else ""),
    ]
    if now.get("pins", {}).get("total"):
        pins = now["pins"]
        lines.append(Line(f"pins     {pins.get('done', 0)} of {pins['total']} files complete"))
    programs = _programs(before, now, elapsed_s)
    files = _files(before, now, elapsed_s, width)
    left = height - len(lines)
    space_for_files = min(len(files), max(3, left // 2))
    lines += programs[: max(2, left - space_for_files)]
    lines += files[: max(0, height - len(lines))]
    return [Line(clip(line.text, width), line.style) for line in lines[:height]]


def _quota_lines(now: Status, width: int) -> list[Line]:
    """Bars, as many as fit beside each other."""
    texts = []
    for quota in now["quotas"]:
        full = min(BAR_CHARS, quota["used"] * BAR_CHARS // max(1, quota["limit"]))
        bar = "#" * full + "." * (BAR_CHARS - full)
        text = f"{quota['name']:<10} {bar} {quota['used']}/{quota['limit']}"
        if quota["held_until"]:
            text += " held"
        elif quota["waiting"]:
            text += f" {quota['waiting']} wait"
        texts.append(text)
    across = max(1, width // 38)
    rows = [texts[at : at + across] for at in range(0, len(texts), across)]
    held = any(quota["held_until"] or quota["waiting"] for quota in now["quotas"])
    return [
        Line("".join(f"{text:<38}" for text in row).rstrip(), "yellow" if held else "")
        for row in rows
    ]


def _cache_line(before: Status, now: Status, elapsed_s: float) -> str:
    hits = {tier: count - before["cache"]["hits"][tier] for tier, count in _hits(now)}
    read = sum(hits.values())
    fetched = now["cache"]["hit_bytes"]["network"] - before["cache"]["hit_bytes"]["network"]
    at_rest = "?" if now["cache"]["bytes"] is None else size(now["cache"]["bytes"])
    memory = share(hits["memory"] + hits["page_cache"], read)
    return (
        f"cache    {at_rest} of {size(now['cache']['limit_bytes'])}; reads: memory {memory}, "
        f"disk {share(hits['disk'], read)}, network {share(hits['network'], read)} "
        f"({size(fetched / elapsed_s)}/s)"
    )


def _hits(status: Status) -> Any:
    return status["cache"]["hits"].items()


def _waiting_line(now: Status, width: int) -> str:
    requests = now["requests"]
    text = f"waiting  {plural(requests['waiting'], 'request')}"
    if not requests["waiting"]:
        return text
    oldest = requests["oldest"]
    text += f", the oldest {duration(requests['oldest_s'])}: "
    who = f" by {printable(oldest['program'])} ({oldest['pid']})"
    what = printable(f"{oldest['op']} {oldest['path']}")
    return text + clip_start(what, max(10, width - cells(text + who))) + who


def _programs(before: Status, now: Status, elapsed_s: float) -> list[Line]:
    """The busiest first: by bytes of the last second, then by calls, then as they come."""
    earlier = {(each["pid"], each["program"]): each for each in before["processes"]}
    rows = []
    for each in now["processes"]:
        old = earlier.get((each["pid"], each["program"]))
        given = each["bytes"] - (old["bytes"] if old else 0)
        calls = each["calls"] - (old["calls"] if old else 0)
        rows.append(((-given, -calls), each, max(0.0, given / elapsed_s)))
    rows.sort(key=lambda row: row[0])
    head = f"{'PID':>8} {'PROGRAM':<{PROGRAM_CHARS}} {'BYTES':>10} {'RATE':>12} {'CALLS':>7}"
    lines = [Line(f"{head} {'WAIT':>5} {'OPEN':>5}", "reverse")]
    for _, each, rate in rows:
        program = printable(each["program"])[:PROGRAM_CHARS]
        lines.append(
            Line(
                f"{each['pid'] or '-':>8} {program:<{PROGRAM_CHARS}} {size(each['bytes']):>10} "
                f"{size(rate) + '/s':>12} {each['calls']:>7} {each['waiting']:>5} "
                f"{each['open_files']:>5}"
            )
        )
    return lines


def _files(before: Status, now: Status, elapsed_s: float, width: int) -> list[Line]:
    """Open files, with what was read of each and how quickly."""
    earlier = {(each["path"], each["pid"]): each["given"] for each in before["transfers"]}
    lines = [Line(f"{'READ':>5} {'RATE':>12} {'SIZE':>10}  FILE", "reverse")]
    for each in now["transfers"]:
        given = max(0, each["given"] - earlier.get((each["path"], each["pid"]), 0))
        done = share(min(each["given"], each["size"]), each["size"])
        shown = clip_start(printable(each["path"]), max(10, width - 31))
        lines.append(
            Line(
                f"{done:>5} {size(given / elapsed_s) + '/s':>12} {size(each['size']):>10}  {shown}"
            )
        )
    return lines if len(lines) > 1 else []
