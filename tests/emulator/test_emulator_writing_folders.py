"""Folders, and the other rules of ``a.`` projects."""

from __future__ import annotations

from urllib.parse import quote

from .writer import detail


class TestTeams:
    def test_files_are_renamed_in_place(self, team):
        writer = team.writer
        item = writer.new_file(team.id, "a.txt", b"bytes")
        version = team.item(item)["included"][0]["id"]
        data = {"type": "items", "id": item, "attributes": {"displayName": "b.txt"}}
        assert writer.data("PATCH", f"items/{item}", data).status == 200
        data = {"type": "versions", "id": version, "attributes": {"name": "b.txt"}}
        where = f"versions/{quote(version, safe='')}"
        assert writer.data("PATCH", where, data).status == 200
        open_ = writer.data("PATCH", f"versions/{version}", data)
        assert open_.status == 400
        assert detail(open_) == "Urn is not in the proper format"
        assert team.versions(item) == [(1, "b.txt")]

    def test_names_count_by_case(self, team):
        team.writer.new_file(team.id, "a.txt", b"x")
        team.writer.new_file(team.id, "A.txt", b"y")
        assert set(team.writer.listing(team.id)) == {"a.txt", "A.txt"}

    def test_nothing_is_deleted_nor_copied(self, team):
        item = team.writer.new_file(team.id, "a.txt", b"bytes")
        version = team.item(item)["included"][0]["id"]
        assert team.writer.delete(item).status == 400
        assert team.writer.copy(version).status == 400

    def test_hiding_a_folder_is_answered_and_ignored(self, team):
        reply = team.writer.patch(team.id, hidden=True)
        assert reply.status == 200
        assert not reply.json["data"]["attributes"]["hidden"]
        assert team.writer.folder(team.parent, team.name).status == 409

    def test_folders_are_renamed_and_not_moved(self, team):
        inner = team.writer.folder(team.id, "inner", "folders:auto").json["data"]["id"]
        assert team.writer.patch(inner, name="other").status == 200
        assert list(team.writer.listing(team.id)) == ["other"]
        assert team.writer.patch(inner, parent=team.parent).status == 400


class TestFolders:
    def test_a_hidden_folder_is_a_guid_until_it_is_shown(self, writer, place):
        inner = writer.folder(place.id, "inner").json["data"]["id"]
        hidden = writer.patch(inner, hidden=True).json["data"]["attributes"]
        assert hidden["hidden"]
        assert hidden["name"] != "inner"
        assert len(hidden["name"]) == 36
        assert writer.listing(place.id) == {}
        assert writer.storage("a.txt", inner).status == 404
        assert writer.folder(place.id, "inner").status == 201, "the name is free"
        assert writer.patch(inner, hidden=False).status == 400
        shown = writer.patch(inner, hidden=False, name="inner again")
        assert shown.json["data"]["attributes"]["name"] == "inner again"
        assert set(writer.listing(place.id)) == {"inner", "inner again"}

    def test_its_own_name_comes_back(self, writer, place):
        inner = writer.folder(place.id, "inner").json["data"]["id"]
        writer.patch(inner, hidden=True)
        shown = writer.patch(inner, hidden=False).json["data"]["attributes"]
        assert (shown["name"], shown["hidden"]) == ("inner", False)

    def test_moved_and_renamed(self, writer, place):
        one = writer.folder(place.id, "one").json["data"]["id"]
        two = writer.folder(place.id, "two").json["data"]["id"]
        assert writer.patch(one, parent=two, name="moved").status == 200
        assert list(writer.listing(place.id)) == ["two"]
        assert list(writer.listing(two)) == ["moved"]
        assert writer.patch(two, parent=one).status == 400, "not into itself"

    def test_names_that_are_taken(self, writer, place):
        writer.folder(place.id, "one")
        two = writer.folder(place.id, "two").json["data"]["id"]
        assert writer.folder(place.id, "ONE").status == 409
        assert writer.patch(two, name="One").status == 400
        place.emulator.settings(patch_name_taken_status=409)
        assert writer.patch(two, name="One").status == 409
        assert writer.patch(two, name="TWO").status == 200, "its own name in another case"

    def test_not_in_the_root_nor_above(self, writer, place):
        assert writer.folder(place.project["root_folder"], "top").status == 403
        assert writer.patch(place.parent, name="Other Files").status == 403

    def test_names_and_types(self, writer, place):
        assert writer.folder(place.id, "é" * 128).status == 400, "256 bytes"
        assert writer.folder(place.id, "é" * 127).status == 201
        assert writer.folder(place.id, "x", "folders:autodesk.core:Folder").status == 400

    def test_25_levels(self, writer, place):
        at, made = place.id, 2
        while (reply := writer.folder(at, "deeper")).status == 201:
            at, made = reply.json["data"]["id"], made + 1
        assert (reply.status, made) == (400, 25)

    def test_a_standard_of_names(self, writer, place):
        place.change("naming", pattern="??-*.dwg")
        good = writer.item(place.id, "AB-1.dwg", writer.uploaded("AB-1.dwg", place.id, b"x"))
        odd = writer.item(place.id, "odd.dwg", writer.uploaded("odd.dwg", place.id, b"x"))
        statuses = [
            reply.json["included"][0]["attributes"]["extension"]["data"]["conformingStatus"]
            for reply in (good, odd)
        ]
        assert statuses == ["CONFORMING", "NON_CONFORMING"]
        assert "odd.dwg" in writer.listing(place.id)
        place.change("naming", pattern="??-*.dwg", refuse=True)
        storage = writer.uploaded("odd too.dwg", place.id, b"x")
        assert writer.item(place.id, "odd too.dwg", storage).status == 400
