"""Segments of a flow never overlap, whatever is offered in whatever order."""

from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import FlowId, ObjectId
from schemas.domain.segment import Segment
from schemas.domain.timeline import Timeline
from schemas.domain.timerange import TimeRange

FLOW = FlowId("10000000-0000-4000-8000-000000000001")


def segment(timerange: str, object_id: str = "a", **more: int) -> Segment:
    return Segment(FLOW, ObjectId(object_id), TimeRange.parse(timerange), **more)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Short segments close together, half-open or closed, so that they collide often."""
    start = draw(st.integers(0, 40))
    end = start + draw(st.integers(0, 6))
    timerange = TimeRange(2 * start, max(2 * end, 2 * start + 1) + draw(st.integers(0, 1)))
    return Segment(
        FLOW, ObjectId(draw(st.sampled_from("abc"))), timerange, draw(st.sampled_from([0, 7]))
    )


class TimelineStaysDisjoint(RuleBasedStateMachine):
    """A timeline beside the plainest model of it: a list that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.timeline = Timeline()
        self.model: list[Segment] = []

    @rule(offered=segments())
    def offer(self, offered: Segment) -> None:
        clash = [other for other in self.model if other.timerange.overlaps(offered.timerange)]
        if not clash:
            assert self.timeline.admits(offered)
            self.timeline.add(offered)
            self.model.append(offered)
        elif clash == [offered]:
            assert not self.timeline.admits(offered)
        else:
            with pytest.raises(Invalid):
                self.timeline.admits(offered)

    @invariant()
    def no_two_segments_overlap(self) -> None:
        assert all(a.timerange.end <= b.timerange.start for a, b in pairwise(self.timeline))

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert sorted(self.timeline, key=lambda s: s.timerange) == sorted(
            self.model, key=lambda s: s.timerange
        )


TestTimelineStaysDisjoint = TimelineStaysDisjoint.TestCase


def test_the_same_segment_again_is_the_same_registration() -> None:
    timeline = Timeline([segment("[0:0_1:0)")])

    assert not timeline.admits(segment("[0:0_1:0)"))


def test_the_same_segment_with_another_offset_is_refused_naming_the_field() -> None:
    timeline = Timeline([segment("[0:0_1:0)")])

    with pytest.raises(Invalid, match="another ts_offset") as refusal:
        timeline.admits(segment("[0:0_1:0)", ts_offset_ns=5))

    assert refusal.value.field == "ts_offset"


def test_a_segment_that_spans_several_others_is_refused() -> None:
    timeline = Timeline([segment("[1:0_2:0)"), segment("[3:0_4:0)"), segment("[5:0_6:0)")])

    with pytest.raises(Invalid, match=r"overlaps \[1:0_2:0\)"):
        timeline.admits(segment("[0:0_10:0)", "b"))


@pytest.mark.parametrize(
    ("timerange", "reason"),
    [
        ("_", "must have a start and an end"),
        ("[1:0_", "must have a start and an end"),
        ("()", "must have a start and an end"),
        ("(1:0_2:0)", "must include its start"),
        ("[5000000000:0_5000000001:0)", "out of range"),
        ("[-5000000000:0_0:0)", "out of range"),
    ],
)
def test_a_timerange_no_segment_can_have_is_refused(timerange: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refusal:
        segment(timerange)

    assert refusal.value.field == "timerange"
