"""Small documents that real programs open, made with the standard library only."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from itertools import pairwise

from dmfs.emulator.world import ids

_ZIP_DATE = (2024, 5, 1, 8, 0, 0)


def zip_of(members: dict[str, bytes]) -> bytes:
    """A deflated archive that is the same on every start."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _ZIP_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


def readme() -> bytes:
    return (
        b"Welcome to the sample project.\n\n"
        b"Everything here was made by the dmfs emulator; nothing comes from a real account.\n"
        b"Drawings, Models, Documents and Photos hold small files that real programs open.\n"
        b"Large Files holds files that exist only as a formula: read any part of them.\n"
    )


def csv_table() -> bytes:
    lines = ["door,width_mm,height_mm,room"]
    lines += [f"D{n:02d},{800 + 50 * (n % 5)},2100,R{n // 3 + 1}" for n in range(1, 25)]
    return ("\r\n".join(lines) + "\r\n").encode()


def png(width: int = 320, height: int = 200) -> bytes:
    """A gradient with a dark frame, 8-bit RGB."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # No filter.
        for x in range(width):
            if min(x, y, width - 1 - x, height - 1 - y) < 4:
                rows += b"\x20\x20\x40"
            else:
                rows += bytes((x * 255 // width, y * 255 // height, 160))
    header = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def pdf(title: str = "Ground floor") -> bytes:
    """One A4 page with a line of text and a rectangle."""
    stream = (
        f"BT /F1 24 Tf 72 760 Td ({title}) Tj ET\n"
        "BT /F1 11 Tf 72 735 Td (Made by the dmfs emulator.) Tj ET\n"
        "2 w 72 400 450 300 re S\n"
    ).encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            b"/Resources << /Font << /F1 5 0 R >> >> /Contents 4 0 R >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    xref_at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, xref_at,
    )  # fmt: skip
    return bytes(out)


def dxf() -> bytes:
    """A drawing in the R12 dialect, which every CAD program reads: a room, a column, a label."""
    pairs: list[tuple[int, object]] = [
        (0, "SECTION"), (2, "HEADER"), (9, "$ACADVER"), (1, "AC1009"),
        (9, "$EXTMIN"), (10, 0.0), (20, 0.0), (30, 0.0),
        (9, "$EXTMAX"), (10, 6000.0), (20, 4000.0), (30, 0.0), (0, "ENDSEC"),
        (0, "SECTION"), (2, "TABLES"),
        (0, "TABLE"), (2, "LTYPE"), (70, 1),
        (0, "LTYPE"), (2, "CONTINUOUS"), (70, 0), (3, "Solid line"), (72, 65), (73, 0), (40, 0.0),
        (0, "ENDTAB"),
        (0, "TABLE"), (2, "LAYER"), (70, 2),
        (0, "LAYER"), (2, "0"), (70, 0), (62, 7), (6, "CONTINUOUS"),
        (0, "LAYER"), (2, "WALLS"), (70, 0), (62, 1), (6, "CONTINUOUS"),
        (0, "ENDTAB"), (0, "ENDSEC"),
        (0, "SECTION"), (2, "ENTITIES"),
    ]  # fmt: skip
    corners = [(0.0, 0.0), (6000.0, 0.0), (6000.0, 4000.0), (0.0, 4000.0), (0.0, 0.0)]
    for (x1, y1), (x2, y2) in pairwise(corners):
        pairs += [(0, "LINE"), (8, "WALLS"), (10, x1), (20, y1), (30, 0.0)]
        pairs += [(11, x2), (21, y2), (31, 0.0)]
    pairs += [(0, "CIRCLE"), (8, "0"), (10, 3000.0), (20, 2000.0), (30, 0.0), (40, 250.0)]
    pairs += [(0, "TEXT"), (8, "0"), (10, 400.0), (20, 3400.0), (30, 0.0), (40, 200.0)]
    pairs += [(1, "ROOM 1"), (0, "ENDSEC"), (0, "EOF")]
    return "".join(f"{code:3d}\r\n{value}\r\n" for code, value in pairs).encode("ascii")


_IFC_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$"


def _ifc_id(label: str) -> str:
    """A GlobalId: 128 bits in 22 digits of IFC's own base 64."""
    number = int.from_bytes(ids.digest(label)[:16], "big")
    return "".join(_IFC_DIGITS[number >> shift & 63] for shift in range(126, -1, -6))


