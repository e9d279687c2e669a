"""``POST folders`` and ``PATCH folders/:f``."""

from __future__ import annotations

import time
import uuid

from dmfs.emulator.api import jsonapi, lookup
from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing import access, making, payload
from dmfs.emulator.api.writing.payload import Actor, bad
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import JSONAPI_TYPE, Refusal
from dmfs.emulator.http.messages import Answer, Request, json_answer
from dmfs.emulator.sign_in.tokens import Token
from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import BIM_FOLDER, CORE_FOLDER, places, stamp
from dmfs.emulator.world.changing.moments import touch
from dmfs.emulator.world.model import Folder, Json, ancestors

_NAME_BYTES_MAX = 255


def _name_of(service: Service, name: str) -> str:
    name = payload.name_of(service, name)
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES_MAX:
        raise bad("The name of a folder must have at most 255 bytes.")
    return name


async def create(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """201 with a new folder."""
    owner = lookup.project(service, token, args[0])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "folders")
    name = _name_of(service, payload.text(data, "attributes", "name"))
    type_ = payload.text(data, "attributes", "extension", "type")
    own = BIM_FOLDER if owner.hub.is_account else CORE_FOLDER
    if type_ != own and (owner.hub.is_account or type_ != "folders:auto"):
        raise bad(f"The extension type {type_} does not fit this project.")
    above = lookup.folder(service, owner, payload.linked(data, "parent", "folders")[1])
    access.want_below_root(above)
    access.want_live(above)
    access.want_level(above, actor, "upload")
    if access.depth_of(above) >= access.DEPTH_MAX:
        raise bad("Folders can be nested up to 25 levels deep.")
    if access.is_taken(above, name, of=None, folders=True):
        raise access.taken(409)
    now_s = time.time()
    folder = Folder(
        ids.folder_id(places(owner)[0], str(uuid.uuid4())), name, owner, above,
        stamp(owner, now_s), now_s, now_s, type=own, user=actor.user,
    )  # fmt: skip
    above.children.append(folder)
    service.world.folders[folder.id] = folder
    touch(folder, {})
    making.want_public_name(service, actor, name, above)
    making.show_later(service, folder)
    service.writing.history.node(folder, actor.who, "new_folder")
    service.world.note(folder, now_s)
    service.world.generation += 1
    return json_answer(_document(service, folder), 201, JSONAPI_TYPE)


def _document(service: Service, folder: Folder) -> Json:
    href = jsonapi.folder_url(service.api_url, folder)
    return jsonapi.document(href, jsonapi.folder(service.api_url, folder))


async def change(service: Service, request: Request, args: list[str], token: Token) -> Answer:
    """``PATCH folders/:f``: another name, another parent, hidden or not."""
    owner = lookup.project(service, token, args[0])
    folder = lookup.folder(service, owner, args[1])
    actor, data = payload.actor(request, token), payload.document(request)
    payload.want_version(data, "folders")
    if payload.text(data, "id") != folder.id:
        raise bad("data.id is not that of the folder.")
    if folder.parent is None or (owner.hub.is_account and folder.parent.parent is None):
        detail = "A root folder or a top folder cannot be changed."
        raise Refusal(errors.jsonapi(403, "FORBIDDEN", detail))
    hidden = payload.find(data, "attributes", "hidden")
    name = payload.find(data, "attributes", "name")
    moves = payload.find(data, "relationships", "parent") is not None
    if hidden is None and name is None and not moves:
        raise bad("There is nothing to change.")
    if hidden is not None and not isinstance(hidden, bool):
        raise bad("attributes.hidden must be true or false.")
    access.want_level(folder, actor, "upload" if hidden is None and not moves else "edit")
    if name is not None:
        name = _name_of(service, payload.text(data, "attributes", "name"))
    parent = _new_parent(service, folder, data, actor) if moves else folder.parent
    _apply(service, folder, parent, name, hidden)
    service.writing.history.node(folder, actor.who, "change_folder")
    service.world.note(folder, time.time())
    service.world.generation += 1
    return lookup.answer(_document(service, folder))


def _new_parent(service: Service, folder: Folder, data: Json, actor: Actor) -> Folder:
    access.want_account(folder.project, "Moving a folder")
    parent_id = payload.linked(data, "parent", "folders")[1]
    parent = lookup.folder(service, folder.project, parent_id)
    access.want_below_root(parent)
    access.want_live(parent)
    access.want_level(parent, actor, "edit")
    if parent is folder or folder in list(ancestors(parent)):
        raise bad("A folder cannot be moved into itself.")
    return parent


def _apply(
    service: Service, folder: Folder, parent: Folder, name: str | None, hidden: bool | None
) -> None:
    """All of it, or none of it where a name is taken."""
    if not folder.project.hub.is_account:
        hidden = None  # answered as if it were done, and not done: only the time moves
    hides = hidden is True and not folder.hidden
    shows = hidden is False and folder.hidden
    if name is None:
        name = folder.original_name if shows else None
    name = folder.name if name is None else name
    stays_hidden = hides or (folder.hidden and not shows)
    if not stays_hidden and access.is_taken(parent, name, of=folder, folders=True):
        raise access.taken(service.settings.patch_name_taken_status)
    touch(folder, {})
    if parent is not folder.parent and folder.parent is not None:
        folder.parent.children.remove(folder)
        parent.children.append(folder)
        folder.parent = parent
        touch(folder, {})
    if hides:
        folder.original_name, folder.name, folder.hidden = name, str(uuid.uuid4()), True
    elif stays_hidden:
        folder.original_name = name if name != folder.name else folder.original_name
    else:
        folder.original_name, folder.name, folder.hidden = None, name, False
