"""Jobs that make downloads: each POST one, counted by version and format."""

from __future__ import annotations

import math
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from dmfs.emulator.designs.rules import Course, ExportSettings, Rule, changed, make_rule
from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import key_ending, places
from dmfs.emulator.world.content import Computed
from dmfs.emulator.world.model import Item, Json, Project, Storage, Version, World

_SIZE_MIN_BYTES, _SIZE_SPREAD_BYTES = 20_000, 100_000


@dataclass(slots=True)
class Job:
    """One POST and what becomes of it. The download has the job's id."""

    id: str
    project: Project
    item: Item
    version: Version
    format: str
    course: Course
    who: tuple[str, str]
    """Client and user."""
    posted_s: float
    polls: int = 0
    finished_s: float | None = None
    """When it was first seen to be finished."""
    expires_s: float = math.inf
    storage: Storage | None = None

    def as_dict(self, now_s: float) -> Json:
        """For control."""
        return {
            "id": self.id,
            "project": self.project.id,
            "item": self.item.id,
            "version": self.version.id,
            "name": self.version.name,
            "format": self.format,
            "client": self.who[0],
            "user": self.who[1],
            "posted": self.posted_s,
            "polls": self.polls,
            "state": self.course.state(now_s - self.posted_s, self.polls),
            "outcome": self.course.outcome,
            "storage": self.storage.urn if self.storage else None,
            "size": self.storage.content.size if self.storage else None,
            "expired": now_s >= self.expires_s,
        }


@dataclass
class Exports:
    """All jobs of one world, and what is to become of the next ones."""

    world: World
    settings: ExportSettings = field(default_factory=ExportSettings)
    rules: list[Rule] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    posts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By version id and format, whether or not the answer arrived."""
    needless: int = 0
    """POSTs while an earlier job for the same had still come to no bad end."""

    def reset(self) -> None:
        """As at the start; objects of downloads are gone."""
        self.expire()
        self.settings, self.rules, self.jobs = ExportSettings(), [], {}
        self.posts.clear()
        self.needless = 0

    def add_rule(self, order: Json) -> Rule:
        self.rules.append(make_rule(order))
        return self.rules[-1]

    def post(self, project: Project, item: Item, version: Version, format_: str,
             who: tuple[str, str]) -> Job:  # fmt: skip
        """A new job, also where there was one like it."""
        if any(self._is_good(job, version, format_) for job in self.jobs.values()):
            self.needless += 1
        self.posts[version.id, format_] += 1
        values = {
            "version": version.id, "item": item.id, "format": format_, "name": version.name or "",
        }  # fmt: skip
        rule = next((rule for rule in self.rules if rule.takes(values)), None)
        course = changed(self.settings.course, rule.course if rule else {})
        job = Job(str(uuid.uuid4()), project, item, version, format_, course, who, time.time())
        self.jobs[job.id] = job
        return job

    def _is_good(self, job: Job, version: Version, format_: str) -> bool:
        """Whether this job is, or will be, a download of that version in that format."""
        if job.version is not version or job.format != format_:
            return False
        now_s = time.time()
        if job.course.state(now_s - job.posted_s, job.polls) in ("queued", "processing"):
            return True
        return job.course.outcome == "done" and now_s < job.expires_s

    def find(self, project: Project, job_id: str) -> Job | None:
        """A job that is still known."""
        job = self.jobs.get(job_id)
        if job is None or job.project is not project:
            return None
        ttl_s = self.settings.job_ttl_s
        return None if ttl_s is not None and time.time() >= job.posted_s + ttl_s else job

    def poll(self, job: Job) -> str:
        """Its state, for somebody who asks for it by the job's own route."""
        job.polls += 1
        return self.state(job)

    def state(self, job: Job) -> str:
        """Its state; whoever sees first that it is finished starts the life of its download."""
        now_s = time.time()
        state = job.course.state(now_s - job.posted_s, job.polls)
        if state == "finished" and job.finished_s is None:
            self._finish(job, now_s)
        return state

    def download(self, project: Project, job_id: str) -> Job | None:
        """The job of a download that there is: finished, and not at the end of its life."""
        job = self.jobs.get(job_id)
        if job is None or job.project is not project or self.state(job) != "finished":
            return None
        is_there = job.course.outcome != "vanished" and time.time() < job.expires_s
        return job if is_there else None

    def expire(self, job_id: str | None = None) -> None:
        """Downloads reach their end: one, or all there are."""
        if job_id is not None and job_id not in self.jobs:
            raise LookupError(f"no job {job_id!r}")
        now_s = time.time()
        for job in self.jobs.values():
            if job.storage is not None and job_id in (None, job.id):
                job.expires_s = job.storage.gone_from_s = now_s

    def _finish(self, job: Job, now_s: float) -> None:
        job.finished_s = now_s
        if job.course.download_ttl_s is not None:
            job.expires_s = now_s + job.course.download_ttl_s
        key = ids.guid(f"download {job.id}") + key_ending(job.format)
        urn = ids.storage_id(places(job.project)[1], key)
        size = job.course.size_bytes
        if size is None:
            spread = int.from_bytes(ids.digest(urn)[:4], "big") % _SIZE_SPREAD_BYTES
            size = _SIZE_MIN_BYTES + spread
        storage = job.storage = Storage(urn, Computed(urn, size), modified_s=now_s)
        storage.gone_from_s = now_s if job.course.outcome == "lost" else job.expires_s
        self.world.storages[urn] = storage
        self.world.owners[urn] = job.item

    def as_dict(self) -> Json:
        """For control."""
        now_s = time.time()
        return {
            "settings": self.settings.as_dict(),
            "rules": [
                {"match": rule.match, "every": rule.every, "skip": rule.skip, "times": rule.times,
                 "seen": rule.seen, "hits": rule.hits} | rule.course
                for rule in self.rules
            ],
            "jobs": [job.as_dict(now_s) for job in self.jobs.values()],
            "posts": [
                {"version": version, "format": format_, "count": count}
                for (version, format_), count in self.posts.items()
            ],
            "posted_again": sum(count - 1 for count in self.posts.values()),
            "posted_needlessly": self.needless,
        }  # fmt: skip
