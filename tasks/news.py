"""News of jobs, as a follower is told them.

* Every change of a job that somebody follows is told, in order, to whoever was there before or
  comes again with the name of the last change it was told.
* When changes were forgotten meanwhile, the follower is told so, and then what is true now.
* A job that is not announced, since nobody was given its address, is looked at from time to time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.domain.identifiers import JobId
from schemas.domain.job import Job, JobFilter
from schemas.domain.query import Listing, Page, page_of, position
from tasks.jobs import find, get
from tasks.ports import JobChange, Ports

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Reset:
    """Changes have been forgotten before they were seen; what is true now follows."""

    id: str


# What a follower is told; None only shows that somebody is there.
News = JobChange | Reset | None


def follow(ports: Ports, wanted: JobFilter, after: str | None, beat_s: float) -> Iterator[News]:
    """Changes of jobs after the one called `after`, by default from now on; never ends.

    After a `Reset` come the jobs that go on. Something comes every `beat_s`, about.
    """
    after = after or ports.jobs.position()
    spoke = ports.clock.now()
    yield None
    for heard in _heard(ports, after, beat_s):
        news: list[News] = [change for change in heard.changes if wanted(change.job)]
        if heard.forgotten:
            news = [Reset(heard.upto), *_present(ports, wanted, heard.upto)]
        elif not news and (ports.clock.now() - spoke).total_seconds() >= beat_s:
            news = [None]
        if news:
            yield from news
            spoke = ports.clock.now()


def follow_one(ports: Ports, job_id: JobId, after: str | None, beat_s: float) -> Iterator[News]:
    """The job and every change of it until it ended; only those after `after` if that is given.

    Something comes at once, and then every `beat_s`. Nothing at all comes of a job that ended and
    whose end was seen.

    Raises:
        JobNotFound: when there is no such job.
    """
    now = ports.jobs.position()
    return _of_one(ports, get(ports, job_id), after, now, beat_s)


def _of_one(ports: Ports, job: Job, after: str | None, now: str, beat_s: float) -> Iterator[News]:
    """The news of a job that was read after the change called `now`."""
    told = 0  # the latest version
    if after is None:
        yield JobChange(now, job)
        if job.ended:
            return
        told = job.version
    elif not job.ended:
        yield None
    for heard in _heard(ports, after or now, 0 if job.ended else beat_s):
        news: list[News] = [
            each for each in heard.changes if each.job.id == job.id and each.job.version > told
        ]
        if heard.forgotten or not heard.changes:  # every announced version has been told
            told = max(told, job.version)
            found = find(ports, job.id)
            news = [] if found is None else _looked_at(found, told, heard)
            if not news:
                return
        yield from news
        latest = news[-1] if news else None
        if isinstance(latest, JobChange):
            told = latest.job.version
            if latest.job.ended:
                return


def _looked_at(found: Job, told: int, heard: "_Heard") -> list[News]:
    """What is told of a job that was looked at rather than heard of; nothing after its end."""
    if heard.forgotten:
        return [Reset(heard.upto), JobChange(heard.upto, found)]
    if found.version > told:
        return [JobChange(heard.upto, found)]
    return [] if found.ended else [None]


@dataclass(frozen=True, slots=True)
class _Heard:
    """The next changes of any job; `forgotten` if others came before that are not known any more.

    `upto` is the name of the last change that is told of, or was.
    """

    upto: str
    changes: Sequence[JobChange] = ()
    forgotten: bool = False


def _heard(ports: Ports, after: str, beat_s: float) -> Iterator[_Heard]:
    """Changes as they come; first those that are there, if any, and something every `beat_s`."""
    wait_s = 0.0
    while True:
        changes = ports.jobs.changes(after, wait_s)
        if ports.jobs.remembered(after):
            after = changes[-1].id if changes else after
            yield _Heard(after, changes)
        else:
            after = ports.jobs.position()
            yield _Heard(after, forgotten=True)
        wait_s = beat_s


def _present(ports: Ports, wanted: JobFilter, upto: str) -> Iterator[JobChange]:
    """The jobs that go on, first created first."""
    page: Page[Job] | None = None
    while page is None or page.next_key is not None:
        order = Listing(_AT_ONCE, page.next_key if page else None, reverse_order=True)
        live = ports.jobs.live(order, wanted)
        page = page_of(live, lambda job: position(job.created, job.id), order)
        yield from (JobChange(upto, job) for job in page.items)
