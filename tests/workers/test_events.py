"""An event is there exactly when its change was committed, and reaches the log once, in order."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from infra.broker import log_bell
from infra.broker.connection import Broker
from infra.vast.session import OutcomeUnknown
from schemas.domain import event
from schemas.domain.changes import Changes
from schemas.domain.collections import Collectors
from schemas.domain.deletion import Deletion
from schemas.domain.errors import Conflict, Invalid, ReadOnly, Unavailable
from schemas.domain.event import Added, Event, EventFilter, EventType
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ObjectId, SourceId
from schemas.domain.segment import Offer
from schemas.domain.source import Source
from schemas.domain.timerange import ETERNITY, TimeRange
from schemas.tables.details import subject_of
from tasks import deletion, events, flows, flushing, segments, sources, storage
from tasks.ports import Ports, Work
from tests.making import new_id, video
from tests.services.running import Running
from tests.workers.conftest import offer, put_flow, with_ports
from tests.workers.test_flush import Crash, Through, shard_of, submit

CREATED, UPDATED = EventType.FLOW_CREATED, EventType.FLOW_UPDATED
ADDED, REMOVED = EventType.SEGMENTS_ADDED, EventType.SEGMENTS_DELETED


@pytest.fixture
def ports(ports: Ports) -> Ports:
    """Ports with an empty outbox, and with which a step deletes three segments."""
    while posted(ports):
        events.relay(ports)
    return with_ports(ports, limits=replace(ports.limits, delete_rows=3))


def posted(ports: Ports) -> list[EventType]:
    with ports.metadata.read() as snapshot:
        return [each.type for each in snapshot.outbox()]


def position(ports: Ports) -> int:
    with ports.metadata.read() as snapshot:
        return snapshot.event_log().last


def logged(ports: Ports, after: int) -> list[Event]:
    """What came into the log since, after everything in the outbox has."""
    events.relay(ports)
    assert posted(ports) == []
    with ports.metadata.read() as snapshot:
        return snapshot.events_after(after, 1_000)


def types(found: list[Event]) -> list[EventType]:
    return [each.type for each in found]


def flush(ports: Ports, flow_id: FlowId) -> None:
    flushing.flush(ports, shard_of(flow_id))


def finish(ports: Ports, asked: Deletion) -> None:
    for _ in range(20):
        if deletion.get(ports, asked.id).ended:
            return
        flush(ports, asked.flow_id)
    raise AssertionError(f"{asked} does not end")


def source_of(ports: Ports, flow_id: FlowId) -> SourceId:
    return flows.find(ports, flow_id).source_id


def put(ports: Ports, **document: Any) -> FlowId:
    flow = video(new_id(), **document)
    flows.put(ports, FlowId(flow["id"]), flow, by="test")
    return FlowId(flow["id"])


def test_a_flow_is_told_of_from_its_creation_to_its_end(ports: Ports) -> None:
    start = position(ports)
    flow_id = put_flow(ports)
    source_id = source_of(ports, flow_id)
    document = video(flow_id, source_id=source_id, label="another")
    flows.put(ports, flow_id, document, by="test")
    flows.change(ports, flow_id, lambda flow: flow.with_field("description", "d"), by="test")
    submit(ports, flow_id, offer(flow_id, 0, 1), offer(flow_id, 1, 2))
    flush(ports, flow_id)
    finish(ports, deletion.request_flow(ports, flow_id, by="test"))

    found = logged(ports, start)

    assert types(found) == [
        EventType.SOURCE_CREATED,
        EventType.FLOW_CREATED,
        EventType.FLOW_UPDATED,
        EventType.FLOW_UPDATED,
        EventType.SEGMENTS_ADDED,
        EventType.FLOW_DELETED,
        EventType.SOURCE_DELETED,
        EventType.SEGMENTS_DELETED,
    ]
    assert [each.sequence for each in found] == list(range(start + 1, start + 9))
    assert len({each.id for each in found}) == len(found)
    assert {each.source_id for each in found} == {source_id}
    assert {each.flow_id for each in found if each.type.startswith("flows/")} == {flow_id}
    told = [subject_of(each) for each in found]
    assert isinstance(told[0], Source)
    assert isinstance(told[1], Flow)
    assert isinstance(told[2], Flow)
    assert (told[1].label, told[2].label) == (None, "another")
    assert isinstance(told[4], Added)
    assert [str(each.timerange) for each in told[4].segments] == ["[0:0_1:0)", "[1:0_2:0)"]
    assert str(told[7]) == "[0:0_2:0)"


def test_what_changes_nothing_or_only_what_is_inside_is_no_update(ports: Ports) -> None:
    flow_id = put(ports, label="l")
    start = position(ports)
    logged(ports, start)
    start = position(ports)
    flows.change(ports, flow_id, lambda flow: flow, by="test")
    sources.change(ports, source_of(ports, flow_id), lambda source: source, by="test")
    offered = offer(flow_id, 0, 2)
    submit(ports, flow_id, offered)
    flush(ports, flow_id)
    submit(ports, flow_id, offered, offer(flow_id, 1, 3))  # there already; and in its way
    flush(ports, flow_id)

    found = logged(ports, start)

    assert types(found) == [ADDED]


def test_a_flow_that_moves_to_another_source_takes_the_last_one_with_it(ports: Ports) -> None:
    flow_id = put_flow(ports)
    left, other = source_of(ports, flow_id), SourceId(new_id())
    logged(ports, position(ports))
    start = position(ports)

    flows.put(ports, flow_id, video(flow_id, source_id=other), by="test")

    told = [(each.type, each.source_id) for each in logged(ports, start)]
    assert told == [
        (EventType.SOURCE_CREATED, other),
        (EventType.FLOW_UPDATED, other),
        (EventType.SOURCE_DELETED, left),
    ]


def test_a_source_is_told_of_as_it_was_changed(ports: Ports) -> None:
    member = put_flow(ports)
    collecting = put(ports, flow_collection=[{"id": member, "role": "left"}])
    logged(ports, position(ports))
    start = position(ports)

    sources.change(
        ports,
        source_of(ports, member),
        lambda source: source.with_field("label", "changed"),
        by="test",
    )

    (told,) = logged(ports, start)
    source = subject_of(told)
    assert (told.type, told.flow_id) == (EventType.SOURCE_UPDATED, None)
    assert isinstance(source, Source)
    assert source.label == "changed"
    assert told.collectors == Collectors((), (source_of(ports, collecting),))


def test_a_refused_change_is_not_told_of(ports: Ports) -> None:
    flow_id = put(ports, read_only=True)
    logged(ports, position(ports))
    start = position(ports)

    with pytest.raises(ReadOnly):
        flows.put(ports, flow_id, video(flow_id), by="test")
    with pytest.raises(Invalid):
        put(ports, flow_collection=[{"id": new_id()}])
    segments.enqueue(ports, flow_id, [offer(flow_id, 0, 1)], followed=False)
    flush(ports, flow_id)

    assert logged(ports, start) == []


def test_a_change_that_was_not_committed_is_not_told_of(ports: Ports) -> None:
    flow_id = put_flow(ports)
    logged(ports, position(ports))
    start = position(ports)
    submit(ports, flow_id, offer(flow_id, 0, 2))

    class Dying(Through):
        """Dies when all is written and nothing committed."""

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with self.inner.transaction() as transaction:
                yield transaction
                if transaction.wrote:
                    raise Crash

    store, database = ports.metadata, ports.metadata._database  # type: ignore[attr-defined]
    store._database = Dying(_Watched(database))  # type: ignore[attr-defined]
    with pytest.raises(Crash):
        flush(ports, flow_id)
    store._database = database  # type: ignore[attr-defined]
    assert posted(ports) == []

    flush(ports, flow_id)

    assert types(logged(ports, start)) == [ADDED]


class _Watched(Through):
    """A database whose transactions say whether they wrote something into the outbox."""

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self.inner.transaction() as transaction:
            watched = Through(transaction)
            watched.wrote = False

            def table(name: str) -> Any:
                watched.wrote = watched.wrote or name == "outbox"
                return transaction.table(name)

            watched.table = table
            yield watched


@pytest.mark.parametrize("error", [Conflict, OutcomeUnknown])
def test_a_change_that_was_made_twice_is_told_of_once(
    ports: Ports, error: type[Unavailable]
) -> None:
    flow_id = put_flow(ports)
    logged(ports, position(ports))
    start = position(ports)
    failures = [error]

    class Failing(Through):
        """Fails once, before the commit or after it."""

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with self.inner.transaction() as transaction:
                yield transaction
                if failures == [Conflict]:
                    raise failures.pop()
            if failures:
                raise failures.pop()

    store, database = ports.metadata, ports.metadata._database  # type: ignore[attr-defined]
    store._database = Failing(database)  # type: ignore[attr-defined]
    flows.change(ports, flow_id, lambda flow: flow.with_field("label", "new"), by="test")
    store._database = database  # type: ignore[attr-defined]

    assert types(logged(ports, start)) == [UPDATED]


@pytest.mark.parametrize("step", ["begun", "tell"])
def test_a_relay_that_dies_at_any_step_loses_and_doubles_nothing(ports: Ports, step: str) -> None:
    start = position(ports)
    put_flow(ports)

    def dies(*_: Any) -> None:
        raise Crash

    queue, bell = Through(ports.queue), Through(ports.log_bell)
    setattr(bell if step == "tell" else queue, step, dies)
    with pytest.raises(Crash):
        events.relay(with_ports(ports, queue=queue, log_bell=bell))

    found = logged(ports, start)

    assert types(found) == [EventType.SOURCE_CREATED, CREATED]
    assert [each.sequence for each in found] == [start + 1, start + 2]


@pytest.mark.parametrize("error", [Conflict, OutcomeUnknown, Crash])
def test_a_relay_whose_transaction_fails_moves_everything_once(
    ports: Ports, error: type[BaseException]
) -> None:
    start = position(ports)
    put_flow(ports)
    failures = [error]

    class Failing(Through):
        """Fails once when the log was written: before the commit, or after it."""

        @contextmanager
        def transaction(self) -> Iterator[Any]:
            with self.inner.transaction() as transaction:
                yield transaction
                if failures and failures != [OutcomeUnknown]:
                    raise failures.pop()
            if failures:
                raise failures.pop()

    store, database = ports.metadata, ports.metadata._database  # type: ignore[attr-defined]
    store._database = Failing(database)  # type: ignore[attr-defined]
    try:
        events.relay(ports)
    except Crash:
        assert error is Crash
    finally:
        store._database = database  # type: ignore[attr-defined]

    assert types(logged(ports, start)) == [EventType.SOURCE_CREATED, CREATED]


def test_two_relays_at_once_give_every_event_one_place(ports: Ports) -> None:
    start = position(ports)
    put_flow(ports)
    other = []

    class Interrupted(Through):
        """Has another relay come first, after this one has read."""

        def now(self) -> Any:
            if not other:
                other.append(True)
                events.relay(with_ports(ports, log_bell=Unlocked(ports.log_bell)))
            return self.inner.now()

    class Unlocked(Through):
        """Gives the turn to everybody."""

        @contextmanager
        def turn(self) -> Iterator[bool]:
            yield True

    events.relay(
        with_ports(ports, clock=Interrupted(ports.clock), log_bell=Unlocked(ports.log_bell))
    )

    found = logged(ports, start)
    assert types(found) == [EventType.SOURCE_CREATED, CREATED]
    assert [each.sequence for each in found] == [start + 1, start + 2]


def test_who_finds_the_relay_at_work_waits_for_its_turn(ports: Ports) -> None:
    start = position(ports)
    put_flow(ports)

    class Late(Through):
        """A change comes after the outbox was read, and its own relay."""

        def tell(self, last: int) -> None:
            put_flow(ports)
            later.append(pool.submit(events.relay, ports))
            self.inner.tell(last)

    later: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:
        events.relay(with_ports(ports, log_bell=Late(ports.log_bell)))
        later[0].result(20)

    assert posted(ports) == []
    assert position(ports) == start + 4


def test_who_cannot_have_its_turn_leaves_what_waits_to_the_sweep(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_bell, "_PATIENCE_S", 0.1)
    put_flow(ports)

    with ports.log_bell.turn():
        events.relay(ports)
        assert len(posted(ports)) == 2
        events.sweep(ports)

    assert Work.RELAY in ports.queue.called  # type: ignore[attr-defined]


def test_the_log_is_written_less_often_while_nobody_follows_it(
    services: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, slept = Broker(services.settings.redis_url), list[float]()
    monkeypatch.setattr(log_bell.time, "sleep", slept.append)
    monkeypatch.setattr(log_bell, "_FOLLOWED", f"followed:{new_id()}")
    bell = log_bell.RedisLogBell(broker, pace_s=10)

    with bell.turn():
        pass
    bell.followed()
    with bell.turn():
        pass

    assert 40 < slept[0] <= 50
    assert slept[1] <= 10


def test_the_sweep_calls_for_what_nobody_called_for(ports: Ports) -> None:
    events.sweep(ports)
    assert Work.RELAY not in ports.queue.called  # type: ignore[attr-defined]

    put_flow(ports)
    events.sweep(ports)

    assert Work.RELAY in ports.queue.called  # type: ignore[attr-defined]


def test_of_two_changes_the_one_committed_last_is_told_last(ports: Ports) -> None:
    """Also when it was asked for first, and lost to the other."""
    flow_id = put_flow(ports)
    logged(ports, position(ports))
    start = position(ports)
    tries = []

    def overtaken(flow: Flow) -> Flow:
        tries.append(flow)
        if len(tries) == 1:
            flows.change(ports, flow_id, lambda f: f.with_field("label", "first"), by="test")
        return flow.with_field("description", "last")

    flows.change(ports, flow_id, overtaken, by="test")

    told = [subject_of(each) for each in logged(ports, start)]
    assert len(tries) == 2
    assert [(flow.label, flow.field("description")) for flow in told if isinstance(flow, Flow)] == [
        ("first", None),
        ("first", "last"),
    ]


def test_segments_of_one_commit_are_told_together_within_a_size(ports: Ports) -> None:
    one, another = put_flow(ports), put_flow(ports)
    while shard_of(another) != shard_of(one):
        another = put_flow(ports)
    logged(ports, position(ports))
    start = position(ports)
    many = event.MOST_SEGMENTS + 3
    submit(ports, one, *(offer(one, n, n + 1) for n in range(many)))
    submit(ports, another, offer(another, 0, 1), offer(another, 1, 2))
    flush(ports, one)

    told = [(each.flow_id, subject_of(each)) for each in logged(ports, start)]

    sizes = [(flow, len(added.segments)) for flow, added in told if isinstance(added, Added)]
    assert sizes == [(one, event.MOST_SEGMENTS), (one, 3), (another, 2)]


def test_timeranges_of_deleted_segments_begin_and_end_on_such(ports: Ports) -> None:
    flow_id = put_flow(ports)
    offers = [
        offer(flow_id, start, end) for start, end in ((0, 1), (2, 4), (5, 6), (8, 9), (9, 10))
    ]
    submit(ports, flow_id, *offers)
    flush(ports, flow_id)
    logged(ports, position(ports))
    start = position(ports)
    asked = deletion.request_segments(
        ports, flow_id, TimeRange.parse("[1:0_9:500000000)"), None, by="test"
    )

    finish(ports, asked)

    found = logged(ports, start)
    assert types(found) == [REMOVED]
    assert str(subject_of(found[0])) == "[2:0_9:0)"


def test_every_step_of_a_deletion_is_told_of_if_it_deleted_something(ports: Ports) -> None:
    flow_id = put_flow(ports)
    offers = [offer(flow_id, n, n + 1) for n in range(8)]
    submit(ports, flow_id, *offers)
    flush(ports, flow_id)
    logged(ports, position(ports))
    start = position(ports)
    of = ObjectId(offers[7].segment.object_id)

    finish(ports, deletion.request_segments(ports, flow_id, ETERNITY, of, by="test"))
    finish(ports, deletion.request_flow(ports, flow_id, by="test"))

    told = [str(subject_of(each)) for each in logged(ports, start) if each.type == REMOVED]
    assert told == ["[7:0_8:0)", "[0:0_3:0)", "[3:0_6:0)", "[6:0_7:0)"]


def test_what_collected_a_flow_is_told_to_its_end_and_after(ports: Ports) -> None:
    start = position(ports)
    member = put_flow(ports)
    collecting = put(ports, flow_collection=[{"id": member}])
    collectors = Collectors((collecting,), (source_of(ports, collecting),))
    submit(ports, member, *(offer(member, n, n + 1) for n in range(5)))
    flush(ports, member)
    asked = deletion.request_flow(ports, member, by="test")
    flush(ports, member)  # one step of two, and nothing has been relayed yet

    found = logged(ports, start)
    middle = position(ports)
    finish(ports, asked)
    found += logged(ports, middle)

    of_member = [each for each in found if each.flow_id == member]
    assert types(of_member) == [CREATED, ADDED, EventType.FLOW_DELETED, REMOVED, REMOVED]
    assert [each.collectors for each in of_member] == [collectors] * 5
    (gone,) = [each for each in found if each.type == EventType.SOURCE_DELETED]
    assert gone.collectors.sources == collectors.sources
    told = [subject_of(each) for each in found if each.type == UPDATED]
    assert [(flow.id, flow.collection) for flow in told if isinstance(flow, Flow)] == [
        (collecting, ())
    ]


def test_an_event_has_the_objects_it_needs_though_they_go(ports: Ports) -> None:
    technical = {"frame_width": 640, "frame_height": 360, "frame_rate": {"numerator": 25}}
    fragmented = {**technical, "init_segments": True}
    flow_id = put(ports, essence_parameters=fragmented)
    other = put(ports, essence_parameters=fragmented)
    allocated = storage.allocate(
        ports, flow_id, limit=2, object_ids=None, storage_id=None, content_type=None
    )
    init, media = (each.object_id for each in allocated)
    one = Offer(
        segments.Segment(flow_id, media, TimeRange.half_open(0, 10**9)), init_object_id=init
    )
    submit(ports, flow_id, one)
    flush(ports, flow_id)
    logged(ports, position(ports))
    start = position(ports)
    again = replace(one, segment=replace(one.segment, flow_id=other), init_object_id=None)
    submit(ports, other, again)
    flush(ports, other)

    (found,) = logged(ports, start)

    added = subject_of(found)
    assert isinstance(added, Added)
    assert [each.id for each in added.objects] == [media, init]
    assert all(each.instances for each in added.objects)


def test_events_are_forgotten_in_order_and_that_is_told(ports: Ports) -> None:
    put_flow(ports)
    put_flow(ports)
    last = logged(ports, position(ports))[-1]
    brief = with_ports(ports, limits=replace(ports.limits, events_kept_s=60))
    events.forget(brief)
    with ports.metadata.read() as snapshot:
        assert snapshot.event_log().remembers(last.sequence - 1)

    class Later(Through):
        """A clock that is ahead."""

        def now(self) -> Any:
            return self.inner.now() + timedelta(minutes=5)

    put_flow(ports)
    events.forget(with_ports(brief, clock=Later(ports.clock)))
    kept = logged(ports, last.sequence)

    with ports.metadata.read() as snapshot:
        log = snapshot.event_log()
        assert (log.first, log.last) == (kept[0].sequence, kept[-1].sequence)
        assert not log.remembers(last.sequence - 1)
        assert log.remembers(last.sequence)
        assert not log.remembers(log.last + 1)
        assert snapshot.events_after(0, 10) == []
        assert snapshot.position_at(kept[0].occurred) == last.sequence
        assert snapshot.position_at(ports.clock.now()) == log.last


def follow(
    ports: Ports, wanted: EventFilter, after: int | None, beat_s: float
) -> Iterator[events.Told]:
    return events.follow(ports, events.Tail(ports), wanted, after, beat_s)


def test_who_follows_is_told_what_comes_as_soon_as_it_does(ports: Ports) -> None:
    told = events.follow(
        ports, events.Tail(ports), EventFilter(frozenset({CREATED})), None, beat_s=60
    )
    begun = next(told)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, told)
        flow_id = put_flow(ports)
        events.relay(ports)
        found = waiting.result(20)

    assert begun == events.Reached(position(ports) - 2)
    assert isinstance(found, Event)
    assert (found.type, found.flow_id) == (CREATED, flow_id)


def test_who_is_told_nothing_is_told_how_far_that_went(ports: Ports) -> None:
    told = events.follow(
        ports, events.Tail(ports), EventFilter(flow_ids=frozenset()), None, beat_s=0
    )
    start = next(told)
    flow_id = put_flow(ports)
    flows.change(ports, flow_id, lambda flow: flow.with_field("label", "new"), by="test")
    events.relay(ports)

    assert isinstance(start, events.Reached)
    assert isinstance(next(told), Event)  # sources/created, which filters on flows let through
    assert next(told) == events.Reached(start.place + 3)


def test_who_comes_after_events_were_forgotten_is_told_so_and_then_what_is_kept(
    ports: Ports,
) -> None:
    put_flow(ports)
    logged(ports, position(ports))
    start = position(ports) - 2

    class Later(Through):
        """A clock that is ahead."""

        def now(self) -> Any:
            return self.inner.now() + timedelta(days=30)

    events.forget(with_ports(ports, clock=Later(ports.clock)))
    put_flow(ports)
    kept = logged(ports, start + 2)

    told = list(islice(follow(ports, EventFilter(), start, beat_s=60), 4))

    assert told == [events.Reached(start), events.Reset(start + 2), *kept]


def test_who_follows_from_one_place_reads_the_log_once(ports: Ports) -> None:
    start = position(ports)
    put_flow(ports)
    logged(ports, start)
    reads = []

    class Counting(Through):
        """Counts reads."""

        def read(self) -> Any:
            reads.append(1)
            return self.inner.read()

    tail = events.Tail(with_ports(ports, metadata=Counting(ports.metadata)))
    told = [events.follow(ports, tail, EventFilter(), start, beat_s=60) for _ in range(3)]
    seen = [[next(each) for _ in range(3)] for each in told]

    assert [type(each) for each in seen[0]] == [events.Reached, Event, Event]
    assert seen == [seen[0]] * 3
    assert len(reads) == 1


def test_a_place_of_another_log_is_no_place_of_this_one(ports: Ports) -> None:
    put_flow(ports)
    logged(ports, position(ports))
    beyond = position(ports) + 1
    ports.log_bell.tell(beyond + 100)  # as the broker would after the database was set back

    told = follow(ports, EventFilter(), beyond, beat_s=0.2)
    first, reset, *_ = islice(told, 2)

    assert first == events.Reached(beyond)
    assert isinstance(reset, events.Reset)
    assert reset.place < beyond
    ports.log_bell.tell(position(ports))


def test_an_outbox_with_too_much_is_moved_part_by_part(ports: Ports) -> None:
    start = position(ports)
    told = tuple(
        event.Happening(UPDATED, ports.clock.now(), SourceId(f"s{n}"), FlowId(f"f{n}"))
        for n in range(1_500)
    )
    for _ in range(2):
        ports.metadata.transact(lambda _: (Changes(told=told), None))

    events.relay(ports)
    first = position(ports)
    assert Work.RELAY in ports.queue.called  # type: ignore[attr-defined]
    events.relay(ports)

    assert (first - start, position(ports) - start) == (1_500, 3_000)
    with ports.metadata.read() as snapshot:
        found = snapshot.events_after(start, 10_000)
    assert [each.source_id for each in found] == [f"s{n}" for n in range(1_500)] * 2
