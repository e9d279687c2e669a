"""Links of pictures: learned once a project, kept as a pattern, never another host's."""

from __future__ import annotations

from typing import Any

import pytest

from dmfs.aps.pictures.links import REMEMBERED, Pattern, PictureLinks, urn64

ONE, TWO = (f"urn:adsk.wipprod:fs.file:vf.{n * 22}?version=1" for n in "ab")
SCOPES = "b360project.62185181-412c-4c01-b45c-6fcd429e58b2,O2tenant.27638224"
HERE = "/modelderivative/v2/designdata/"


def row(version_id: str, href: Any) -> dict[str, Any]:
    link = {"meta": {"link": {"href": href}}}
    return {"type": "versions", "id": version_id, "relationships": {"thumbnails": link}}


def link(version_id: str, base: str = "https://developer.api.autodesk.com") -> str:
    return f"{base}{HERE}{urn64(version_id)}/thumbnail?scopes={SCOPES}"


def learned(href: Any, version_id: str = ONE) -> PictureLinks:
    links = PictureLinks()
    links.learn("b.1", {"included": [row(version_id, href)]})
    return links


def test_one_version_tells_the_links_of_all():
    path, query = learned(link(ONE)).projects["b.1"].of(TWO)
    assert path == f"{HERE}{urn64(TWO)}/thumbnail"
    assert query == {"scopes": SCOPES}


def test_a_link_without_a_host_and_one_of_the_older_form():
    assert learned(link(ONE, base="")).projects["b.1"].path == f"{HERE}{{urn}}/thumbnail"
    old = f"https://developer.api.autodesk.com/viewingservice/v1/thumbnails/{urn64(ONE)}"
    assert learned(old).projects["b.1"] == Pattern("/viewingservice/v1/thumbnails/{urn}")


def test_only_path_and_query_are_taken():
    assert learned(link(ONE, base="https://evil.example")).projects["b.1"].path.startswith(HERE)


@pytest.mark.parametrize(
    "href",
    [
        None, 5, [], "", "https://[", "/", link(TWO), "/oss/v2/buckets/x/" + urn64(ONE),
        f"{HERE}../../oss/{urn64(ONE)}", f"{HERE}{urn64(ONE)}/thumbnail?x={'y' * 3000}",
        f"{HERE}{urn64(ONE)}/%0A", f"{HERE}{urn64(ONE)}/%C3%A4", f"{HERE}{'a/' * 400}{urn64(ONE)}",
    ],
)  # fmt: skip
def test_other_links_are_not_learned(href: Any):
    assert learned(href).projects == {}


def test_an_answer_about_one_version_and_answers_of_other_shapes():
    links = PictureLinks()
    for answer in ({}, {"data": None}, {"included": 5, "data": [5, None, {"type": "items"}]}):
        links.learn("b.1", answer)
    assert links.projects == {}
    links.learn("b.1", {"data": row(ONE, link(ONE))})
    assert links.revision == 1
    links.learn("b.1", {"data": row(ONE, link(ONE).replace("27638224", "1"))})
    assert links.projects["b.1"].query == (("scopes", SCOPES),)
    links.forget("b.1")
    assert links.pattern("b.1") == Pattern(f"{HERE}{{urn}}/thumbnail")


def test_regions_of_hubs():
    links = PictureLinks()
    hubs = [{"id": "b.1", "attributes": {"region": "EMEA"}}, {"id": "b.2"}, 5,
            {"id": "b.3", "attributes": {"region": "US\r\nX: 1"}}]  # fmt: skip
    links.learn_regions({"data": hubs})
    assert links.regions == {"b.1": "EMEA"}
    links.learn_regions({"data": None})
    assert links.revision == 1


def test_what_is_on_disk_comes_back_and_newer_knowledge_stays():
    links = learned(link(ONE))
    links.regions["b.9"] = "EMEA"
    again = PictureLinks()
    again.add(links.as_json())
    assert (again.projects, again.regions) == (links.projects, links.regions)
    newer = learned(link(ONE).replace("27638224", "1"))
    newer.add(links.as_json())
    assert newer.projects["b.1"].query == (("scopes", SCOPES.replace("27638224", "1")),)


@pytest.mark.parametrize(
    "row",
    [
        None, 5, "x", {}, [], [5], [[]], ["/x/{urn}"], [f"{HERE}x"], [f"{HERE}{{urn}}", ["a"]],
        [f"{HERE}{{urn}}", ["a", 5]], [f"{HERE}{{urn}}", "ab"], [f"{HERE}{{urn}}", ["a", "b", "c"]],
        [f"{HERE}{{urn}}/../{{urn}}"], [f"{HERE}{{urn}}", ["a", "b" * 3000]],
    ],
)  # fmt: skip
def test_nonsense_on_disk_is_left_out(row: Any):
    links = PictureLinks()
    for stored in ({"projects": {"b.1": row}, "regions": {"b.2": row}}, {"projects": row}, {}):
        links.add(stored)
    assert (links.projects, links.regions) == ({}, {})


def test_memory_has_a_limit():
    links = PictureLinks()
    for number in range(REMEMBERED + 5):
        links.learn(f"b.{number}", {"included": [row(ONE, link(ONE))]})
    assert len(links.projects) == REMEMBERED


def test_what_is_refused_is_looked_for_once_more_and_then_kept():
    links = learned(link(ONE))
    links.forget("b.1")
    assert links.projects == {}
    links.learn("b.1", {"data": row(ONE, link(ONE))})
    told_again = dict(links.projects)
    links.forget("b.1")
    assert links.projects == told_again != {}


def test_a_pattern_that_was_refused_gives_way_to_another():
    links = learned(link(ONE))
    links.forget("b.1")
    links.learn("b.1", {"data": row(ONE, link(ONE))})
    links.learn("b.1", {"data": row(TWO, link(TWO).replace("27638224", "1"))})
    assert links.projects["b.1"].query == (("scopes", SCOPES.replace("27638224", "1")),)
    links.forget("b.1")
    assert links.projects == {}


def test_where_no_link_is_named_the_usual_one_is_refused_once():
    links = PictureLinks()
    links.suppose("b.1")
    for _ in range(3):
        links.forget("b.1")
        links.suppose("b.1")
    assert links.revision == 2
