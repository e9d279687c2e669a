"""Where secrets may go, and what can never run: the rest of what docs/security.md promises."""

from __future__ import annotations

import ast
import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from dmfs.aps.contents import decode_item
from dmfs.blocks.store.block_store import BlockStore
from dmfs.cli.browse import facts
from dmfs.http.errormap import clean
from dmfs.model import Shortcut
from tests.hostile.corpus import PROJECT

SOURCE = Path(__file__).resolve().parents[2] / "dmfs"
HOUSE = [path for path in SOURCE.rglob("*.py") if SOURCE / "emulator" not in path.parents]


# Where secrets go


def test_verification_is_never_switched_off() -> None:
    for path in HOUSE:
        text = path.read_text("utf-8")
        for word in ("SSL_VERIFY", "CERT_NONE", "verify=False", "check_hostname", "_unverified"):
            assert word not in text, f"{path.name}: {word}"
    context = ssl.create_default_context()
    assert context.check_hostname


def test_nothing_from_the_disk_can_run() -> None:
    """No pickle, no eval, no import by a name that is data; diskcache (pickle by default) only
    under a Disk of ours that takes bytes and refuses the rest (``test_listing_store.py`` of the
    namespace hands it a pickle)."""
    allowed = {"listing_store.py": {"diskcache"}}
    banned = {"pickle", "marshal", "shelve", "diskcache", "dill", "yaml", "importlib.import_module"}
    for path in HOUSE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "compile", "__import__"), path.name
            used = {name.partition(".")[0] for name in names} & banned
            assert used <= allowed.get(path.name, set()), path.name


def test_facts_of_a_hostile_entry_can_be_printed(capsysbinary: Any) -> None:
    from dmfs.cli import browse

    row = {
        "id": "urn:x", "type": "items", "attributes": {"displayName": "\ud800\x1b[31m"},
        "links": {"webView": {"href": "\ud800"}},
    }  # fmt: skip
    node = decode_item({"data": row}, "list", PROJECT)
    assert isinstance(node, Shortcut)
    drive: Any = type("D", (), {"size_of": lambda self, leaf: 0})()
    told = facts(drive, "name", node) | {"created_by": "\ud800\x1b[31m"}
    browse._print_json(told)
    assert b"\x1b" not in capsysbinary.readouterr().out


def test_the_cache_and_the_log_are_private(tmp_path: Path) -> None:
    open_cache = tmp_path / "cache"
    open_cache.mkdir(mode=0o777)
    open_cache.chmod(0o777)
    store = BlockStore(open_cache, limit_bytes=1 << 30, free_percent=0)
    stored = store.attach("urn:a", 1000)  # type: ignore[arg-type]
    store.write(stored, 0, memoryview(bytes(1000)))
    store.close()
    assert open_cache.stat().st_mode & 0o077 == 0
    planted = [path for path in open_cache.rglob("*") if path.is_file() and path.name.isdigit()]
    planted[0].unlink()
    planted[0].symlink_to("/etc/passwd")
    store = BlockStore(open_cache, limit_bytes=1 << 30, free_percent=0)
    try:
        with pytest.raises(OSError, match="symbolic"):
            store.attach("urn:a", 1000)  # type: ignore[arg-type]
    finally:
        store.close()


def test_secrets_are_cut_out_of_error_texts() -> None:
    for text in (
        "Bearer abc.def", "eyJhbGciOiJIUzI1NiJ9.x.y", "see https://cdn/x?Signature=abc&Expires=1",
        "client_secret=hunter2", "refresh_token=abc",
    ):  # fmt: skip
        kept = clean(f"before {text} after")
        assert kept in ("before … after", "before see … after")


def test_the_table_of_dependencies_is_the_lock() -> None:
    """Each package once, with its reason, a ground for trust, what it sees; and none that went."""
    root = SOURCE.parent
    text = (root / "docs/security.md").read_text("utf-8").partition("## What we depend on")[2]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert all(len(row) == 4 and all(row) for row in rows), [r for r in rows if len(r) != 4]
    lock = (root / "scripts/requirements/run.lock").read_text("utf-8")
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)
    assert len(pinned) > 20
    assert sorted(row[0] for row in rows[1:]) == sorted(pinned)
