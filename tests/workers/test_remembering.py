"""What processes remember of flows: never what was before a change that somebody was told of."""

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest

from infra.broker.connection import Broker
from infra.broker.marks import RedisMarks
from infra.vast.store import VastSnapshot
from schemas.domain.changes import Changes
from schemas.domain.errors import Unavailable
from schemas.domain.identifiers import FlowId, JobId, ObjectId, StorageId
from schemas.domain.media_object import Controlled, Copy
from schemas.domain.query import SegmentQuery
from schemas.domain.segment import Link
from schemas.domain.timerange import ETERNITY, TimeRange
from schemas.strips import page_json
from tasks import deletion, flows, flushing, listing, objects
from tasks.listing import RememberedTimelines
from tasks.ports import Marks, Ports
from tests.making import new_id, video
from tests.services.running import Running
from tests.workers.conftest import offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, job_of, shard_of, submit

MEMORY = 1 << 20


class Failing(Through):
    """Marks of which the next is not left, and `error` is raised."""

    def __init__(self, inner: Marks, error: BaseException) -> None:
        super().__init__(inner)
        self.error: BaseException | None = error

    def leave(self, spans: Any) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.inner.leave(spans)


@pytest.fixture
def processes(ports: Ports) -> list[RememberedTimelines]:
    """What two API processes remember."""
    return [remembering(ports), remembering(ports)]


def remembering(ports: Ports, most_bytes: int = MEMORY) -> RememberedTimelines:
    return RememberedTimelines(ports.metadata, ports.marks, most_bytes, time.monotonic)


def listed(timelines: RememberedTimelines, flow_id: FlowId, **query: Any) -> list[dict[str, Any]]:
    page = timelines.page(flow_id, SegmentQuery(**{"limit": 100, **query}))
    shown = page_json(page.items, orjson.dumps, with_object_timerange=False)
    return list(orjson.loads(shown))


