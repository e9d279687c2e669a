"""What a link means among projects and hubs: pure."""

from __future__ import annotations

import pytest

from dmfs.jobs.links.wanted import hubs_in_order, is_named, may_hold
from dmfs.model import FolderId, Hub, HubId, Project, ProjectId
from dmfs.web_links.link import PERSONAL_TEAM, WebLink, to_base64

EMEA, US = "urn:adsk.wipemea:dm.lineage:x", "urn:adsk.wipprod:dm.lineage:x"


def a_project(identifier: str, root: str | None = None) -> Project:
    return Project(ProjectId(identifier), HubId("h"), "P", None if root is None else FolderId(root))


def of_team(team: str, number: str) -> Project:
    return a_project(f"a.{to_base64(f'{team}#{number}')}")


def test_an_id_is_the_same_with_padding_and_without() -> None:
    assert is_named(WebLink(project_id="a.YQ=="), a_project("a.YQ"))
    assert is_named(WebLink(project_id="a.YQ"), a_project("a.YQ=="))
    assert not is_named(WebLink(project_id="a.YQ"), a_project("a.Yg"))


@pytest.mark.parametrize(
    ("team", "owner", "named"),
    [
        ("acme", "business:acme", True),
        ("acme", "business:other", False),
        (PERSONAL_TEAM, "personal:X1", True),
        ("acme", "personal:X1", False),
    ],
)
def test_a_number_is_of_a_team(team: str, owner: str, *, named: bool) -> None:
    link = WebLink(team=team, project_number="20190101")
    assert is_named(link, of_team(owner, "20190101")) is named
    assert not is_named(link, of_team(owner, "20190102"))


def test_a_project_of_another_region_or_of_an_account_holds_nothing_of_a_teams() -> None:
    project = a_project("a.x", "urn:adsk.wipemea:fs.folder:co.r")
    assert may_hold(WebLink(item_id=EMEA), project)
    assert not may_hold(WebLink(item_id=US), project)
    assert may_hold(WebLink(item_id=US), a_project("b.x")), "it tells no region"
    assert may_hold(WebLink(team="acme", item_id=EMEA), project)
    assert not may_hold(WebLink(team="acme", item_id=EMEA), a_project("b.x"))


def test_the_region_of_a_bucket_is_not_that_of_its_project() -> None:
    project = a_project("a.x", "urn:adsk.wipemea:fs.folder:co.r")
    stored = WebLink(storage_id="urn:adsk.objects:os.object:wip.dm.prod/k")
    assert may_hold(stored, project)


def test_the_likeliest_hub_is_asked_first_and_those_of_another_kind_never() -> None:
    hubs = {
        name: Hub(HubId(identifier), name)
        for name, identifier in (
            ("one", f"a.{to_base64('business:one')}"), ("acme", f"a.{to_base64('business:acme')}"),
            ("account", "b.1"), ("two", f"a.{to_base64('business:two')}"),
        )
    }  # fmt: skip
    asked = [name for name, _ in hubs_in_order(WebLink(team="acme", item_id=US), hubs)]
    assert asked == ["acme", "one", "two"]
    assert [name for name, _ in hubs_in_order(WebLink(project_id="b.9"), hubs)] == ["account"]
    link = WebLink(hub_id=f"{hubs['two'].id}==", project_id="a.x")
    assert [name for name, _ in hubs_in_order(link, hubs)] == ["two", "one", "acme"]
