"""What is remembered of a timeline is what is on it, whatever happens in between."""

from array import array
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from schemas.domain.flow import Flow
from schemas.domain.identifiers import FlowId
from schemas.domain.known import Known, Sighting, Stretch
from schemas.domain.mark import Mark
from schemas.domain.strip import Alike, Shown, Strip, Texts
from schemas.domain.timerange import ETERNITY, NEVER, TimeRange

LONG_AGO = -1e9
NOW = datetime(2026, 11, 20, tzinfo=UTC)
FLOW = Flow(FlowId("f"), {}, NOW, "me", NOW, "me", "1")
CUTS = st.integers(-30, 30)
SPANS = st.builds(lambda cut, length: TimeRange(cut, cut + length), CUTS, st.integers(1, 60)) | (
    st.just(ETERNITY)
)

BOUNDS = ("start", "end")

# What is on a timeline, and how often each segment was changed.
Timeline = Mapping[TimeRange, int]


def texts(timeline: Timeline) -> list[bytes]:
    return [f"{each.start}v{version},".encode() for each, version in timeline.items()]


def strip(timeline: Timeline) -> Strip:
    starts, ends = (array("q", (getattr(each, name) for each in timeline)) for name in BOUNDS)
    sources = Alike.of([text[::-1] for text in texts(timeline)])
    return Strip.of(starts, ends, Texts.of(texts(timeline)), sources)


def part(timeline: Timeline, span: TimeRange) -> dict[TimeRange, int]:
    return {each: timeline[each] for each in sorted(timeline) if each.overlaps(span)}


def read(timeline: Timeline, span: TimeRange, most: int, *, descending: bool) -> Stretch:
    """A stretch that begins with `span`, and has one segment more than `most` at most."""
    there = part(timeline, span)
    if len(there) > most:
        first = first_of(there, most + 1, descending=descending)
        hull = TimeRange.hull(first)
        span = TimeRange(hull.start, span.end) if descending else TimeRange(span.start, hull.end)
        there = {each: there[each] for each in sorted(first)}
    return Stretch(span, strip(there), 0.0)


def first_of(timeline: Timeline, count: int, *, descending: bool) -> dict[TimeRange, int]:
    """The first segments in that order, in that order."""
    return {each: timeline[each] for each in sorted(timeline, reverse=descending)[:count]}


def segments(*bounds: tuple[int, int]) -> dict[TimeRange, int]:
    return {TimeRange(*each): 0 for each in bounds}


@st.composite
def timelines(draw: st.DrawFn) -> dict[TimeRange, int]:
    start, found = draw(CUTS), {}
    for _ in range(draw(st.integers(0, 12))):
        start += draw(st.sampled_from([0, 0, 1, 5]))
        end = start + draw(st.integers(1, 4))
        found[TimeRange(start, end)] = 0
        start = end
    return found


