"""The moment at which an upload becomes a version: looked at before, checked after, and looked for
wherever an answer was lost."""

from __future__ import annotations

from dataclasses import replace

import trio

from dmfs import errors
from dmfs.model import LOCAL_FOLDER, File, Listing
from dmfs.write.records import NewItem, NewVersion, State
from dmfs.write.upload.looks import SEEN, Looks
from dmfs.write.upload.plan import conflicts
from dmfs.write.upload.plan.answers import (
    GONE,
    LOCKED_LOOK_S,
    MAX_S,
    UNKNOWN,
    Anew,
    Stop,
    Wait,
)
from dmfs.write.upload.plan.conflicts import Find, Tip
from dmfs.write.upload.plan.look import (
    POSTS_MAX,
    UNLISTED_LOOKS,
    Seen,
    Verdict,
    after_lost_answer,
)
from dmfs.write.upload.plan.records import Step, UploadRow
from dmfs.write.upload.ports import PostedLike, VersionMade
from dmfs.write.upload.work import Work

SAME = "same"


class Posting:
    """From a storage with the right bytes to a version."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.looks = Looks(work)

    async def post(self) -> None:
        """Until the row says that it is posted, or has become another one. Stop, Anew, Wait, and
        what the service raises."""
        work = self._work
        while work.row.step is Step.POST:
            await work.end_if_unwanted()
            await work.be(State.UPLOADING)
            if isinstance(work.row.target, NewVersion):
                await self._version(work.row.target)
            else:
                await self._item(work.row.target)

    async def settle(self) -> File | None:
        """Whether an upload that is given up did become a version: look until that is certain."""
        while True:
            seen, file = await self.looks.look()
            decision = after_lost_answer(seen, self._work.since_post_s())
            if decision.verdict is not Verdict.WAIT:
                return file if decision.verdict is Verdict.DONE else None
            await trio.sleep(decision.wait_s)

    async def _version(self, target: NewVersion) -> None:
        work = self._work
        find, tip, file = await self.looks.find(target)
        if find is Find.OURS and file is not None:
            await self._found(file)
            return
        if work.row.in_doubt:
            decision = after_lost_answer(SEEN[find], work.since_post_s())
            if decision.verdict is Verdict.WAIT:
                await self._wait(decision.wait_s)
                return
        if find is Find.AWAY:
            await self.as_new_item(target)
        elif find is Find.THEIRS:
            assert tip.file is not None
            await self._against(target, tip.file)
        else:
            assert tip.file is not None
            await self._next_version(target, tip, tip.file)

    async def _next_version(self, target: NewVersion, tip: Tip, file: File) -> None:
        work, service = self._work, self._work.tools.service
        who = conflicts.reserved_by_another(tip, work.tools.hooks.my_user_id())
        if who:
            raise Wait(f"locked by {who}", LOCKED_LOOK_S)
        name = conflicts.name_to_post(target, file)
        if not work.row.in_doubt and name == file.name and await self._same(file):
            return  # saved without a change: a version is for ever, and mails people
        if not await self._fits(name):
            return
        self._not_for_ever()
        before = work.row
        await work.about_to_post((file.version_number or target.base.number) + 1)
        row = work.row
        try:
            posted = await work.call(
                "post",
                f'make a version of "{name}"',
                lambda: service.new_version(
                    target.place.project_id,
                    target.base.item_id,
                    name,
                    row.storage_id,
                    hub_id=target.place.hub_id,
                ),
            )
        except errors.NameTakenError:
            if not before.in_doubt:
                await work.note("refused", post_sent_at_s=0.0, durable=False)
            await self._new_name_taken(replace(target, name=name))
            return
        except errors.DriveError as error:
            await self._refused(error, before.in_doubt)
            if isinstance(error, GONE):
                await self._gone(target, error)
            return
        # the answer does not say where the item is
        posted_file = replace(posted.file, folder_id=posted.file.folder_id or file.folder_id)
        await self._made(VersionMade(posted_file, posted.conforming))

    async def _gone(self, target: NewVersion, error: errors.DriveError) -> None:
        find, _, _ = await self.looks.find(target)
        if find is not Find.AWAY:
            await self.looks.check_folder(error)

    async def as_new_item(self, target: NewVersion) -> None:
        """The item was deleted: never a version on a tombstone."""
        work = self._work
        if await self.looks.is_listed(target):
            raise errors.BadResponseError(
                f'the service says that "{target.name}" is gone, and lists it'
            )
        await work.event("item-deleted")
        row = replace(work.row, target=NewItem(target.place, target.name), expected=1)
        await work.become("target", _not_posted(row))

    async def _against(self, target: NewVersion, theirs: File) -> None:
        """Somebody else wrote since: ours goes up beside, unless it is the same."""
        number = theirs.version_number or 0
        who = theirs.created_by or "somebody else"
        if await self._same(theirs):
            return
        await self._beside(target, f"{who} made v{number} of it meanwhile", theirs)

    async def _item(self, target: NewItem) -> None:
        work, service = self._work, self._work.tools.service
        if target.place.folder.startswith(LOCAL_FOLDER):
            raise Wait("its folder is not made yet", 5.0)
        if work.row.in_doubt:
            seen, file = await self.looks.look()
            decision = after_lost_answer(seen, work.since_post_s())
            if decision.verdict is Verdict.DONE and file is not None:
                await self._found(file)
                return
            if decision.verdict is Verdict.WAIT:
                await self._wait(decision.wait_s)
                return
        if not await self._fits(target.name):
            return
        self._not_for_ever()
        await self._turn()
        before = work.row
        await work.about_to_post(1)
        row = work.row
        try:
            posted = await work.call(
                "post",
                f'make "{target.name}"',
                lambda: service.new_item(
                    target.place.project_id,
                    target.place.folder,
                    target.name,
                    row.storage_id,
                    hub_id=target.place.hub_id,
                ),
            )
        except errors.NameTakenError:
            if not before.in_doubt:
                await work.note("refused", post_sent_at_s=0.0, durable=False)
            await self._name_taken(target)
            return
        except errors.DriveError as error:
            await self._refused(error, before.in_doubt)
            return
        await self._made(posted)

    async def _turn(self) -> None:
        work, gate = self._work, self._work.tools.new_items
        delay_s = gate.delay_s()
        if delay_s > 0:
            await work.be(State.WAITING, f"{gate.a_minute} new files a minute")
            work.next_try_at = trio.current_time() + delay_s
        await gate.pass_one()
        work.next_try_at = 0.0
        await work.be(State.UPLOADING)

    async def _name_taken(self, target: NewItem) -> None:
        """The service says that the folder has the name: whose is it?"""
        for pause_s in (0.0, *UNLISTED_LOOKS):
            await self._wait(pause_s)
            listing = await self.looks.list_again()
            ours = await self.looks.ours_in(listing)
            if ours is not None:
                await self._found(ours)
                return
            taken = conflicts.who_has(target.name, listing.entries.values())
            if taken is not None and not taken.exactly:
                raise Stop(f'name taken by "{taken.child.name}"')
            if taken is not None:
                theirs = taken.child if isinstance(taken.child, File) else None
                if theirs is not None and await self._same(theirs):
                    return
                await self._beside(target, "somebody else made a file of that name", theirs)
                return
        raise Stop("name taken by something that the folder does not list")

    async def _new_name_taken(self, target: NewVersion) -> None:
        """Ours was renamed with its new bytes, and another item has that name: it gets the name of
        a conflict copy, and stays the item that it is."""
        listing = await self.looks.list_again()
        others = [
            child
            for child in listing.entries.values()
            if not (isinstance(child, File) and child.item_id == target.base.item_id)
        ]
        taken = conflicts.who_has(target.name, others)
        if taken is None or not taken.exactly:
            by = f'"{taken.child.name}"' if taken else "something that the folder does not list"
            raise Stop(f"name taken by {by}")
        await self._renamed(target, listing, f"somebody else has a {target.name!r}")

    async def _renamed(self, target: NewVersion, listing: Listing, reason: str) -> None:
        work = self._work
        names = {each.name for each in listing.entries.values()} | set(listing.entries)
        name = work.tools.hooks.conflict_name(target.name, frozenset(names))
        row = replace(work.row, target=replace(target, name=name), conflict=reason)
        await work.become("target", _not_posted(row))
        await work.event("conflict", reason=reason, beside=name, number=None, who="")

    async def _fits(self, name: str) -> bool:
        """Whether the storage was made for such a name; else the row wants another one."""
        row = self._work.row
        if conflicts.extension(name) == conflicts.extension(row.storage_name):
            return True
        target = replace(row.target, name=name)
        if isinstance(target, NewVersion):
            target = replace(target, base=replace(target.base, name=name))
        await self._work.become("target", replace(row.anew(), target=target))
        return False

    def _not_for_ever(self) -> None:
        row = self._work.row
        if row.in_doubt and row.posts % POSTS_MAX == 0 and self._work.since_post_s() < MAX_S:
            raise Wait("the service does not answer", MAX_S)

    async def _wait(self, seconds: float) -> None:
        work = self._work
        if seconds > 0:
            await work.be(State.UPLOADING, "an answer was lost: looking for what came of it")
            work.next_try_at = trio.current_time() + seconds
            await trio.sleep(seconds)
            work.next_try_at = 0.0

    async def _refused(self, error: errors.DriveError, in_doubt: bool) -> None:
        """After a POST that failed: raise, or return to look what came of it."""
        work = self._work
        if isinstance(error, UNKNOWN) and not isinstance(error, errors.StalledError):
            return
        if isinstance(error, errors.BadInputError):
            await self._bad_input(error)
            return
        if not in_doubt:
            await work.note("refused", post_sent_at_s=0.0, durable=False)
        if isinstance(work.row.target, NewItem) or not isinstance(error, GONE):
            await self.looks.check_folder(error)
            raise error

    async def _bad_input(self, error: errors.BadInputError) -> None:
        """A storage that was used already is refused so, and one that is not whole; so is a name.
        One that was used shows, if not at once."""
        work, row = self._work, self._work.row
        for pause_s in (0.0, *UNLISTED_LOOKS) if row.posts > 1 else (0.0,):
            await self._wait(pause_s)
            seen, file = await self.looks.look()
            if seen is Seen.OURS and file is not None:
                await self._found(file)
                return
            if seen in (Seen.AWAY, Seen.OTHER):
                await work.note("refused", post_sent_at_s=0.0, durable=False)
                return
        await work.note("refused", post_sent_at_s=0.0, durable=False)
        if row.remakes:
            raise error
        raise Anew(error.message)

    async def _same(self, theirs: File) -> bool:
        """Whether the service has our very bytes under that name: nothing to add then."""
        if not await self.looks.has_our_bytes(theirs):
            return False
        await self._work.event("same", number=theirs.version_number)
        await self._work.note("post", step=Step.POSTED, posted=theirs, conflict=SAME)
        return True

    async def _beside(self, target: NewItem | NewVersion, reason: str, theirs: File | None) -> None:
        work = self._work
        listing = await self.looks.list_again()
        taken = {each.name for each in listing.entries.values()} | set(listing.entries)
        original = work.row.wanted.name
        name = work.tools.hooks.conflict_name(original, frozenset(taken))
        row = replace(
            work.row, target=NewItem(target.place.named(name), name), conflict=reason, expected=1
        )
        await work.become("target", _not_posted(row))
        await work.event(
            "conflict",
            reason=reason,
            beside=name,
            number=theirs.version_number if theirs else None,
            who=theirs.created_by if theirs else "",
        )

    async def _found(self, file: File) -> None:
        """A look found what a lost answer would have told."""
        await self._work.event("found", number=file.version_number)
        await self._made(VersionMade(file))

    async def _made(self, posted: PostedLike) -> None:
        """It is a version: is it the right one?"""
        work, row, file = self._work, self._work.row, posted.file
        if file.size_bytes not in (None, row.size_bytes):
            details = await work.call(
                "details",
                f'check "{file.name}"',
                lambda: work.tools.service.details(row.storage_id),
            )
            if details is None or details.size_bytes != row.size_bytes:
                raise Stop(
                    f"v{file.version_number} has {file.size_bytes} bytes at the service, "
                    f"and {row.size_bytes} were sent"
                )
            file = replace(file, size_bytes=row.size_bytes)
        # an answer does not say where it is; the entry of a folder needs to know
        file = replace(file, folder_id=file.folder_id or row.target.place.folder)
        if not posted.conforming:
            await work.event("holding-area", number=file.version_number)
        over = conflicts.overtaken(row, file.version_number)
        await work.note(
            "posted", step=Step.POSTED, posted=file, conforming=posted.conforming, overtaken=over
        )


def _not_posted(row: UploadRow) -> UploadRow:
    return replace(row, posts=0, post_sent_at_s=0.0, first_post_s=0.0)
