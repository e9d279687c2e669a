"""From what is named to its page: the forms that browsers show."""

from __future__ import annotations

from urllib.parse import quote

from dmfs.web_links.link import WebLink, to_base64

ACC_HOST = "acc.autodesk.com"
ACC_HOST_EMEA = "acc.autodesk.eu"
B360_HOST = "docs.b360.autodesk.com"
TEAM_DOMAIN = "autodesk360.com"


def acc_page(link: WebLink, host: str = ACC_HOST) -> str:
    """The page of ACC, which shows BIM 360 projects as well, of what is in an account."""
    if not link.project_id:
        return f"https://{host}/account-admin/projects/accounts/{link.hub_id.removeprefix('b.')}"
    url = f"https://{host}/docs/files/projects/{link.project_id.removeprefix('b.')}"
    ids = {"folderUrn": link.folder_id, "entityId": link.version_id or link.item_id}
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in ids.items() if value)
    return f"{url}?{query}" if query else url


def b360_page(link: WebLink, host: str = B360_HOST) -> str:
    """The page of BIM 360, of a project or of something in it."""
    url = f"https://{host}/projects/{link.project_id.removeprefix('b.')}"
    entity = link.version_id or link.item_id
    if link.folder_id:
        url += f"/folders/{quote(link.folder_id, safe=':')}"
    return f"{url}/detail/viewer/items/{quote(entity, safe=':')}" if entity else url


def team_page(link: WebLink) -> str:
    """The page of a team's site: of the team, of a project in it, or of something in that."""
    url = f"https://{link.team}.{TEAM_DOMAIN}/g"
    ids = [each for each in (link.folder_id, link.version_id or link.item_id) if each]
    data = "/".join(["data", *map(to_base64, ids)]) if ids else ""
    if link.project_number:
        return "/".join(filter(None, [url, "projects", link.project_number, data]))
    return f"{url}/{data or 'all_projects/active'}"
