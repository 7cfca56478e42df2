"""Deletions go on in steps that survive whatever happens between them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from infra.vast.session import OutcomeUnknown
from schemas.domain.deletion import Deletion, DeletionState
from schemas.domain.errors import BeingDeleted, FlowNotFound, SourceNotFound
from schemas.domain.identifiers import FlowId, JobId, ObjectId
from schemas.domain.job import JobState
from schemas.domain.query import ANY_TAGS, FlowQuery, Listing, SegmentQuery
from schemas.domain.timerange import ETERNITY, TimeRange
from tasks import deletion, flows, flushing, objects, sources, storage
from tasks.ports import Ports, Work
from tests.making import new_id, video
from tests.workers.conftest import SHARDS, offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, shard_of, stored, submit


@pytest.fixture
def ports(ports: Ports) -> Ports:
    """Ports with which a step deletes three segments."""
    return with_ports(ports, limits=replace(ports.limits, delete_rows=3, flush_seconds=0))


def registered(ports: Ports, flow_id: FlowId, *seconds: int) -> list[ObjectId]:
    """Segments of a second each; their objects."""
    offers = [offer(flow_id, second, second + 1) for second in seconds]
    submit(ports, flow_id, *offers)
    flushing.flush(ports, shard_of(flow_id))
    return [each.segment.object_id for each in offers]


def ask(ports: Ports, flow_id: FlowId, timerange: str) -> Deletion:
    return deletion.request_segments(ports, flow_id, TimeRange.parse(timerange), None, by="me")


def step(ports: Ports, flow_id: FlowId) -> None:
    flushing.flush(ports, shard_of(flow_id))


def finish(ports: Ports, asked: Deletion) -> Deletion:
    """Go on until it has ended, as the sweep would."""
    for _ in range(20):
        found = deletion.get(ports, asked.id)
        if found.ended:
            return found
        assert shard_of(asked.flow_id) in ports.inbox.waiting()
        step(ports, asked.flow_id)
    raise AssertionError(f"{asked} does not end")


def content(ports: Ports, flow_id: FlowId) -> tuple[str, int]:
    flow, hull, _ = flows.get(ports, flow_id, ETERNITY)
    return str(hull), flow.content.segments


def known_objects(ports: Ports, ids: list[ObjectId]) -> set[ObjectId]:
    with ports.metadata.read() as snapshot:
        return set(snapshot.objects(ids))


def test_a_deletion_tells_how_far_it_has_come_step_by_step(ports: Ports) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, *range(8))
    asked = ask(ports, flow_id, "[1:0_7:500000000)")

    step(ports, flow_id)
    halfway = deletion.get(ports, asked.id)
    done = finish(ports, asked)

    assert (halfway.state, str(halfway.remaining)) == (
        DeletionState.STARTED,
        "[4:0_7:500000000)",
    )
    assert (done.state, str(done.remaining), done.deleted) == (DeletionState.DONE, "()", 6)
    assert done.expiry is not None
    assert stored(ports, flow_id) == ["[0:0_1:0)", "[7:0_8:0)"]
    assert content(ports, flow_id) == ("[0:0_8:0)", 2)
    job = ports.jobs.get(JobId(asked.id))
    assert job is not None
    assert (job.kind, job.state, job.done) == ("segments.delete", JobState.DONE, 6)
    assert Work.COLLECT in ports.queue.called  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("timerange", "hull"),
    [
        ("[0:0_5:0)", "[7:0_9:0)"),
        ("[2:0_9:0)", "[0:0_2:0)"),
        ("[1:0_8:0)", "[0:0_9:0)"),
        ("_", "()"),
    ],
)
def test_the_timerange_of_a_flow_shrinks_to_what_is_left(
    ports: Ports, timerange: str, hull: str
) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, 0, 1, 2, 3, 4, 7, 8)

    finish(ports, ask(ports, flow_id, timerange))

    assert content(ports, flow_id)[0] == hull
    assert flows.get(ports, flow_id, ETERNITY)[0].content.timerange == TimeRange.parse(hull)


@pytest.mark.parametrize("committed", [False, True])
def test_a_crash_in_a_step_loses_nothing_and_deletes_nothing_twice(
    ports: Ports, committed: bool
) -> None:
    flow_id = put_flow(ports)
    known = registered(ports, flow_id, *range(5))
    asked = ask(ports, flow_id, "[0:0_4:0)")
    dying = with_ports(ports, metadata=_DiesAt(ports.metadata, 3, committed=committed))

    with pytest.raises(Crash):
        step(dying, flow_id)
    done = finish(ports, asked)

    assert done.deleted == 4
    assert stored(ports, flow_id) == ["[4:0_5:0)"]
    assert content(ports, flow_id) == ("[4:0_5:0)", 1)
    assert known_objects(ports, known) == {known[4]}


class _DiesAt(Through):
    """A store that crashes in its n-th use, before or after that is committed."""

    def __init__(self, inner: Any, last: int, *, committed: bool) -> None:
        super().__init__(inner)
        self.left = last
        self.committed = committed

    @contextmanager
    def read(self) -> Iterator[Any]:
        self.left -= 1
        with self.inner.read() as snapshot:
            yield snapshot

    def transact(self, decide: Callable[[Any], Any]) -> Any:
        self.left -= 1
        result = self.inner.transact(decide) if self.left or self.committed else None
        if self.left <= 1:
            raise Crash
        return result


def test_a_step_whose_commit_went_unanswered_is_counted_once(ports: Ports) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, 0, 1)
    asked = ask(ports, flow_id, "_")
    metadata: Any = ports.metadata
    inner = metadata._database

    class Loses:
        lost = 0

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with inner.transaction() as transaction:
                yield transaction
            if Loses.lost < 2:  # the first is that of a reader
                Loses.lost += 1
                if Loses.lost == 2:
                    raise OutcomeUnknown

    metadata._database = Loses()
    step(ports, flow_id)
    metadata._database = inner

    assert finish(ports, asked).deleted == 2
    assert content(ports, flow_id) == ("()", 0)


def test_a_flow_is_hidden_at_once_and_gone_in_the_end(ports: Ports) -> None:
    flow_id = put_flow(ports)
    source_id = flows.get(ports, flow_id, ETERNITY)[0].source_id
    known = registered(ports, flow_id, *range(4))

    asked = deletion.request_flow(ports, flow_id, by="me")

    with pytest.raises(FlowNotFound):
        flows.get(ports, flow_id, ETERNITY)
    with pytest.raises(SourceNotFound):
        sources.get(ports, source_id)
    with pytest.raises(FlowNotFound):
        submit(ports, flow_id, offer(flow_id, 10, 11))
    query = FlowQuery(Listing(100), equal={"source_id": source_id})
    assert flows.listing(ports, query)[0].items == []
    assert len(ports.timelines.page(flow_id, SegmentQuery(10)).items) == 0
    assert objects.get(ports, known[0], Listing(10), ANY_TAGS)[2].items == []
    assert len(stored(ports, flow_id)) == 4
    with pytest.raises(BeingDeleted):
        flows.put(ports, flow_id, video(flow_id), by="me")
    assert finish(ports, asked).state is DeletionState.DONE
    assert known_objects(ports, known) == set()
    assert flows.put(ports, flow_id, video(flow_id), by="me")[1]


def test_what_waits_for_a_flow_that_goes_is_refused(ports: Ports) -> None:
    flow_id = put_flow(ports)
    job = submit(ports, flow_id, offer(flow_id, 0, 1))

    asked = deletion.request_flow(ports, flow_id, by="me")
    finish(ports, asked)

    found = ports.jobs.get(job.id)
    assert found is not None
    assert [failure.type for failure in found.failures] == ["FlowNotFound"]
    assert stored(ports, flow_id) == []


def test_deleting_a_flow_twice_is_one_deletion(ports: Ports) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, 0)

    first = deletion.request_flow(ports, flow_id, by="me")
    second = deletion.request_flow(ports, flow_id, by="you")

    assert first.id == second.id


def test_a_flow_that_goes_leaves_the_collections_it_was_in(ports: Ports) -> None:
    member, other = put_flow(ports), put_flow(ports)
    collector = FlowId(new_id())
    document = video(collector, flow_collection=[{"id": member}, {"id": other, "role": "r"}])
    before, _ = flows.put(ports, collector, document, by="me")

    finish(ports, deletion.request_flow(ports, member, by="me"))

    after = flows.get(ports, collector, ETERNITY)[0]
    assert after.document["flow_collection"] == [{"id": other, "role": "r"}]
    assert after.metadata_version != before.metadata_version


def test_an_error_nobody_foresaw_ends_a_deletion_and_asking_again_goes_on(ports: Ports) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, 0, 1)
    asked = deletion.request_flow(ports, flow_id, by="me")
    broken = with_ports(ports, limits=replace(ports.limits, delete_rows="three"))

    step(broken, flow_id)
    failed = deletion.get(ports, asked.id)
    again = deletion.request_flow(ports, flow_id, by="me")

    assert failed.state is DeletionState.ERROR
    assert failed.fault is not None
    assert failed.fault.type == "TypeError"
    assert "three" not in failed.fault.summary
    assert again.id == asked.id
    assert finish(ports, again).state is DeletionState.DONE


def test_a_deletion_the_broker_forgot_is_taken_up_and_an_old_one_forgotten(ports: Ports) -> None:
    flow_id = put_flow(ports)
    registered(ports, flow_id, 0)
    asked = ask(ports, flow_id, "_")
    ports.inbox.unschedule(shard_of(flow_id), asked.id)

    deletion.tidy(ports)
    taken_up = ports.inbox.scheduled([shard_of(flow_id)])[shard_of(flow_id)]
    finish(ports, asked)
    kept = timedelta(seconds=ports.limits.deletions_kept_s + 1)
    later = with_ports(ports, clock=_Later(ports.clock, kept))
    deletion.tidy(later)

    assert asked.id in taken_up
    with ports.metadata.read() as snapshot:
        assert snapshot.deletions([asked.id]) == {}


class _Later(Through):
    """A clock that is ahead."""

    def __init__(self, inner: Any, ahead: timedelta) -> None:
        super().__init__(inner)
        self.ahead = ahead

    def now(self) -> Any:
        return self.inner.now() + self.ahead


def test_bytes_go_with_the_last_reference_and_not_before(ports: Ports) -> None:
    flow_id, other = put_flow(ports), put_flow(ports)
    (place,) = storage.allocate(
        ports, flow_id, limit=1, object_ids=None, storage_id=None, content_type=None
    )
    _upload(ports, place.object_id)
    for each in (flow_id, other):
        submit(ports, each, replace(offer(each, 0, 1, place.object_id), links=()))
        flushing.flush(ports, shard_of(each))

    finish(ports, deletion.request_flow(ports, flow_id, by="me"))
    objects.collect(ports)
    after_the_first = _bytes_of(ports, place.object_id)
    key = _key(ports, place.object_id)
    finish(ports, ask(ports, other, "_"))
    objects.collect(ports)

    assert after_the_first
    assert ports.media.head(_bucket(ports), key) is None
    with ports.metadata.read() as snapshot:
        assert snapshot.orphaned([key]) == set()


def test_objects_nobody_registers_expire(ports: Ports) -> None:
    flow_id = put_flow(ports)
    used, unused = storage.allocate(
        ports, flow_id, limit=2, object_ids=None, storage_id=None, content_type=None
    )
    for each in (used, unused):
        _upload(ports, each.object_id)
    keys = {each.object_id: _key(ports, each.object_id) for each in (used, unused)}
    submit(ports, flow_id, replace(offer(flow_id, 0, 1, used.object_id), links=()))
    flushing.flush(ports, shard_of(flow_id))

    promised = timedelta(seconds=ports.limits.object_timeout_s)
    in_grace, late = promised + timedelta(seconds=30), promised + timedelta(seconds=120)
    objects.expire(with_ports(ports, clock=_Later(ports.clock, in_grace)))
    early = known_objects(ports, [used.object_id, unused.object_id])
    objects.expire(with_ports(ports, clock=_Later(ports.clock, late)))
    objects.collect(ports)

    assert early == {used.object_id, unused.object_id}
    assert known_objects(ports, [used.object_id, unused.object_id]) == {used.object_id}
    assert ports.media.head(_bucket(ports), keys[unused.object_id]) is None
    assert ports.media.head(_bucket(ports), keys[used.object_id]) is not None


def test_a_name_used_again_gets_a_key_that_is_not_about_to_be_deleted(ports: Ports) -> None:
    flow_id, name = put_flow(ports), ObjectId(new_id())

    def allocate() -> str:
        storage.allocate(
            ports, flow_id, limit=1, object_ids=[name], storage_id=None, content_type=None
        )
        return _key(ports, name)

    first = allocate()
    _upload(ports, name)
    submit(ports, flow_id, replace(offer(flow_id, 0, 1, name), links=()))
    finish(ports, ask(ports, flow_id, "_"))
    second = allocate()
    _upload(ports, name)
    objects.collect(ports)

    assert second != first
    assert ports.media.head(_bucket(ports), first) is None
    assert ports.media.head(_bucket(ports), second) is not None


def test_two_deletions_in_one_shard_both_end(ports: Ports) -> None:
    first = put_flow(ports)
    second = put_flow(ports)
    while shard_of(second) != shard_of(first):
        second = put_flow(ports)
    for each in (first, second):
        registered(ports, each, *range(4))

    asked = [deletion.request_flow(ports, each, by="me") for each in (first, second)]

    assert [finish(ports, each).deleted for each in asked] == [4, 4]
    assert ports.inbox.scheduled([shard_of(first)]) == {}


def test_the_sweep_rings_for_shards_with_deletions(ports: Ports) -> None:
    flow_id = put_flow(ports)
    ask(ports, flow_id, "_")
    ports.queue.rung.clear()  # type: ignore[attr-defined]

    flushing.sweep(ports)

    assert shard_of(flow_id) in ports.queue.rung  # type: ignore[attr-defined]
    assert shard_of(flow_id) < SHARDS


def _bucket(ports: Ports) -> str:
    (backend,) = ports.media.backends.values()
    return backend.bucket


def _key(ports: Ports, object_id: ObjectId) -> str:
    with ports.metadata.read() as snapshot:
        key = snapshot.objects([object_id])[object_id].key
    assert key is not None
    return key


def _upload(ports: Ports, object_id: ObjectId) -> None:
    (backend,) = ports.media.backends
    url = ports.media.put_url(backend, _key(ports, object_id), "video/mp2t")
    assert httpx.put(url, content=b"media", headers={"content-type": "video/mp2t"}).is_success


def _bytes_of(ports: Ports, object_id: ObjectId) -> bool:
    return ports.media.head(_bucket(ports), _key(ports, object_id)) is not None
