"""Links: every form that is written can be read, whatever people and programs do to it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmfs.errors import SetupError
from dmfs.web_links.link import PERSONAL_TEAM, WebLink, team_of, to_base64
from dmfs.web_links.pages import ACC_HOST, ACC_HOST_EMEA, acc_page, b360_page, team_page
from dmfs.web_links.parse import parse

ALPHABET = "ABCXYZabcxyz0189-_"
suffixes = st.text(ALPHABET, min_size=22, max_size=22)
realms = st.sampled_from(["wipprod", "wipemea", "wipbimdev"])
guids = st.uuids().map(str)
roots = st.sampled_from(["fs", "dm"])
folders = st.builds("urn:adsk.{}:{}.folder:co.{}".format, realms, roots, suffixes)
items = st.builds("urn:adsk.{}:dm.lineage:{}".format, realms, suffixes)
versions = st.builds(
    "urn:adsk.{}:fs.file:vf.{}?version={}".format, realms, suffixes, st.integers(1, 99999)
)
accounts = guids.map("b.{}".format)
teams = st.from_regex(r"[a-z][a-z0-9]{2,15}", fullmatch=True)
numbers = st.integers(1, 10**17).map(str)

entities = st.one_of(
    st.builds(WebLink, project_id=accounts),
    st.builds(WebLink, project_id=accounts, folder_id=folders),
    st.builds(WebLink, project_id=accounts, folder_id=folders, item_id=items),
    st.builds(WebLink, project_id=accounts, folder_id=folders, version_id=versions),
)
of_account = entities | st.builds(WebLink, hub_id=accounts)
in_team = st.one_of(
    st.builds(WebLink, team=teams),
    st.builds(WebLink, team=teams, project_number=numbers),
    st.builds(WebLink, team=teams, project_number=numbers, folder_id=folders),
    st.builds(WebLink, team=teams, project_number=numbers, folder_id=folders, item_id=items),
    st.builds(WebLink, team=teams, folder_id=folders),
    st.builds(WebLink, team=teams, item_id=items),
    st.builds(WebLink, team=teams, version_id=versions),
)
alone = st.one_of(
    st.builds(WebLink, folder_id=folders),
    st.builds(WebLink, item_id=items),
    st.builds(WebLink, version_id=versions),
    st.builds(
        WebLink,
        storage_id=guids.map("urn:adsk.objects:os.object:wip.dm.prod/{}.dwg".format),
    ),
)
written = st.one_of(
    st.tuples(of_account, st.sampled_from([ACC_HOST, ACC_HOST_EMEA, "acc.gbr.autodesk.com"])).map(
        lambda pair: (acc_page(*pair), pair[0])
    ),
    st.tuples(
        entities, st.sampled_from(["docs.b360.autodesk.com", "docs.b360.eu.autodesk.com"])
    ).map(lambda pair: (b360_page(*pair), pair[0])),
    in_team.map(lambda link: (team_page(link), link)),
    alone.map(lambda link: (link.entity_id, link)),
    alone.map(lambda link: (to_base64(link.entity_id), link)),
)
"""A text, and what it names."""


def capitals(text: str) -> str:
    """The host in capitals, as some mail programs send it."""
    scheme, found, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.upper()}{slash}{path}" if found else text


def broken_into_lines(text: str) -> str:
    return text[:60] + "\r\n" + text[60:]


JUNK: list[Callable[[str], str]] = [
    str,
    "<{}>".format,
    '"{}"'.format,
    "'{}',".format,
    "({}).".format,
    "  {}\r\n".format,
    "\ufeff{}\u200b".format,
    "\u00ab\u00a0{}\u00a0\u00bb".format,
    "{}, please".format,
    "see {} there".format,
    "[the plan]({}).".format,
    "**{}**".format,
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: f"<{quote(text, safe='')}>,",
    lambda text: text.removeprefix("https:"),
    lambda text: text.removeprefix("https://"),
    lambda text: text.replace("https://", "http://"),
    lambda text: text.replace("%3A", "%253A").replace("%3F", "%253F"),
    lambda text: text.replace("%3A", ":").replace("%3Fversion%3D", "?version="),
    lambda text: text.replace("%3Fversion%3D", "%3Fversion="),
    capitals,
    broken_into_lines,
    "[InternetShortcut]\r\nURL={}\r\n".format,
    "[InternetShortcut]\r\nIDList=\r\nurl = {}\r\nIconIndex=0\r\n".format,
    "[Desktop Entry]\nType=Link\nURL[$e]={}\nName=a plan\n".format,
]


@given(written, st.sampled_from(JUNK), st.sampled_from(JUNK[:8]))
def test_what_is_written_is_read_whatever_happened_to_it(
    pair: tuple[str, WebLink], junk: Callable[[str], str], more: Callable[[str], str]
) -> None:
    text, link = pair
    assert parse(junk(text)) == link
    if junk is not broken_into_lines and "URL" not in junk("").upper():
        assert parse(more(junk(text))) == link


@given(st.text(max_size=300) | st.text("[]<>()%:/?#=&urnadsk.wipprod:fsfolderco", max_size=120))
@example("https://[acc.autodesk.com/")
@example("https://acc.autodesk.com:port/")
@example("dXJu====")
@example("b.")
@example("[")
@example("urn:adsk.wipprod:")
def test_any_text_is_a_link_or_one_line_that_does_not_quote_it(text: str) -> None:
    assert what(text) is None or what(text) != WebLink()


def what(text: str) -> WebLink | None:
    """What a text names; None for one that is refused as it must be."""
    try:
        return parse(text)
    except SetupError as refused:
        words = refused
    assert words.message.isprintable()
    assert words.hint
    return None


PROJECT = "2def426a-c49a-4c35-9d9a-0290e254fc1d"
FOLDER = "urn:adsk.wipprod:fs.folder:co.UsB53XBJRImqqduVL3GDKA"
ITEM = "urn:adsk.wipprod:dm.lineage:DhjDDASORpuXQzjXyWNTGg"
VERSION = "urn:adsk.wipprod:fs.file:vf.DhjDDASORpuXQzjXyWNTGg?version=3"
IN_PROJECT = WebLink(project_id=f"b.{PROJECT}")
IN_FOLDER = WebLink(project_id=f"b.{PROJECT}", folder_id=FOLDER, item_id=ITEM)
B360 = f"docs.b360.autodesk.com/projects/{PROJECT}/folders/{FOLDER}"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (
            acc_page(IN_FOLDER) + "&viewModel=detail&moduleId=folders",
            IN_FOLDER,
        ),
        (f"https://acc.autodesk.com/build/files/projects/{PROJECT.upper()}#x", IN_PROJECT),
        (
            f"https://acc.autodesk.eu/insight/accounts/{PROJECT}/projects/{PROJECT}/home",
            WebLink(hub_id=f"b.{PROJECT}", project_id=f"b.{PROJECT}"),
        ),
        (f"https://admin.b360.autodesk.com/admin/{PROJECT}", WebLink(hub_id=f"b.{PROJECT}")),
        (
            f"docs.b360.eu.autodesk.com/projects/{PROJECT}/folders/{FOLDER}/detail",
            WebLink(project_id=f"b.{PROJECT}", folder_id=FOLDER),
        ),
        (
            f"https://{B360}/detail/viewer/items/{VERSION}",
            WebLink(project_id=f"b.{PROJECT}", folder_id=FOLDER, version_id=VERSION),
        ),
        (
            f"https://myhub.autodesk360.com/ue29ccf32/g/data/{to_base64(ITEM)}/",
            WebLink(team="myhub", item_id=ITEM),
        ),
        (
            "https://acme.autodesk360.com/g/data/" + base64.b64encode(FOLDER.encode()).decode(),
            WebLink(team="acme", folder_id=FOLDER),
        ),
        ("https://acme.autodesk360.com/g/all_projects/active", WebLink(team="acme")),
        (f"b.{PROJECT}", WebLink(hub_id=f"b.{PROJECT}", project_id=f"b.{PROJECT}")),
        ("URN:adsk.WIPPROD:dm.lineage:DhjDDASORpuXQzjXyWNTGg", WebLink(item_id=ITEM)),
        (VERSION.partition("?")[0], WebLink(version_id=VERSION.partition("?")[0])),
    ],
)  # fmt: skip
def test_links_as_browsers_show_them(text: str, link: WebLink) -> None:
    assert parse(text) == link


def test_base64_of_the_common_alphabet_may_hold_a_slash() -> None:
    for pad in range(3):
        urn = VERSION.replace("vf.", "vf." + "x" * pad)
        text = base64.b64encode(urn.encode()).decode()
        assert parse(f"https://acme.autodesk360.com/g/data/{text}").version_id == urn
        assert parse(text).version_id == urn


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no link"),
        ("   \n", "no link"),
        ("hello", "neither"),
        ("/Hub/Project/plan.dwg", "neither"),
        ("https://example.com/docs/files/projects/x", "example.com is not a site"),
        ("https://acc.autodesk.com.evil.example/docs/files/projects/x", "not a site"),
        ("https://acc.autodesk.com/", "names no hub"),
        ("https://acc.autodesk.com/projects", "names no hub"),
        ("https://docs.b360.autodesk.com/projects/none", "names no hub"),
        ("https://acme.autodesk360.com/g/shares/SH56a43QTfd62c1cd968f6d420f217923c26", "shares"),
        ("https://a360.co/3xYz", "shares"),
        ("https://acme.autodesk360.com/g/data/dXJuOmZvbw", "names no hub"),
        ("x" * 100_000, "too long"),
    ],
)
def test_what_names_nothing_says_why_in_one_line(text: str, word: str) -> None:
    with pytest.raises(SetupError, match=word) as caught:
        parse(text)
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_signed_url_is_not_quoted() -> None:
    with pytest.raises(SetupError) as caught:
        parse("https://cdn.example.com/x?Signature=s3cret")
    assert "s3cret" not in caught.value.message + caught.value.hint


def test_the_team_in_an_id() -> None:
    def a_id(text: str) -> str:
        return "a." + base64.b64encode(text.encode()).decode()

    assert team_of(a_id("business:acme#20191009224752851")) == ("acme", "20191009224752851")
    assert team_of(a_id("business:Acme").rstrip("=")) == ("acme", "")
    assert team_of(a_id("personal:pe29ccf32")) == (PERSONAL_TEAM, "")
    for strange in ("a.", "a.b", f"b.{PROJECT}", a_id("business:"), a_id("acme"), "a.\xe4"):
        assert team_of(strange) == ("", "")