_BOXES = (
    ("WALL", "Wall 1", (2500, 0, 0), (5000, 200, 2800)),
    ("WALL", "Wall 2", (2500, 4000, 0), (5000, 200, 2800)),
    ("WALL", "Wall 3", (0, 2000, 0), (200, 3800, 2800)),
    ("WALL", "Wall 4", (5000, 2000, 0), (200, 3800, 2800)),
    ("SLAB", "Floor", (2500, 2000, -250), (5200, 4200, 250)),
)
"""Kind, name, middle of the foot, and size of the elements of the model, in mm."""


def _ifc_box(
    n: int, kind: str, name: str, foot: tuple[int, int, int], size: tuple[int, int, int]
) -> tuple[str, int]:
    """The lines of an element from #n on, and the number of the element itself."""
    (x, y, z), (dx, dy, height) = foot, size
    length, width = max(dx, dy), min(dx, dy)
    area = dx * dy / 1e6 if kind == "SLAB" else length * height / 1e6
    first = "DEPTH" if kind == "SLAB" else "HEIGHT"
    form = "FLOOR" if kind == "SLAB" else "STANDARD"
    return (
        f"""#{n}=IFCCARTESIANPOINT(({x}.,{y}.,{z}.));
#{n + 1}=IFCAXIS2PLACEMENT3D(#{n},$,$);
#{n + 2}=IFCLOCALPLACEMENT(#20,#{n + 1});
#{n + 3}=IFCRECTANGLEPROFILEDEF(.AREA.,$,#26,{dx}.,{dy}.);
#{n + 4}=IFCEXTRUDEDAREASOLID(#{n + 3},#12,#28,{height}.);
#{n + 5}=IFCSHAPEREPRESENTATION(#14,'Body','SweptSolid',(#{n + 4}));
#{n + 6}=IFCPRODUCTDEFINITIONSHAPE($,$,(#{n + 5}));
#{n + 7}=IFC{kind}('{_ifc_id(name)}',#5,'{name}',$,$,#{n + 2},#{n + 6},$,.{form}.);
#{n + 8}=IFCQUANTITYLENGTH('{first.title()}',$,$,{height}.,$);
#{n + 9}=IFCQUANTITYLENGTH('Length',$,$,{length}.,$);
#{n + 10}=IFCQUANTITYLENGTH('Width',$,$,{width}.,$);
#{n + 11}=IFCQUANTITYAREA('{"NetArea" if kind == "SLAB" else "NetSideArea"}',$,$,{area!r},$);
#{n + 12}=IFCQUANTITYVOLUME('NetVolume',$,$,{dx * dy * height / 1e9!r},$);
#{n + 13}=IFCELEMENTQUANTITY('{_ifc_id(name + " quantities")}',#5,\
'Qto_{kind.title()}BaseQuantities',$,$,(#{n + 8},#{n + 9},#{n + 10},#{n + 11},#{n + 12}));
#{n + 14}=IFCRELDEFINESBYPROPERTIES('{_ifc_id(name + " defined")}',#5,$,$,(#{n + 7}),#{n + 13});
""",
        n + 7,
    )


