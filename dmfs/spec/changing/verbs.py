"""fsspec's verbs that change something."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dmfs.drive import Drive
from dmfs.spec.address import path_of
from dmfs.spec.changing import names
from dmfs.spec.changing.file import RawWriter, UpdateFile, WriteFile
from dmfs.spec.changing.settling import settle
from dmfs.spec.changing.target import Target, begin, in_place
from dmfs.spec.known.memory import Memory
from dmfs.system.concurrency import in_thread

T = TypeVar("T")
MODES = ("wb", "xb", "ab", "r+b", "rb+", "w+b", "wb+", "a+b", "ab+")
READ_ONLY = "the drive is read-only here: open the filesystem with rw=True"
MAGIC = frozenset("*?[")


class Changes:
    """For a filesystem of fsspec. ``rw``, ``auto_mkdir`` and ``wait`` are its storage options."""

    rw: bool
    auto_mkdir: bool
    wait: bool
    _memory: Memory
    _run: Callable[..., Any]
    exists: Callable[..., bool]
    isdir: Callable[..., bool]

    def _change(self, work: Callable[[Drive], Awaitable[T]], *paths: str) -> T:
        """What is below the directories of ``paths`` is looked up anew from then on."""
        if not self.rw:
            raise OSError(errno.EROFS, READ_ONLY, paths[0])
        try:
            return self._run(work, paths[0])  # type: ignore[no-any-return]
        finally:
            for path in paths:
                self._memory.changed(path.rpartition("/")[0] or "/")

    def settle(self, timeout_s: float | None = None) -> list[str]:
        """Wait until the service has all that this process wrote. TimeoutError; OSError for what
        it does not take. The paths of files that went up beside another's work."""
        if not self.rw:
            return []
        found: list[str] = self._run(partial(settle, timeout_s=timeout_s))
        return found

    # Names

    def mkdir(self, path: str, create_parents: bool = True, **more: Any) -> None:
        path = path_of(str(path))
        self._change(
            lambda drive: names.make_folder(drive, path, parents=create_parents, exist_ok=False),
            path,
        )

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = path_of(str(path))
        self._change(
            lambda drive: names.make_folder(drive, path, parents=True, exist_ok=exist_ok), path
        )

    def rmdir(self, path: str) -> None:
        path = path_of(str(path))
        self._change(lambda drive: names.remove_folder(drive, path), path)

    def rm_file(self, path: str) -> None:
        path = path_of(str(path))
        self._change(lambda drive: names.remove(drive, [path], folders=False), path)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        if not self.rw:
            raise OSError(errno.EROFS, READ_ONLY, str(path))
        paths = self.expand_path(path, recursive=recursive, maxdepth=maxdepth)[::-1]
        self._change(lambda drive: names.remove(drive, paths, folders=recursive), *paths)

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None,
        **more: Any,
    ) -> None:  # fmt: skip
        """A rename where the service has one: of files in their folder, and of folders."""
        if not isinstance(path1, str) or maxdepth is not None or self._is_pattern(path1):
            super().mv(path1, path2, recursive, maxdepth, **more)  # type: ignore[misc]
            return
        source, target = path_of(path1), path_of(path2)
        if source == target:
            return
        self._change(lambda drive: names.move(drive, source, target), source, target)

    def cp_file(self, path1: str, path2: str, **more: Any) -> None:
        source, target = path_of(path1), path_of(path2)
        work = partial(names.copy, source=source, target=target, parents=self.auto_mkdir)
        self._change(work, target)

    def expand_path(
        self, path: Any, recursive: bool = False, maxdepth: int | None = None,
        assume_literal: bool = False, **more: Any,
    ) -> list[str]:  # fmt: skip
        """As fsspec has it; but a name that is there is that name, whatever is in it: to delete
        ``a[1].txt`` must not delete ``a1.txt``."""
        given = [path] if isinstance(path, str | os.PathLike) else list(path)
        found: set[str] = set()
        for each in given:
            literal = assume_literal or not self._is_pattern(str(each))
            with suppress(FileNotFoundError):
                found |= set(
                    super().expand_path(  # type: ignore[misc]
                        [each], recursive, maxdepth, assume_literal=literal, **more
                    )
                )
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing of that name", str(path))
        return sorted(found)

    def _is_pattern(self, path: str) -> bool:
        return bool(MAGIC & set(path)) and not self.exists(path)

    # Bytes

    def _open_to_write(
        self, path: str, mode: str, *, autocommit: bool, wait: bool | None
    ) -> WriteFile | UpdateFile:
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}: rb, {', '.join(MODES)} are known")

        async def begin_it(drive: Drive) -> tuple[Drive, Target]:
            parents = self.auto_mkdir and "r" not in mode
            directory, name = await names.directory_for(drive, path, parents=parents)
            if "w" in mode or "x" in mode:
                return drive, await begin(drive, directory, name, exclusive="x" in mode)
            return drive, await in_place(drive, directory, name, make="a" in mode)

        drive, target = self._change(begin_it, path)
        raw = RawWriter(
            target, drive, path, self._change,
            at=target.handle.size_bytes if "a" in mode else 0, reads="+" in mode,
            autocommit=autocommit or mode[0] not in "wx", wait=self.wait if wait is None else wait,
        )  # fmt: skip
        return (UpdateFile if "+" in mode else WriteFile)(raw, self, path)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **more: Any) -> None:
        """The file is there whole or as it was. ``wait=True``: return when the service has it."""
        kind = "xb" if mode == "create" else "wb"
        with self.open(path, kind, **more) as file:  # type: ignore[attr-defined]
            file.write(value)

    def touch(self, path: str, truncate: bool = True, **more: Any) -> None:
        path = path_of(str(path))
        if truncate or not self.exists(path):
            self.pipe_file(path, b"", **more)
        else:
            self._change(lambda drive: names.set_time_to_now(drive, path), path)

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = None, mode: str = "overwrite", **more: Any
    ) -> None:
        """The file is there whole or as it was; the folders above it are made."""
        path, local = path_of(str(rpath)), Path(lpath)
        if local.is_dir():
            self.makedirs(path, exist_ok=True)
            return
        with local.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if callback is not None:
                callback.set_size(size_bytes)

            async def read(at: int, length: int) -> tuple[bytes, bool]:
                data = await in_thread(partial(os.pread, file.fileno(), length, at))
                if callback is not None:
                    callback.relative_update(len(data))
                return data, True

            async def put(drive: Drive) -> None:
                directory, name = await names.directory_for(drive, path, parents=True)
                aside = await begin(drive, directory, name, exclusive=mode == "create")
                await names.fill(aside, read, wait=more.get("wait", self.wait))

            self._change(put, path)
