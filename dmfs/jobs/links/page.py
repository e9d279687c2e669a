"""The web page of an entry: the service's own link, else one by the rules of its pages. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from dmfs.errors import DriveError, SetupError
from dmfs.model import File, Folder, Histories, History, Hub, Node, Past, Project, Shortcut
from dmfs.urls import acceptable_url
from dmfs.web_links.link import WebLink, realm_of, team_of
from dmfs.web_links.pages import ACC_HOST, ACC_HOST_EMEA, acc_page, team_page
from dmfs.web_links.parse import parse


def page_of(node: Node, project: Project | None = None, *, of_version: bool = False) -> str:
    """The address of an entry's page. ``project``: the one that it is in, if that is known;
    ``of_version``: of this version, and not of whatever is the newest one.

    DriveError for what is not on the service, and where nobody knows the page.
    """
    if isinstance(node, File) and not node.item_id:
        raise DriveError(
            f"{node.name!r} has no web page yet", hint="it gets one when it is up: dmfs uploads"
        )
    if isinstance(node, Folder) and node.is_local:
        raise DriveError(f"{node.name!r} is on this machine alone: it has no web page")
    own = node.web_url if isinstance(node, Project | Folder | File | Shortcut) else ""
    named = _named(node, of_version=of_version)
    if own and acceptable_url(own) and _says(own, named):
        return own
    built = _built(named, project)
    if not built:
        raise DriveError("the service names no web page of it")
    return built


def _named(node: Node, *, of_version: bool) -> WebLink:
    """What the page has to name."""
    match node:
        case Hub():
            return WebLink(hub_id=node.id)
        case Project():
            return WebLink(project_id=node.id)
        case Folder():
            return WebLink(project_id=node.project_id, folder_id=node.id)
        case File() | Shortcut():
            version_id = (node.version_id or "") if of_version else ""
            return WebLink(
                project_id=node.project_id,
                folder_id=node.folder_id,
                item_id="" if version_id else node.item_id,
                version_id=version_id,
            )
        case Histories() | Past():
            return _named(node.of, of_version=False)
        case History():
            return _named(node.tip, of_version=False)
    raise DriveError("the drive as a whole has no web page", hint="name a hub, or what is in it")


def _says(url: str, named: WebLink) -> bool:
    """Whether a link of the service is about this entry: that of a shortcut may be a start page."""
    try:
        link = parse(url)
    except SetupError:
        return False
    return link.entity_id == named.entity_id


def _built(named: WebLink, project: Project | None) -> str:
    if (named.project_id or named.hub_id).startswith("b."):
        shown = "" if project is None else urlsplit(project.web_url).hostname or ""
        is_emea = realm_of(named.entity_id) == "wipemea"
        return acc_page(named, shown or (ACC_HOST_EMEA if is_emea else ACC_HOST))
    team, number = team_of(named.project_id or named.hub_id)
    if not team:
        return ""
    return team_page(
        WebLink(
            team=team,
            project_number=number if named.project_id else "",
            folder_id=named.folder_id,
            item_id=named.item_id,
            version_id=named.version_id,
        )
    )
