"""Flushing a shard survives whatever happens between its steps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from celery import Celery

from api import create_app
from infra.bootstrap import build_ports
from infra.settings import Settings
from infra.vast.session import OutcomeUnknown
from schemas.domain.changes import Changes
from schemas.domain.errors import Conflict, Unavailable
from schemas.domain.identifiers import FlowId
from schemas.domain.job import Job, JobState
from schemas.domain.query import SegmentQuery
from tasks import flows, flushing, segments
from tasks.ports import Ports
from tests.making import external, video
from tests.services.running import Running
from tests.workers.conftest import SHARDS, offer, put_flow, with_ports


class Crash(BaseException):
    """The process dies here."""


class Through:
    """Another adapter, seen through; a test overrides what it wants to go wrong."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def submit(ports: Ports, flow_id: FlowId, *offers: Any) -> Job:
    return segments.submit(ports, flow_id, offers, followed=True)


def shard_of(flow_id: FlowId) -> int:
    return segments.shard_of(flow_id, SHARDS)


def job_of(ports: Ports, job: Job) -> Job:
    found = ports.jobs.get(job.id)
    assert found is not None
    return found


def stored(ports: Ports, flow_id: FlowId) -> list[str]:
    with ports.metadata.read() as snapshot:
        return [str(s.timerange) for s in snapshot.segments(flow_id, SegmentQuery(100))]


def test_a_flush_registers_what_waits_and_ends_its_jobs(ports: Ports) -> None:
    flow_id = put_flow(ports)
    first = submit(ports, flow_id, offer(flow_id, 0, 1), offer(flow_id, 1, 2))
    second = submit(ports, flow_id, offer(flow_id, 1, 3))
    assert ports.queue.rung == [shard_of(flow_id)] * 2  # type: ignore[attr-defined]

    flushing.flush(ports, shard_of(flow_id))

    assert stored(ports, flow_id) == ["[0:0_1:0)", "[1:0_2:0)"]
    assert (job_of(ports, first).state, job_of(ports, first).failed) == (JobState.DONE, 0)
    assert job_of(ports, second).failed == 1
    assert "overlaps [1:0_2:0)" in job_of(ports, second).failures[0].summary
    assert ports.inbox.waiting() == []


@pytest.mark.parametrize("step", ["arrivals", "note", "answer"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(ports: Ports, step: str) -> None:
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, offer(flow_id, 0, 2), offer(flow_id, 1, 3), offer(flow_id, 3, 4))

    def dies(*_: Any) -> None:
        raise Crash

    inbox = Through(ports.inbox)
    setattr(inbox, step, dies)
    with pytest.raises(Crash):
        flushing.flush(with_ports(ports, inbox=inbox), shard_of(flow_id))
    assert job_of(ports, job).state is JobState.CREATED

    flushing.flush(ports, shard_of(flow_id))

    assert stored(ports, flow_id) == ["[0:0_2:0)", "[3:0_4:0)"]
    ended = job_of(ports, job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, 3, 1)
    assert [failure.timerange for failure in ended.failures] == ["[1:0_3:0)"]


@pytest.mark.parametrize("error", [Conflict, OutcomeUnknown])
def test_a_transaction_that_failed_or_may_have_is_decided_anew(
    ports: Ports, error: type[Unavailable]
) -> None:
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, offer(flow_id, 0, 2), offer(flow_id, 1, 3))
    attempts = []

    class Failing(Through):
        """Fails once before the commit (a conflict), or once after it (outcome unknown)."""

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with self.inner.transaction() as transaction:
                yield transaction
                attempts.append(error)
                if error is Conflict and attempts.count(Conflict) == 2:
                    raise Conflict
            if error is OutcomeUnknown and attempts.count(OutcomeUnknown) == 2:
                raise OutcomeUnknown

    # The first transaction of a flush reads the cursor; the second is the one that writes.
    database = ports.metadata._database  # type: ignore[attr-defined]
    ports.metadata._database = Failing(database)  # type: ignore[attr-defined]
    flushing.flush(ports, shard_of(flow_id))

    assert len(attempts) >= 3
    assert stored(ports, flow_id) == ["[0:0_2:0)"]
    ended = job_of(ports, job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, 2, 1)


