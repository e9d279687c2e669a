"""Who may do what where, and what names a folder takes: levels, locks, naming standards."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

from dmfs.emulator.world.builder import stamp
from dmfs.emulator.world.model import Folder, Item, Json, ancestors

LEVELS = ("view", "upload", "edit", "admin")
EVERYBODY = "*"
ADA = ("ADAEMU000001", "Ada Emulated")
BOB = ("BOBEMU000002", "Bob Emulated")
PEOPLE = dict((ADA, BOB))
_READ = frozenset({"view", "read", "download", "collaborate"})
_TEAM_WRITE = frozenset({"write", "create", "upload", "updateMetaData"})
_ACCOUNT = {
    "view": _READ,
    "upload": _READ | {"upload"},
    "edit": _READ | {"upload", "create", "updateMetaData", "write", "share"},
    "admin": _READ | {"upload", "create", "updateMetaData", "write", "share", "admin"},
}
_TEAM = {
    "view": _READ,
    "upload": _READ | _TEAM_WRITE,
    "edit": _READ | _TEAM_WRITE | {"delete", "share"},
    "admin": _READ | _TEAM_WRITE | {"delete", "share", "admin"},
}


def level_of(node: Folder | Item, user_id: str) -> str:
    """The level of the nearest folder that says one; without any, admin."""
    chain = [node] if isinstance(node, Folder) else []
    for folder in (*chain, *ancestors(node)):
        level = folder.levels.get(user_id) or folder.levels.get(EVERYBODY)
        if level is not None:
            return level
    return "admin"


def reaches(node: Folder | Item, user_id: str, level: str) -> bool:
    """Whether a user's level there is this one or a higher one."""
    return LEVELS.index(level_of(node, user_id)) >= LEVELS.index(level)


def actions(node: Folder | Item, user_id: str) -> frozenset[str]:
    """The words of CheckPermission that are true. ``delete`` is none of an account's words."""
    folder = node if isinstance(node, Folder) else node.parent
    level = level_of(node, user_id)
    if not folder.project.hub.is_account:
        return _TEAM[level]
    return _ACCOUNT["view" if folder.parent is None else level]


def set_level(folder: Folder, order: Json) -> None:
    """``level`` for ``user`` (``*``: everybody); null takes it away."""
    user, level = str(order.get("user", EVERYBODY)), order.get("level")
    if level is None:
        folder.levels.pop(user, None)
    elif level in LEVELS:
        folder.levels[user] = level
    else:
        raise ValueError(f"level is one of {', '.join(LEVELS)} or null, not {level!r}")


def set_lock(item: Item, order: Json) -> None:
    """``reserve`` for ``user`` (with ``user_name``), or ``unreserve``."""
    item.reserved = None
    if order["op"] == "reserve":
        user_id = str(order.get("user", BOB[0]))
        item.reserved = {
            "reservedTime": stamp(item.parent.project, time.time()),
            "reservedUserId": user_id,
            "reservedUserName": str(order.get("user_name", PEOPLE.get(user_id, ""))),
        }


def set_naming(folder: Folder, order: Json) -> None:
    """``pattern`` of names; ``refuse``: others are refused, not put into the holding area."""
    folder.naming = str(order.get("pattern", ""))
    folder.refuses_odd_names = bool(order.get("refuse"))


def set_allowed(folder: Folder, order: Json) -> None:
    """``types`` that may be created there; an empty list means those of any folder."""
    types = order.get("types", [])
    if not isinstance(types, list) or not all(isinstance(each, str) for each in types):
        raise ValueError("types is a list of texts")
    folder.allowed_types = tuple(types)


def conforms(folder: Folder, name: str) -> bool:
    """Whether a file's name keeps to the folder's standard."""
    return not folder.naming or fnmatchcase(name, folder.naming)