def ifc() -> bytes:
    """An IFC4 model: project, site, building, storey, and a room: walls and a floor with bodies
    and quantities."""
    g = {name: _ifc_id(name) for name in "project site building storey r1 r2 r3 r4".split()}
    boxes = [_ifc_box(100 * n, *box) for n, box in enumerate(_BOXES, 1)]
    lines = f"""#1=IFCPERSON($,$,'Emulator',$,$,$,$,$);
#2=IFCORGANIZATION($,'dmfs',$,$,$);
#3=IFCPERSONANDORGANIZATION(#1,#2,$);
#4=IFCAPPLICATION(#2,'1','dmfs emulator','dmfs-emulator');
#5=IFCOWNERHISTORY(#3,#4,$,.ADDED.,$,$,$,1714550400);
#6=IFCSIUNIT(*,.LENGTHUNIT.,.MILLI.,.METRE.);
#7=IFCSIUNIT(*,.AREAUNIT.,$,.SQUARE_METRE.);
#8=IFCSIUNIT(*,.VOLUMEUNIT.,$,.CUBIC_METRE.);
#9=IFCSIUNIT(*,.PLANEANGLEUNIT.,$,.RADIAN.);
#10=IFCUNITASSIGNMENT((#6,#7,#8,#9));
#11=IFCCARTESIANPOINT((0.,0.,0.));
#12=IFCAXIS2PLACEMENT3D(#11,$,$);
#13=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#12,$);
#14=IFCGEOMETRICREPRESENTATIONSUBCONTEXT('Body','Model',*,*,*,*,#13,$,.MODEL_VIEW.,$);
#15=IFCPROJECT('{g["project"]}',#5,'Sample Project',$,$,$,$,(#13),#10);
#16=IFCLOCALPLACEMENT($,#12);
#17=IFCSITE('{g["site"]}',#5,'Site',$,$,#16,$,$,.ELEMENT.,$,$,$,$,$);
#18=IFCLOCALPLACEMENT(#16,#12);
#19=IFCBUILDING('{g["building"]}',#5,'House',$,$,#18,$,$,.ELEMENT.,$,$,$);
#20=IFCLOCALPLACEMENT(#18,#12);
#21=IFCBUILDINGSTOREY('{g["storey"]}',#5,'Ground floor',$,$,#20,$,$,.ELEMENT.,0.);
#22=IFCRELAGGREGATES('{g["r1"]}',#5,$,$,#15,(#17));
#23=IFCRELAGGREGATES('{g["r2"]}',#5,$,$,#17,(#19));
#24=IFCRELAGGREGATES('{g["r3"]}',#5,$,$,#19,(#21));
#25=IFCCARTESIANPOINT((0.,0.));
#26=IFCAXIS2PLACEMENT2D(#25,$);
#28=IFCDIRECTION((0.,0.,1.));
"""
    elements = ",".join(f"#{number}" for _, number in boxes)
    lines += "".join(text for text, _ in boxes)
    lines += f"#29=IFCRELCONTAINEDINSPATIALSTRUCTURE('{g['r4']}',#5,$,$,({elements}),#21);\n"
    head = (
        "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION(('ViewDefinition [CoordinationView]'),'2;1');\n"
        "FILE_NAME('House.ifc','2024-05-01T08:00:00',('Emulator'),('dmfs'),'dmfs emulator',"
        "'dmfs emulator','');\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n"
    )
    return (head + lines + "ENDSEC;\nEND-ISO-10303-21;\n").encode("ascii")


_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def xlsx() -> bytes:
    """A spreadsheet with one sheet: texts, numbers and a formula."""
    rows = ['<row r="1">' + _text_cell("A1", "Room") + _text_cell("B1", "Area m2") + "</row>"]
    for n in range(2, 12):
        room = _text_cell(f"A{n}", f"R{n - 1}")
        rows.append(f'<row r="{n}">{room}<c r="B{n}"><v>{n * 3.5}</v></c></row>')
    total = _text_cell("A12", "Total")
    rows.append(f'<row r="12">{total}<c r="B12"><f>SUM(B2:B11)</f><v>227.5</v></c></row>')
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_TYPES}">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{main}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{main}.worksheet+xml"/>'
        "</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Rooms" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{"".join(rows)}'
        "</sheetData></worksheet>",
    }
    return zip_of({name: (_XML + body).encode() for name, body in parts.items()})


def _text_cell(at: str, text: str) -> str:
    return f'<c r="{at}" t="inlineStr"><is><t>{text}</t></is></c>'
