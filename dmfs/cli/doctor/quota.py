"""``dmfs doctor`` where machines share a quota: is the coordinator there, and which time has it?"""

from __future__ import annotations

import trio

from dmfs.cli.doctor.findings import ERROR, OK, WARNING, Finding
from dmfs.config import Settings
from dmfs.errors import DriveError

PATIENCE_S = 5.0
SKEW_S = 1.0


async def check_quota(settings: Settings) -> list[Finding]:
    """Nothing where the quota is not shared."""
    if not settings.quota:
        return []
    with trio.move_on_after(PATIENCE_S):
        return await trio.to_thread.run_sync(_look, settings, abandon_on_cancel=True)
    return [_away(settings, "the coordinator of the quota does not answer", "look at its name")]


def _look(settings: Settings) -> list[Finding]:
    from dmfs.ratelimit.cluster.coordinator import Coordinator

    try:
        coordinator = Coordinator(settings.quota, settings.client_id)
    except DriveError as error:
        return [Finding("quota", ERROR, error.message, "no drive starts so", error.hint)]
    try:
        coordinator.look([], "")
        what = f"shared at {coordinator.where} ({coordinator.version()})"
    except DriveError as error:
        return [_away(settings, error.message, "start it, or correct the setting quota")]
    finally:
        coordinator.close()
    found = [Finding("quota", OK, what)]
    if abs(coordinator.skew_s) > SKEW_S:
        off = "the clocks of this machine and of the coordinator differ by "
        found.append(
            Finding(
                "quota", WARNING, f"{off}{abs(coordinator.skew_s):.1f} s",
                "its time is used, so nothing is counted wrong; one of the two is wrong",
                "keep both set: timedatectl set-ntp true",
            )
        )  # fmt: skip
    return found


def _away(settings: Settings, what: str, remedy: str) -> Finding:
    why = f"until then this machine takes 1/{settings.cluster_workers} of each quota"
    return Finding("quota", WARNING, what, why, remedy)
