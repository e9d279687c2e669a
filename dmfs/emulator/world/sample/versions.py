"""Quirks of versions, times, kinds of items, and storage (facts 3.2, 3.3, 4)."""

from __future__ import annotations

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.content import Computed, Literal, read
from dmfs.emulator.world.model import Folder, Item, Storage
from dmfs.emulator.world.sample import documents
from dmfs.emulator.world.sample.folders import bury

MODEL_DATA = {
    "modelVersion": 3, "revitProjectVersion": "2024", "publishedByUser": True,
    "conformingStatus": "NONE",
}  # fmt: skip


def composite_zip(host: str) -> Literal:
    """What a composite design's bytes really are: a zip of host and links."""
    model = read(Computed(f"host {host}", 5000), 0, 5000)
    return Literal(documents.zip_of({host: model, "links/link 1.rvt": b"linked model\n" * 50}))


def fill_versions(build: Builder, folder: Folder) -> None:
    """Names, sizes and histories that are not what one expects."""
    item = build.item(folder, "displayName without extension")
    build.version(item, Computed("round table", 2500), name="Round Table.dwg")
    unnamed = build.file(folder, "version without name.dwg", 2600)
    unnamed.tip.name = None
    for name, listed in (
        ("storageSize missing.bin", None), ("storageSize too big.bin", 12_000),
        ("storageSize too small.bin", 8_000), ("storageSize zero.bin", 0),
    ):  # fmt: skip
        build.file(folder, name, 10_000).tip.listed_size = listed
    build.file(folder, "zero bytes.txt", b"")
    _history(build, folder)
    other = build.item(folder, "vf suffix is not the lineage suffix.dwg")
    build.version(other, Computed("other suffix", 2700), suffix=ids.short_id("another suffix"))
    locked = build.file(folder, "reserved by somebody.dwg", 2800)
    locked.reserved = {
        "reservedTime": "2024-05-03T09:00:00.0000000Z",
        "reservedUserId": "9MDC4HSWB3VE",
        "reservedUserName": "Noor Haddad",
    }
    plain = build.file(folder, "webView missing.dwg", 2900)
    plain.web_view = plain.tip.web_view = False
    many = build.file(folder, "250 versions.txt", "v1\n")
    for number in range(2, 251):
        build.version(many, Literal(f"v{number}\n".encode()))


def _history(build: Builder, folder: Folder) -> None:
    """Seven versions; 3 and 5 are tombstones (deleted and restored twice)."""
    item = build.file(folder, "seven versions.txt", "version 1\n")
    for number in range(2, 8):
        if number in (3, 5):
            bury(build, item)
        else:
            item.hidden = False
            build.version(item, Literal(f"version {number}\n".encode()), name=item.display_name)


def fill_times(build: Builder, folder: Folder) -> None:
    """Times in every form that has been seen, and in some that should not be."""
    for name, moment in (
        ("no fraction.txt", "2024-05-01T08:00:00Z"),
        ("three digits.txt", "2024-05-01T08:00:00.123Z"),
        ("seven digits.txt", "2024-05-01T08:00:00.1234567Z"),
        ("offset.txt", "2024-05-01T13:30:00+05:30"),
        ("before 1970.txt", "1969-07-20T20:17:40.0000000Z"),
        ("year 9999.txt", "9999-12-31T23:59:59.0000000Z"),
        ("garbage.txt", "last Tuesday"),
        ("empty time.txt", ""),
    ):
        item = build.file(folder, name, f"{name}\n")
        for node in (item, item.tip):
            node.create_time = node.modified_time = moment
    item = build.file(folder, "no lastModifiedTime.txt", "no time\n")
    item.modified_time = item.tip.modified_time = None


def fill_kinds(build: Builder, folder: Folder) -> None:
    """Items that are more or less than a file."""
    for name, kind in (
        ("Titles", "bim360:TitleBlock"), ("Review", "bim360:ReviewDocument"),
        ("Exchange", "bim360:FDX"), ("Virtual sheet.pdf", "bim360:Document"),
        ("Unknown without bytes", "bim360:HoloDeck"),
    ):  # fmt: skip
        build.version(build.item(folder, name, type_=kind), None)
    build.file(folder, "Unknown with bytes.holo", 3000, type_="bim360:HoloDeck")
    _cloud_models(build, folder)
    nameless = build.item(folder, "", type_="bim360:Document", display_name=None)
    version = build.version(nameless, None)
    version.name = version.display_name = None
    busy = build.item(folder, "still being processed.dwg")
    build.version(busy, None, data={"processState": "NEEDS_PROCESSING"})
    unlinked = build.item(folder, "no bytes and no webView", type_="bim360:Document")
    build.version(unlinked, None, web_view=False)
    unlinked.web_view = False


def _cloud_models(build: Builder, folder: Folder) -> None:
    """Revit cloud models: unpublished, published, and composite (whose bytes are a zip)."""
    unpublished = build.item(folder, "Unpublished model.rvt", type_="bim360:C4RModel")
    build.version(unpublished, None, data=MODEL_DATA | _model("singleuser", "unpublished"))
    build.file(
        folder, "Published model.rvt", 40_000, type_="bim360:C4RModel",
        data=MODEL_DATA | _model("multiuser", "published"),
    )  # fmt: skip
    build.file(
        folder, "Composite model.rvt", composite_zip("Composite model.rvt"),
        type_="bim360:C4RModel",
        data=MODEL_DATA | _model("multiuser", "composite") | {
            "isCompositeDesign": True, "compositeParentFile": "Composite model.rvt",
        },
    )  # fmt: skip


def _model(kind: str, label: str) -> dict[str, object]:
    return {
        "modelType": kind,
        "projectGuid": ids.guid(f"model project {label}"),
        "modelGuid": ids.guid(f"model {label}"),
    }


def fill_storage(build: Builder, folder: Folder) -> None:
    """Bytes that come in another way than one expects, or not at all."""
    for name, signing in (
        ("signed in chunks.bin", "chunked"), ("signed by fallback.bin", "fallback"),
        ("view only.bin", "forbidden"), ("storage gone.bin", "gone"),
    ):  # fmt: skip
        storage = _storage(build.file(folder, name, 3_000_000))
        storage.signing = signing
    _storage(build.file(folder, "no sha1.bin", 5000)).gives_sha1 = False
    odd = build.item(folder, "object key to be encoded.bin")
    build.version(odd, Computed("odd key", 6000), object_key="a b+c%2F/ä#?&=.bin")
    shared = build.file(folder, "copy 1 of one object.bin", 7000)
    twin = build.item(folder, "copy 2 of one object.bin")
    build.version(twin, None, storage=_storage(shared), listed_size=7000, file_type="bin")


def _storage(item: Item) -> Storage:
    storage = item.tip.storage
    assert storage is not None
    return storage