class Remembering(RuleBasedStateMachine):
    """A writer, and a reader who remembers and is told by marks; compared with a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = count(1)
        self.timeline: dict[TimeRange, int] = {}
        self.marks = [Mark("first", NEVER)]
        self.known = Known(tuple(self.marks))
        self.late: list[tuple[Stretch, str]] = []

    @initialize(timeline=timelines())
    def begin(self, timeline: dict[TimeRange, int]) -> None:
        self.timeline = timeline

    @rule(starts=st.lists(CUTS, min_size=1, max_size=3), length=st.integers(1, 6))
    def register(self, starts: list[int], length: int) -> None:
        added = []
        for start in starts:
            new = TimeRange(start, start + length)
            if not part(self.timeline, new):
                self.timeline[new] = next(self.numbers)
                added.append(new)
        self.mark(TimeRange.hull(added))

    @rule(span=SPANS)
    def delete(self, span: TimeRange) -> None:
        gone = [each for each in self.timeline if span.contains(each)]
        self.timeline = {e: n for e, n in self.timeline.items() if e not in gone}
        self.mark(TimeRange.hull(gone))

    @rule()
    def change_all(self) -> None:
        self.timeline = {each: next(self.numbers) for each in self.timeline}
        self.mark(ETERNITY)

    @rule(span=SPANS, most=st.integers(1, 4), descending=st.booleans())
    def begin_to_read(self, span: TimeRange, most: int, descending: bool) -> None:
        """What is read now is remembered later, if at all."""
        stretch = read(self.timeline, span, most, descending=descending)
        self.late.append((stretch, self.known.token))

    @rule(data=st.data())
    def end_to_read(self, data: st.DataObject) -> None:
        if self.late:
            place = data.draw(st.integers(0, len(self.late) - 1))
            self.known = self.known.with_stretch(*self.late.pop(place))

    @rule(span=SPANS, wanted=st.integers(1, 5), ahead=st.integers(1, 6), descending=st.booleans())
    def list(self, span: TimeRange, wanted: int, ahead: int, descending: bool) -> None:
        self.known = self.known.caught_up(self.marks)
        for _ in range(100):
            _, strips, rest = self.known.leading(
                span, wanted, descending=descending, since_s=LONG_AGO
            )
            if not rest:
                break
            unknown = self.known.unknown(rest, descending=descending)
            stretch = read(self.timeline, unknown, ahead, descending=descending)
            self.known = self.known.with_stretch(stretch, self.known.token)
        assert not rest

        there = first_of(part(self.timeline, span), wanted, descending=descending)
        shown = Shown.of(strips, wanted, descending=descending)
        assert list(shown.each()) == texts(there)
        assert b"".join(shown.texts()) == b"".join(texts(there))
        assert shown.hull == TimeRange.hull(there)

    @invariant()
    def stretches_are_disjoint_in_order_and_true(self) -> None:
        known = self.known.caught_up(self.marks)
        spans = [stretch.span for stretch in known.stretches]
        assert all(a.end <= b.start for a, b in pairwise(spans))
        for stretch in known.stretches:
            there = texts(part(self.timeline, stretch.span))
            assert list(stretch.strip.each()) == there

    def mark(self, span: TimeRange) -> None:
        self.marks = [Mark(str(next(self.numbers)), span), *self.marks][:4]


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


@given(timeline=timelines(), span=SPANS, count=st.integers(0, 5), descending=st.booleans())
def test_parts_of_a_strip_are_its_segments(
    timeline: dict[TimeRange, int], span: TimeRange, count: int, descending: bool
) -> None:
    found, there = strip(timeline).overlapping(span), part(timeline, span)

    assert list(found.each()) == texts(there)
    assert found.shown == b"".join(texts(there))
    assert found.hull == TimeRange.hull(there)
    assert list(found.compact().each()) == texts(there)
    first = part(first_of(there, count, descending=descending), ETERNITY)
    leading = found.leading(count, descending=descending)
    assert list(leading.sources()) == [text[::-1] for text in texts(first)]


@given(
    one=st.lists(st.binary(max_size=3)),
    two=st.lists(st.binary(max_size=3)),
    first=st.integers(0, 3),
    last=st.integers(0, 6),
)
def test_texts_are_the_same_together_and_apart(
    one: list[bytes], two: list[bytes], first: int, last: int
) -> None:
    texts = Texts.of(one).followed_by(Texts.of(two))
    last = min(last, len(one) + len(two))
    first = min(first, last)

    assert list(texts.each(0, len(one) + len(two))) == [*one, *two]
    assert texts.between(first, last) == b"".join([*one, *two][first:last])
    part = texts.part(first, last)
    assert list(part.each(0, last - first)) == [*one, *two][first:last]


@given(
    one=st.lists(st.binary(max_size=3)),
    two=st.lists(st.binary(max_size=3)),
    around=st.sampled_from([(b"", b""), (b"<", b">"), (b"ab", b"ba")]),
)
def test_texts_that_are_alike_are_the_same_together_and_apart(
    one: list[bytes], two: list[bytes], around: tuple[bytes, bytes]
) -> None:
    one, two = ([around[0] + text + around[1] for text in each] for each in (one, two))
    first = Alike.of(one)

    both = first.followed_by(Alike.of(two))

    assert list(both.each(0, len(one) + len(two))) == [*one, *two]
    assert list(both.part(len(one), len(one) + len(two)).each(0, len(two))) == two
    assert all(text.startswith(first.before) and text.endswith(first.after) for text in one)
    assert not one or len(first.before) >= len(around[0])


def test_what_is_forgotten_is_what_a_mark_spans() -> None:
    timeline = segments(*((n, n + 10) for n in range(0, 100, 10)))
    known = Known((Mark("a", NEVER),)).with_stretch(Stretch(ETERNITY, strip(timeline), 0.0), "a")

    known = known.caught_up([Mark("b", TimeRange(30, 50)), Mark("a", NEVER)])

    spans = [stretch.span for stretch in known.stretches]
    assert spans == [TimeRange(ETERNITY.start, 30), TimeRange(50, ETERNITY.end)]


def test_all_is_forgotten_when_the_mark_seen_last_is_not_there() -> None:
    known = Known((Mark("a", NEVER),)).with_stretch(Stretch(ETERNITY, strip({}), 0.0), "a")

    known = known.caught_up([Mark("c", TimeRange(30, 50)), Mark("b", NEVER)])

    assert known == Known((Mark("c", TimeRange(30, 50)), Mark("b", NEVER)))


def test_who_looked_earlier_does_not_take_back_what_others_saw() -> None:
    later = (Mark("b", TimeRange(0, 1)), Mark("a", NEVER))

    assert Known(later).caught_up(later[1:]) == Known(later)


def test_what_was_read_before_a_mark_is_remembered_without_what_it_spans() -> None:
    later = (Mark("b", TimeRange(10, 20)), Mark("a", NEVER))
    stretch = Stretch(TimeRange(0, 30), strip(segments((0, 10), (20, 30))), 0.0)

    known = Known(later).with_stretch(stretch, "a")

    assert [each.span for each in known.stretches] == [TimeRange(0, 10), TimeRange(20, 30)]
    assert Known(later[:1]).with_stretch(stretch, "a").stretches == ()


def test_a_neighbour_that_contradicts_what_was_read_later_is_forgotten() -> None:
    marks = (Mark("a", NEVER),)
    before = Stretch(TimeRange(0, 10), strip(segments((0, 10))), 0.0)
    after = Stretch(TimeRange(10, 20), strip(segments((5, 15))), 0.0)

    known = Known(marks).with_stretch(before, "a").with_stretch(after, "a")

    assert known.stretches == (after,)


def test_small_stretches_that_meet_become_one() -> None:
    timeline = segments(*((n, n + 4) for n in range(-2, 4_800, 4)))  # they reach over the edges
    known = Known((Mark("a", NEVER),))

    for n in range(0, 4_800, 4):
        span = TimeRange(n, n + 4)
        known = known.with_stretch(Stretch(span, strip(part(timeline, span)), float(n)), "a")

    assert [stretch.read_s for stretch in known.stretches] == [0.0, 3_992.0]
    assert [list(s.strip.each()) for s in known.stretches] == [
        texts(part(timeline, s.span)) for s in known.stretches
    ]


def test_what_was_read_too_long_ago_is_not_relied_on() -> None:
    marks, span = (Mark("a", NEVER),), TimeRange(0, 10)
    known = Known(marks).with_stretch(Stretch(span, strip({}), 7.0), "a")

    assert known.leading(span, 1, descending=False, since_s=7.0)[2] == NEVER
    assert known.leading(span, 1, descending=False, since_s=7.1)[2] == span


def test_a_flow_that_was_there_still_is_when_only_segments_changed() -> None:
    first, segments, itself = Mark("a", NEVER), Mark("b", TimeRange(0, 1)), Mark("c", NEVER)
    there, gone = Sighting(FLOW, 0.0), Sighting(None, 0.0)

    for sighting, marks, kept in (
        (there, [segments, first], there),
        (there, [itself, first], None),
        (there, [itself, segments, first], None),
        (gone, [segments, first], None),
    ):
        known = Known((first,)).with_sighting(sighting, "a")
        assert known.sighting == sighting
        assert known.caught_up(marks).sighting == kept
        assert Known(tuple(marks)).with_sighting(sighting, "a").sighting == kept
