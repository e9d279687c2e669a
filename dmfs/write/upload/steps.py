"""The steps of an upload, in their order; each does what the row says comes next."""

from __future__ import annotations

from dataclasses import replace

import trio

from dmfs import errors
from dmfs.model import LOCAL_FOLDER, File
from dmfs.system.backoff import backoff_s
from dmfs.write.records import NewVersion, State
from dmfs.write.upload.plan import conflicts
from dmfs.write.upload.plan.answers import (
    GONE,
    LOCKED_LOOK_S,
    SIGNED_OUT,
    SIGNED_OUT_LOOK_S,
    UNKNOWN,
    Anew,
    Stop,
    Wait,
)
from dmfs.write.upload.plan.conflicts import Find
from dmfs.write.upload.plan.part_plan import FILE_MAX_BYTES
from dmfs.write.upload.plan.records import Step
from dmfs.write.upload.ports import Outcome, VersionMade, tell
from dmfs.write.upload.posting import SAME, Posting
from dmfs.write.upload.sending import Parts
from dmfs.write.upload.work import Work

REMAKES_MAX = 3
REFUSALS_MAX = 3
COMPLETIONS = 3
COPIES = 3
SHA1_LOOKS = 5
LOOK_FIRST_S, LOOK_MAX_S = 2.0, 10.0


