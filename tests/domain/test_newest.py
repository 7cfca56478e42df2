"""What is kept of the newest segments is what is there, whatever happens in between."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.domain import newest
from schemas.domain.changes import Changes
from schemas.domain.flow import Content, Flow
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.newest import Newest
from schemas.domain.segment import Segment
from schemas.domain.timerange import ETERNITY, TimeRange

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EMPTY = Flow(FlowId("f"), {}, NOW, "me", NOW, "me", "1")


def segment(start: int, length: int) -> Segment:
    return Segment(EMPTY.id, ObjectId(f"{start}"), TimeRange(2 * start, 2 * (start + length)))


def holding(flow: Flow, segments: list[Segment], moment: datetime) -> Flow:
    hull = TimeRange.hull([each.timerange for each in segments])
    return replace(flow, segments_updated=moment, content=Content(hull, len(segments)))


def overlapping(segments: list[Segment], span: TimeRange) -> list[Segment]:
    return sorted(
        (each for each in segments if each.timerange.overlaps(span)), key=lambda s: s.timerange
    )


class Registering(RuleBasedStateMachine):
    """A flow that segments are added to, seen or unseen, and removed from."""

    @initialize()
    def begin(self) -> None:
        self.moment = NOW
        self.flow = EMPTY
        self.there: list[Segment] = []
        self.known: Mapping[FlowId, Newest] = {}

    def _become(self, there: list[Segment]) -> Flow:
        self.moment += timedelta(microseconds=1)
        before, self.there = self.flow, there
        self.flow = holding(before, there, self.moment)
        return before

    @rule(offers=st.lists(st.tuples(st.integers(-40, 60), st.integers(1, 6)), max_size=8))
    def add(self, offers: list[tuple[int, int]]) -> None:
        added: list[Segment] = []
        for offer in offers:
            new = segment(*offer)
            if not overlapping([*self.there, *added], new.timerange):
                added.append(new)
        before = self._become([*self.there, *added])
        changes = Changes(add=tuple(added), replace=(self.flow,))
        self.known = newest.after(self.known, {before.id: before}, changes)

    @rule(start=st.integers(-40, 60), length=st.integers(1, 6))
    def others_add(self, start: int, length: int) -> None:
        new = segment(start, length)
        if not overlapping(self.there, new.timerange):
            self._become([*self.there, new])

    @rule(start=st.integers(-40, 60), length=st.integers(1, 30))
    def others_remove(self, start: int, length: int) -> None:
        gone = overlapping(self.there, TimeRange(2 * start, 2 * (start + length)))
        self._become([each for each in self.there if each not in gone])

    @invariant()
    def what_is_known_is_there(self) -> None:
        known = self.known.get(EMPTY.id)
        if known is None or not known.is_of(self.flow):
            return
        for start in range(-45, 70, 5):
            span = TimeRange(2 * start, 2 * start + 30)
            found = known.around(span)
            assert found is None or found == overlapping(self.there, span)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "_MOST_SEGMENTS", 5)


class TestRegistering(Registering.TestCase):  # type: ignore[misc]  # untyped in the library
    """Runs the machine."""


@given(st.integers(1, 400))
def test_the_end_of_a_flow_that_was_not_looked_at_is_known(count: int) -> None:
    there = [segment(n, 1) for n in range(10)]
    before = holding(EMPTY, there, NOW)
    added = [segment(10 + n, 1) for n in range(count)]
    flow = holding(before, there + added, NOW + timedelta(seconds=1))

    known = newest.after({}, {flow.id: before}, Changes(add=tuple(added), replace=(flow,)))[flow.id]

    assert known.is_of(flow)
    assert not known.is_of(before)
    assert known.around(TimeRange(18, 30)) is None
    end = 2 * (10 + count)
    assert known.around(TimeRange(end - 2, end + 2)) == [added[-1]]
    assert known.around(TimeRange(end, ETERNITY.end)) == []


def test_flows_that_were_longest_without_segments_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(newest, "_MOST_FLOWS", 2)
    known: Mapping[FlowId, Newest] = {}
    for name in ("a", "b", "a", "c"):
        flow = replace(EMPTY, id=FlowId(name))
        known = newest.after(known, {flow.id: flow}, Changes(replace=(flow,)))

    assert list(known) == ["a", "c"]
