"""What an upload sees of the service: the tip, the folder, the bytes of others."""

from __future__ import annotations

from dmfs import errors
from dmfs.model import File, Listing, Shortcut
from dmfs.write.records import Base, NewItem, NewVersion
from dmfs.write.upload.plan import conflicts
from dmfs.write.upload.plan.answers import GONE, SIGNED_OUT, Stop
from dmfs.write.upload.plan.conflicts import Find, Tip
from dmfs.write.upload.plan.look import Seen
from dmfs.write.upload.ports import DetailsLike
from dmfs.write.upload.work import Work

FOLDER_GONE = "the folder was deleted"
SEEN = {
    Find.BASE: Seen.AS_BEFORE,
    Find.OURS: Seen.OURS,
    Find.THEIRS: Seen.OTHER,
    Find.AWAY: Seen.AWAY,
}


class Looks:
    """Of one upload."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def find(self, target: NewVersion) -> tuple[Find, Tip, File | None]:
        """What the tip is; the file is ours, wherever it is in the item's history."""
        work, row = self._work, self._work.row
        tip = await work.call(
            "look",
            f'look at "{target.name}"',
            lambda: work.tools.service.item(work.project, target.base.item_id),
        )
        find = conflicts.find(target.base, tip, row)
        if find is not Find.THEIRS or tip.file is None:
            return find, tip, tip.file
        me = work.tools.hooks.my_user_id()
        likely = conflicts.may_be_ours(tip.file, tip.created_by, row, me)
        if likely and await self.has_our_bytes(tip.file):
            return Find.OURS, tip, tip.file
        under = await self._under(target, tip.file)
        if under is not None:
            return Find.OURS, tip, under
        if await self._has_bytes_of(target.base, tip.file):
            return Find.BASE, tip, tip.file
        return find, tip, None

    async def _has_bytes_of(self, base: Base, file: File) -> bool:
        """Whether a newer version is the base once more, under another name perhaps, in a storage
        of its own."""
        if not base.storage_id or file.size_bytes != base.size_bytes:
            return False
        theirs, before = await self._details(file), await self._details(base)
        return bool(theirs and before and theirs.sha1 and theirs.sha1 == before.sha1)

    async def _details(self, file: File | Base) -> DetailsLike | None:
        work = self._work
        return await work.call(
            "details",
            f'compare with "{file.name}"',
            lambda: work.tools.service.details(file.storage_id),
        )

    async def _under(self, target: NewVersion, tip: File) -> File | None:
        """Ours below the tip: it was posted, and somebody went over it."""
        row = self._work.row
        if not row.posts:
            return None
        first = max(row.expected, target.base.number + 1)
        for number in range(first, min(tip.version_number or 0, first + 20)):
            file = await self.version(tip, number)
            if file is not None and conflicts.is_ours(file, row):
                return file
        return None

    async def version(self, tip: File, number: int) -> File | None:
        """Another version of the tip's item; None too where nobody can say."""
        work, version_of = self._work, self._work.tools.hooks.version_of
        if version_of is None:
            return None
        return await work.call(
            "version", f'look at v{number} of "{tip.name}"', lambda: version_of(tip, number)
        )

    async def is_listed(self, target: NewVersion) -> bool:
        """Whether the folder has the item of a base."""
        children = (await self.list_again()).entries.values()
        items = {each.item_id for each in children if isinstance(each, File | Shortcut)}
        return target.base.item_id in items

    async def ours_in(self, listing: Listing) -> File | None:
        """Our upload among the files of a folder."""
        work, row = self._work, self._work.row
        files = [each for each in listing.entries.values() if isinstance(each, File)]
        for file in files:
            if conflicts.is_ours(file, row):
                return file
        if not row.posts:
            return None
        me = work.tools.hooks.my_user_id()
        for file in files:
            if (file.version_number or 0) > 1 and conflicts.same_name(file.name, row.target.name):
                first = await self.version(file, 1)  # somebody went on from ours already
                if first is not None and conflicts.is_ours(first, row):
                    return first
            if not conflicts.may_be_ours(file, me, row, me):
                continue
            tip = await work.call(
                "look",
                f'look at "{file.name}"',
                lambda file=file: work.tools.service.item(work.project, file.item_id),  # type: ignore[misc]
            )
            if tip.created_by == me and await self.has_our_bytes(file):
                return file
        return None

    async def look(self) -> tuple[Seen, File | None]:
        """Whether the POST worked; the file is ours if so."""
        target = self._work.row.target
        if isinstance(target, NewVersion):
            find, _, file = await self.find(target)
            return SEEN[find], file if find is Find.OURS else None
        listing = await self.list_again()
        ours = await self.ours_in(listing)
        if ours is not None:
            return Seen.OURS, ours
        # that the name is taken the service has to say: what is listed may be gone again
        return Seen.AS_BEFORE, None

    async def list_again(self) -> Listing:
        """The target's folder. Stop where it is gone."""
        work, place = self._work, self._work.row.target.place
        try:
            return await work.call(
                "list",
                "list the folder of an upload",
                lambda: work.tools.list_again(place),
            )
        except GONE:
            raise Stop(FOLDER_GONE) from None

    async def check_folder(self, error: errors.DriveError) -> None:
        """After a refusal that a deleted folder may be the reason of. Stop if so."""
        if isinstance(error, (*SIGNED_OUT, errors.LockedError)):
            return
        if isinstance(error, GONE) and isinstance(self._work.row.target, NewItem):
            raise Stop("the folder was deleted") from None
        if isinstance(error, (*GONE, errors.AccessError)):
            try:
                await self.list_again()
            except errors.DriveError:
                pass  # the first error says more
        if isinstance(error, GONE):  # a deleted folder may still be listed
            raise Stop(FOLDER_GONE)

    async def has_our_bytes(self, file: File) -> bool:
        """By size and sha1."""
        row = self._work.row
        if not conflicts.may_be_equal(file, row) or not row.sha1:
            return False
        details = await self._details(file)
        if details is None:
            return False
        return details.size_bytes == row.size_bytes and details.sha1.lower() == row.sha1
