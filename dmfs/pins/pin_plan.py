"""From intentions and what is known of their directories: what to list, fetch, hold, let go. Pure.

Failure never looks like absence: a file stops being wanted when a listing without it says so, or
when its pin is gone; not because a directory cannot be listed now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dmfs.exports.records import is_design
from dmfs.exports.standing import Standing
from dmfs.model import Directory, File, Listing, Shortcut, StorageId
from dmfs.pins.records import Key, Pin, PinnedFile, Progress

NO_DESIGNS: Mapping[int, Standing] = {}


@dataclass(slots=True)
class Wanted:
    """A file that pins want, in the version that its listing shows."""

    file: File
    directory: str
    """Identity of the directory that lists it."""
    pins: set[int]


@dataclass(slots=True)
class Survey:
    """What is below the pins, as far as it is known."""

    wanted: dict[Key, Wanted] = field(default_factory=dict)
    directories: dict[str, Directory] = field(default_factory=dict)
    """All that belong to pins, known or not."""
    unknown: dict[str, set[int]] = field(default_factory=dict)
    """Those without a usable listing, and the pins that need it."""
    gone: set[int] = field(default_factory=set)
    """Pins of an item that its folder's listing no longer has."""
    undescribed: dict[Key, set[int]] = field(default_factory=dict)
    """Files that are there, and of which the service tells nothing now; and the pins that want
    them."""
    designs: dict[int, tuple[str, list[Shortcut]]] = field(default_factory=dict)
    """Below pins that want them exported, and as what."""
    lost: set[str] = field(default_factory=set)
    """Those of the unknown directories that have a listing, with rows that cannot be read."""


def survey(pins: Iterable[Pin], listing_of: Callable[[Directory], Listing | None]) -> Survey:
    """Walk what is known below each pin."""
    found = Survey()
    for pin in pins:
        if pin.kind == "item":
            _survey_item(pin, listing_of, found)
        elif pin.kind == "version":
            _survey_version(pin, found)
        else:
            _survey_tree(pin, listing_of, found)
    return found


def _survey_item(
    pin: Pin, listing_of: Callable[[Directory], Listing | None], found: Survey
) -> None:
    listing = _listing(pin, pin.top, listing_of, found)
    if listing is None:
        return
    for child in listing.entries.values():
        if isinstance(child, File) and child.item_id == pin.node_id:
            _want(pin, child, pin.top, found)
            return
    if not listing.lost:
        found.gone.add(pin.id)


def _survey_version(pin: Pin, found: Survey) -> None:
    """No listing says anything of it: it is what it is."""
    if isinstance(pin.node, File):
        key = (pin.project_id, pin.node_id)
        found.wanted.setdefault(key, Wanted(pin.node, pin.node.identity, set())).pins.add(pin.id)


def _survey_tree(
    pin: Pin, listing_of: Callable[[Directory], Listing | None], found: Survey
) -> None:
    waiting, seen = deque([pin.top]), {pin.top.identity}
    while waiting:
        directory = waiting.popleft()
        listing = _listing(pin, directory, listing_of, found)
        if listing is None:
            continue
        for child in listing.entries.values():
            if isinstance(child, File):
                _want(pin, child, directory, found)
            elif isinstance(child, Shortcut):
                if pin.export and is_design(child):
                    found.designs.setdefault(pin.id, (pin.export, []))[1].append(child)
            elif child.identity not in seen:
                seen.add(child.identity)
                waiting.append(child)


def _listing(
    pin: Pin,
    directory: Directory,
    listing_of: Callable[[Directory], Listing | None],
    found: Survey,
) -> Listing | None:
    found.directories[directory.identity] = directory
    listing = listing_of(directory)
    if listing is None or listing.lost:
        found.unknown.setdefault(directory.identity, set()).add(pin.id)
    if listing is not None and listing.lost:
        found.lost.add(directory.identity)
    return listing


