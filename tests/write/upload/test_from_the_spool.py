"""Parts that are sent from the spool's own file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.write.upload.rig import OURS, Rig, new_item, play


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_was_saved_is_sent_from_the_spools_file_and_the_file_is_closed() -> None:
    async def scenario(rig: Rig) -> None:
        job = rig.job(new_item(), OURS * 30)
        before = _open_files()
        outcome = await rig.upload(job)
        assert outcome is not None
        assert outcome.kind == "posted"
        assert _open_files() == before
        assert job.snapshot.descriptors == 1  # type: ignore[attr-defined]
        assert rig.world.calls["urls"] == 4, "87 parts, 25 a call: asked ahead, and never twice"

    play(scenario)


def test_bytes_that_change_after_they_were_looked_at_do_not_become_a_version() -> None:
    async def scenario(rig: Rig) -> None:
        job = rig.job(new_item(), OURS)
        snapshot: Any = job.snapshot

        async def descriptor() -> int:
            found = os.memfd_create("damaged")
            os.pwrite(found, OURS[:150] + b"?" + OURS[151:], 0)
            return found

        snapshot.descriptor = descriptor
        outcome = await rig.upload(job)
        assert outcome is not None
        assert outcome.kind == "failed"
        assert "other bytes" in outcome.reason
        assert rig.world.everything() == []

    play(scenario)
