"""What a link means among the entries of listings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dmfs.model import Child, File, Folder, Hub, Listing, Project, Shortcut
from dmfs.web_links.link import PERSONAL_TEAM, WebLink, realm_of, team_of


def version_base(version_id: str) -> str:
    """What all versions of an item have in common."""
    return version_id.partition("?")[0]


def meant_by(link: WebLink) -> Callable[[Child], bool]:
    """Whether an entry is what a link names: of a version the item, whatever its tip is."""
    folder_id, item_id, storage_id = link.folder_id, link.item_id, link.storage_id
    base = version_base(link.version_id)
    suffix = base.rpartition("vf.")[2]
    if link.entity_id == folder_id:
        return lambda child: isinstance(child, Folder) and child.id == folder_id
    if item_id:
        return lambda child: isinstance(child, File | Shortcut) and child.item_id == item_id
    if base:

        def is_version(child: Child) -> bool:
            if not isinstance(child, File | Shortcut):
                return False
            # to expand a version's id takes 2 µs: of 50 000 entries a tenth of a second
            if isinstance(child, File) and suffix not in child.item_id + child.version:
                return False
            return version_base(child.version_id or "") == base

        return is_version
    return lambda child: isinstance(child, File) and child.storage_id == storage_id != ""


def searched_for(link: WebLink) -> str:
    """A text that the stored listing of it has in it. (A version's id is stored without what it
    repeats of its item's.)"""
    entity = link.entity_id
    if entity == link.version_id:
        return version_base(entity).rpartition("vf.")[2]
    return entity


def found_in(listing: Listing, link: WebLink) -> tuple[str, Child] | None:
    """What a link names in a listing, with its name there."""
    is_meant = meant_by(link)
    return next((row for row in listing.entries.items() if is_meant(row[1])), None)


def is_named(link: WebLink, project: Project) -> bool:
    """Whether it is the project that a link names."""
    if link.project_id:
        return project.id.rstrip("=") == link.project_id.rstrip("=")
    team, number = team_of(project.id)
    # of a project in a personal hub only the number is known
    is_team = link.team in (team, PERSONAL_TEAM) or not team
    return number == link.project_number and is_team


def may_hold(link: WebLink, project: Project) -> bool:
    """Whether something of which the link names no project may be in this one."""
    if link.team and project.id.startswith("b."):
        return False
    theirs, ours = realm_of(project.root_folder_id or ""), realm_of(link.entity_id)
    return not theirs or not ours or theirs == ours or link.storage_id != ""


def is_hub(link: WebLink, hub: Hub) -> bool:
    """Whether it is the hub that a link names."""
    if link.hub_id:
        return hub.id.rstrip("=") == link.hub_id.rstrip("=")
    return bool(link.team) and team_of(hub.id)[0] == link.team


def hubs_in_order(link: WebLink, hubs: Mapping[str, Child]) -> list[tuple[str, Hub]]:
    """The hubs that may hold what a link names, the likeliest first."""
    kind = "a." if link.team else link.project_id[:2]
    rows = [
        (name, hub)
        for name, hub in hubs.items()
        if isinstance(hub, Hub) and hub.id.startswith(kind)
    ]
    return sorted(rows, key=lambda row: not is_hub(link, row[1]))