def _want(pin: Pin, file: File, directory: Directory, found: Survey) -> None:
    key = (file.project_id, file.item_id)
    if not file.storage_id:
        found.undescribed.setdefault(key, set()).add(pin.id)
        return
    known = found.wanted.get(key)
    if known is None:
        found.wanted[key] = Wanted(file, directory.identity, {pin.id})
    else:
        known.pins.add(pin.id)


@dataclass(slots=True)
class Plan:
    """What to change in the store, and what to fetch afterwards."""

    files: dict[Key, PinnedFile]
    """All files, as they are to be."""
    put: list[PinnedFile]
    drop: list[Key]
    leaving: set[StorageId]
    """What was held, and is not to be any more."""
    fetch: list[PinnedFile]
    no_room: dict[Key, int]
    """Files that do not fit, with their bytes."""
    used_bytes: int
    """Promised in all."""


def make_plan(
    found: Survey,
    files: Mapping[Key, PinnedFile],
    size_of: Callable[[File], int],
    room_bytes: int,
    others: Collection[StorageId] = (),
    spared: Collection[Key] = (),
) -> Plan:
    """``room_bytes`` are for these files; ``others`` are held for somebody else as well; those that
    are ``spared`` may be elsewhere, and stay."""
    drop = [key for key in absent(found, files) if key not in spared]
    gone = set(drop)
    after = {key: file for key, file in files.items() if key not in gone}
    changed = {
        key: _next(after.get(key) or PinnedFile(*key, want.directory), want)
        for key, want in found.wanted.items()
    }
    held: dict[StorageId, int] = {}
    for key, file in after.items():
        now = changed.get(key, file)
        stays = now.coming is not None and now.coming.storage_id in file.storage_ids
        for version in (now.whole, now.coming if stays else None):
            if version is not None:  # its room was promised
                held[version.storage_id] = size_of(version)
    used_bytes = sum(held.values())
    no_room: dict[Key, int] = {}
    for key, file in changed.items():
        if file.coming is not None and file.coming.storage_id not in held:
            size_bytes = size_of(file.coming)
            if used_bytes + size_bytes > room_bytes:
                no_room[key] = size_bytes
                if file.whole is not None or key in after:
                    after[key] = replace(file, coming=None)
                continue
            held[file.coming.storage_id] = size_bytes
            used_bytes += size_bytes
        after[key] = file
    put = [file for key, file in after.items() if files.get(key) != file]
    before = {each for file in files.values() for each in file.storage_ids}
    still = {each for file in after.values() for each in file.storage_ids}
    return Plan(
        after, put, drop, before - still - set(others),
        [file for file in after.values() if file.coming is not None], no_room, used_bytes,
    )  # fmt: skip


def absent(found: Survey, files: Mapping[Key, PinnedFile]) -> list[Key]:
    """Files that no pin wants any more where they were."""
    return [
        key
        for key, file in files.items()
        if key not in found.wanted and key not in found.undescribed and _is_gone(file, found)
    ]


def _is_gone(file: PinnedFile, found: Survey) -> bool:
    """Whether it is certain that no pin wants it."""
    if file.directory in found.directories:
        return file.directory not in found.unknown
    return not found.unknown  # its directory is below none of the pins, all of which are known


def _next(row: PinnedFile, want: Wanted) -> PinnedFile:
    """What is to come in a file, now that its listing shows a version."""
    row = replace(row, directory=want.directory)
    whole, newest = row.whole, want.file
    if whole is not None and whole.storage_id == newest.storage_id:
        return replace(row, whole=newest, coming=None, error="")  # renamed at most
    if row.coming is not None and row.coming.storage_id == newest.storage_id:
        return replace(row, coming=newest)
    return replace(row, coming=newest, error="")


def arrived(file: PinnedFile, version: File) -> tuple[PinnedFile, set[StorageId]]:
    """A version is whole and right: the file with it, and what is held no more."""
    now = replace(
        file,
        whole=version,
        coming=None if file.coming == version else file.coming,
        error="",
    )
    return now, file.storage_ids - now.storage_ids


