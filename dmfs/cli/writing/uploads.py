"""``dmfs uploads``: what waits to go up, and what a person does about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmfs.cli import DONE, FAILED
from dmfs.cli.control.bar import print_json, showing_events
from dmfs.cli.control.grammar import VERBS
from dmfs.cli.control.runner import in_the_drive
from dmfs.cli.control.target import mounts_of, socket_of, the_mount
from dmfs.cli.settings import Invocation, start
from dmfs.cli.writing.owner import journal_of, run_writing_job, writer
from dmfs.cli.writing.processes import OfProcess, add_to, of_processes, places_of, send
from dmfs.cli.writing.table import is_bad, lines, what_waits
from dmfs.control.client import ask
from dmfs.control.mounts import Seen
from dmfs.errors import DriveError, MountGoneError, SpoolError, SpoolTakenError, UsageError
from dmfs.names import printable
from dmfs.system.clock import boot_time_s
from dmfs.write.care.rows import Report

Event = Mapping[str, Any]
OF_RETRY = ("to", "name", "beside")


def uploads_command(call: Invocation) -> int:
    """The whole command."""
    given = call.options
    verb = given.words[0] if given.words[:1] and given.words[0] in VERBS else ""
    _check(given, verb)
    paths = given.words[1:] if verb else []
    if verb == "retry":
        return _retry(call, paths)
    if verb == "discard":
        return _discard(call, paths)
    if verb == "get":
        from dmfs.cli.writing.getting import get

        return get(call, paths[0], given.output)
    if given.words:
        mount = the_mount(given.words[0], mounts_of(call))
        if mount.card is not None:
            given.profile = mount.card.profile
        return _list(call, mount)
    return _list(call, None)


def _check(given: Any, verb: str) -> None:
    """UsageError for words and options that do not go together."""
    most = {"retry": 2, "get": 2, "": 1}.get(verb, len(given.words))
    if len(given.words) > most:
        raise UsageError(f"{given.words[most]!r} is too much", hint="dmfs uploads --help")
    if verb in ("discard", "get") and len(given.words) < 2:
        raise UsageError(f"which file? dmfs uploads {verb} PATH")
    if verb == "get" and not given.output:
        raise UsageError("where to? dmfs uploads get PATH -o FILE")
    if verb != "get" and given.output:
        raise UsageError("-o goes with dmfs uploads get PATH")
    if verb != "retry" and any(getattr(given, each) for each in OF_RETRY):
        raise UsageError("--to, --as and --beside go with dmfs uploads retry PATH")
    if verb and given.wait:
        raise UsageError(f"--wait goes with dmfs uploads alone, not with {verb}")
    if given.timeout is not None and not given.wait:
        raise UsageError("--timeout goes with --wait")


def report_of_profile(call: Invocation, mount: Seen | None) -> dict[str, Any]:
    """As ``GET /v1/uploads`` has it, of a mount or of the journal alone."""
    named, mount = mount is not None, mount or writer(call)
    if mount is not None:
        try:
            answer = ask(socket_of(mount), mount.owner, "/v1/uploads")
            return answer if isinstance(answer, dict) else {"uploads": []}
        except MountGoneError:
            if named:
                raise  # else it was just ending
    found = journal_of(call)
    return (Report([]) if found is None else found.report).as_json(local=True)


def _readable(call: Invocation, mount: Seen | None) -> tuple[dict[str, Any], SpoolError | None]:
    """As ``report_of_profile``; a journal that cannot be read hides nothing of processes."""
    try:
        return report_of_profile(call, mount), None
    except SpoolError as error:
        return Report([]).as_json(local=True), error


def _list(call: Invocation, mount: Seen | None) -> int:
    given = call.options
    start(call)
    if given.wait:
        return _wait(call)
    report, error = _readable(call, mount)
    if mount is None:
        add_to(report, of_processes(call))
    if error is not None and not report["uploads"]:
        raise error
    if not given.local:
        report["uploads"] = [row for row in report["uploads"] if row["state"] != "local"]
    if given.json:
        sys.stdout.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    else:
        write_lines(lines(report))
        _seen(call, report["uploads"])
    if error is not None:
        raise error
    return FAILED if is_bad(report["uploads"]) else DONE


def _seen(call: Invocation, rows: Sequence[Mapping[str, Any]]) -> None:
    """Conflicts that were shown to a person are told of no more, where somebody can note that."""
    ours = [row for row in rows if "process" not in row]
    drafts = [row["draft_id"] for row in ours if row["state"] == "conflict"]
    if drafts and writer(call) is not None:
        run_writing_job(call, "seen", {"drafts": drafts}, lambda _: None)


def _wait(call: Invocation) -> int:
    """Without a mount a drive of this process sends what waits; where nothing does, none is
    opened. What ended processes left goes up first: a running one may take its time."""
    report, error = _readable(call, None)
    timeout_s = call.options.timeout
    began_at = boot_time_s()
    found = of_processes(call)
    ends: list[Event] = []
    if any(row["state"] != "local" for row in report["uploads"]):
        ends.append(wait_for_all(call, timeout_s, lambda _: ""))
    errors: list[DriveError] = [] if error is None else [error]
    for each in sorted(found, key=lambda each: bool(each.pid)):
        if each.waiting:
            left_s = None if timeout_s is None else timeout_s - (boot_time_s() - began_at)
            try:
                ends.append(_send(call, each, left_s))
            except (SpoolError, SpoolTakenError) as of_this:  # the others go up all the same
                errors.append(of_this)
    whole: dict[str, Any] = {**report, "uploads": []}
    add_to(whole, found)
    whole["event"], whole["late"] = "done", any(each.get("late") for each in ends)
    whole["left"] = [row for each in ends for row in each.get("left", ())]
    if not call.options.json and not (errors and not whole["left"]):
        write_lines(_waited(whole).split("\n"))
    if errors:
        raise errors[0]
    unknown = any(each.damaged for each in found)  # what waits there nobody knows
    return FAILED if unknown or whole["late"] or is_bad(whole["left"]) else DONE


def _send(call: Invocation, spool: OfProcess, timeout_s: float | None) -> Event:
    if call.options.json:
        return send(call, spool, timeout_s, print_json)
    with showing_events(lambda _: "") as show:
        return send(call, spool, timeout_s, show)


def wait_for_all(
    call: Invocation, timeout_s: float | None, line: Callable[[Event], str] | None = None
) -> Event:
    """Send all that waits, with a bar and then a ``line`` of what is left; the last event."""
    parameters: dict[str, Any] = {"seen": not call.options.json}
    if timeout_s is not None:
        parameters["timeout_s"] = timeout_s
    if call.options.json:
        return run_writing_job(call, "wait", parameters, print_json)
    with showing_events(line or _waited) as show:
        return run_writing_job(call, "wait", parameters, show)


def _waited(event: Event) -> str:
    if event["event"] != "done":
        return ""
    report = {key: event.get(key) for key in ("others", "damaged")} | {"uploads": event["left"]}
    text = "\n".join(lines(report))
    if event["late"]:
        text += f"\nthe time is over: {what_waits(event['left']) or 'nothing waits any more'}"
    return text


def _retry(call: Invocation, paths: Sequence[str]) -> int:
    given = call.options
    parameters: dict[str, Any] = {"beside": given.beside, "name": given.name or ""}
    for key, word in (("path", paths[0] if paths else None), ("to", given.to)):
        if word:
            call, parameters[key] = in_the_drive(call, word)
    start(call)
    path, found = parameters.get("path"), of_processes(call)
    if path:
        places, refusal = places_of(call, found, path)
        elsewhere = any(parameters.get(each) for each in ("to", "name", "beside"))
        for place in places[:1] if elsewhere else places:  # one file of that name is made there
            _run(call, "retry", parameters, _sent_again, place)
        if refusal is not None and not (places and elsewhere):
            raise refusal
        return DONE
    failed = [
        each
        for each in found
        if not each.pid and any(row["state"] == "failed" for row in each.rows)
    ]
    own = report_of_profile(call, None)["uploads"] if failed else []
    if not failed or any(row["state"] != "local" for row in own):
        _run(call, "retry", parameters, _sent_again, None)
    for each in failed:
        _run(call, "retry", parameters, _sent_again, each.directory)
    return DONE


def _sent_again(event: Event) -> str:
    return _each("sent again", event, "retried")


def _discard(call: Invocation, paths: Sequence[str]) -> int:
    found = []
    for each in paths:
        call, path = in_the_drive(call, each)
        found.append(path)
    if not call.options.yes and not _agreed(found):
        sys.stderr.write("dmfs: nothing was discarded\n")
        return FAILED
    start(call)
    by_spool: dict[Path | None, list[str]] = {}
    spools, refusals = of_processes(call), []
    for path in found:
        places, refusal = places_of(call, spools, path)
        refusals += [refusal] if refusal is not None else []
        for place in places:
            by_spool.setdefault(place, []).append(path)
    for place, some in by_spool.items():
        _run(call, "discard", {"paths": some}, _discarded, place)
    if refusals:
        raise refusals[0]
    return DONE


def _discarded(event: Event) -> str:
    return _each("discarded", event, "discarded")


def _agreed(paths: Sequence[str]) -> bool:
    """At a terminal a person is asked. UsageError elsewhere."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("discarding asks at a terminal", hint="--yes asks nothing")
    for path in paths:
        sys.stderr.write(f"{printable(path)}\n")
    sys.stderr.write("Never send what was saved there? Its bytes stay for 7 days. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _run(
    call: Invocation, verb: str, parameters: Mapping[str, Any], line: Callable[[Event], str],
    spool: Path | None,
) -> None:  # fmt: skip
    if call.options.json:
        run_writing_job(call, verb, parameters, print_json, spool)
    else:
        with showing_events(line) as show:
            run_writing_job(call, verb, parameters, show, spool)


def _each(what: str, event: Event, key: str) -> str:
    paths = event.get(key, ())
    return "\n".join(f"{what}: {printable(path)}" for path in paths) or "nothing had failed"


def write_lines(text: Sequence[str]) -> None:
    """In colour on a terminal."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        shown = Text("\n".join(text) + "\n", end="")
        shown.highlight_regex(r"(?m)^(failed|conflict)\b|^damaged: ", "bold red")
        shown.highlight_regex(r"(?m)^uploading\b", "bold green")
        shown.highlight_regex(r"(?m)^waiting\b", "bold yellow")
        Console(soft_wrap=True).print(shown, end="")
    else:
        sys.stdout.write("\n".join(text) + "\n")
