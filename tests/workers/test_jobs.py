"""Jobs are kept whatever happens: archived once, cancelled between steps, told of in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.domain.changes import Changes
from schemas.domain.deletion import DeletionState
from schemas.domain.errors import Invalid, JobNotFound
from schemas.domain.identifiers import JobId, ObjectId
from schemas.domain.job import Fault, Job, JobFilter, JobKind, JobState
from schemas.domain.media_object import Controlled, Copy
from schemas.domain.query import Listing, encoded
from schemas.domain.timerange import ETERNITY
from schemas.tables.definitions import FAILURES, JOBS
from tasks import deletion, flushing, jobs, news, objects, segments
from tasks.ports import JobChange, Ports, Work
from tests.making import new_id
from tests.workers.conftest import offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, shard_of, stored, submit
from tests.workers.test_unknown_outcome import LosesAnAnswer


@pytest.fixture
def ports(ports: Ports) -> Ports:
    """Ports of a broker in which no job is left by another test."""
    client = ports.jobs._broker.redis  # type: ignore[attr-defined]
    client.delete("tams:jobs", "tams:jobs:ended", "tams:jobs:changes")
    return ports


def make(ports: Ports, **more: Any) -> Job:
    """A job of its own, as an operation would create it."""
    now = ports.clock.now()
    fields = {"kind": JobKind.DELETE_SEGMENTS, "state": JobState.CREATED, "created": now}
    fields |= {"updated": now, "total": 3, "flow_id": new_id(), **more}
    job = Job(JobId(new_id()), **fields)
    ports.jobs.create(job)
    return job


def end(ports: Ports, job: Job, fault: Fault | None = None) -> Job:
    ports.jobs.end(job.id, ports.clock.now(), fault)
    return jobs.get(ports, job.id)


def listed(ports: Ports, *, limit: int = 100, page: str | None = None, **wanted: Any) -> list[str]:
    """The ids of every job wanted, page by page."""
    found = jobs.listing(ports, Listing(limit, page), JobFilter(**wanted))
    assert len(found.items) <= limit
    ids = [job.id for job in found.items]
    if found.next_key is None:
        return ids
    return ids + listed(ports, limit=limit, page=found.next_key, **wanted)


def on_record(ports: Ports, job: Job) -> tuple[int, int]:
    """How many rows of a job and of its failures there are."""
    with ports.metadata._database.transaction() as transaction:  # type: ignore[attr-defined]
        kept = transaction.table(JOBS).select(["id"], equal={"id": job.id}).num_rows
        failures = transaction.table(FAILURES).select(["job_id"], equal={"job_id": job.id}).num_rows
    return kept, failures


def forgotten_by_the_broker(ports: Ports, job: Job) -> None:
    """As it is when the time is over that ended jobs stay there."""
    client = ports.jobs._broker.redis  # type: ignore[attr-defined]
    assert 0 < client.ttl(f"tams:job:{job.id}") <= 300
    client.delete(f"tams:job:{job.id}", f"tams:job:{job.id}:failures")


# --- archive ---------------------------------------------------------------------------


def test_an_archived_job_is_what_it_was_with_its_failures_in_order(ports: Ports) -> None:
    flow_id = put_flow(ports)
    offers = [offer(flow_id, 0, 10), *(offer(flow_id, n, n + 1) for n in range(9))]
    job = submit(ports, flow_id, *offers)
    flushing.flush(ports, shard_of(flow_id))
    before = jobs.get(ports, job.id)

    jobs.archive(ports)
    forgotten_by_the_broker(ports, job)
    after = jobs.get(ports, job.id)

    assert (before.failed, len(before.failures)) == (9, 9)
    assert replace(after, failures=list(after.failures)) == before
    assert on_record(ports, job) == (1, 9)
    assert ports.jobs.ended(10) == []


def test_a_job_that_goes_on_is_not_archived(ports: Ports) -> None:
    job = make(ports)
    ports.jobs.advance(job.id, 1, ports.clock.now())

    jobs.archive(ports)

    assert on_record(ports, job) == (0, 0)
    assert listed(ports, flow_id=job.flow_id) == [job.id]


def test_a_job_nobody_follows_is_neither_archived_nor_listed(ports: Ports) -> None:
    flow_id = put_flow(ports)
    job = segments.submit(ports, flow_id, [offer(flow_id, 0, 1)], followed=False)
    flushing.flush(ports, shard_of(flow_id))

    jobs.archive(ports)

    assert jobs.get(ports, job.id).state is JobState.DONE
    assert on_record(ports, job) == (0, 0)
    assert listed(ports, flow_id=flow_id) == []


@pytest.mark.parametrize("step", ["transact", "forget"])
def test_a_crash_while_archiving_loses_and_doubles_no_job(ports: Ports, step: str) -> None:
    ended = [end(ports, make(ports)) for _ in range(3)]

    def dies(*_: Any) -> None:
        raise Crash

    port = {"transact": "metadata", "forget": "jobs"}[step]
    dying = Through(getattr(ports, port))
    setattr(dying, step, dies)
    with pytest.raises(Crash):
        jobs.archive(with_ports(ports, **{port: dying}))
    between = [listed(ports, flow_id=job.flow_id) for job in ended]
    jobs.archive(ports)

    assert between == [[job.id] for job in ended]
    assert [on_record(ports, job) for job in ended] == [(1, 0)] * 3
    assert [listed(ports, flow_id=job.flow_id) for job in ended] == between
    assert ports.jobs.ended(10) == []


def test_a_commit_whose_outcome_is_unknown_archives_a_job_once(ports: Ports) -> None:
    job = end(ports, make(ports))
    metadata: Any = ports.metadata
    metadata._database = LosesAnAnswer(metadata._database)

    jobs.archive(ports)

    assert metadata._database.lost == 1
    assert on_record(ports, job) == (1, 0)


def test_two_workers_that_archive_at_once_archive_a_job_once(ports: Ports) -> None:
    job = end(ports, make(ports))

    class Overtaken(Through):
        """Another worker archives after this one has read, and before it writes."""

        done = False

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with self.inner.transaction() as transaction:
                if not self.done:
                    self.done = True
                    transaction.table(JOBS).select(["id"])
                    jobs.archive(others)
                yield transaction

    metadata: Any = ports.metadata
    others = with_ports(ports, metadata=copy(metadata))
    metadata._database = Overtaken(metadata._database)
    jobs.archive(ports)

    assert on_record(ports, job) == (1, 0)


def test_a_job_taken_up_anew_replaces_what_is_on_record_of_it(ports: Ports) -> None:
    fault = Fault("Unavailable", "the disk is full", ports.clock.now())
    failed = end(ports, make(ports), fault)
    jobs.archive(ports)

    again = replace(failed, state=JobState.CREATED, version=failed.version + 1, fault=None)
    ports.jobs.create(again)
    while_it_goes_on = jobs.get(ports, failed.id).state
    done = end(ports, again)
    jobs.archive(ports)
    forgotten_by_the_broker(ports, done)

    assert while_it_goes_on is JobState.CREATED
    assert jobs.get(ports, failed.id) == done
    assert (done.state, done.fault, on_record(ports, done)) == (JobState.DONE, None, (1, 0))


def test_a_job_taken_up_anew_while_it_is_archived_is_not_forgotten(ports: Ports) -> None:
    failed = end(ports, make(ports), Fault("Invalid", "no", ports.clock.now()))

    ports.jobs.create(replace(failed, state=JobState.CREATED, version=9, fault=None))
    ports.jobs.forget([failed])

    assert listed(ports, flow_id=failed.flow_id) == [failed.id]
    assert ports.jobs.get(failed.id).version == 9  # type: ignore[union-attr]


def test_the_sweep_calls_for_the_archive_when_something_ended(ports: Ports) -> None:
    jobs.sweep(ports)
    before = list(ports.queue.called)  # type: ignore[attr-defined]
    end(ports, make(ports))
    jobs.sweep(ports)

    assert (before, ports.queue.called) == ([], [Work.ARCHIVE])  # type: ignore[attr-defined]


def test_jobs_expire_after_the_time_they_are_kept(ports: Ports) -> None:
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, offer(flow_id, 0, 2), offer(flow_id, 1, 3))
    flushing.flush(ports, shard_of(flow_id))
    waiting = make(ports)
    jobs.archive(ports)
    forgotten_by_the_broker(ports, job)

    class Later:
        def now(self) -> Any:
            return ports.clock.now() + timedelta(seconds=ports.limits.jobs_kept_s)

    jobs.tidy(ports)
    kept = on_record(ports, job)
    jobs.tidy(with_ports(ports, clock=Later()))

    assert (kept, on_record(ports, job)) == ((1, 1), (0, 0))
    with pytest.raises(JobNotFound):
        jobs.get(ports, job.id)
    abandoned = jobs.get(ports, waiting.id)
    assert abandoned.state is JobState.ERROR
    assert abandoned.fault is not None


# --- lists -----------------------------------------------------------------------------


def test_live_and_archived_jobs_are_listed_together_latest_first_and_each_once(
    ports: Ports,
) -> None:
    flow_id = new_id()
    made = [make(ports, flow_id=flow_id) for _ in range(9)]
    for job in made[::2]:
        end(ports, job)
    jobs.archive(ports)
    ended_later = end(ports, made[1])  # in the broker, and not on record yet

    for limit in (1, 2, 4, 100):
        assert listed(ports, limit=limit, flow_id=flow_id) == [job.id for job in made[::-1]]
    done = listed(ports, flow_id=flow_id, state=JobState.DONE)
    assert done == [made[n].id for n in (8, 6, 4, 2, 1, 0)]
    assert ended_later.id in done
    assert listed(ports, flow_id=flow_id, kind=JobKind.COPY) == []
    oldest = jobs.listing(ports, Listing(3, reverse_order=True), JobFilter(flow_id=flow_id))
    rest = jobs.listing(
        ports, Listing(100, oldest.next_key, reverse_order=True), JobFilter(flow_id=flow_id)
    )
    assert [job.id for job in (*oldest.items, *rest.items)] == [job.id for job in made]


def test_jobs_archived_between_pages_are_neither_missing_nor_repeated(ports: Ports) -> None:
    flow_id = new_id()
    made = [make(ports, flow_id=flow_id) for _ in range(6)]

    first = jobs.listing(ports, Listing(2), JobFilter(flow_id=flow_id))
    for job in made:
        end(ports, job)
    jobs.archive(ports)
    make(ports, flow_id=flow_id)
    rest = listed(ports, limit=2, page=first.next_key, flow_id=flow_id)

    assert [job.id for job in first.items] + rest == [job.id for job in made[::-1]]


def test_jobs_of_the_same_moment_are_all_listed(ports: Ports) -> None:
    flow_id, now = new_id(), ports.clock.now()
    made = [make(ports, flow_id=flow_id, created=now) for _ in range(7)]
    for job in made[:4]:
        end(ports, job)
    jobs.archive(ports)

    assert listed(ports, limit=2, flow_id=flow_id) == sorted(job.id for job in made)


@pytest.mark.parametrize("place", [[0, "label", "x"], [0, 1 << 60, "x"], [1, "", "x"]])
def test_a_page_key_of_another_list_is_refused(ports: Ports, place: list[Any]) -> None:
    with pytest.raises(Invalid, match="another list"):
        jobs.listing(ports, Listing(2, encoded(place)), JobFilter())


# --- cancel ----------------------------------------------------------------------------


def test_offers_that_are_not_decided_yet_are_refused_when_their_job_is_cancelled(
    ports: Ports,
) -> None:
    flow_id = put_flow(ports)
    offers = [offer(flow_id, n, n + 1) for n in range(600)]  # two entries of the inbox
    job = submit(ports, flow_id, *offers)
    other = submit(ports, flow_id, offer(flow_id, 1_000, 1_001))

    class CancelledMeanwhile(Through):
        """The job is cancelled after its first entry was decided."""

        def answer(self, outcome: Any, now: Any) -> int:
            left: int = self.inner.answer(outcome, now)
            (decided,) = outcome.values()
            if decided[-1].entry.job_id == job.id and not decided[-1].entry.last:
                assert jobs.cancel(ports, job.id, 0).cancelling
            return left

    few = replace(ports.limits, flush_rows=100)
    flushing.flush(
        with_ports(ports, inbox=CancelledMeanwhile(ports.inbox), limits=few), shard_of(flow_id)
    )
    ended = jobs.get(ports, job.id)

    assert (ended.state, ended.done, ended.failed) == (JobState.CANCELLED, 600, 100)
    assert {failure.type for failure in ended.failures} == {"Cancelled"}
    assert [failure.object_id for failure in ended.failures] == [
        each.segment.object_id for each in offers[500:]
    ]
    assert jobs.get(ports, other.id).failed == 0
    assert jobs.cancel(ports, job.id, 0) == ended


def test_a_cancelled_deletion_stops_between_steps_and_what_is_left_stays(ports: Ports) -> None:
    ports = with_ports(ports, limits=replace(ports.limits, delete_rows=3, flush_seconds=0))
    flow_id = put_flow(ports)
    submit(ports, flow_id, *(offer(flow_id, n, n + 1) for n in range(8)))
    flushing.flush(ports, shard_of(flow_id))
    asked = deletion.request_segments(ports, flow_id, ETERNITY, None, by="me")
    flushing.flush(ports, shard_of(flow_id))

    jobs.cancel(ports, JobId(asked.id), 0)
    flushing.flush(ports, shard_of(flow_id))

    request, job = deletion.get(ports, asked.id), jobs.get(ports, JobId(asked.id))
    assert (request.state, request.deleted) == (DeletionState.ERROR, 3)
    assert request.fault is not None
    assert request.fault.type == "Cancelled"
    assert request.expiry is not None
    assert (job.state, job.done) == (JobState.CANCELLED, 3)
    assert len(stored(ports, flow_id)) == 5
    assert ports.inbox.waiting() == []


def test_the_deletion_of_a_flow_cannot_be_cancelled(ports: Ports) -> None:
    flow_id = put_flow(ports)
    asked = deletion.request_flow(ports, flow_id, by="me")

    with pytest.raises(Invalid, match="hidden already"):
        jobs.cancel(ports, JobId(asked.id), 0)

    flushing.flush(ports, shard_of(flow_id))
    assert jobs.get(ports, JobId(asked.id)).state is JobState.DONE


def test_a_copy_that_was_not_begun_is_not_made_once_it_is_cancelled(ports: Ports) -> None:
    job = make(ports, flow_id=None, kind=JobKind.COPY)
    (storage_id,) = ports.media.backends
    target = Controlled(storage_id, f"copies/{job.id}")
    copy = Copy(ObjectId(new_id()), target, job.id, ports.clock.now())
    ports.metadata.transact(lambda _: (Changes(add=(copy,)), None))

    jobs.cancel(ports, job.id, 0)
    assert ports.queue.called == [Work.COPY]  # type: ignore[attr-defined]
    objects.make_copies(ports)

    ended = jobs.get(ports, job.id)
    assert (ended.state, ended.done) == (JobState.CANCELLED, 0)
    with ports.metadata.read() as snapshot:
        assert snapshot.copies(object_id=copy.object_id) == []


def test_a_job_that_has_ended_is_not_cancelled(ports: Ports) -> None:
    job = end(ports, make(ports))

    with pytest.raises(Invalid, match="has ended: it is done"):
        jobs.cancel(ports, job.id, 0)

    assert jobs.get(ports, job.id) == job


def test_an_end_is_for_ever(ports: Ports) -> None:
    job = end(ports, make(ports))

    ports.jobs.advance(job.id, 7, ports.clock.now())
    ports.jobs.cancel(job.id, ports.clock.now())
    ports.jobs.end(job.id, ports.clock.now(), Fault("Invalid", "no", ports.clock.now()))

    assert jobs.get(ports, job.id) == job


# --- news ------------------------------------------------------------------------------


def told(news_of: Iterator[news.News], count: int) -> list[news.News]:
    """The next things a follower is told, comments left out."""
    found: list[news.News] = []
    while len(found) < count:
        each = next(news_of)
        found += [] if each is None else [each]
    return found


def states(changes: list[news.News]) -> list[tuple[str, int]]:
    assert all(isinstance(each, JobChange) for each in changes)
    return [(each.job.state.value, each.job.done) for each in changes]  # type: ignore[union-attr]


def test_a_follower_is_told_every_change_of_a_job_until_it_ended(ports: Ports) -> None:
    job, other = make(ports), make(ports)
    heard = news.follow_one(ports, job.id, None, 0.01)

    first = told(heard, 1)
    for done in (1, 2):
        ports.jobs.advance(other.id, done, ports.clock.now())
        ports.jobs.advance(job.id, done, ports.clock.now())
    end(ports, job)
    rest = [each for each in heard if each is not None]

    assert states(first) == [("created", 0)]
    assert states(rest) == [("started", 1), ("started", 2), ("done", 2)]


def test_a_follower_that_comes_again_is_told_what_it_missed_and_nothing_twice(
    ports: Ports,
) -> None:
    job = make(ports)
    (first,) = told(news.follow_one(ports, job.id, None, 0.01), 1)
    assert isinstance(first, JobChange)
    ports.jobs.advance(job.id, 1, ports.clock.now())
    end(ports, job)

    missed = list(news.follow_one(ports, job.id, first.id, 0.01))
    assert isinstance(missed[-1], JobChange)
    nothing = list(news.follow_one(ports, job.id, missed[-1].id, 0.01))

    assert states(missed) == [("started", 1), ("done", 1)]
    assert nothing == []


def test_a_follower_is_told_when_changes_were_forgotten_and_what_is_true_now(
    ports: Ports,
) -> None:
    job = make(ports)
    (first,) = told(news.follow_one(ports, job.id, None, 0.01), 1)
    assert isinstance(first, JobChange)
    ports.jobs.advance(job.id, 1, ports.clock.now())
    client = ports.jobs._broker.redis  # type: ignore[attr-defined]
    client.xtrim("tams:jobs:changes", maxlen=1, approximate=False)

    of_one = told(news.follow_one(ports, job.id, first.id, 0.01), 2)
    of_all = told(news.follow(ports, JobFilter(flow_id=job.flow_id), first.id, 0.01), 2)

    for reset, now in (of_one, of_all):
        assert isinstance(reset, news.Reset)
        assert states([now]) == [("started", 1)]


def test_an_id_of_a_broker_that_lost_everything_is_told_to_be_forgotten(ports: Ports) -> None:
    job = make(ports)

    reset, now = told(news.follow_one(ports, job.id, "99999999999999-0", 0.01), 2)

    assert isinstance(reset, news.Reset)
    assert states([now]) == [("created", 0)]


def test_a_follower_of_many_jobs_is_told_of_those_it_wants(ports: Ports) -> None:
    wanted = make(ports)
    heard = news.follow(ports, JobFilter(flow_id=wanted.flow_id), None, 0.01)
    assert next(heard) is None

    end(ports, make(ports))
    end(ports, wanted)
    end(ports, make(ports))

    assert states(told(heard, 1)) == [("done", 0)]
    assert next(heard) is None


def test_a_job_that_is_not_announced_is_followed_to_its_end(ports: Ports) -> None:
    job = make(ports, followed=False)
    heard = news.follow_one(ports, job.id, None, 0.01)
    first = told(heard, 1)

    end(ports, job)

    assert states([*first, *(each for each in heard if each)]) == [("created", 0), ("done", 0)]


def test_who_waits_for_a_job_has_it_when_it_changes_or_when_it_ended(ports: Ports) -> None:
    job = make(ports)

    changed = jobs.awaited(ports, job.id, 0, lambda seen: seen.version != job.version)
    ports.jobs.advance(job.id, 1, ports.clock.now())
    at_once = jobs.awaited(ports, job.id, 60, lambda seen: seen.version != job.version)
    end(ports, job)

    assert (changed.version, at_once.version) == (1, 2)
    assert jobs.awaited(ports, job.id, 60).state is JobState.DONE