def test_a_flow_changed_meanwhile_is_not_overwritten(ports: Ports) -> None:
    flow_id = put_flow(ports)
    submit(ports, flow_id, offer(flow_id, 0, 2))
    document = {**video(flow_id), "label": "renamed meanwhile"}
    with ports.metadata.read() as snapshot:
        document["source_id"] = snapshot.flows([flow_id])[flow_id].source_id

    class Interrupted(Through):
        """Puts the flow after the flush has read it, and before it writes."""

        done = False

        def note(self, *arguments: Any) -> None:
            if not self.done:
                self.done = True
                flows.put(ports, flow_id, document, by="somebody")
            self.inner.note(*arguments)

    flushing.flush(with_ports(ports, inbox=Interrupted(ports.inbox)), shard_of(flow_id))

    with ports.metadata.read() as snapshot:
        flow = snapshot.flows([flow_id])[flow_id]
    assert flow.label == "renamed meanwhile"
    assert (str(flow.content.timerange), flow.content.segments) == ("[0:0_2:0)", 1)


def test_a_worker_that_lost_its_lease_writes_nothing(ports: Ports) -> None:
    flow_id = put_flow(ports)
    shard = shard_of(flow_id)
    submit(ports, flow_id, offer(flow_id, 0, 2))

    class Paused(Through):
        """Sleeps after reading, while another worker takes the shard over."""

        done = False

        def arrivals(self, *arguments: Any) -> Any:
            entries = self.inner.arrivals(*arguments)
            if not self.done:
                self.done = True
                broker = ports.inbox._broker.redis  # type: ignore[attr-defined]
                broker.delete(f"tams:lease:shard:{shard}")
                submit(ports, flow_id, offer(flow_id, 1, 3))
                flushing.flush(ports, shard)
            return entries

    flushing.flush(with_ports(ports, inbox=Paused(ports.inbox)), shard)

    assert stored(ports, flow_id) == ["[0:0_2:0)"]
    assert ports.inbox.waiting() == []


def test_who_finds_the_shard_taken_leaves_its_work_to_the_holder(ports: Ports) -> None:
    flow_id = put_flow(ports)
    shard = shard_of(flow_id)

    class Late(Through):
        """An offer arrives after the last look; its own flush finds the shard taken."""

        done = False

        def arrivals(self, *arguments: Any) -> Any:
            found = self.inner.arrivals(*arguments)
            if not self.done:
                self.done = True
                submit(ports, flow_id, offer(flow_id, 0, 2))
                flushing.flush(ports, shard)
                assert stored(ports, flow_id) == []
            return found

    flushing.flush(with_ports(ports, inbox=Late(ports.inbox)), shard)

    assert ports.queue.rung == [shard]  # type: ignore[attr-defined]
    flushing.flush(ports, shard)
    assert stored(ports, flow_id) == ["[0:0_2:0)"]


def test_new_offers_are_found_after_the_broker_lost_everything(
    ports: Ports, services: Running
) -> None:
    flow_id = put_flow(ports)
    submit(ports, flow_id, offer(flow_id, 0, 2))
    flushing.flush(ports, shard_of(flow_id))
    redis.Redis.from_url(services.facts["redis"]).flushall()

    job = submit(ports, flow_id, offer(flow_id, 2, 3))
    flushing.flush(ports, shard_of(flow_id))

    assert stored(ports, flow_id) == ["[0:0_2:0)", "[2:0_3:0)"]
    assert job_of(ports, job).state is JobState.DONE


