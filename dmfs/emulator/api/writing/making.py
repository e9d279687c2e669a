"""New items and versions, as writing calls make them."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

from dmfs.emulator.api.service import Service
from dmfs.emulator.api.writing.payload import Actor, bad, ending_of
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.http.messages import Request
from dmfs.emulator.world import ids, rights
from dmfs.emulator.world.builder import places, stamp, version_data
from dmfs.emulator.world.changing.moments import touch
from dmfs.emulator.world.model import Folder, Item, Project, Storage, Version
from dmfs.emulator.writing.local_names import is_local
from dmfs.emulator.writing.uploads import Placeholder

DONE = "PROCESSING_COMPLETE"
_BUSY = "The version is being uploaded, updated or copied."
TEMPORARY = ".temp"
"""At the end of the bucket of locations, where objects move when they are used."""


def conforming(folder: Folder, name: str) -> str:
    """The status of a name under the folder's standard; 400 where other names are refused."""
    if rights.conforms(folder, name):
        return "CONFORMING" if folder.naming else "NONE"
    if folder.refuses_odd_names:
        raise bad("The file name does not conform to the naming standard of the folder.")
    return "NON_CONFORMING"


def uploaded(service: Service, actor: Actor, owner: Project, urn: str, name: str) -> Placeholder:
    """The placeholder of a finished upload that is not yet part of a version, or 400."""
    placeholder = service.writing.uploads.placeholders.get(urn)
    if placeholder is None:
        raise bad(f"The storage {urn} does not exist or is already in use.")
    if placeholder.project is not owner:
        raise bad("The storage belongs to another project.")
    if placeholder.used_by:
        if placeholder.use_answered:
            service.writing.violations.add(
                "used_storage_posted", *actor.who, storage=urn, name=name,
                version=placeholder.used_by,
            )  # fmt: skip
        raise bad(f"The storage {urn} is already in use.")
    if placeholder.storage is None:
        raise bad("The storage has no content: the upload is not complete.")
    if ending_of(placeholder.name) != ending_of(name):
        raise bad("The extension of the name differs from that of the storage.")
    if service.settings.refuse_empty and placeholder.storage.content.size == 0:
        raise bad("The storage is empty.")
    return placeholder


def new_item(service: Service, actor: Actor, folder: Folder, name: str) -> Item:
    """An item without versions, in its folder."""
    realm, now = places(folder.project)[0], stamp(folder.project, time.time())
    account = folder.project.hub.is_account
    item = Item(
        ids.item_id(realm, ids.short_id(str(uuid.uuid4()))),
        f"items:autodesk.{'bim360' if account else 'core'}:File", name, folder, now, now,
        user=actor.user, data={"sourceFileName": name} if account else {},
    )  # fmt: skip
    folder.children.append(item)
    service.world.items[item.id] = item
    return item


def new_version(
    service: Service, actor: Actor, item: Item, name: str, storage: Storage | None, what: str,
    **attributes: Any,
) -> Version:  # fmt: skip
    """One more version, and everything above it touched. ``what`` it is, for the history."""
    project, number = item.parent.project, len(item.versions) + 1
    suffix = item.id.rpartition(":")[2]
    if item.versions:
        number = item.tip.number + 1
        suffix = item.tip.id.rpartition("vf.")[2].partition("?")[0]
    now_s = time.time()
    now = stamp(project, now_s)
    data = version_data(project, name, number)
    if data:
        data["conformingStatus"] = attributes.pop("conforming", "NONE")
    attributes.pop("conforming", None)
    version = Version(
        ids.version_id(ids.realm_of(item.id), suffix, number), number,
        item.type.replace("items:", "versions:"), name, name, storage,
        None if storage is None else storage.content.size, now, now,
        file_type=(ending_of(name) or None) if storage is not None else None,
        user=actor.user, data=data,
    )  # fmt: skip
    for key, value in attributes.items():
        setattr(version, key, value)
    service.world.add_version(item, version)
    item.display_name = version.name if not item.hidden else item.display_name
    touch(item, {})
    service.writing.history.version(item, version, actor.who, what)
    service.world.note(item, now_s)
    show_later(service, version)
    _process(service, item, version)
    service.world.generation += 1
    return version


def show_later(service: Service, node: Version | Folder) -> None:
    """Listings do not show it for a while, where the settings say so."""
    lag_s = service.settings.list_lag_s
    if not lag_s:
        return
    node.listed_from_s = time.time() + lag_s

    def done() -> None:
        service.world.generation += 1

    service.later(lag_s, done)


def _process(service: Service, item: Item, version: Version) -> None:
    """It is being processed for a while, where the settings say so."""
    seconds = service.settings.processing_s
    if not seconds or version.storage is None:
        return
    if version.data.get("processState", DONE) == DONE:
        version.data["processState"] = "NEEDS_PROCESSING"

    def done() -> None:
        version.data["processState"] = DONE
        # It moves without a change of the content (facts 3.2).
        version.modified_time = stamp(item.parent.project, time.time())
        item.modified_time = version.modified_time
        service.world.generation += 1

    service.later(seconds, done)


def want_processed(version: Version) -> None:
    """409 while it is being processed: it cannot be copied (facts 3.3)."""
    if version.data.get("processState", DONE) != DONE:
        raise Refusal(errors.jsonapi(409, "BIM360DM_ERROR", _BUSY))


def want_idle(service: Service, item: Item) -> None:
    """409 for a while after the last version, where the settings say so."""
    made_s, _ = service.writing.history.made.get(item.tip.id, (0.0, None))
    if time.time() - made_s < service.settings.busy_s:
        raise Refusal(errors.jsonapi(409, "BIM360DM_ERROR", _BUSY))


def object_of(service: Service, placeholder: Placeholder) -> Storage:
    """The object of a finished upload, as the version that uses it will name it."""
    storage = placeholder.storage
    assert storage is not None
    if not service.settings.storage_moves:
        return storage
    bucket, key = ids.split_storage_id(storage.urn)
    key = f"{uuid.uuid4()}.{key.rpartition('.')[2]}" if "." in key else str(uuid.uuid4())
    urn = ids.storage_id(bucket.removesuffix(TEMPORARY), key)
    return replace(storage, urn=urn)


def want_public_name(service: Service, actor: Actor, name: str, parent: Folder) -> None:
    """Counts a name that ought to have stayed on one machine."""
    if is_local(name, service.settings.local_names):
        service.writing.violations.add(
            "local_name_created", *actor.who, name=name, folder=parent.id
        )


def use(request: Request, placeholder: Placeholder, version: Version) -> None:
    """The storage is part of a version from now on."""
    placeholder.used_by = version.id

    def answered() -> None:
        placeholder.use_answered = True

    request.delivered.append(answered)
