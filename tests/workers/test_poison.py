"""An entry that brings its workers down is put aside; its neighbours are registered."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import ObjectId
from schemas.domain.job import JobState
from tasks import flushing
from tasks.ports import Ports
from tests.services.running import Running
from tests.workers.conftest import SHARDS, offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, job_of, shard_of, stored, submit

POISON = ObjectId("poison")


class Poisoned(Through):
    """A store that ends whoever asks for the poisoned object."""

    def __init__(self, inner: Any, error: BaseException) -> None:
        super().__init__(inner)
        self.error = error
        self.deaths = 0

    def transact(self, decide: Callable[[Any], Any]) -> Any:
        return self.inner.transact(lambda snapshot: decide(_Snapshot(snapshot, self)))


class _Snapshot(Through):
    def __init__(self, inner: Any, store: Poisoned) -> None:
        super().__init__(inner)
        self.store = store

    def objects(self, ids: Any, **more: Any) -> Any:
        if POISON in ids:
            self.store.deaths += 1
            raise self.store.error
        return self.inner.objects(ids, **more)


def flush_as_the_sweep_would(ports: Ports, shard: int, error: type[BaseException]) -> None:
    for _ in range(20):
        if shard not in ports.inbox.waiting():
            return
        try:
            flushing.flush(ports, shard)
        except error:
            continue
    raise AssertionError("the shard does not empty")


@pytest.fixture(params=[Crash(), RuntimeError("cannot be")], ids=["crash", "error"])
def poisoned(ports: Ports, request: pytest.FixtureRequest) -> Ports:
    return with_ports(ports, metadata=Poisoned(ports.metadata, request.param))


def test_the_culprit_is_put_aside_and_its_neighbours_are_registered(poisoned: Ports) -> None:
    flow_id = put_flow(poisoned)
    jobs = [
        submit(poisoned, flow_id, offer(flow_id, 0, 1)),
        submit(poisoned, flow_id, offer(flow_id, 1, 2, POISON)),
        submit(poisoned, flow_id, offer(flow_id, 2, 3)),
    ]
    error = type(poisoned.metadata.error)  # type: ignore[attr-defined]

    flush_as_the_sweep_would(poisoned, shard_of(flow_id), error)

    assert stored(poisoned, flow_id) == ["[0:0_1:0)", "[2:0_3:0)"]
    first, culprit, last = (job_of(poisoned, job) for job in jobs)
    assert (first.state, last.state) == (JobState.DONE, JobState.DONE)
    assert culprit.state is JobState.ERROR
    assert culprit.fault is not None
    assert [failure.type for failure in culprit.failures] == ["PutAside"]
    (letter,) = [each for each in poisoned.dead_offers.all() if each.job_id == jobs[1].id]
    assert letter.flow_id == flow_id
    assert "attempts to decide it did not end" in letter.reason
    assert ("cannot be" in letter.reason) == (error is RuntimeError)
    assert "poison" in letter.offers


def test_what_was_put_aside_is_replayed_or_discarded(ports: Ports) -> None:
    poisoned = with_ports(ports, metadata=Poisoned(ports.metadata, Crash()))
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, offer(flow_id, 0, 1, POISON))
    flush_as_the_sweep_would(poisoned, shard_of(flow_id), Crash)
    (letter,) = [each for each in ports.dead_offers.all() if each.job_id == job.id]

    assert ports.dead_offers.replay(letter.id) == shard_of(flow_id)
    flushing.flush(ports, shard_of(flow_id))

    assert stored(ports, flow_id) == ["[0:0_1:0)"]
    assert ports.dead_offers.replay(letter.id) is None
    assert not ports.dead_offers.discard(letter.id)


def test_an_entry_nobody_can_read_is_put_aside(services: Running, ports: Ports) -> None:
    flow_id = put_flow(ports)
    broker = redis.Redis.from_url(services.settings.redis_url)
    broker.xadd(f"tams:inbox:{shard_of(flow_id)}", {"flow": flow_id, "job": "j", "offers": "]["})
    submit(ports, flow_id, offer(flow_id, 0, 1))

    flush_as_the_sweep_would(ports, shard_of(flow_id), Exception)

    assert stored(ports, flow_id) == ["[0:0_1:0)"]
    (letter,) = [each for each in ports.dead_offers.all() if each.flow_id == flow_id]
    assert letter.offers == "]["
    assert ports.dead_offers.discard(letter.id)


def test_services_that_are_down_condemn_nothing(ports: Ports) -> None:
    flow_id = put_flow(ports)
    submit(ports, flow_id, offer(flow_id, 0, 1, POISON))
    down = with_ports(ports, metadata=Poisoned(ports.metadata, Unavailable("down")))

    for _ in range(10):
        with pytest.raises(Unavailable):
            flushing.flush(down, shard_of(flow_id))
    flushing.flush(ports, shard_of(flow_id))

    assert down.metadata.deaths == 10  # type: ignore[attr-defined]
    assert stored(ports, flow_id) == ["[0:0_1:0)"]
    assert ports.inbox.waiting() == []
    assert shard_of(flow_id) < SHARDS
