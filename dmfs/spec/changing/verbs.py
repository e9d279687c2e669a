"""fsspec's verbs that change something."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dmfs.drive import Drive

READ_ONLY = "this filesystem object only reads (open it with rw=True)"
MODES = ("wb", "xb", "ab", "r+b")


class Changes:
    """For a filesystem of fsspec with ``_run`` (work on the drive's loop) and ``writes`` (whether
    its drive may be written). All wait until the change is safe on this machine; folders are made
    and deleted at the service at once."""

    writes: bool
    _run: Callable[..., Any]
    _strip_protocol: Callable[[Any], Any]
    expand_path: Callable[..., list[str]]
    isdir: Callable[[str], bool]
    copy: Callable[..., None]

    def _change(self, path: Any, work: Callable[[Any, Drive], Awaitable[Any]]) -> Any:
        """``work`` is given ``steps``, which a program that only reads does not load."""
        if not self.writes:
            raise OSError(errno.EROFS, READ_ONLY, str(path))
        from dmfs.spec.changing import steps  # noqa: PLC0415 - 60 ms, for those that write

        return self._run(lambda drive: work(steps, drive), str(path))

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """A folder of the service. FileExistsError."""
        where = self._strip_protocol(path)
        self._change(where, lambda steps, drive: steps.make_directory(
            drive, where, parents=create_parents, exist_ok=False,
        ))  # fmt: skip

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """With all above it."""
        where = self._strip_protocol(path)
        self._change(where, lambda steps, drive: steps.make_directory(
            drive, where, parents=True, exist_ok=exist_ok,
        ))  # fmt: skip

    def rmdir(self, path: str) -> None:
        """An empty folder."""
        where = self._strip_protocol(path)
        self._change(where, lambda steps, drive: steps.remove_directory(drive, where))

    def rm_file(self, path: str) -> None:
        """The item is deleted at the service; it can be restored there."""
        where = self._strip_protocol(path)
        self._change(where, lambda steps, drive: steps.remove_file(drive, where))

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Files; with ``recursive`` folders too. IsADirectoryError without."""
        if not self.writes:
            raise OSError(errno.EROFS, READ_ONLY, str(path))
        for each in reversed(self.expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            if not self.isdir(each):
                self.rm_file(each)
            elif recursive:
                self.rmdir(each)
            else:
                raise IsADirectoryError(errno.EISDIR, "it is a folder (recursive=True)", each)

    def touch(self, path: str, truncate: bool = True, **_: Any) -> None:
        """An empty file."""
        where = self._strip_protocol(path)
        self._change(where, lambda steps, drive: steps.touch(drive, where, truncate=truncate))

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_: Any) -> None:
        """Bytes become a file, or the next version of one, as a whole, with the folders above."""
        where, data = self._strip_protocol(path), bytes(value)
        self._change(where, lambda steps, drive: steps.save(
            drive, where, data, anew=mode == "create",
        ))  # fmt: skip

    def put_file(
        self, lpath: Any, rpath: str, callback: Any = None, mode: str = "overwrite", **_: Any
    ) -> None:
        """A file of this machine; of a directory its like."""
        where, local = self._strip_protocol(rpath), Path(os.fspath(lpath))
        if local.is_dir():
            self.makedirs(where, exist_ok=True)
            return
        if callback is not None:
            callback.set_size(local.stat().st_size)
        with local.open("rb") as file:
            self._change(where, lambda steps, drive: steps.save_descriptor(
                drive, where, file.fileno(), anew=mode == "create",
                on_bytes=(lambda _: None) if callback is None else callback.absolute_update,
            ))  # fmt: skip

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Through this machine: what is not cached is fetched."""
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        self._change(target, lambda steps, drive: steps.copy(drive, source, target))

    def mv(
        self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **_: Any
    ) -> None:
        """Renamed within a folder; else where the service cannot move it, copied and deleted."""
        one = isinstance(path1, str) and isinstance(path2, str) and maxdepth is None
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if source == target:
            return
        if (
            one
            and not any(each in path1 for each in "*?[")
            and (recursive or not self.isdir(source))
        ):
            if path2.endswith("/") or self.isdir(target):
                target = f"{target.rstrip('/')}/{source.rpartition('/')[2]}"
            try:
                self._change(source, lambda steps, drive: steps.rename(drive, source, target))
                return
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise")
        self.rm(path1, recursive=recursive, maxdepth=maxdepth)

    def settle(self, timeout_s: float = float("inf")) -> None:
        """Wait until the service has all that was saved. OSError that names what it has not: what
        is refused, in conflict, or late."""

        async def work(_: Any, drive: Drive) -> str:
            from dmfs.spec.changing.settling import settle  # noqa: PLC0415 - as above

            return await settle(drive, timeout_s=timeout_s)

        left = self._change("", work)
        if left:
            raise OSError(errno.EIO, left)

    def _open_to_write(self, path: str, mode: str, autocommit: bool) -> Any:
        if mode not in MODES:
            raise ValueError(f"mode {mode!r}: known are rb, {', '.join(MODES)}")
        if not self.writes:
            raise OSError(errno.EROFS, READ_ONLY, path)
        from dmfs.spec.changing.file import open_to_write  # noqa: PLC0415 - as above

        return open_to_write(self, path, mode, self._run, autocommit=autocommit)
