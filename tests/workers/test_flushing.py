"""One flush attends many shards, and stays for who comes next."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from time import monotonic
from typing import Any

import pytest
from celery import Celery

from infra.broker.connection import Broker
from infra.celery_queue import CeleryQueue
from schemas.domain.identifiers import FlowId
from schemas.domain.job import JobState
from schemas.domain.segment import Offer, Segment
from schemas.domain.timerange import TimeRange
from tasks import flushing, segments, storage
from tasks.ports import Ports
from tests.services.running import Running
from tests.workers.conftest import SHARDS, offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, job_of, shard_of, stored, submit
from tests.workers.test_poison import POISON, Poisoned


@pytest.fixture
def together(ports: Ports) -> Ports:
    """Ports with which one flush attends every shard."""
    return with_ports(ports, limits=replace(ports.limits, flushers=1))


def flow_in_each_shard(ports: Ports) -> list[FlowId]:
    flows: dict[int, FlowId] = {}
    while len(flows) < SHARDS:
        flow_id = put_flow(ports)
        flows.setdefault(shard_of(flow_id), flow_id)
    return [flows[shard] for shard in range(SHARDS)]


def test_what_waits_in_many_shards_is_one_transaction(together: Ports) -> None:
    flows = flow_in_each_shard(together)
    jobs = [submit(together, flow, offer(flow, 0, 1), offer(flow, 0, 2)) for flow in flows]
    commits: list[int] = []

    class Counting(Through):
        def transact(self, decide: Callable[[Any], Any]) -> Any:
            commits.append(1)
            return self.inner.transact(decide)

    flushing.flush(with_ports(together, metadata=Counting(together.metadata)), 0)

    assert len(commits) == 1
    assert [stored(together, flow) for flow in flows] == [["[0:0_1:0)"]] * SHARDS
    assert [job_of(together, job).failed for job in jobs] == [1] * SHARDS
    assert together.inbox.waiting() == []


@pytest.mark.parametrize("step", ["arrivals", "note", "answer"])
def test_a_crash_amid_many_shards_loses_and_doubles_nothing(together: Ports, step: str) -> None:
    flows = flow_in_each_shard(together)
    jobs = [submit(together, flow, offer(flow, 0, 1), offer(flow, 0, 2)) for flow in flows]

    def dies(*_: Any) -> None:
        raise Crash

    inbox = Through(together.inbox)
    setattr(inbox, step, dies)
    with pytest.raises(Crash):
        flushing.flush(with_ports(together, inbox=inbox), 0)
    flushing.flush(together, 1)

    assert [stored(together, flow) for flow in flows] == [["[0:0_1:0)"]] * SHARDS
    ended = [job_of(together, job) for job in jobs]
    assert [(job.state, job.done, job.failed) for job in ended] == [(JobState.DONE, 2, 1)] * SHARDS


def test_a_poisoned_entry_in_one_shard_does_not_condemn_the_others(together: Ports) -> None:
    flows = flow_in_each_shard(together)
    jobs = [submit(together, flow, offer(flow, 0, 1)) for flow in flows[1:]]
    culprit = submit(together, flows[0], offer(flows[0], 0, 1, POISON))
    poisoned = with_ports(together, metadata=Poisoned(together.metadata, Crash()))

    for _ in range(20):
        if not together.inbox.waiting():
            break
        try:
            flushing.flush(poisoned, together.inbox.waiting()[0])
        except Crash:
            continue

    assert job_of(together, culprit).state is JobState.ERROR
    assert [stored(together, flow) for flow in flows] == [[], *[["[0:0_1:0)"]] * (SHARDS - 1)]
    assert [job_of(together, job).failed for job in jobs] == [0] * (SHARDS - 1)
    for letter in together.dead_offers.all():
        together.dead_offers.discard(letter.id)


def test_a_shard_that_another_holds_is_left_to_it(together: Ports) -> None:
    flows = flow_in_each_shard(together)
    for flow in flows:
        submit(together, flow, offer(flow, 0, 1))

    with together.inbox.lease(2) as lease:
        assert lease is not None
        flushing.flush(together, 0)
        found = [stored(together, flow) for flow in flows]

    assert found == [["[0:0_1:0)"], ["[0:0_1:0)"], [], ["[0:0_1:0)"]]
    flushing.flush(together, 2)
    assert together.inbox.waiting() == []


def test_a_flush_stays_for_who_comes_next(together: Ports) -> None:
    staying = with_ports(together, limits=replace(together.limits, linger_s=30, flush_seconds=30))
    flows = flow_in_each_shard(together)
    with _in_background(staying) as end:
        jobs = [submit(together, flow, offer(flow, 0, 1)) for flow in flows]
        for job in jobs:
            assert together.jobs.wait(job.id, 20) is True
        late = submit(together, flows[3], offer(flows[3], 1, 2))
        assert together.jobs.wait(late.id, 20) is True
        end()

    assert stored(together, flows[3]) == ["[0:0_1:0)", "[1:0_2:0)"]


def test_a_flush_stays_while_somebody_keeps_coming(together: Ports) -> None:
    staying = with_ports(together, limits=replace(together.limits, linger_s=0.5, flush_seconds=30))
    flow, began, count = put_flow(together), monotonic(), 0
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(flushing.flush, staying, shard_of(flow))
        while monotonic() < began + 1.5:
            job = submit(together, flow, offer(flow, count, count + 1))
            assert together.jobs.wait(job.id, 20) is True
            count += 1
        assert not flush.done()
        flush.result(20)

    assert len(stored(together, flow)) == count


def test_a_flow_and_an_object_made_a_moment_ago_are_there(together: Ports) -> None:
    staying = with_ports(together, limits=replace(together.limits, linger_s=0.5, flush_seconds=30))
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(flushing.flush, staying, 0)
        for _ in range(10):
            flow = put_flow(together)
            (item,) = storage.allocate(
                together, flow, limit=1, object_ids=None, storage_id=None, content_type=None
            )
            asked = Offer(Segment(flow, item.object_id, TimeRange.parse("[0:0_1:0)")))
            job = segments.submit(together, flow, [asked], followed=False)
            assert together.jobs.wait(job.id, 20) is True
        flush.result(20)


def test_nobody_is_called_to_shards_that_are_attended(services: Running) -> None:
    sent: list[int] = []

    class Recording(Celery):
        def send_task(self, name: str, args: Any = None, **_: Any) -> None:  # type: ignore[override]
            assert name == "flush"
            sent.append(args[0])

    broker = Broker(services.settings.redis_url)
    queue = CeleryQueue(Recording(), broker, flush="flush", flushers=2)
    for shard in (0, 1):
        queue.answered(shard)

    queue.ring(0)
    queue.ring(2)
    queue.ring(1)
    assert sent == [0, 1]
    queue.answered(0)
    queue.attend(2)
    queue.ring(4)
    assert sent == [0, 1]
    queue.answered(2)
    queue.ring(4)

    assert sent == [0, 1, 4]
    for shard in (0, 1):
        queue.answered(shard)


def test_who_offers_to_a_shard_that_is_attended_does_not_ring(
    services: Running, ports: Ports
) -> None:
    broker = Broker(services.settings.redis_url)
    queue = CeleryQueue(Celery(), broker, flush="flush", flushers=SHARDS)
    flow_id = put_flow(ports)
    shard = shard_of(flow_id)

    queue.attend(shard)
    submit(ports, flow_id, offer(flow_id, 0, 1))
    in_vain = list(ports.queue.rung)  # type: ignore[attr-defined]
    queue.answered(shard)
    submit(ports, flow_id, offer(flow_id, 1, 2))

    assert in_vain == []
    assert ports.queue.rung == [shard]  # type: ignore[attr-defined]
    flushing.flush(ports, shard)
    assert stored(ports, flow_id) == ["[0:0_1:0)", "[1:0_2:0)"]


@contextmanager
def _in_background(ports: Ports) -> Iterator[Callable[[], None]]:
    """A flush that goes on until it is told to end."""
    inbox: Any = Through(ports.inbox)
    ended: list[bool] = []

    def arrivals(*arguments: Any) -> Any:
        if ended:
            raise KeyboardInterrupt
        return ports.inbox.arrivals(*arguments)

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            flushing.flush(with_ports(ports, inbox=inbox), 0)

    inbox.arrivals = arrivals
    thread = Thread(target=run)
    thread.start()
    try:
        yield lambda: ended.append(True)
    finally:
        ended.append(True)
        thread.join()
