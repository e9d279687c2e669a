"""The sample documents are what they claim to be."""

from __future__ import annotations

import io
import re
import struct
import xml.etree.ElementTree as ET
import zipfile
import zlib

from dmfs.emulator.world.sample import documents


def test_png():
    data = documents.png()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds, pixels = 8, [], b""
    while at < len(data):
        (length,) = struct.unpack_from(">L", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">L", data, at + 8 + length)
        assert crc == zlib.crc32(kind + body)
        kinds.append(kind)
        pixels += body if kind == b"IDAT" else b""
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(pixels)) == 200 * (1 + 320 * 3)


def test_pdf_offsets_are_right():
    data = documents.pdf()
    (start,) = re.findall(rb"startxref\n(\d+)\n%%EOF\n$", data)
    assert data[int(start) :].startswith(b"xref\n0 6\n")
    entries = re.findall(rb"(\d{10}) 00000 n \n", data)
    assert len(entries) == 5
    for number, offset in enumerate(entries, 1):
        assert data[int(offset) :].startswith(b"%d 0 obj\n" % number)
    (length,) = re.findall(rb"/Length (\d+)", data)
    stream = data.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    assert len(stream) == int(length)
    assert b"Ground floor" in stream


def test_dxf_group_codes():
    lines = documents.dxf().decode("ascii").split("\r\n")
    assert lines.pop() == ""
    assert len(lines) % 2 == 0
    pairs = [(int(code), value) for code, value in zip(lines[::2], lines[1::2], strict=True)]
    assert pairs[-1] == (0, "EOF")
    structure = [value for code, value in pairs if code == 0]
    assert structure.count("SECTION") == structure.count("ENDSEC") == 3
    assert structure.count("TABLE") == structure.count("ENDTAB") == 2
    assert [structure.count(kind) for kind in ("LINE", "CIRCLE", "TEXT")] == [4, 1, 1]
    for code, value in pairs:
        if 10 <= code < 60:
            float(value)
        if 60 <= code < 80:
            int(value)


def test_ifc_structure():
    text = documents.ifc().decode("ascii")
    assert text.startswith("ISO-10303-21;\nHEADER;\n")
    assert text.endswith("ENDSEC;\nEND-ISO-10303-21;\n")
    assert "FILE_SCHEMA(('IFC4'))" in text
    entities = dict(re.findall(r"^#(\d+)=(\w+)\(", text, re.MULTILINE))
    for kind in ("PROJECT", "SITE", "BUILDING", "BUILDINGSTOREY", "WALL", "SLAB"):
        assert f"IFC{kind}" in entities.values()
    used = set(re.findall(r"#(\d+)", text))
    assert used <= set(entities)
    identifiers = re.findall(r"=IFC\w+\('([0-9A-Za-z_$]{22})'", text)
    assert len(identifiers) == len(set(identifiers)) == 8 + 3 * 5
    assert all(identifier[0] in "0123" for identifier in identifiers)
    assert "'OwnerHistory'" not in text


def test_ifc_argument_counts():
    expected = {
        "IFCPROJECT": 9, "IFCSITE": 14, "IFCBUILDING": 12, "IFCBUILDINGSTOREY": 10, "IFCWALL": 9,
        "IFCRELAGGREGATES": 6, "IFCRELCONTAINEDINSPATIALSTRUCTURE": 6, "IFCOWNERHISTORY": 8,
        "IFCSLAB": 9, "IFCELEMENTQUANTITY": 6, "IFCRELDEFINESBYPROPERTIES": 6,
        "IFCQUANTITYLENGTH": 5, "IFCQUANTITYAREA": 5, "IFCQUANTITYVOLUME": 5,
        "IFCPERSON": 8, "IFCORGANIZATION": 5, "IFCAPPLICATION": 4, "IFCEXTRUDEDAREASOLID": 4,
        "IFCRECTANGLEPROFILEDEF": 5, "IFCSHAPEREPRESENTATION": 4, "IFCPRODUCTDEFINITIONSHAPE": 3,
        "IFCGEOMETRICREPRESENTATIONCONTEXT": 6, "IFCGEOMETRICREPRESENTATIONSUBCONTEXT": 10,
    }  # fmt: skip
    text = documents.ifc().decode("ascii")
    for kind, count in expected.items():
        (arguments,) = set(re.findall(rf"={kind}\((.*)\);", text)[:1])
        flat = re.sub(r"'[^']*'", "''", arguments)
        while "(" in flat:
            flat = re.sub(r"\([^()]*\)", "x", flat)
        assert flat.count(",") + 1 == count, kind


def test_xlsx():
    with zipfile.ZipFile(io.BytesIO(documents.xlsx())) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == "[Content_Types].xml"
        for name in names:
            ET.fromstring(archive.read(name))
        types = archive.read("[Content_Types].xml").decode()
        for part in re.findall(r'PartName="/([^"]+)"', types):
            assert part in names
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        values = [float(v) for v in re.findall(r'<c r="B\d+"><v>([\d.]+)</v>', sheet)]
        assert sum(values) == 227.5


def test_texts_and_archives_are_the_same_every_time():
    assert documents.csv_table().startswith(b"door,width_mm")
    assert documents.xlsx() == documents.xlsx()
    assert b"emulator" in documents.readme()
