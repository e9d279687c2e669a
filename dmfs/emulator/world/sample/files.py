"""What a newcomer sees: documents that open, big files, a BIM 360 project with plans."""

from __future__ import annotations

from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.content import Literal
from dmfs.emulator.world.model import End, Project, Ref
from dmfs.emulator.world.sample import documents
from dmfs.emulator.world.zip_content import ZipArchive

GIB = 1 << 30
PLAN_TYPES = (
    "items:autodesk.bim360:File", "items:autodesk.bim360:Document",
    "items:autodesk.bim360:TitleBlock", "folders:autodesk.bim360:Folder",
)  # fmt: skip


def sample_project(build: Builder, project: Project) -> None:
    """``Sample Project``."""
    files = build.folder(project, "Project Files")
    build.file(files, "README.txt", documents.readme())
    drawings = build.folder(files, "Drawings")
    room = build.file(drawings, "Room 1.dxf", Literal(documents.dxf))
    floor = build.file(drawings, "Ground floor.pdf", Literal(documents.pdf))
    build.file(build.folder(files, "Models"), "House.ifc", Literal(documents.ifc))
    texts = build.folder(files, "Documents")
    build.file(texts, "Door schedule.csv", documents.csv_table())
    build.file(texts, "Room areas.xlsx", Literal(documents.xlsx))
    build.file(texts, "Handover.zip", documents.zip_of(
        {"Handover/README.txt": documents.readme(), "Handover/doors.csv": documents.csv_table()}
    ))  # fmt: skip
    history = build.file(texts, "Minutes.txt", "First meeting.\n")
    build.version(history, Literal(b"First meeting.\nSecond meeting.\n"))
    # A user's folder with the name of a service folder: must not be hidden (facts 8.1).
    facade = build.file(build.folder(files, "Photos"), "Facade.png", Literal(documents.png))
    for used in (floor, facade):
        ends = End(used, used.tip), End(room, room.tip)
        build.world.refs.append(Ref("xrefs", *ends, Ref.XREF, "1.1.0", {"nestedType": "overlay"}))
    large = build.folder(files, "Large Files")
    build.file(large, "Site scan.zip", ZipArchive("sample site scan", GIB, 256))
    build.file(large, "pointcloud.rcs", 5 * GIB)
    build.file(large, "Tower.rvt", 300_000_000)


def bim360_project(build: Builder, project: Project) -> None:
    """Plans holds ``File`` and ``Document`` rows of equal name (facts 3.3, 3.5)."""
    plans = build.folder(
        project, "Plans", allowed_types=PLAN_TYPES,
        visible_types=("items:autodesk.bim360:Document", "folders:autodesk.bim360:Folder"),
    )  # fmt: skip
    build.file(plans, "A-101 Ground floor.pdf", Literal(documents.pdf))
    for name in ("A-101 Ground floor.pdf", "A-102%20First%20floor.pdf"):
        sheet = build.item(plans, name, type_="bim360:Document")
        build.version(
            sheet, None, data={"sourceFileName": name, "viewableId": "1"}, file_type="pdf"
        )
    title = build.item(plans, "Title block", type_="bim360:TitleBlock")
    build.version(title, None)
    files = build.folder(project, "Project Files")
    build.file(files, "Specification.txt", "Concrete C30/37.\n")