class Steps:
    """Takes one upload to its end. Stop, Wait, and what the service raises leave it where it is;
    the next ``run`` goes on from there."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._posting = Posting(work)
        self._may_be_complete = True
        """Of a row of the journal nobody knows whether its completion was asked for already."""

    async def run(self) -> Outcome:
        """The outcome, once the service has the version and the rest of the drive knows."""
        while True:
            await self._work.end_if_unwanted()
            step = self._work.row.step
            if not self._work.tools.hooks.is_signed_in(self._work.job.draft.owner):
                raise Wait("signed out", SIGNED_OUT_LOOK_S)
            try:
                if step is Step.STORAGE:
                    await self._storage()
                elif step is Step.PARTS:
                    await self._send()
                elif step is Step.COMPLETE:
                    await self._complete()
                elif step is Step.POST:
                    await self._posting.post()
                elif step is Step.POSTED:
                    await self._adopt()
                else:
                    return await self._finish()
            except Anew as again:
                await self._anew(again)

    async def settle(self) -> Outcome | None:
        """An upload that is given up: what it became all the same, which the rest of the drive
        knows then; None if it did not become a version, and goes no further. Its row stays: another
        takes its place."""
        work = self._work
        if work.row.step is Step.POST and work.row.in_doubt:
            file = await self._posting.settle()
            if file is not None:
                over = conflicts.overtaken(work.row, file.version_number)
                await work.note("posted", step=Step.POSTED, posted=file, overtaken=over)
        if work.row.step is Step.POSTED:
            await self._adopt()
        return await self._outcome() if work.row.step is Step.COPY else None

    async def _anew(self, again: Anew) -> None:
        row = self._work.row
        await self._work.event("anew", reason=again.reason)
        if again.counts:
            if row.remakes >= REMAKES_MAX:
                raise Stop(again.reason)
            row = replace(row, remakes=row.remakes + 1)
        await self._work.become("anew", row.anew())

    async def _storage(self) -> None:
        work, row = self._work, self._work.row
        target = row.target
        if row.size_bytes > FILE_MAX_BYTES:
            raise Stop("larger than the 5 TB that the service takes")
        if target.place.folder.startswith(LOCAL_FOLDER):
            raise Wait("its folder is not made yet", 5.0)
        await work.be(State.UPLOADING)
        if isinstance(target, NewVersion) and not await self._may_begin(target):
            return
        where = target.base.item_id if isinstance(target, NewVersion) else target.place.folder
        try:
            storage_id = await work.call(
                "storage",
                f'find a place for "{target.name}"',
                lambda: work.tools.service.storage(target.place.project_id, where, target.name),
            )
        except errors.DriveError as error:
            await self._posting.looks.check_folder(error)
            raise
        await work.note(
            "storage", step=Step.PARTS, storage_id=storage_id, storage_name=target.name,
            upload_key="", etags={}, sha1="", doubtful=False, refusals=0,
        )  # fmt: skip

    async def _may_begin(self, target: NewVersion) -> bool:
        """Look at the item before bytes are sent for nothing."""
        work = self._work
        tip = await work.call(
            "tip",
            f'look at "{target.name}"',
            lambda: work.tools.service.item(work.project, target.base.item_id),
        )
        who = conflicts.reserved_by_another(tip, work.tools.hooks.my_user_id())
        if who:
            raise Wait(f"locked by {who}", LOCKED_LOOK_S)
        if conflicts.find(target.base, tip, work.row) is Find.AWAY:
            await self._posting.as_new_item(target)
            return False
        return True

    async def _send(self) -> None:
        sha1 = await Parts(self._work).send()
        self._may_be_complete = False
        await self._work.note("sent", step=Step.COMPLETE, sha1=sha1)

    async def _complete(self) -> None:
        """The parts become an object, which is compared with what was sent."""
        if not (self._may_be_complete and await self._is_whole()):
            self._may_be_complete = True
            if not await self._ask_to_complete():
                return
        await self._check_sha1()
        await self._work.note("complete", step=Step.POST)

    async def _ask_to_complete(self) -> bool:
        """Until the object is there; False where the row goes back to its parts."""
        work, row = self._work, self._work.row
        etags = [row.etags[number] for number in range(1, row.plan.count + 1)]
        attempt = 0
        while True:
            attempt += 1
            try:
                size = await work.call(
                    "complete",
                    "finish the upload",
                    lambda: work.tools.service.complete(
                        row.storage_id, row.upload_key, row.size_bytes, etags
                    ),
                    work.tools.rules.complete_s,
                )
            except errors.PartsRefusedError as refused:
                return await self._parts_refused(refused)
            except (*UNKNOWN, *GONE, errors.BadInputError) as error:
                if await self._is_whole():
                    return True
                if isinstance(error, errors.BadInputError):
                    raise Anew(error.message) from None
                if attempt == COMPLETIONS:
                    if isinstance(error, GONE):
                        raise Anew(error.message) from None
                    raise
                await trio.sleep(backoff_s(attempt, LOOK_FIRST_S, LOOK_MAX_S))
                continue
            if size != row.size_bytes:
                raise Anew(f"the service counts {size} bytes of {row.size_bytes}")
            return True

    async def _is_whole(self) -> bool:
        """After a lost answer: whether the object is there, with our size, as far as the hub
        tells."""
        work, row = self._work, self._work.row
        try:
            details = await work.call(
                "details",
                "look what came of the upload",
                lambda: work.tools.service.details(row.storage_id),
            )
        except (errors.BadInputError, errors.AccessError) as error:
            if isinstance(error, SIGNED_OUT):
                raise
            return False
        return details is not None and details.size_bytes == row.size_bytes

    async def _parts_refused(self, refused: errors.PartsRefusedError) -> bool:
        """Whether the object is there all the same; else send those again, and after some rounds
        everything, to another storage."""
        row = self._work.row
        wrong = [number for number in refused.parts if number in row.etags]
        if not wrong and await self._is_whole():
            return True
        if not wrong or row.refusals >= REFUSALS_MAX:
            raise Anew(refused.message)
        etags = {number: etag for number, etag in row.etags.items() if number not in wrong}
        await self._work.note("again", step=Step.PARTS, etags=etags, refusals=row.refusals + 1)
        return False

    async def _check_sha1(self) -> None:
        """The service's sha1 of the object must be ours. It may come later than the object; it is
        waited for where the ETags left a doubt."""
        work, row = self._work, self._work.row
        for attempt in range(1, SHA1_LOOKS + 1):
            try:
                details = await work.call(
                    "details",
                    "compare what the service has",
                    lambda: work.tools.service.details(row.storage_id),
                )
            except (errors.BadInputError, errors.AccessError):
                details = None  # some hubs do not tell; the ETags were right
            if details is not None and details.size_bytes != row.size_bytes:
                raise Anew(f"the service has {details.size_bytes} bytes of {row.size_bytes}")
            if details is not None and details.sha1:
                if details.sha1.lower() != row.sha1:
                    raise Anew("the service has other bytes than were sent")
                return
            if not row.doubtful:
                return
            await trio.sleep(backoff_s(attempt, LOOK_FIRST_S, LOOK_MAX_S))
        raise Anew("it cannot be checked whether the service has the right bytes")

    async def _adopt(self) -> None:
        work, row = self._work, self._work.row
        assert row.posted is not None
        posted = VersionMade(row.posted, row.conforming)
        work.tools.hooks.failpoint("adopt.call.before")
        await tell(work.tools.hooks.on_posted, row.draft_id, row.generation, posted, row.sha1)
        work.tools.hooks.failpoint("adopt.call.after")
        await work.note("adopted", step=Step.COPY)

    async def _finish(self) -> Outcome:
        """Nothing is left to do."""
        outcome = await self._outcome()
        beside = outcome.kind == "conflict"
        await self._work.be(State.CONFLICT if beside else State.CLEAN, outcome.reason)
        await self._work.close()
        return outcome

    async def _outcome(self) -> Outcome:
        """Once what ours went over is back in sight."""
        row = self._work.row
        assert row.posted is not None
        if row.overtaken:
            await self._show_theirs(row.posted)
        kind = SAME if row.conflict == SAME else "conflict" if row.conflict else "posted"
        return Outcome(kind, row.posted, row.conflict if kind == "conflict" else "")

    async def _show_theirs(self, posted: File) -> None:
        """Ours went over a version that nobody here had seen. Where the service can copy, theirs
        gets a name of its own beside it."""
        work, number = self._work, self._work.row.overtaken
        theirs, name = None, ""
        try:
            theirs = await self._posting.looks.version(posted, number)
            if theirs is not None and conflicts.is_ours(theirs, work.row):
                return
            if theirs is not None and posted.project_id.startswith("b."):
                name = await self._copy(theirs, number)
        except (errors.DriveError, Stop) as error:
            if isinstance(error, errors.OfflineError):
                raise
            await work.event("overtook-unseen", number=number, reason=str(error))
        who = theirs.created_by if theirs is not None else ""
        await work.event("overtook", number=number, who=who, beside=name)

    async def _copy(self, theirs: File, number: int) -> str:
        """The name of the copy, made now or before."""
        work, place = self._work, self._work.row.target.place
        for attempt in range(1, COPIES + 1):
            listing = await self._posting.looks.list_again()
            files = [each for each in listing.entries.values() if isinstance(each, File)]
            for file in files:
                if file.storage_id == theirs.storage_id and file.item_id != theirs.item_id:
                    return file.name
            taken = frozenset(each.name for each in listing.entries.values())
            plain = work.tools.hooks.overtaken_name(theirs.name, number, theirs.created_by, ())
            if plain in taken and work.row.copies:
                return plain
            name = work.tools.hooks.overtaken_name(theirs.name, number, theirs.created_by, taken)
            await work.note("copy", copies=work.row.copies + 1)
            try:
                await work.call(
                    "copy",
                    f'keep "{name}" in sight',
                    lambda name=name: work.tools.service.copy_item(  # type: ignore[misc]
                        place.project_id, place.folder, theirs.version_id, name
                    ),
                )
                return name
            except (*UNKNOWN, errors.InUseError, errors.NameTakenError):
                if attempt == COPIES:
                    raise
                await trio.sleep(LOOK_MAX_S)
        return ""
