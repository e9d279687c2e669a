"""``Drive``: everything that a door (FUSE mount, command line) may ask of a signed-in drive.

Walk-ahead, polling and the prefetch of small files lie behind the verbs, so every door has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from dmfs.aps.questions.publish_state import Publication, PublishStates
from dmfs.blocks.reader import AnyReader, Reader, TextReader
from dmfs.blocks.whole.at_hand import is_cache_alone, open_at_hand
from dmfs.drive.gate import FoundIn, Gate, Opens
from dmfs.drive.parts import Parts
from dmfs.drive.stats import Stat, size_of, stat_to_read, stat_to_write
from dmfs.drive.unlisted import UnlistedXattrs
from dmfs.errors import GoneError, UnreachableError, UnsupportedError
from dmfs.exports.records import ExportedFile
from dmfs.model import (
    Child,
    Directory,
    File,
    Histories,
    Leaf,
    Listing,
    LiveDirectory,
    Node,
    OldVersion,
    Past,
    Root,
    Shortcut,
    VersionList,
    View,
)
from dmfs.names import check_name
from dmfs.namespace.paths import resolve
from dmfs.namespace.views.folded import Folds
from dmfs.namespace.xattrs import attributes_of, marks
from dmfs.telemetry.durations import Durations, Histogram
from dmfs.telemetry.processes import Process

if TYPE_CHECKING:  # a read-only drive starts without it
    from dmfs.write.writing import Writing

LARGE_FILE_BYTES = 1024 * 1024
"""A file of this size is worth the start of the fetching process (0.1 CPU-s, 10 MiB)."""

NAMES_SHOWN = 100
"""Of a change, in its event."""

Gauges = Callable[[], Mapping[str, int]]


class Drive:
    """A signed-in drive."""

    def __init__(self, parts: Parts, gauges: Sequence[Gauges] = ()) -> None:
        """``gauges`` of the parts, for the one view of them."""
        self.parts = parts
        self.settings = parts.settings
        self.activity = parts.activity
        self._gate = Gate(parts)
        self._publish_states = PublishStates(parts.aps)
        self._unlisted = UnlistedXattrs(parts, self._publish_states)
        self.writing: Writing | None = None
        """What can be changed, in a drive that was opened for it."""
        self.at_ns: int | None = None
        """The moment that is shown, in a drive that shows none but one."""
        self.names_last = True
        """Whether a door may believe a name without asking. Not where one file has names of several
        cases and is changed under one: nobody tells the door of the others."""
        # the verbs that serve each request of the kernel find their part in one step
        self._listings = parts.listings
        self._sizes = parts.sizes
        self._requests: Counter[tuple[str, str]] = Counter()
        self._durations = Durations()
        self._gauges = list(gauges)
        self._listings.subscribe(self._on_change)

    # Names

    async def resolve(self, path: str) -> Node:
        """The node at a path in the whole drive; see ``resolve``."""
        return await resolve(self._listings, path)

    async def list(self, directory: Directory) -> Listing:
        """All entries of a directory, as opendir(3) shows them. Lists ahead of a walk."""
        walks = isinstance(directory, LiveDirectory | Past)
        with self.parts.tree_prefetcher.entering(directory) if walks else nullcontext():
            listing = await self._listings.get(directory)
        self._on_use(directory)
        self.parts.blocks.settle()  # listings and blocks share one memory budget
        return listing

    async def lookup(self, directory: Directory, name: str) -> Child | None:
        """The child of that name. None is authoritative: the listing of the directory says so.
        NameTooLongError without a listing."""
        check_name(name)
        self._on_use(directory)
        return await self._listings.child(directory, name)

    def _on_use(self, directory: Directory) -> None:
        """The past does not change; what is in a history changes with its folder."""
        if isinstance(directory, Histories):
            directory = directory.of
        if isinstance(directory, LiveDirectory):
            self.parts.poller.on_use(directory)

    def show_snapshots(self, root: Directory) -> None:
        """Answer ``.snapshots`` in that directory."""
        self._listings.views.snapshots_of = root.identity

    def show_markers(self, root: Directory) -> None:
        """Answer ``.nomedia`` and the like in that directory."""
        self._listings.views.markers_of = root.identity

    def ignore_case(self) -> None:
        """From now on a name means what is listed under it in another case, if that is one."""
        self._listings.views.folds = Folds()
        self.names_last = self.writing is None

    def listed_name(self, directory: Directory, name: str) -> str:
        """The name under which an entry is listed that was looked up just now under another case;
        of all else ``name`` itself. Never waits."""
        folds = self._listings.views.folds
        listing = None if folds is None else self.known(directory)
        if folds is None or listing is None or name in listing.entries:
            return name
        folded = folds.peek(listing)
        return (folded and folded.listed(name)) or name

    async def prepare(self, directory: Directory) -> Listing:
        """As ``list``, for a check before first use: no walk-ahead and no polling follow."""
        return await self._listings.get(directory)

    def known(self, directory: Directory) -> Listing | None:
        """The last listing of a directory, fresh or not. Never waits."""
        return self._listings.known(directory)

    async def recall(self, directory: Directory) -> Listing | None:
        """As ``known``, from the disk where memory let go of it: of a large tree it holds the last
        100 000 entries alone, without the root. Costs no call."""
        known = self.known(directory)
        if known is None:
            recalled = await self._listings.recall(directory)
            known = self.known(directory) or recalled  # as it is shown, once it is in memory
        return known

    def fresh_for_s(self, directory: Directory) -> float:
        """Seconds for which the names in a directory may be believed; 0 or less: stale."""
        return self._listings.fresh_for(directory)

    def is_own_name(self, directory: Directory, name: str) -> bool:
        """Whether a change of what a name means is told by that name. One that may be a version of
        another entry, or an entry's name in another case, is not: a door asks each time. Never
        waits."""
        if "@" not in name and self._listings.views.folds is None:
            return True
        listing = self.known(directory)
        return listing is not None and name in listing.entries

    def subscribe(self, on_change: Callable[[Directory, Sequence[str]], None]) -> None:
        """Call ``on_change`` with a directory and the names in it that mean something else now; so
        they do in its ``.versions``, too (see ``with_history``)."""
        self._listings.subscribe(on_change)

    def passes_on(self, arrived: Callable[[], Awaitable[None]]) -> None:
        """A door passes changes on: ``arrived()`` returns once all so far have come there."""
        self._listings.changes.passes_on(arrived)

    async def changes_arrived(self) -> None:
        """Return once programs at all doors see what changed, or after a patience."""
        await self._listings.changes.arrived()

    def path_of(self, directory: Directory) -> str:
        """Where a directory is in the drive, as far as the listings in memory know."""
        chain = self._listings.cache.chain(directory)
        return "/" + "/".join(filter(None, map(self._shown_name, chain)))

    def known_path(self, directory: Directory) -> str:
        """Where a directory is in the drive; '' where a part of the way is not known."""
        chain = self._listings.cache.chain(directory)
        return self.path_of(directory) if isinstance(chain[0], Root) else ""

    def _shown_name(self, directory: Directory) -> str:
        """Its name in its parent, which may not be the service's."""
        above = self._listings.cache.parent(directory.identity)
        if above is None:
            return directory.name
        node = above.folders.get(directory.identity)
        entries = above.listing.entries.items()
        return next((name for name, child in entries if child is node), directory.name)

    def _on_change(self, directory: Directory, names: Sequence[str]) -> None:
        if isinstance(directory, View):
            return
        self.activity.publish(
            "change", path=self.path_of(directory), names=list(names[:NAMES_SHOWN]),
            more=max(0, len(names) - NAMES_SHOWN),
        )  # fmt: skip

    def show_exports(self) -> None:
        """From now on beside what is listed and written: they are neither."""
        if self.parts.exports is not None:
            self.parts.exports.show()

    # Entries

    def stat(self, node: Node) -> Stat:
        """Kind, size and time of a node. Never waits."""
        if self.writing is not None:
            return stat_to_write(node, self._sizes, self.writing)
        return stat_to_read(node, self._sizes)

    def size_of(self, leaf: Leaf) -> int:
        """What a read will deliver, in bytes, as far as is known. Never waits."""
        return size_of(leaf, self._sizes)

    def xattrs(self, node: Node) -> dict[str, str]:
        """Every extended attribute of a node by its full name; of a directory also the moment at
        which its listing was true."""
        if self.writing is not None and isinstance(node, File) and not isinstance(node, OldVersion):
            node = self.writing.now(node)
        found = attributes_of(node)
        if not isinstance(node, File | Shortcut):
            stale = self._listings.fresh_for(node) <= 0
            found |= marks(
                self._listings.listed_at(node),
                stale=stale,
                incomplete=self._listings.incomplete(node),
            )
        return found

    async def unlisted_xattr(self, node: Node, name: str) -> bytes | None:
        """The value of an attribute that is answered and never listed: tools that copy attributes
        would copy it. None if it is another name, or does not apply."""
        return await self._unlisted.value(node, name, self.writing, self.at_ns)

    async def publication(self, node: Node) -> Publication | None:
        """How a Revit cloud model is published; None for all else. Two calls."""
        return await self._publish_states.publication(node)

    async def schema(self, extension_type: str) -> dict[str, Any]:
        """What the Schema Service says of an extension type."""
        return await self.parts.aps.schema(extension_type)

    # Bytes

    async def open(self, leaf: Leaf, found_in: FoundIn | None = None) -> AnyReader:
        """A reader pinned to this version. AccessError if it may be listed but not read.

        One signing call if it is not signed yet. Where a sibling was signed lately none: it goes
        out with the first read that has to fetch something, and that has the error then.

        ``found_in``: directory and name under which it was found. Then the small files that a
        program which reads the directory in order will read next are prefetched, from the first
        read on: many programs open each file and read none.
        """
        if isinstance(leaf, Shortcut):
            return TextReader(leaf)
        if is_cache_alone():
            blocks, max_window = self.parts.blocks, self.settings.max_window
            return await open_at_hand(leaf, blocks, self._sizes, max_window)
        pins, exports = self.parts.pins, self.parts.exports
        whole = pins is not None and pins.is_whole(leaf) and self._sizes.is_known(leaf)
        if isinstance(leaf, ExportedFile) and exports is not None:
            may_wait = await exports.ready_to_open(leaf)
        else:
            may_wait = whole or self._sizes.may_wait(leaf)
        if may_wait:
            size_bytes = self._sizes.of(leaf)
        else:
            self._prepare_for(leaf)
            size_bytes = await self._size_to_open(leaf)
        listing = None if found_in is None else self._listings.known(found_in[0])

        def on_first_read() -> None:
            if may_wait:
                self._prepare_for(leaf)
            if listing is not None and found_in is not None:
                self.parts.file_prefetcher.on_first_read(listing, found_in[1])

        opened = await self.parts.blocks.open(leaf, size_bytes)
        return Reader(
            leaf,
            opened,
            self.parts.blocks,
            self.settings.max_window,
            ask_size=partial(self._sizes.authoritative, leaf) if may_wait else None,
            on_first_read=on_first_read,
        )

    async def open_by(
        self, process: Process, leaf: Leaf, found_in: FoundIn | None, opens: Opens
    ) -> AnyReader:
        """For a program of the neighbours' table: as ``opens`` gives it to anybody, or from the
        cache alone. NeighbourRefusedError at once. What was written here is for all."""
        if self.writing is not None and isinstance(leaf, File) and not isinstance(leaf, OldVersion):
            if self.stat(leaf).is_here:
                return await opens(found_in)
            leaf = self.writing.now(leaf)
        return await self._gate.open(process, leaf, found_in, opens)

    async def signed_url(self, file: File, lifetime_s: int) -> str:
        """A URL, of that lifetime at most, from which anybody can read the bytes. One call.
        UnsupportedError for an object that the service serves in several pieces."""
        signed = await self.parts.aps.sign(file, minutes=-(-lifetime_s // 60))
        if len(signed.parts) != 1:
            raise UnsupportedError(f"{file.name!r} has no single URL: it is served in pieces")
        return signed.parts[0].url

    async def version_of(self, file: File, version_id: str) -> File:
        """Another version of the same item. GoneError if there is none. One call, once."""
        listing = await self._listings.get(VersionList(file))
        for each in listing.entries.values():
            if isinstance(each, File) and each.version_id == version_id:
                return each
        raise GoneError(f"that version of {file.name!r} is not there any more")

    async def real_size(self, file: File) -> int:
        """The size of a version as its bytes have it."""
        return await self._size_to_open(file)

    def _prepare_for(self, file: File) -> None:
        if self._sizes.of(file) >= LARGE_FILE_BYTES:
            self.parts.fetcher.prepare()

    async def _size_to_open(self, file: File) -> int:
        """The real size. One signing call at most."""
        try:
            return await self._sizes.authoritative(file)
        except UnreachableError:
            if not self.parts.client.breaker.is_open or not self._sizes.is_known(file):
                raise
            # Offline: what is cached can be read. A size that differs from the listing's was
            # learned before any byte of it was cached.
            return self._sizes.of(file)

    # What happens

    def force_offline(self, on: bool) -> None:
        """Work offline until it is taken back, which probes at once: what is cached can be read,
        all else fails at once with OfflineError."""
        self.parts.client.breaker.force(on)
        self.parts.hosts.force(on)

    def count_request(self, operation: str, outcome: str, duration_s: float) -> None:
        """A door answered a request: ``outcome`` is ``ok`` or the name of an errno."""
        self._requests[operation, outcome] += 1
        self._durations.count(operation, duration_s)

    def histograms(self) -> Mapping[str, Histogram]:
        """How long the requests of doors took, by operation."""
        return self._durations.histograms()

    def add_gauges(self, gauges: Gauges) -> None:
        """A door adds its own gauges to the view."""
        self._gauges.append(gauges)

    def gauges(self) -> dict[str, int]:
        """All counters and levels of the drive, by flat names such as ``calls.contents.ok``."""
        merged = {f"requests.{name}.{end}": n for (name, end), n in self._requests.items()}
        for gauges in self._gauges:
            merged |= gauges()
        return merged
