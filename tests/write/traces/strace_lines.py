"""Lines of ``strace -f -y`` → the operations of a trace."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Op = dict[str, Any]

_LINE = re.compile(r"^(\d+)\s+(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?|0x[0-9a-f]+)(.*)$", re.DOTALL)
_FD = re.compile(r"^(-?\d+|AT_FDCWD)(?:<(.*)>)?$", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-7]{1,3}|x[0-9a-f]{2}|.)")
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "v": "\v", "f": "\f"}
STATS = {"stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2"}


def whole_calls(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """``(pid, call)`` with calls that were interrupted put together."""
    begun: dict[int, str] = {}
    for line in lines:
        found = _LINE.match(line)
        if not found:
            continue
        pid, text = int(found[1]), found[2].rstrip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").rstrip()
        elif text.startswith("<... "):
            yield pid, begun.pop(pid, "") + text.partition(" resumed>")[2]
        else:
            yield pid, text


def arguments(text: str) -> list[str]:
    """Split at the commas that are in no string, path, brace or bracket."""
    parts, depth, quoted, begin, i = [], 0, False, 0, 0
    while i < len(text):
        char = text[i]
        if quoted:
            if char == "\\":
                i += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "{[(<":
            depth += 1
        elif char in "}])>" and depth:
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[begin:i].strip())
            begin = i + 1
        i += 1
    parts.append(text[begin:].strip())
    return parts


def string(text: str) -> str:
    inner = text.removesuffix("...").strip('"')

    def one(found: re.Match[str]) -> str:
        word = found[1]
        if word[0] in "01234567":
            return chr(int(word, 8))
        return chr(int(word[1:], 16)) if word[0] == "x" else _PLAIN.get(word, word)

    return _ESCAPE.sub(one, inner).encode("latin-1", "ignore").decode("utf-8", "replace")


@dataclass
class Handle:
    """An open file description of the folder."""

    number: int
    append: bool = False
    position: int = 0
    references: int = 1
    close_on_exec: bool = False


@dataclass
class Reader:
    """Follows descriptors; ``ops`` are those on files below ``directory``."""

    directory: str
    ops: list[Op] = field(default_factory=list)
    tables: dict[int, dict[int, Handle]] = field(default_factory=dict)
    maps: dict[tuple[int, str], int] = field(default_factory=dict)
    handles: int = 0
    seen: set[str] = field(default_factory=set)
    folders: dict[int, str] = field(default_factory=dict)
    """Of processes that are not in the directory."""
    now_in: str = ""

    def read(self, lines: Iterable[str]) -> list[Op]:
        for pid, text in whole_calls(lines):
            if text.startswith("+++"):
                self.end(pid)
                continue
            found = _CALL.match(text)
            if found and found[3] != "?":
                result = int(found[3], 0)
                error = found[4].split()[0] if result == -1 and found[4].split() else ""
                self.call(pid, found[1], arguments(found[2]), result, error)
        return self.ops

    # names

    def path(self, text: str, at: str = "") -> str | None:
        """Relative to the directory; None: elsewhere."""
        whole = string(text)
        found = _FD.match(at)
        at = found[2] if found and found[2] else self.now_in
        whole = os.path.normpath(os.path.join(at, whole))  # noqa: PTH118
        inside = whole.startswith(self.directory + "/")
        return whole[len(self.directory) + 1 :] if inside else None

    def handle(self, pid: int, text: str) -> Handle | None:
        found = _FD.match(text)
        if not found or found[1] == "AT_FDCWD":
            return None
        return self.tables.get(pid, {}).get(int(found[1]))

    def note(self, op: str, error: str = "", **fields: Any) -> None:
        entry = {"op": op, **fields}
        if error:
            entry["error"] = error
        self.ops.append(entry)

    # processes

    def end(self, pid: int) -> None:
        table = self.tables.pop(pid, {})
        if any(other is table for other in self.tables.values()):
            return
        for each in table.values():
            self.release(each)

    def release(self, handle: Handle) -> None:
        handle.references -= 1
        if not handle.references:
            self.note("close", handle=handle.number)

    def go(self, pid: int, name: str, args: list[str], error: str) -> None:
        found = _FD.match(args[0])
        to = string(args[0]) if name == "chdir" else found[2] if found else ""
        if not error:
            self.folders[pid] = os.path.normpath(os.path.join(self.now_in, to))  # noqa: PTH118

    def child(self, pid: int, new: int, flags: str) -> None:
        if new <= 0:
            return
        self.folders[new] = self.now_in
        table = self.tables.setdefault(pid, {})
        if "CLONE_FILES" in flags:
            self.tables[new] = table
            return
        for each in table.values():
            each.references += 1
        self.tables[new] = dict(table) | self.tables.get(new, {})

    # calls

    def call(self, pid: int, name: str, args: list[str], result: int, error: str) -> None:
        table = self.tables.setdefault(pid, {})
        self.now_in = self.folders.setdefault(pid, self.directory)
        if name in ("chdir", "fchdir"):
            self.go(pid, name, args, error)
        elif name in ("clone", "clone3", "fork", "vfork"):
            self.child(pid, result, " ".join(args))
        elif name == "execve" and not error:
            for fd, each in list(table.items()):
                if each.close_on_exec:
                    self.release(table.pop(fd))
        elif name in ("open", "openat", "creat"):
            self.open(table, name, args, result, error)
        elif name == "close":
            found = self.handle(pid, args[0])
            if found is not None:
                del table[int(_FD.match(args[0])[1])]  # type: ignore[index]
                self.release(found)
        elif name in ("dup", "dup2", "dup3") or (name == "fcntl" and "F_DUPFD" in args[1]):
            self.duplicate(pid, args, result)
        elif name in STATS:
            self.stat(name, args, error)
        elif not (self.by_handle(pid, name, args, result, error) or error == "ENOSYS"):
            self.by_name(name, args, error)

    def open(
        self, table: dict[int, Handle], name: str, args: list[str], result: int, error: str
    ) -> None:
        if name == "openat":
            at, args = args[0], args[1:]
        else:
            at = ""
        path = self.path(args[0], at)
        if path is None:
            return
        flags = args[1] if name != "creat" else "O_WRONLY|O_CREAT|O_TRUNC"
        if "O_DIRECTORY" in flags or "O_PATH" in flags:
            return
        words = sorted(set(flags.split("|")) - {"O_CLOEXEC", "O_LARGEFILE", "O_NOCTTY"})
        words = [each for each in words if each not in ("O_NONBLOCK", "O_NOFOLLOW")]
        fields: dict[str, Any] = {"path": path, "flags": words}
        if len(args) > 2:
            fields["mode"] = args[2]
        if error:
            self.note("open", error, **fields)
            return
        self.handles += 1
        made = Handle(self.handles, "O_APPEND" in flags, close_on_exec="O_CLOEXEC" in flags)
        table[result] = made
        self.note("open", **fields, handle=made.number)

    def duplicate(self, pid: int, args: list[str], result: int) -> None:
        table = self.tables[pid]
        before = table.pop(result, None)
        if before is not None:
            self.release(before)
        found = self.handle(pid, args[0])
        if found is not None and result >= 0:
            self.handles += 1
            self.note("dup", handle=found.number, new=self.handles)
            table[result] = Handle(self.handles, found.append, found.position)

    def stat(self, name: str, args: list[str], error: str) -> None:
        at, path = (args[0], args[1]) if not args[0].startswith('"') else ("", args[0])
        inside = self.path(path, at) if path.startswith('"') and path != '""' else None
        if inside is not None:
            key = f"{inside} {error} {len(self.ops)}"
            if key not in self.seen:
                self.seen.add(key)
                if not (self.ops and self.ops[-1]["op"] == "stat"):
                    self.note("stat", error, path=inside)

    def by_handle(self, pid: int, name: str, args: list[str], result: int, error: str) -> bool:
        if name == "mmap" and "MAP_SHARED" in args[3] and "PROT_WRITE" in args[2]:
            return self.map(pid, args, result)
        if name == "munmap" and (pid, args[0]) in self.maps:
            self.note("munmap", map=self.maps.pop((pid, args[0])))
            return True
        found = self.handle(pid, args[0]) if args else None
        if name in ("copy_file_range", "sendfile"):
            return self.copy(pid, name, args, result)
        if found is None:
            return False
        return self.bytes(found, name, args, result) or self.rest(found, name, args, error)

    def bytes(self, found: Handle, name: str, args: list[str], result: int) -> bool:
        if name in ("write", "writev") and result > 0:
            offset = "end" if found.append else found.position
            self.note("write", handle=found.number, offset=offset, size=result)
            found.position += result
        elif name in ("pwrite64", "pwritev") and result > 0:
            self.note("write", handle=found.number, offset=int(args[3]), size=result)
        elif name in ("read", "readv") and result > 0:
            found.position += result
        elif name == "lseek" and result >= 0:
            found.position = result
        else:
            return False
        return True

    def rest(self, found: Handle, name: str, args: list[str], error: str) -> bool:
        number = found.number
        if name in ("ftruncate", "fallocate"):
            size = int(args[1]) if name == "ftruncate" else int(args[2]) + int(args[3])
            self.note(name, error, handle=number, size=size)
        elif name in ("fsync", "fdatasync", "fchown"):
            self.note(name, error, handle=number)
        elif name == "utimensat" and args[1] == "NULL":
            self.note("futimens", error, handle=number)
        elif name == "fchmod":
            self.note(name, error, handle=number, mode=args[1])
        elif name == "fsetxattr":
            self.note(name, error, handle=number, name=string(args[1]))
        elif name == "flock":
            self.note("flock", error, handle=number, how=args[1])
        elif name == "fcntl" and args[1] in ("F_SETLK", "F_SETLKW", "F_OFD_SETLK"):
            how = re.search(r"l_type=(\w+)", args[2])
            self.note("lock", error, handle=number, how=how[1] if how else "F_WRLCK")
        else:
            return False
        return True

    def map(self, pid: int, args: list[str], result: int) -> bool:
        found = self.handle(pid, args[4])
        if found is None:
            return False
        number = len(self.maps) + self.handles * 100
        self.maps[pid, hex(result)] = number
        size, offset = int(args[1]), int(args[5], 0)
        self.note("mmap", handle=found.number, map=number, offset=offset, size=size)
        self.note("store", map=number, at=0, size=min(size, 16))
        return True

    def copy(self, pid: int, name: str, args: list[str], result: int) -> bool:
        source, target = (0, 2) if name == "copy_file_range" else (1, 0)
        into, out_of = self.handle(pid, args[target]), self.handle(pid, args[source])
        if into is not None and result > 0:
            self.note("write", handle=into.number, offset=into.position, size=result)
            into.position += result
        if out_of is not None and result > 0:
            out_of.position += result
        return True

    def by_name(self, name: str, args: list[str], error: str) -> None:
        if name in ("rename", "renameat", "renameat2"):
            ats = ("", "") if name == "rename" else (args[0], args[2])
            names = args[:2] if name == "rename" else (args[1], args[3])
            old, new = self.path(names[0], ats[0]), self.path(names[1], ats[1])
            if old is not None and new is not None:
                flags = [args[4]] if name == "renameat2" and args[4] != "0" else []
                self.note("rename", error, old=old, new=new, flags=flags)
        elif name in ("unlink", "unlinkat", "rmdir"):
            at, rest = (args[0], args[1:]) if name == "unlinkat" else ("", args)
            is_folder = name == "rmdir" or (len(rest) > 1 and "AT_REMOVEDIR" in rest[1])
            self.simple("rmdir" if is_folder else "unlink", rest[0], at, error)
        elif name in ("symlink", "symlinkat", "link", "linkat"):
            self.links(name, args, error)
        elif name in ("mkdir", "mkdirat", "chmod", "fchmodat", "chown", "lchown", "fchownat"):
            at, rest = (args[0], args[1:]) if name.endswith("at") else ("", args)
            op = {"mkdirat": "mkdir", "fchmodat": "chmod", "lchown": "chown", "fchownat": "chown"}
            more: dict[str, Any] = {} if op.get(name, name) == "chown" else {"mode": rest[1]}
            self.simple(op.get(name, name), rest[0], at, error, **more)
        elif name in ("utimensat", "utime", "utimes", "truncate"):
            at, rest = (args[0], args[1:]) if name == "utimensat" else ("", args)
            more = {"size": int(rest[1])} if name == "truncate" else {}
            kind = name if name == "truncate" else "utimens"
            self.simple(kind, rest[0], at, error, **more)
        elif name in ("setxattr", "lsetxattr"):
            self.simple("setxattr", args[0], "", error, name=string(args[1]))

    def simple(self, op: str, path: str, at: str, error: str, **fields: Any) -> None:
        inside = self.path(path, at) if path.startswith('"') else None
        if inside is not None:
            self.note(op, error, path=inside, **fields)

    def links(self, name: str, args: list[str], error: str) -> None:
        if name == "symlink":
            self.simple("symlink", args[1], "", error, to="x")
        elif name == "symlinkat":
            self.simple("symlink", args[2], args[1], error, to="x")
        elif name == "link":
            self.simple("link", args[1], "", error, old=self.path(args[0]))
        else:
            old = self.path(args[1], args[0])
            self.simple("link", args[3], args[2], error, old=old)