def starts(timelines: RememberedTimelines, flow_id: FlowId, **query: Any) -> list[int]:
    """When the segments listed begin, in seconds."""
    found = listed(timelines, flow_id, **query)
    return [TimeRange.parse(item["timerange"]).start_ns // 10**9 for item in found]


def register(ports: Ports, flow_id: FlowId, *starts_s: int, object_id: str | None = None) -> None:
    submit(ports, flow_id, *(offer(flow_id, start, start + 1, object_id) for start in starts_s))
    flushing.flush(ports, shard_of(flow_id))


def delete(ports: Ports, flow_id: FlowId, timerange: str) -> None:
    span = TimeRange.parse(timerange)
    asked = deletion.request_segments(ports, flow_id, span, None, by="me")
    flushing.flush(ports, shard_of(flow_id))
    assert deletion.get(ports, asked.id).state.value == "done"


def failing_marks(ports: Ports, error: BaseException) -> Ports:
    """Ports of a process that cannot leave the next mark."""
    marks = Failing(ports.marks, error)
    metadata: Any = ports.metadata
    metadata._tell._marks = marks
    return with_ports(ports, marks=marks)


def test_what_is_registered_and_deleted_is_seen_at_once_by_all(
    ports: Ports, processes: list[RememberedTimelines]
) -> None:
    flow_id = put_flow(ports)

    def seen() -> list[list[int]]:
        found = [starts(process, flow_id) for process in processes]
        backwards = [starts(process, flow_id, reverse_order=True) for process in processes]
        assert backwards == [each[::-1] for each in found]
        return found

    assert seen() == [[], []]
    register(ports, flow_id, 0, 1, 5)
    assert seen() == [[0, 1, 5]] * 2
    register(ports, flow_id, 3)
    assert seen() == [[0, 1, 3, 5]] * 2
    delete(ports, flow_id, "[1:0_4:0)")
    assert seen() == [[0, 5]] * 2
    register(ports, flow_id, 2, 9)
    assert seen() == [[0, 2, 5, 9]] * 2
    assert starts(processes[0], flow_id, timerange=TimeRange.parse("[2:0_6:0)")) == [2, 5]


def test_a_flow_that_comes_or_goes_is_seen_at_once_by_all(
    ports: Ports, processes: list[RememberedTimelines]
) -> None:
    flow_id = FlowId(new_id())
    assert [starts(process, flow_id) for process in processes] == [[], []]

    flows.put(ports, flow_id, video(flow_id), by="test")
    register(ports, flow_id, 0)
    assert [starts(process, flow_id) for process in processes] == [[0], [0]]
    deletion.request_flow(ports, flow_id, by="test")
    assert [starts(process, flow_id) for process in processes] == [[], []]
    flushing.flush(ports, shard_of(flow_id))
    flows.put(ports, flow_id, video(flow_id), by="test")
    register(ports, flow_id, 7)
    assert [starts(process, flow_id) for process in processes] == [[7], [7]]


def test_urls_that_an_object_gains_or_loses_are_seen_with_every_flow_that_uses_it(
    ports: Ports, processes: list[RememberedTimelines]
) -> None:
    object_id, used = ObjectId(new_id()), [put_flow(ports), put_flow(ports)]
    for flow_id in used:
        register(ports, flow_id, 0, object_id=object_id)
    (backend,) = ports.media.backends

    def labels() -> list[list[str]]:
        found = [listed(process, flow_id) for process in processes for flow_id in used]
        return [
            sorted(url.get("label", "copy") for url in each[0]["get_urls"][0]) for each in found
        ]

    assert labels() == [["elsewhere"]] * 4
    objects.add_link(ports, object_id, Link("more", "http://more.example"))
    assert labels() == [["elsewhere", "more"]] * 4
    objects.remove_instance(ports, object_id, None, "elsewhere")
    assert labels() == [["more"]] * 4
    target = Controlled(StorageId(backend), "key")
    copy = Copy(object_id, target, JobId(new_id()), ports.clock.now())
    ports.metadata.transact(lambda _: (Changes(add=(copy,)), None))
    objects._settle(ports, copy, None)
    assert labels() == [["copy", "more"]] * 4
    late = replace(offer(used[0], 0, 1, object_id), links=(Link("late", "http://late.example"),))
    submit(ports, used[0], late)
    flushing.flush(ports, shard_of(used[0]))
    assert labels() == [["copy", "late", "more"]] * 4


def test_a_change_that_cannot_be_told_of_is_not_done_until_it_is(
    ports: Ports, processes: list[RememberedTimelines]
) -> None:
    flow_id = FlowId(new_id())
    assert starts(processes[0], flow_id) == []

    mute = failing_marks(ports, Unavailable("the broker is away"))
    with pytest.raises(Unavailable):
        flows.put(mute, flow_id, video(flow_id), by="test")
    flows.put(mute, flow_id, video(flow_id), by="test")
    register(ports, flow_id, 0)

    assert starts(processes[0], flow_id) == [0]


@pytest.mark.parametrize("error", [Unavailable("the broker is away"), Crash()])
def test_a_registration_whose_mark_got_lost_is_answered_when_it_is_left(
    ports: Ports, processes: list[RememberedTimelines], error: BaseException
) -> None:
    flow_id = put_flow(ports)
    assert starts(processes[0], flow_id) == []
    job = submit(ports, flow_id, offer(flow_id, 0, 1))

    with suppress(Unavailable, Crash):
        flushing.flush(failing_marks(ports, error), shard_of(flow_id))
    assert not job_of(ports, job).ended
    flushing.flush(ports, shard_of(flow_id))

    assert job_of(ports, job).ended
    assert starts(processes[0], flow_id) == [0]


@pytest.mark.parametrize("error", [Unavailable("the broker is away"), Crash()])
def test_a_deletion_whose_mark_got_lost_is_done_when_it_is_left(
    ports: Ports, processes: list[RememberedTimelines], error: BaseException
) -> None:
    flow_id = put_flow(ports)
    register(ports, flow_id, 0, 1, 2)
    assert starts(processes[0], flow_id) == [0, 1, 2]
    span = TimeRange.parse("[1:0_3:0)")
    asked = deletion.request_segments(ports, flow_id, span, None, by="me")

    with suppress(Unavailable, Crash):
        flushing.flush(failing_marks(ports, error), shard_of(flow_id))
    assert not deletion.get(ports, asked.id).ended
    flushing.flush(ports, shard_of(flow_id))

    assert deletion.get(ports, asked.id).ended
    assert starts(processes[0], flow_id) == [0]


def test_without_a_broker_and_without_memory_the_database_is_asked(ports: Ports) -> None:
    flow_id = put_flow(ports)
    away = RedisMarks("redis://127.0.0.1:1")
    deaf = RememberedTimelines(ports.metadata, away, MEMORY, time.monotonic)

    for process in (deaf, remembering(ports, most_bytes=0)):
        register(ports, flow_id, 0)
        assert starts(process, flow_id) == [0]
        delete(ports, flow_id, "_")
        assert starts(process, flow_id) == []


def test_memory_is_bounded_and_what_was_used_last_stays(ports: Ports) -> None:
    used = [put_flow(ports) for _ in range(6)]
    for flow_id in used:
        register(ports, flow_id, *range(40))
    few = remembering(ports, most_bytes=60_000)

    for flow_id in [*used, used[-1], used[0]]:
        assert starts(few, flow_id) == [*range(40)]
        assert few._bytes == sum(known.size for known in few._flows.values()) <= 60_000
    assert set(few._flows) < set(used)
    assert {used[-1], used[0]} <= set(few._flows)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many segments the database is asked for, each time it is."""
    asked: list[int] = []
    read = VastSnapshot.strip

    def counted(snapshot: VastSnapshot, flow_id: FlowId, query: SegmentQuery) -> Any:
        asked.append(query.limit)
        return read(snapshot, flow_id, query)

    monkeypatch.setattr(VastSnapshot, "strip", counted)
    return asked


def test_the_more_is_known_of_a_flow_the_more_is_read_at_once(
    ports: Ports, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_id = put_flow(ports)
    register(ports, flow_id, *range(200))
    monkeypatch.setattr(listing, "_AHEAD", 5)
    monkeypatch.setattr(listing, "_SHARE", 2)
    monkeypatch.setattr(listing, "_FURTHEST", 50)
    process = remembering(ports)

    found: list[int] = []
    while len(found) < 200:
        found += starts(process, flow_id, limit=5, after=2 * 10**9 * len(found))

    assert found == [*range(200)]
    assert asked[:2] == [5, 5]
    assert asked == sorted(asked)
    assert max(asked) == 50


def test_pages_of_a_large_flow_are_read_ahead_of_who_goes_on(
    ports: Ports, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_id = put_flow(ports)
    register(ports, flow_id, *range(120))
    monkeypatch.setattr(listing, "_AHEAD", 40)
    small = remembering(ports, most_bytes=40_000)  # holds the flow, but not twice

    for first in (0, 10, 20):
        found = starts(small, flow_id, limit=10, after=2 * 10**9 * first)
        assert found == [*range(first, first + 10)]
    assert asked == [10, 40]


def test_marks_are_only_left_with_flows_that_somebody_remembers(services: Running) -> None:
    marks = RedisMarks(services.settings.redis_url)
    seen, unseen = FlowId(new_id()), FlowId(new_id())

    first = marks.newest(seen)
    marks.leave({seen: TimeRange(-5, 7), unseen: ETERNITY})

    assert marks.all(unseen) == []
    newest, before = marks.all(seen)
    assert (newest.span, before) == (TimeRange(-5, 7), first)
    assert marks.newest(seen) == newest


def test_only_some_marks_are_kept_and_not_for_ever(services: Running) -> None:
    broker = Broker(services.settings.redis_url)
    marks, flow_id = RedisMarks(services.settings.redis_url), FlowId(new_id())
    first = marks.newest(flow_id)

    for n in range(100):
        marks.leave({flow_id: TimeRange(n, n + 1)})

    kept = marks.all(flow_id)
    assert [mark.span.start for mark in kept] == [*range(99, 35, -1)]
    assert first not in kept
    assert len({mark.token for mark in kept}) == 64
    assert 0 < broker.redis.ttl(f"tams:marks:{flow_id}") <= 600
