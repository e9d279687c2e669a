"""A bug in one upload ends that upload, and nothing else."""

from __future__ import annotations

import logging

from tests.write.model.machine import fast, until
from tests.write.model.test_conflicts import OLD, OURS, F, G


@fast
async def test_a_bug_in_an_upload_is_the_state_of_its_file(machine, place, monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL)
    async with machine.on():
        uploader = machine.writing.settler.orders.uploader
        submit = uploader.submit

        def breaks(job):
            if job.target.name == F:
                raise KeyError("a bug")
            return submit(job)

        monkeypatch.setattr(uploader, "submit", breaks)
        await machine.save(f"{place.path}/{F}", OLD)
        await machine.save(f"{place.path}/{G}", OURS)
        await until(lambda: place.has_all({G: OURS}))
        await machine.comes_to_rest()
        state, reason = await machine.state(f"{place.path}/{F}")
        assert (state, reason) == ("failed", "an unexpected error, which the log has")
        assert await machine.read(f"{place.path}/{F}") == OLD
