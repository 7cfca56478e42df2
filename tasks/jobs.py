"""Following jobs, cancelling them, and keeping what they came to.

* A job goes on in the broker. Once it ended, and if somebody follows it, it is taken into the
  database, and only then forgotten in the broker; after a time it is forgotten there as well.
* Archiving is idempotent: what a crash or a lost answer left in both places is one job, and the
  next run lets go of the copy in the broker.
* To cancel is to leave a note; who works on the job heeds it between steps.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import accumulate
from typing import Final

from schemas.domain.changes import Changes, Record, shard_of
from schemas.domain.errors import Invalid, JobNotFound, Unavailable
from schemas.domain.identifiers import JobId
from schemas.domain.job import Fault, Job, JobFailure, JobFilter, JobKind, JobState
from schemas.domain.query import Listing, Page, page_of, position, resumed_at
from tasks.ports import Ports, Snapshot, Work

_AT_ONCE: Final = 100
_FAILURES_AT_ONCE: Final = 20_000
_LATEST_MOMENT_US: Final = 1 << 53
# Changes are waited for at most so long before a job nobody announces is looked at again.
_LOOK_S: Final = 1.0


def get(ports: Ports, job_id: JobId) -> Job:
    """The job as it is now, or as it ended.

    Raises:
        JobNotFound: when there is no such job.
    """
    job = find(ports, job_id)
    if job is None:
        raise JobNotFound(f"job {job_id} does not exist, or ended too long ago")
    return job


def find(ports: Ports, job_id: JobId) -> Job | None:
    """The job as it is now, or as it ended; None if there is none."""
    live = ports.jobs.get(job_id)
    if live is not None:
        return live
    with ports.metadata.read() as snapshot:
        kept = snapshot.jobs([job_id]).get(job_id)
        if kept is None:
            return None
        failures = snapshot.job_failures([job_id]).get(job_id, ()) if kept.failed else ()
    return replace(kept, failures=[each.failure for each in failures])


def listing(ports: Ports, listing: Listing, wanted: JobFilter) -> Page[Job]:
    """Jobs that somebody follows, each once, without their failures.

    Raises:
        Invalid: when the page key is that of another list.
    """
    last = resumed_at(listing)
    if last is not None and not (isinstance(last[1], int) and abs(last[1]) < _LATEST_MOMENT_US):
        raise Invalid("page belongs to another list", field="page")
    live = ports.jobs.live(listing, wanted)  # first: what moves on meanwhile is found on record
    with ports.metadata.read() as snapshot:
        kept = snapshot.listed_jobs(listing, wanted)
    found = {job.id: job for job in (*kept, *live)}
    return page_of(found.values(), lambda job: position(job.created, job.id), listing)


def outcome(ports: Ports, asked: Job, within_s: float) -> Job:
    """The job as it ended, or as it was asked for if it has not after that time."""
    if not within_s:
        return asked
    match ports.jobs.wait(asked.id, within_s):
        case None:
            return asked
        case True:
            return replace(asked, state=JobState.DONE, done=asked.total)
        case False:
            return ports.jobs.get(asked.id) or asked


def unfinished(job: Job, within_s: float) -> Unavailable:
    """What is wrong when a job has not ended in time; it still may, and asking again is safe."""
    return Unavailable(
        f"no worker finished within {within_s} s; the request may still succeed (job {job.id}), "
        "and repeating it is safe"
    )


def awaited(
    ports: Ports,
    job_id: JobId,
    within_s: float,
    enough: Callable[[Job], bool] = lambda job: job.ended,
) -> Job:
    """The job when it has ended or is `enough`, or as it is after that time.

    Raises:
        JobNotFound: when there is no such job.
    """
    deadline = ports.clock.now() + timedelta(seconds=within_s)
    after = ports.jobs.position()
    job = get(ports, job_id)
    while not (job.ended or enough(job)):
        left_s = (deadline - ports.clock.now()).total_seconds()
        if left_s <= 0:
            break
        changes = ports.jobs.changes(after, min(left_s, _LOOK_S))
        after = changes[-1].id if changes else after
        if not changes or any(change.job.id == job_id for change in changes):
            job = get(ports, job_id)
    return job


def cancel(ports: Ports, job_id: JobId, within_s: float) -> Job:
    """Have a job stop; the job when it did, or as it is after that time.

    Raises:
        JobNotFound: when there is no such job.
        Invalid: when it ended before, or cannot be cancelled.
    """
    job = get(ports, job_id)
    if job.kind is JobKind.DELETE_FLOW:
        raise Invalid(
            f"job {job_id} deletes flow {job.flow_id}, which is hidden already: it cannot be "
            "cancelled"
        )
    if not job.ended and not job.cancelling:
        ports.jobs.cancel(job_id, ports.clock.now())
        _wake(ports, job)
    job = awaited(ports, job_id, within_s)
    if job.ended and job.state is not JobState.CANCELLED:
        raise Invalid(f"job {job_id} has ended: it is {job.state.value}, not to be cancelled")
    return job


def archive(ports: Ports) -> None:
    """Take jobs that ended into the database, then let go of them in the broker."""
    ports.queue.begun(Work.ARCHIVE)
    while ended := _bounded(ports.jobs.ended(_AT_ONCE)):
        whole = [job for each in ended if (job := ports.jobs.get(each.id)) and job.ended]
        ports.metadata.transact(partial(_archived, whole))
        ports.jobs.forget(ended)


def tidy(ports: Ports) -> None:
    """Forget jobs that ended long ago, and end those that nothing was heard of for as long."""
    now = ports.clock.now()
    moment = now - timedelta(seconds=ports.limits.jobs_kept_s)

    def decide(snapshot: Snapshot) -> tuple[Changes, bool]:
        expired = _bounded(snapshot.jobs_ended_before(moment, _AT_ONCE))
        failures = snapshot.job_failures([job.id for job in expired if job.failed])
        removed: list[Record] = [*expired, *(each for found in failures.values() for each in found)]
        return Changes(remove=tuple(removed)), bool(expired)

    while ports.metadata.transact(decide):
        pass
    for job in ports.jobs.live(Listing(_AT_ONCE, reverse_order=True), JobFilter()):
        if job.updated < moment and not job.ended:
            fault = Fault(Unavailable.__name__, "nothing was heard of it for too long", now)
            ports.jobs.end(job.id, now, fault)


def sweep(ports: Ports) -> None:
    """Have jobs archived that wait for it."""
    if ports.jobs.ended(1):
        ports.queue.call(Work.ARCHIVE)


def _archived(jobs: Sequence[Job], snapshot: Snapshot) -> tuple[Changes, None]:
    """What takes `jobs` into the database, as far as they are not there."""
    known = snapshot.jobs([job.id for job in jobs])
    new = [job for job in jobs if job.id not in known]
    anew = [job for job in jobs if job.id in known and known[job.id].version != job.version]
    if not new and not anew:
        return Changes(), None
    replaced = snapshot.job_failures([job.id for job in anew])
    failures = [
        JobFailure(job.id, number, failure)
        for job in (*new, *anew)
        for number, failure in enumerate(job.failures)
    ]
    return Changes(
        add=(*new, *failures),
        replace=tuple(anew),
        remove=tuple(each for found in replaced.values() for each in found),
        claim=frozenset({"jobs/archive"}),  # or two workers might add the same job
    ), None


def _bounded(jobs: Sequence[Job]) -> list[Job]:
    """The first of `jobs`, as many as have not too many failures together."""
    failures = list(accumulate(job.failed for job in jobs))
    return [
        job
        for number, (job, total) in enumerate(zip(jobs, failures, strict=True))
        if not number or total <= _FAILURES_AT_ONCE
    ]


def _wake(ports: Ports, job: Job) -> None:
    """Have the worker of a job look at it; should that get lost, the sweep will."""
    with suppress(Unavailable):
        if job.kind is JobKind.COPY:
            ports.queue.call(Work.COPY)
        elif job.kind is JobKind.SCAN:
            ports.queue.call(Work.SCAN)
        elif job.flow_id is not None:
            ports.queue.ring(shard_of(job.flow_id, ports.limits.shards))
