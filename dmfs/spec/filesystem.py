"""The drive as a filesystem of fsspec: ``dmfs://[PROFILE]/Hub/Project/…``.

Synchronous, as fsspec's own event loop is asyncio's: what is concurrent (``cat``, ``cat_ranges``,
``get``, ``find``) goes to the drive's loop as a whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from dmfs.drive import Drive
from dmfs.errors import DriveError, IsADirectory
from dmfs.model import File, Leaf, Node, Shortcut
from dmfs.names import id_hash
from dmfs.spec.absence import HonestNames, OnError, taker_of
from dmfs.spec.address import PROTOCOL, address_of, path_of, profile_of
from dmfs.spec.changing.facts import require_clean, written_facts
from dmfs.spec.changing.verbs import Changes
from dmfs.spec.copying import Pairs
from dmfs.spec.facts import facts_of, joined, moment
from dmfs.spec.file import OpenFile, RawFile
from dmfs.spec.known.knowledge import FORMAT, pack
from dmfs.spec.known.listing import entries_of, found_below, resolved
from dmfs.spec.known.memory import Memory
from dmfs.spec.oserrors import as_oserror, oserrors
from dmfs.spec.process.sessions import end_drive, run_in_drive
from dmfs.spec.reading import OnBytes, Range, Source, cat_ranges, get_files
from dmfs.spec.settings import check_options, settings_of
from dmfs.system.concurrency import in_thread

T = TypeVar("T")


class DmfsFileSystem(Changes, HonestNames, AbstractFileSystem):  # type: ignore[misc]
    """A signed-in drive. ``profile``: which sign-in; ``settings``: further keys of the
    configuration, by name (no secret: these show in reprs, in graphs and in pickles). ``rw``:
    it can be changed; ``auto_mkdir``: files make the folders above them; ``wait``: a close waits
    for the service."""

    protocol = PROTOCOL
    root_marker = "/"

    def __init__(
        self, profile: str = "", settings: Mapping[str, Any] | None = None, *, rw: bool = False,
        auto_mkdir: bool = False, wait: bool = False, **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(profile=profile, settings=settings, **more)
        with oserrors():
            check_options(more)
            self._settings = settings_of(os.environ, profile, settings or {})
        self._memory = Memory()
        self.rw, self.auto_mkdir, self.wait = rw, auto_mkdir, wait

    # Names of fsspec

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return path_of(stringify_path(path))

    def unstrip_protocol(self, name: str) -> str:
        return address_of(self._settings.profile if self.profile else "", name)

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, str]:
        profile = profile_of(path)
        return {"profile": profile} if profile else {}

    @property
    def profile(self) -> str:
        return str(self.storage_options.get("profile") or "")

    @property
    def fsid(self) -> str:
        """The same for all that see the same drive."""
        seen = f"{self._settings.api_url} {self._settings.client_id} {self._settings.profile}"
        return f"{PROTOCOL}-{id_hash(seen)}"

    # Entries

    def info(self, path: str, **more: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)

        async def look(drive: Drive) -> dict[str, Any]:
            return _facts(drive, path, await resolved(drive, self._memory, path))

        return self._run(look, path)

    def ls(self, path: str, detail: bool = True, **more: Any) -> list[Any]:
        path = self._strip_protocol(path)

        async def look(drive: Drive) -> list[dict[str, Any]]:
            node = await resolved(drive, self._memory, path)
            if isinstance(node, File | Shortcut):
                return [_facts(drive, path, node)]
            entries = await entries_of(drive, self._memory, node, path, ahead=True)
            return [_facts(drive, joined(path, name), each) for name, each in entries.items()]

        found = self._run(look, path)
        return found if detail else [each["name"] for each in found]

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False,
        on_error: OnError = "raise", **more: Any,
    ) -> Any:  # fmt: skip
        """As fsspec has it, but for failures: a directory that cannot be listed is an error, for
        what is missing would look as if it were not there. ``on_error`` is that of ``walk``."""
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)

        async def look(drive: Drive) -> dict[str, dict[str, Any]]:
            try:
                top = await resolved(drive, self._memory, path)
            except DriveError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    return {}
                raise
            found: dict[str, Node] = {}
            if isinstance(top, File | Shortcut):
                found[path] = top
            else:
                if withdirs:
                    found[path] = top
                found |= await found_below(
                    drive, self._memory, top, path, maxdepth, taker_of(on_error)
                )
            return {where: _facts(drive, where, node) for where, node in found.items()}

        found = self._run(look, path)
        names = sorted(name for name, facts in found.items() if withdirs or facts["type"] == "file")
        return {name: found[name] for name in names} if detail else names

    def created(self, path: str) -> datetime:
        return self._time(path, "created")

    def modified(self, path: str) -> datetime:
        return self._time(path, "mtime")

    def _time(self, path: str, key: str) -> datetime:
        found = moment(self.info(path), key)
        if found is None:
            raise NotImplementedError(f"the service tells no {key} of {path}")
        return found

    def ukey(self, path: str) -> str:
        """The id of the storage object, whose bytes never change; of a directory, or a shortcut,
        the hash of what it tells."""
        facts = self.info(path)
        return str(facts.get("storage_id") or id_hash(repr(sorted(facts.items()))))

    def checksum(self, path: str) -> int:
        return int(id_hash(self.ukey(path)), 16)

    def sign(self, path: str, expiration: int = 3600, **more: Any) -> str:
        """An address from which anybody can read these bytes for so many seconds, 3600 at most. It
        is a secret: hand it to the reader alone."""
        if not 1 <= expiration <= 3600:
            raise ValueError("expiration: 1 to 3600 seconds")
        path = self._strip_protocol(path)

        async def look(drive: Drive) -> str:
            node = await resolved(drive, self._memory, path)
            if not isinstance(node, File):
                raise IsADirectory(f"{path!r} has no bytes at the service")
            require_clean(drive, node)
            return await drive.signed_url(node, expiration)

        return self._run(look, path)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what this object was given of what another one had seen."""
        self._memory.forget()
        super().invalidate_cache(path)

    # Bytes

    def _open(
        self, path: str, mode: str = "rb", block_size: int | None = None, autocommit: bool = True,
        cache_options: Any = None, version_id: str = "", wait: bool | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        if mode != "rb":
            return self._open_to_write(path, mode, autocommit=autocommit, wait=wait)

        async def look(drive: Drive) -> tuple[Leaf, dict[str, Any]]:
            leaf, _ = await self._source(drive, path)
            if version_id and isinstance(leaf, File) and leaf.version_id != version_id:
                leaf = await drive.version_of(leaf, version_id)
            return leaf, _facts(drive, path, leaf)

        leaf, details = self._run(look, path)
        return OpenFile(RawFile(leaf, path, self._run), self, path, details)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **more: Any
    ) -> bytes:
        (found,) = self._ranges([path], [Range(start, end)])
        if isinstance(found, OSError):
            raise found
        return found

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **more: Any) -> Any:
        paths = self.expand_path(path, recursive=recursive)
        if recursive:
            paths = [each for each in paths if not self.isdir(each)]
        several = len(paths) > 1 or isinstance(path, list) or paths[0] != self._strip_protocol(path)
        if not several:
            return self.cat_file(paths[0], **more)
        wanted = [Range(more.get("start"), more.get("end"))] * len(paths)
        found = dict(zip(paths, self._ranges(paths, wanted), strict=True))
        errors = [each for each in found.values() if isinstance(each, OSError)]
        if on_error == "raise" and errors:
            raise errors[0]
        if on_error == "omit":
            return {name: each for name, each in found.items() if not isinstance(each, OSError)}
        return found

    def cat_ranges(
        self, paths: list[str], starts: Any, ends: Any, max_gap: int | None = None,
        on_error: str = "return", **more: Any,
    ) -> list[Any]:  # fmt: skip
        """``max_gap`` is taken and has no effect: what lies between is fetched once anyway."""
        if not isinstance(paths, list):
            raise TypeError("paths must be a list")
        starts = starts if isinstance(starts, Sequence) else [starts] * len(paths)
        ends = ends if isinstance(ends, Sequence) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends differ in length")
        found = self._ranges(paths, [Range(*each) for each in zip(starts, ends, strict=True)])
        if on_error != "return":
            for each in found:
                if isinstance(each, OSError):
                    raise each
        return found

    def _ranges(self, paths: Sequence[str], ranges: Sequence[Range]) -> list[bytes | OSError]:
        named = [self._strip_protocol(each) for each in paths]

        async def read(drive: Drive) -> list[bytes | OSError]:
            sources = {each: await self._found(drive, each) for each in dict.fromkeys(named)}
            wanted = [(sources[name], each) for name, each in zip(named, ranges, strict=True)]
            return await cat_ranges(drive, wanted)

        return self._run(read)

    def get(
        self, rpath: Any, lpath: Any, recursive: bool = False, callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None, **more: Any,
    ) -> None:  # fmt: skip
        """As fsspec has it, all files at once. A file is there whole or not at all; the first error
        comes out when the others are done."""
        pairs = Pairs(self)
        AbstractFileSystem.get(pairs, rpath, lpath, recursive, maxdepth=maxdepth, **more)
        callback.set_size(len(pairs.found))
        self._copy_here(pairs.found, lambda _: None, callback.relative_update)

    def get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, outfile: Any = None,
        **more: Any,
    ) -> None:  # fmt: skip
        if outfile is not None or not isinstance(lpath, str | os.PathLike):
            super().get_file(rpath, lpath, callback=callback, outfile=outfile, **more)
            return
        callback.set_size(self.info(rpath)["size"])
        self._copy_here([(rpath, os.fspath(lpath))], callback.relative_update, lambda: None)

    def _copy_here(
        self, pairs: Sequence[tuple[str, str]], on_bytes: OnBytes, on_file: Callable[[], object]
    ) -> None:
        """Copy files to local paths; of a directory make its like."""

        async def look(drive: Drive) -> dict[str, Source | Path]:
            found: dict[str, Source | Path] = {}
            for path, target in ((self._strip_protocol(each), to) for each, to in pairs):
                node = await resolved(drive, self._memory, path)
                if isinstance(node, File | Shortcut):
                    found[target] = node, path
                else:
                    found[target] = Path(target)
            return found

        found = self._run(look)
        for target, each in found.items():
            directory = each if isinstance(each, Path) else Path(target).parent
            directory.mkdir(parents=True, exist_ok=True)
        sources = {to: each for to, each in found.items() if not isinstance(each, Path)}
        failed = self._run(lambda drive: get_files(drive, sources, on_bytes, on_file))
        for error in failed.values():
            raise error

    async def _source(self, drive: Drive, path: str) -> Source:
        node = await resolved(drive, self._memory, path)
        if not isinstance(node, File | Shortcut):
            raise IsADirectory(f"{path!r} is a directory")
        return node, path

    async def _found(self, drive: Drive, path: str) -> Source | OSError:
        try:
            return await self._source(drive, path)
        except DriveError as error:
            return as_oserror(error, path)

    # Travelling

    def knowing(self, paths: Iterable[str]) -> DmfsFileSystem:
        """An object to send to the worker that reads these paths: it brings the listings that lead
        there as far as they are known here, and no others. For more files than one pickle holds."""
        directories = {self._strip_protocol(path).rpartition("/")[0] or "/" for path in paths}
        options = {**self.storage_options, "skip_instance_cache": True}
        other = type(self)(*self.storage_args, **options)
        if packed := self._packed(sorted(directories)):
            other._memory.give(packed)  # noqa: SLF001
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = type(self), self.storage_args, self.storage_options
        packed = self._memory.given or (self._packed(None) if len(self._memory) else b"")
        return arrived, (*arguments, FORMAT, packed)

    def _packed(self, directories: Iterable[str] | None) -> bytes:
        async def look(drive: Drive) -> bytes:
            chains = await self._memory.chains(drive, directories)
            return await in_thread(partial(pack, chains))

        return self._run(look)

    # The loop

    def close(self) -> None:
        """End this process's drive of these settings, with its connections and its memory; all
        objects of the same settings share it. The next use opens it again."""
        end_drive(self._settings, writes=self.rw)

    def _run(self, work: Callable[[Drive], Awaitable[T]], path: str = "") -> T:
        return run_in_drive(self._settings, work, path, writes=self.rw)


def arrived(
    kind: type[DmfsFileSystem], arguments: tuple[Any, ...], options: dict[str, Any],
    form: int, packed: bytes,
) -> DmfsFileSystem:  # fmt: skip
    """A filesystem object in another process, with what its origin had listed."""
    fs = kind(*arguments, **options)
    if form == FORMAT and packed:
        fs._memory.give(packed)  # noqa: SLF001 - its own constructor
    return fs


def _facts(drive: Drive, path: str, node: Node) -> dict[str, Any]:
    if drive.writing is not None and isinstance(node, File):
        return written_facts(drive, drive.writing, path, node)
    size_bytes = drive.size_of(node) if isinstance(node, File | Shortcut) else 0
    return facts_of(path, node, size_bytes)