def progress_of(
    pin: Pin,
    found: Survey,
    plan: Plan,
    size_of: Callable[[File], int],
    room_bytes: int,
    *,
    trouble: str,
    errors: Mapping[str, str],
) -> Progress:
    """How far a pin is. ``trouble``: why nothing can be fetched now; ``errors`` are of directories,
    by identity."""
    wants = [(key, want) for key, want in found.wanted.items() if pin.id in want.pins]
    sizes = {key: size_of(want.file) for key, want in wants}
    done = [key for key in sizes if _is_done(plan, key)]
    state, error = _state(pin, found, plan, wants, room_bytes, trouble, errors)
    return Progress(
        state, error, len(sizes), len(done), sum(sizes.values()), sum(sizes[key] for key in done)
    )


def progress_of_all(
    pins: Iterable[Pin],
    found: Survey,
    plan: Plan,
    size_of: Callable[[File], int],
    room_bytes: int,
    *,
    trouble: str,
    errors: Mapping[str, str],
    designs: Mapping[int, Standing] = NO_DESIGNS,
) -> dict[int, Progress]:
    """The same of each pin, by its number."""
    progress = {
        pin.id: progress_of(pin, found, plan, size_of, room_bytes, trouble=trouble, errors=errors)
        for pin in pins
    }
    return {
        each: with_designs(one, designs[each]) if each in designs else one
        for each, one in progress.items()
    }


def with_designs(progress: Progress, designs: Standing) -> Progress:
    """How far a pin is, with what it wants exported: files, too."""
    state, error = progress.state, progress.error
    if state == "complete" and designs.done < designs.designs:
        state, error = ("failed", designs.error) if designs.error else ("fetching", "")
    return replace(
        progress, state=state, error=error, files=progress.files + designs.designs,
        files_done=progress.files_done + designs.done, bytes=progress.bytes + designs.bytes,
        bytes_done=progress.bytes_done + designs.bytes,
    )  # fmt: skip


def _is_done(plan: Plan, key: Key) -> bool:
    row = plan.files.get(key)
    whole = row is not None and row.whole is not None and row.coming is None
    return whole and key not in plan.no_room


def _state(
    pin: Pin,
    found: Survey,
    plan: Plan,
    wants: Sequence[tuple[Key, Wanted]],
    room_bytes: int,
    trouble: str,
    errors: Mapping[str, str],
) -> tuple[str, str]:
    if pin.id in found.gone:
        return "gone", "its folder no longer has it"
    missing = [identity for identity, pins in found.unknown.items() if pin.id in pins]
    rows = [plan.files[key] for key, _ in wants if key in plan.files]
    failed = [row.error for row in rows if row.coming is not None and row.error]
    failed = [errors[identity] for identity in missing if identity in errors] + failed
    lacking = [plan.no_room[key] for key, _ in wants if key in plan.no_room]
    coming = [row for row in rows if row.coming is not None]
    if any(identity in found.lost for identity in missing):
        failed.append("a part of a listing cannot be read")
    untold = sum(pin.id in pins for pins in found.undescribed.values())
    if untold:
        failed.append(f"the service does not tell what is in {untold} of its files")
    error = failed[0] if failed else ""
    if trouble and (missing or coming):
        return "waiting", error or trouble
    if any(each not in errors and each not in found.lost for each in missing):
        return "listing", error
    if any(not row.error for row in coming):
        return "fetching", error
    if lacking:
        return "no room", no_room_words(sum(lacking), room_bytes - plan.used_bytes)
    return ("failed", error) if failed else ("complete", "")


def no_room_words(need_bytes: int, left_bytes: int) -> str:
    """Both numbers."""
    return f"{need_bytes} bytes are needed, and {max(0, left_bytes)} are left for pins"
