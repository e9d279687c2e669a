"""A process of the nightly part ``quota``: reads its files one after the other, until it is told to
end, and says how many it read and which it could not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.errors import DriveError
from dmfs.model import File, Folder

PLACE = "/Emulated Builders ／ Headquarters/Quirks/Project Files/Folders"


async def _read(settings: Settings, number: int, count: int, seconds: float) -> dict[str, object]:
    read, lost = 0, []
    async with open_drive(settings) as drive:
        files: list[File] = []
        for name in json.loads(os.environ["QUOTA_FOLDERS"]):
            folder = await drive.resolve(name)
            assert isinstance(folder, Folder)
            listing = await drive.list(folder)
            files += [child for child in listing.entries.values() if isinstance(child, File)]
        with trio.move_on_after(seconds):
            for file in files[number::count]:
                try:
                    with trio.CancelScope(shield=True):
                        reader = await drive.open(file)
                        data, _ = await reader.read(0, reader.size_bytes)
                        reader.close()
                    assert len(data) == reader.size_bytes
                    read += 1
                except DriveError as error:
                    lost.append(f"{type(error).__name__}: {error.message}")
                await trio.sleep(0)
        status = drive.parts.limiter.sharing()
        gauges = {k: v for k, v in drive.gauges().items() if "cluster" in k}
    return {"read": read, "lost": lost, "status": status, **gauges}


def main() -> None:
    number, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    state = Path(sys.argv[4])
    settings = Settings(
        api_url=os.environ["DMFS_API_URL"], client_id=os.environ["DMFS_CLIENT_ID"],
        client_secret=os.environ["DMFS_CLIENT_SECRET"], quota=os.environ["DMFS_QUOTA"],
        state_dir=state, cache_dir=state / f"cache{number}", poll=0.0, rates="oss=60",
        cluster_workers=4, metadata_timeout=600.0, data_timeout=600.0,
    )  # fmt: skip
    print(json.dumps(trio.run(_read, settings, number, count, seconds)))


if __name__ == "__main__":
    main()
