"""Items and versions: made, renamed, deleted, restored; and what is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from .client import Facts
from .place import BOB
from .writer import Writer, detail, link


class TestNewItem:
    def test_it_is_shown_at_once_with_its_size_and_its_maker(self, writer, place):
        assert writer.listing(place.id) == {}
        storage = writer.uploaded("a.dwg", place.id, b"12345")
        reply = writer.item(place.id, "a.dwg", storage)
        assert reply.status == 201
        assert reply.json["data"]["attributes"]["displayName"] == "a.dwg"
        row = writer.listing(place.id)["a.dwg"]
        assert (row["storageSize"], row["versionNumber"], row["storage"]) == (5, 1, storage)
        assert (row["createUserId"], row["createUserName"]) == ("ADAEMU000001", "Ada Emulated")
        assert row["extension"]["type"] == "versions:autodesk.bim360:File"
        assert place.emulator.bytes(storage) == b"12345"

    def test_rollups_move_up_the_whole_chain(self, writer, place):
        def rollup():
            reply = writer.data("GET", f"folders/{place.parent}")
            return reply.json["data"]["attributes"]["lastModifiedTimeRollup"]

        before = rollup()
        writer.new_file(place.id, "a.txt", b"x")
        assert rollup() > before

    def test_a_storage_is_good_once(self, writer, place):
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert writer.item(place.id, "a.txt", storage).status == 201
        again = writer.item(place.id, "b.txt", storage)
        assert again.status == 400
        assert "already in use" in detail(again)

    def test_a_storage_has_to_be_complete(self, writer, place):
        storage = writer.storage("a.txt", place.id).json["data"]["id"]
        assert "not complete" in detail(writer.item(place.id, "a.txt", storage))
        assert writer.item(place.id, "a.txt", storage + "x").status == 400

    def test_the_name_s_extension_is_that_of_the_storage(self, writer, place):
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert "extension" in detail(writer.item(place.id, "a.md", storage))
        assert writer.item(place.id, "other.TXT", storage).status == 201

    def test_both_names_have_to_agree(self, writer, place):
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert writer.item(place.id, "a.txt", storage, display_name="b.txt").status == 400

    @pytest.mark.parametrize("taken", ["a.txt", "A.TXT"])
    def test_a_name_that_is_taken_case_folded(self, writer, place, taken):
        writer.new_file(place.id, "a.txt", b"x")
        reply = writer.item(place.id, taken, writer.uploaded(taken, place.id, b"y"))
        assert reply.status == 409
        assert "same name already exists" in detail(reply)

    def test_the_type_has_to_fit_the_hub(self, writer, place):
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert writer.item(place.id, "a.txt", storage, kind="core").status == 400

    def test_nothing_goes_into_the_root(self, writer, place):
        root = place.project["root_folder"]
        assert writer.storage("a.txt", root).status == 403
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert writer.item(root, "a.txt", storage).status == 403

    def test_a_folder_is_full_some_day(self, writer, place):
        place.emulator.settings(folder_files_max=1)
        writer.new_file(place.id, "a.txt", b"x")
        storage = writer.uploaded("b.txt", place.id, b"x")
        assert "maximum number" in detail(writer.item(place.id, "b.txt", storage))

    def test_plans_take_drawings_only(self, written, writer):
        project = Facts(written).project("Riverside BIM 360")
        plans = Facts(written).folder(project, "Plans")["id"]
        inside = Writer(written, project["id"])
        storage = inside.uploaded("a.txt", plans, b"x")
        assert "Plans" in detail(inside.item(plans, "a.txt", storage))
        storage = inside.uploaded("a new one.pdf", plans, b"x")
        assert inside.item(plans, "a new one.pdf", storage).status == 201

    def test_a_folder_says_what_it_takes(self, writer, place):
        place.change("allow", types=["folders:autodesk.bim360:Folder"])
        shown = writer.data("GET", f"folders/{place.id}").json["data"]["attributes"]
        assert shown["extension"]["data"]["allowedTypes"] == ["folders:autodesk.bim360:Folder"]
        storage = writer.uploaded("a.txt", place.id, b"x")
        assert "does not allow" in detail(writer.item(place.id, "a.txt", storage))
        place.change("allow", types=[])
        assert writer.item(place.id, "a.txt", storage).status == 201

    def test_a_copy_of_a_version_in_another_folder(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"bytes")
        other = writer.folder(place.id, "other").json["data"]["id"]
        source = place.item(item)["included"][0]["id"]
        data = {
            "type": "items", "attributes": {"name": "b.txt"},
            "relationships": {"parent": link("folders", other)},
        }  # fmt: skip
        path = f"items?copyFrom={quote(source, safe='')}"
        assert writer.data("POST", path, data).status == 201
        row = writer.listing(other)["b.txt"]
        assert (row["versionNumber"], row["storageSize"]) == (1, 5)
        assert writer.data("POST", path, data).status == 409


class TestNewVersion:
    def test_it_is_the_tip_at_once(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"one")
        reply = writer.save(item, "a.txt", b"second")
        assert reply.status == 201
        assert reply.json["data"]["attributes"]["versionNumber"] == 2
        assert reply.json["included"][0]["id"] == item
        row = writer.listing(place.id)["a.txt"]
        assert (row["versionNumber"], row["storageSize"]) == (2, 6)
        assert place.emulator.bytes(row["storage"]) == b"second"

    def test_it_may_have_another_name(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"one")
        assert writer.save(item, "b.txt", b"two").status == 201
        assert list(writer.listing(place.id)) == ["b.txt"]
        writer.new_file(place.id, "a.txt", b"x")
        assert writer.save(item, "A.txt", b"three").status == 409

    def test_types_that_do_not_fit(self, writer, place, written):
        item = writer.new_file(place.id, "a.txt", b"one")
        storage = writer.uploaded("a.txt", item, b"x")
        assert writer.version(item, "a.txt", storage, kind="core").status == 400
        quirks = Facts(written).project("Quirks")
        kinds = Facts(written).folder(quirks, "Project Files", "Kinds")
        model = next(i for i in kinds["items"] if "C4RModel" in i["type"])
        inside = Writer(written, quirks["id"])
        storage = inside.uploaded("model.rvt", model["id"], b"x")
        assert inside.version(model["id"], "model.rvt", storage).status == 400

    def test_a_lock_lets_its_owner_pass(self, writer, bob, place):
        item = writer.new_file(place.id, "a.txt", b"one")
        place.change("reserve", "a.txt", user=BOB)
        assert place.item(item)["data"]["attributes"]["reservedUserId"] == BOB
        reply = writer.save(item, "a.txt", b"two")
        assert reply.status == 403
        error = reply.json["errors"][0]
        assert (error["code"], error["title"]) == (
            "ERR_WIP_ERROR", "RESERVATION_LINEAGE_RESERVED"
        )  # fmt: skip
        assert bob.save(item, "a.txt", b"two").status == 201
        place.emulator.settings(lock_status=423)
        assert writer.save(item, "a.txt", b"two").status == 423
        place.change("unreserve", "a.txt")
        assert writer.save(item, "a.txt", b"two").status == 201

    @pytest.mark.parametrize(
        ("level", "upload", "delete"),
        [("view", 403, 403), ("upload", 201, 403), ("edit", 201, 201), ("admin", 201, 201)],
    )
    def test_levels_of_a_user_hold_below_the_folder(
        self, writer, bob, place, level, upload, delete
    ):
        inner = writer.folder(place.id, "inner").json["data"]["id"]
        item = writer.new_file(inner, "a.txt", b"one")
        storage = bob.uploaded("a.txt", item, b"two")
        place.change("level", user=BOB, level=level)
        assert bob.version(item, "a.txt", storage).status == upload
        assert bob.delete(item).status == delete
        assert writer.folder(inner, "free for Ada").status == 201

    @pytest.mark.parametrize(("whose", "status"), [("any", 201), ("own", 403)])
    def test_whose_files_the_upload_level_may_change(self, writer, bob, place, whose, status):
        place.emulator.settings(upload_level_versions=whose)
        place.change("level", user=BOB, level="upload")
        theirs = writer.new_file(place.id, "a.txt", b"one")
        assert bob.save(theirs, "a.txt", b"two").status == status
        assert bob.save(bob.new_file(place.id, "b.txt", b"1"), "b.txt", b"2").status == 201

    def test_busy_with_the_last_one(self, writer, place):
        place.emulator.settings(busy_s=60)
        item = writer.new_file(place.id, "a.txt", b"one")
        storage = writer.uploaded("a.txt", item, b"two")
        assert writer.version(item, "a.txt", storage).status == 409
        place.emulator.settings(busy_s=0)
        assert writer.version(item, "a.txt", storage).status == 201

    def test_permissions_are_told_word_by_word(self, bob, place):
        def told():
            reply = bob.data("POST", "commands", {
                "type": "commands",
                "attributes": {"extension": {
                    "type": "commands:autodesk.core:CheckPermission", "version": "1.0.0",
                    "data": {"requiredActions": ["view", "upload", "create"]},
                }},
                "relationships": {"resources": {"data": [{"type": "folders", "id": place.id}]}},
            })  # fmt: skip
            extension = reply.json["data"]["attributes"]["extension"]
            return extension["data"]["permissions"][0]

        place.change("level", user=BOB, level="upload")
        assert told() == {
            "type": "folders", "id": place.id, "permission": False,
            "details": {"view": True, "upload": True, "create": False},
        }  # fmt: skip
        place.change("level", user="*", level="view")
        assert told()["details"]["upload"], "a person's own level counts before everybody's"
        place.change("level", user=BOB, level=None)
        assert not told()["details"]["upload"]


class TestRenameDeleteRestore:
    def test_a_rename_is_a_version_with_the_same_bytes(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"bytes")
        source = place.item(item)["included"][0]["id"]
        reply = writer.copy(source, {"attributes": {"name": "b.txt"}})
        assert reply.status == 201
        assert place.versions(item) == [(2, "b.txt"), (1, "a.txt")]
        assert writer.listing(place.id)["b.txt"]["storageSize"] == 5

    def test_a_tombstone_hides_and_a_restore_shows(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"bytes")
        source = place.item(item)["included"][0]["id"]
        reply = writer.delete(item)
        assert reply.status == 201
        attributes = reply.json["data"]["attributes"]
        assert attributes["extension"]["type"] == "versions:autodesk.core:Deleted"
        assert attributes["extension"]["data"] == {"originalName": "a.txt"}
        assert attributes["name"] != "a.txt"
        assert place.item(item)["data"]["attributes"]["hidden"]
        assert writer.listing(place.id) == {}
        assert writer.delete(item).status == 400
        assert writer.save(item, "a.txt", b"late").status == 400
        assert writer.copy(reply.json["data"]["id"]).status == 400
        assert writer.copy(source).status == 201
        assert not place.item(item)["data"]["attributes"]["hidden"]
        assert writer.listing(place.id)["a.txt"]["versionNumber"] == 3

    def test_a_restore_into_a_name_that_is_taken(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"bytes")
        source = place.item(item)["included"][0]["id"]
        writer.delete(item)
        writer.new_file(place.id, "a.txt", b"another")
        assert writer.copy(source).status == 409
        assert writer.copy(source, {"attributes": {"name": "b.txt"}}).status == 201

    def test_no_copy_while_it_is_being_processed(self, writer, place):
        place.emulator.settings(processing_s=3600)
        item = writer.new_file(place.id, "a.txt", b"bytes")
        tip = place.item(item)["included"][0]
        assert tip["attributes"]["extension"]["data"]["processState"] == "NEEDS_PROCESSING"
        assert writer.copy(tip["id"], {"attributes": {"name": "b.txt"}}).status == 409
        place.emulator.settings(processing_s=0.02)
        assert writer.save(item, "a.txt", b"more").status == 201
        tip = place.item(item)["included"][0]
        while (reply := writer.copy(tip["id"], {"attributes": {"name": "b.txt"}})).status == 409:
            pass
        assert reply.status == 201
        assert place.versions(item)[0] == (3, "b.txt")
        second = writer.data("GET", f"versions/{quote(tip['id'], safe='')}").json["data"]
        assert second["attributes"]["lastModifiedTime"] > second["attributes"]["createTime"]

    def test_patches_are_not_for_accounts(self, writer, place):
        item = writer.new_file(place.id, "a.txt", b"bytes")
        version = place.item(item)["included"][0]["id"]
        data = {"type": "items", "id": item, "attributes": {"displayName": "b.txt"}}
        assert writer.data("PATCH", f"items/{item}", data).status == 400
        data = {"type": "versions", "id": version, "attributes": {"name": "b.txt"}}
        where = f"versions/{quote(version, safe='')}"
        assert writer.data("PATCH", where, data).status == 400
