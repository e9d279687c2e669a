"""The sample world: every quirk of the service as a named sample, each once.

Here are the hubs and projects; what is in them is in ``files`` (what a newcomer sees),
``folders``, ``names`` and ``versions`` (quirks).
"""

from __future__ import annotations

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import End, Hub, Ref, World
from dmfs.emulator.world.sample import files, folders, names, versions

EMEA_PROJECTS = 230
"""More than one page."""
SERVICE_FOLDERS = (
    "checklist_{}", "submittals-attachments", "Photos", "ProjectTb", "dailylog_{}", "issue_{}",
    "issues_{}", "correspondence-project-{}", "meetings-project-{}", "COST Root Folder",
    "Recycle Bin", "quantification_{}", "rfis_project_{}", "assets_{}", "{}",
)  # fmt: skip
"""Names of what BIM 360/ACC tools keep beside Project Files (facts 8.1); ``{}`` is a GUID."""

DRAWING = "derived:autodesk.fusion360:DrawingToDesign"


def make_sample(world: World) -> None:
    """Fill an empty world; always the same."""
    build = Builder(world)
    account = build.hub("Emulated Builders / Headquarters", "bim360:Account")
    _account_projects(build, account)
    _emea(build)
    _fusion(build)
    _team(build)
    _personal(build)
    for number in (1, 2):
        hub = build.hub("Twin Hub", "bim360:Account")
        project = build.project(hub, f"Project of Twin {number}")
        inside = build.folder(project, "Project Files")
        build.file(inside, f"twin {number}.txt", f"This is twin {number}.\n")


def _account_projects(build: Builder, hub: Hub) -> None:
    files.sample_project(build, build.project(hub, "Sample Project"))
    _quirks(build, hub)
    files.bim360_project(build, build.project(hub, "Riverside BIM 360", "BIM360"))
    for name, text in (("Phase 1/2", "a slash"), ("Twin Project", "one"), ("Twin Project", "two")):
        inside = build.folder(build.project(hub, name), "Project Files")
        build.file(inside, "note.txt", f"{text}\n")
    for name, lingers in (("Archived Project", False), ("Just Archived Project", True)):
        archived = build.project(hub, name)
        build.file(build.folder(archived, "Project Files"), "old.txt", "old\n")
        archived.active, archived.lingers = False, lingers
    fresh = build.project(hub, "Fresh Project")
    build.folder(fresh, "Project Files")
    fresh.not_ready = 2
    _guest(build, hub)
    _services(build, hub)


def _quirks(build: Builder, hub: Hub) -> None:
    inside = build.folder(build.project(hub, "Quirks"), "Project Files")
    project = inside.project
    deleted = build.folder(project, "Deleted Top Folder", hidden=True)
    build.file(deleted, "nobody sees this.txt", "x\n")
    # Seen in spite of excludeDeleted: hidden must still be checked (facts 8.2).
    build.folder(project, "Deleted But Listed Top Folder", hidden=True, leaks=True)
    folders.fill(build, build.folder(inside, "Folders"))
    names.fill(build, build.folder(inside, "Names"))
    versions.fill_versions(build, build.folder(inside, "Versions"))
    versions.fill_times(build, build.folder(inside, "Times"))
    versions.fill_kinds(build, build.folder(inside, "Kinds"))
    versions.fill_storage(build, build.folder(inside, "Storage"))


def _guest(build: Builder, hub: Hub) -> None:
    """A non-admin's project: topFolders are deep folders with equal names (facts 2)."""
    project = build.project(hub, "Guest Project")
    inside = build.folder(project, "Project Files")
    top = []
    for building in ("North", "South"):
        shared = build.folder(build.folder(inside, building), "Drawings")
        build.file(shared, f"{building} plan.txt", f"{building}\n")
        top.append(shared)
    top.append(build.folder(build.folder(inside, "West"), "Photos"))
    build.file(top[-1], "holiday.png", 1000)
    project.top = top


def _services(build: Builder, hub: Hub) -> None:
    """All service folders beside Project Files; in it, user folders with suspicious names."""
    project = build.project(hub, "Service Folders")
    inside = build.folder(project, "Project Files")
    for name in ("Photos", "Fixed assets_2024", "Recycle Bin", "issues_from_meeting"):
        build.file(build.folder(inside, name), "made by people.txt", f"{name}\n")
    build.folder(project, "For the Field")
    for pattern in SERVICE_FOLDERS:
        name = pattern.format(ids.guid(f"service {pattern}"))
        folder = build.folder(project, name, service=True)
        build.file(folder, "made by a tool.json", "{}\n")


def _emea(build: Builder) -> None:
    hub = build.hub("Emulated Europe", "bim360:Account", region="EMEA")
    for number in range(1, EMEA_PROJECTS + 1):
        project = build.project(hub, f"Tram Line {number:03d}")
        inside = build.folder(project, "Project Files")
        build.file(inside, f"Track {number:03d}.dwg", 20_000 + number)


def _fusion(build: Builder) -> None:
    """Fusion Team: designs and drawings without storage, of equal names (facts 3.3)."""
    hub = build.hub("Emulated Fusion Team", "core:Hub", a_id=ids.a_id("business:emulatedfusion"))
    project = build.project(hub, "Gearbox")
    root = project.root
    ends = []
    for kind in ("fusion360:Design", "fusion360:Drawing"):
        item = build.item(root, "Housing", type_=kind)
        tip = build.version(item, None, file_type="f3d" if kind.endswith("Design") else "f2d")
        ends.append(End(item, tip))
    build.world.refs.append(Ref("derived", ends[0], ends[1], DRAWING))
    build.file(root, "Datasheet.pdf", 30_000, mime_type="application/pdf")
    parts = build.folder(root, "Parts")
    build.file(parts, "bolt.step", 12_345, mime_type="application/octet-stream")
    composite = versions.composite_zip("Assembly.iam")
    build.file(
        parts, "Assembly.iam", composite, type_="a360:CompositeDesign",
        mime_type="application/vnd.autodesk.inventor.assembly",
    )  # fmt: skip
    build.project(hub, "Empty Fusion Project")


def _team(build: Builder) -> None:
    hub = build.hub(
        "Emulated BIM 360 Team", "core:Hub",
        a_id=ids.a_id("business:emulateteam#20191009224752851", padded=True),
    )  # fmt: skip
    project = build.project(hub, "House Design")
    build.file(
        project.root, "House Design.rvt", 12_550_144, mime_type="application/vnd.autodesk.revit"
    )
    build.file(build.folder(project.root, "Sketches"), "idea.png", 50_000, mime_type="image/png")


def _personal(build: Builder) -> None:
    hub = build.hub("Ada's Hub", "a360:PersonalHub", a_id=ids.a_id("personal:pe12emu34"))
    project = build.project(hub, "My First Project")
    build.file(project.root, "notes.txt", "buy milk\n", mime_type="text/plain")
