"""Objects live exactly as long as something refers to them, whatever comes and goes."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.domain.changes import Changes
from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.media_object import Controlled, MediaObject, Orphan, Role
from schemas.domain.registration import Registration
from schemas.domain.release import release
from schemas.domain.segment import Offer, Segment
from schemas.domain.timerange import TimeRange

NOW = datetime(2026, 11, 25, tzinfo=UTC)
STORAGE = StorageId("30000000-0000-4000-8000-000000000001")
FLOWS = tuple(FlowId(f"10000000-0000-4000-8000-00000000000{n}") for n in range(2))
MEDIA = tuple(ObjectId(f"media {n}") for n in range(4))
INITS = tuple(ObjectId(f"init {n}") for n in range(2))
PLACES = 8


def flow(flow_id: FlowId) -> Flow:
    document = {"source_id": "s", "format": "f", "container": "video/mp4"}
    document["essence_parameters"] = {"init_segments": True}  # type: ignore[assignment]
    return Flow(flow_id, document, NOW, "me", NOW, "me", "1")


def allocated(object_id: ObjectId) -> MediaObject:
    place = Controlled(STORAGE, f"objects/{object_id}")
    return MediaObject(object_id, Role.ALLOCATED, NOW, (place,), content_type="video/mp4")


def offer(flow_id: FlowId, object_id: ObjectId, place: int, init: ObjectId) -> Offer:
    timerange = TimeRange.half_open(place, place + 1)
    segment = Segment(flow_id, object_id, timerange, ts_offset_ns=place)
    return Offer(segment, init_object_id=init)


class ObjectsLiveAsLongAsTheyAreReferredTo(RuleBasedStateMachine):
    """Registers and deletes at random, and applies the changes as a database would."""

    @initialize()
    def everything_is_allocated(self) -> None:
        self.objects = {name: allocated(name) for name in (*MEDIA, *INITS)}
        self.segments: dict[FlowId, set[Segment]] = {flow_id: set() for flow_id in FLOWS}
        self.orphans: list[Orphan] = []

    @rule(
        flow_id=strategies.sampled_from(FLOWS),
        offered=strategies.lists(
            strategies.tuples(
                strategies.sampled_from(MEDIA),
                strategies.integers(0, PLACES - 1),
                strategies.sampled_from(INITS),
            ),
            max_size=6,
        ),
    )
    def register(self, flow_id: FlowId, offered: list[tuple[ObjectId, int, ObjectId]]) -> None:
        batch = Registration(
            {flow_id: flow(flow_id)}, self.objects, self.segments, labels=(), now=NOW
        )
        for object_id, place, init in offered:
            batch.decide(offer(flow_id, object_id, place, init))
        self._apply(batch.changes())

    @rule(flow_id=strategies.sampled_from(FLOWS), data=strategies.data())
    def delete(self, flow_id: FlowId, data: Any) -> None:
        there = sorted(self.segments[flow_id], key=lambda segment: segment.timerange)
        doomed = (
            data.draw(strategies.lists(strategies.sampled_from(there), unique=True))
            if (there)
            else []
        )
        self._apply(release(doomed, self.objects, self.objects, NOW))

    @invariant()
    def every_object_counts_what_refers_to_it(self) -> None:
        used = Counter(s.object_id for found in self.segments.values() for s in found)
        needed = Counter(
            item.init_object_id for item in self.objects.values() if item.role is Role.MEDIA
        )
        for item in self.objects.values():
            assert item.references == used[item.id] + needed[item.id], item

    @invariant()
    def objects_are_there_while_they_are_referred_to_and_orphans_afterwards(self) -> None:
        for item in self.objects.values():
            assert item.references or item.role is Role.ALLOCATED
        gone = {*MEDIA, *INITS} - set(self.objects)
        assert Counter(o.key for o in self.orphans) == Counter(f"objects/{name}" for name in gone)

    def _apply(self, changes: Changes) -> None:
        for record in changes.remove:
            if isinstance(record, Segment):
                self.segments[record.flow_id].remove(record)
            elif isinstance(record, MediaObject):
                del self.objects[record.id]
        for record in (*changes.add, *changes.replace):
            if isinstance(record, Segment):
                self.segments[record.flow_id].add(record)
            elif isinstance(record, MediaObject):
                self.objects[record.id] = record
            elif isinstance(record, Orphan):
                self.orphans.append(record)


TestObjectsLiveAsLongAsTheyAreReferredTo = ObjectsLiveAsLongAsTheyAreReferredTo.TestCase
TestObjectsLiveAsLongAsTheyAreReferredTo.settings = settings(
    max_examples=100, stateful_step_count=20, deadline=None
)


def test_an_object_used_twice_goes_with_the_second_segment() -> None:
    item = allocated(MEDIA[0])
    item = MediaObject(item.id, Role.MEDIA, NOW, item.instances, references=2)
    first, second = (Segment(FLOWS[0], item.id, TimeRange.half_open(n, n + 1), n) for n in range(2))

    once = release([first], {item.id: item}, {}, NOW)
    (left,) = once.replace
    twice = release([second], {item.id: left}, {}, NOW)  # type: ignore[dict-item]

    assert once.remove == (first,)
    assert twice.remove == (second, replace(left, references=0))  # type: ignore[type-var]
    assert [orphan.key for orphan in twice.add] == ["objects/media 0"]  # type: ignore[union-attr]
