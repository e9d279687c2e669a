"""May this be done: levels, locks, names that are taken, and kinds that fit."""

from __future__ import annotations

from dmfs.emulator.api import jsonapi
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing.payload import Actor, bad, ending_of
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.world import rights
from dmfs.emulator.world.model import Folder, Item, Project, ancestors

NAME_TAKEN = "Another object with the same name already exists in this container"
DEPTH_MAX = 25
_LOCK_TITLE = "RESERVATION_LINEAGE_RESERVED"
_LOCKED = "[WIP] The target lineage is reserved and can only be modified by the reserving user"
_PLANS_TAKE = frozenset({"dwf", "dwfx", "dwg", "ifc", "pdf", "rvt"})


def want_level(node: Folder | Item, actor: Actor, level: str) -> None:
    """403 below that level."""
    if not rights.reaches(node, actor.user_id, level):
        detail = "The user does not have permission to perform this operation."
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", detail))


def want_unlocked(service: Service, item: Item, actor: Actor) -> None:
    """403 (or 423) while somebody else has reserved it."""
    reserved = item.reserved
    if reserved is None or reserved.get("reservedUserId") == actor.user_id != "":
        return
    status = service.settings.lock_status
    raise Refusal(errors.jsonapi(status, "ERR_WIP_ERROR", _LOCKED, _LOCK_TITLE))


def want_live(folder: Folder) -> None:
    """404 for a folder that is hidden or lies below one that is."""
    if folder.hidden or any(each.hidden for each in ancestors(folder)):
        raise Refusal(errors.jsonapi(404, "FOLDER_NOT_FOUND", "ApiError Folder not found"))


def want_below_root(folder: Folder) -> None:
    """403 for the root of an account's project: nothing is created or changed in there."""
    if folder.parent is None and folder.project.hub.is_account:
        detail = "Items and folders cannot be created in the root folder of a project."
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", detail))


def want_account(owner: Project, what: str) -> None:
    """400 in ``a.`` projects."""
    if not owner.hub.is_account:
        raise bad(f"{what} is only supported for BIM 360 projects.")


def name_in(item: Item) -> str:
    """The name by which an item is known in its folder."""
    return (item.tip.name or item.display_name or "") if item.versions else ""


def is_taken(folder: Folder, name: str, *, of: Folder | Item | None, folders: bool) -> bool:
    """Whether a live sibling other than ``of`` has the name; accounts fold case."""
    folds = folder.project.hub.is_account

    def spelled(text: str) -> str:
        return text.casefold() if folds else text

    names = [
        child.name if isinstance(child, Folder) else name_in(child)
        for child in folder.children
        if child is not of and not child.hidden and isinstance(child, Folder) is folders
    ]
    return spelled(name) in map(spelled, names)


def want_free(folder: Folder, name: str, *, of: Item | None = None) -> None:
    """409 if another file of the folder has the name."""
    if is_taken(folder, name, of=of, folders=False):
        raise taken(409)


def taken(status: int) -> Refusal:
    return Refusal(errors.jsonapi(status, "BIM360DM_ERROR", NAME_TAKEN))


def want_place_for(service: Service, folder: Folder, item_type: str, name: str) -> None:
    """400 where the folder takes no such file, or no more files at all."""
    account = folder.project.hub.is_account
    if item_type != f"items:autodesk.{'bim360' if account else 'core'}:File":
        raise bad(f"The extension type {item_type} does not fit this project.")
    allowed = jsonapi.allowed_types(folder)
    if allowed and item_type not in allowed:
        raise bad(f"The folder does not allow {item_type}.")
    if _is_plans(folder) and ending_of(name) not in _PLANS_TAKE:
        raise bad("The file type is not supported in the Plans folder.")
    if sum(not item.hidden for item in folder.items) >= service.settings.folder_files_max:
        raise bad("The folder has reached the maximum number of files.")


def _is_plans(folder: Folder) -> bool:
    chain = [folder, *ancestors(folder)]
    top = chain[-2] if len(chain) > 1 else chain[0]
    return folder.project.project_type == "BIM360" and top.name == "Plans"


def depth_of(folder: Folder) -> int:
    """How many folders lead to it, itself included, the root not."""
    return len(list(ancestors(folder)))