def test_the_sweep_rings_for_a_doorbell_that_was_lost(ports: Ports) -> None:
    flow_id = put_flow(ports)
    submit(ports, flow_id, offer(flow_id, 0, 2))
    ports.queue.answered(shard_of(flow_id))  # the ring is forgotten, nothing was flushed

    flushing.sweep(ports)

    assert ports.queue.rung == [shard_of(flow_id)]  # type: ignore[attr-defined]


def test_a_flow_that_took_segments_is_not_asked_for_again(ports: Ports) -> None:
    flow_id = put_flow(ports)
    taken, refused = (
        segments.enqueue(ports, flow_id, [offer(flow_id, 0, end)], followed=False) for end in (1, 2)
    )
    flushing.flush(ports, shard_of(flow_id))

    segments.outcome(ports, refused, flow_id, 5)
    assert not ports.takers.knows(flow_id, ports.clock.now())
    segments.outcome(ports, taken, flow_id, 5)

    assert ports.takers.knows(flow_id, ports.clock.now())


def test_a_shard_with_too_much_waiting_takes_no_more(ports: Ports) -> None:
    flow_id = put_flow(ports)
    flushing.flush(ports, shard_of(flow_id))  # whatever an earlier test left there
    ports.inbox._high_water = 2  # type: ignore[attr-defined]
    submit(ports, flow_id, offer(flow_id, 0, 1))
    submit(ports, flow_id, offer(flow_id, 1, 2))

    with pytest.raises(Unavailable, match="waiting to be registered"):
        submit(ports, flow_id, offer(flow_id, 2, 3))

    flushing.flush(ports, shard_of(flow_id))
    assert stored(ports, flow_id) == ["[0:0_1:0)", "[1:0_2:0)"]


def test_with_too_much_waiting_a_post_is_503_before_anything_is_appended(
    services: Running, ports: Ports
) -> None:
    flow_id = put_flow(ports)
    flushing.flush(ports, shard_of(flow_id))  # whatever an earlier test left there
    settings = Settings.from_env({**services.environ, "TAMS_INBOX_HIGH_WATER": "2"})
    full = build_ports(settings, Celery(broker=settings.redis_url))
    client = create_app(with_ports(full, queue=ports.queue)).test_client()

    answers = [
        client.post(
            f"/flows/{flow_id}/segments",
            json=[external(start, start + 500), external(start + 500, start + 1_000)],
            headers={"Prefer": "respond-async"},
        )
        for start in (0, 1_000, 2_000)
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert int(answers[2].headers["Retry-After"]) > 0
    assert "2 requests waiting to be registered" in answers[2].json["summary"]
    assert len(ports.inbox.read(shard_of(flow_id), "0-0", 100)) == 2
    flushing.flush(ports, shard_of(flow_id))
    assert len(stored(ports, flow_id)) == 4


def test_ten_thousand_segments_of_one_request_are_registered(ports: Ports) -> None:
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, *(offer(flow_id, n, n + 1) for n in range(10_000)))

    flushing.flush(ports, shard_of(flow_id))

    ended = job_of(ports, job)
    assert (ended.state, ended.done, ended.failed) == (JobState.DONE, 10_000, 0)
    with ports.metadata.read() as snapshot:
        content = snapshot.flows([flow_id])[flow_id].content
    assert (str(content.timerange), content.segments) == ("[0:0_10000:0)", 10_000)


def test_a_claimed_name_is_given_to_one_of_two(ports: Ports) -> None:
    """Two transactions that both saw nothing under a name cannot both add it."""
    seen: list[int] = []
    store = ports.metadata

    def decide(found: int, then: Callable[[], object] | None) -> Any:
        def decision(_: Any) -> tuple[Changes, None]:
            seen.append(found)
            if then is not None and seen.count(found) == 1:
                then()
            return Changes(claim=frozenset({"flow/x"})), None

        return decision

    store.transact(decide(1, lambda: store.transact(decide(2, None))))

    assert seen == [1, 2, 1]
