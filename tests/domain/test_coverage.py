"""What segments cover and what they leave out, against the obvious way to work it out."""

from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.vast.coverage import coverage_of
from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.timerange import ETERNITY, NEVER, TimeRange

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1

cuts = st.one_of(st.integers(-30, 30), st.sampled_from([_LEAST, _LEAST + 1, _MOST - 1, _MOST]))
asked = st.one_of(
    st.just(ETERNITY),
    st.builds(TimeRange, cuts, cuts),
    st.builds(lambda end: TimeRange(ETERNITY.start, end), cuts),
    st.builds(lambda start: TimeRange(start, ETERNITY.end), cuts),
)


@st.composite
def timelines(draw: st.DrawFn) -> list[TimeRange]:
    """Disjoint timeranges, some of which touch, in any order."""
    bounds = sorted(draw(st.sets(cuts, max_size=24)))
    chosen = [TimeRange(*pair) for pair in pairwise(bounds) if draw(st.booleans())]
    return draw(st.permutations(chosen))


def coverage(timeline: list[TimeRange], query: CoverageQuery) -> Coverage:
    """As a store would ask for it: of the segments that overlap."""
    met = [each for each in timeline if each.overlaps(query.timerange)]
    return coverage_of(
        pa.chunked_array([[each.start for each in met]], pa.int64()),
        pa.chunked_array([[each.end for each in met]], pa.int64()),
        query,
    )


def naive(timeline: list[TimeRange], query: CoverageQuery) -> Coverage:
    met = sorted(each for each in timeline if each.overlaps(query.timerange))
    hull = TimeRange.hull(met)
    whole = query.timerange
    if whole.start < _LEAST:
        whole = TimeRange(hull.start if met else whole.end, whole.end)
    if whole.end > _MOST:
        whole = TimeRange(whole.start, hull.end if met else whole.start)
    if not whole:
        return Coverage()
    gaps, at = [], whole.start
    for each in [*met, TimeRange(whole.end, whole.end + 1)]:
        if each.start - at > 2 * query.tolerance_ns:
            gaps.append(TimeRange(at, each.start))
        at = each.end
    after = whole.start if query.after is None else query.after
    following = [gap for gap in gaps if gap.start >= after]
    inside = [each.intersection(whole) for each in met]
    return Coverage(
        whole,
        len(met),
        sum(each.end - each.start for each in inside) // 2,
        len(gaps),
        sum(gap.end - gap.start for gap in gaps) // 2,
        max(gaps, key=lambda gap: gap.end - gap.start, default=NEVER),
        following[: query.limit],
        len(following) > query.limit,
    )


@given(timelines(), asked, st.integers(0, 4), st.none() | cuts, st.integers(0, 4))
def test_gaps_are_what_the_segments_leave_out(
    timeline: list[TimeRange], within: TimeRange, tolerance: int, after: int | None, limit: int
) -> None:
    query = CoverageQuery(within, tolerance, after, limit)

    assert coverage(timeline, query) == naive(timeline, query)


@given(timelines(), st.integers(-30, 30), st.integers(1, 60))
def test_what_is_covered_and_the_gaps_are_the_whole(
    timeline: list[TimeRange], start: int, length: int
) -> None:
    query = CoverageQuery(TimeRange(2 * start, 2 * (start + length)), limit=100)
    found = coverage(timeline, query)
    inside = [each.intersection(query.timerange) for each in timeline]

    pieces = sorted([*found.gaps, *(each for each in inside if each)])
    assert TimeRange.hull(pieces) == query.timerange
    assert all(one.end == other.start for one, other in pairwise(pieces))


@given(timelines(), st.integers(1, 3))
def test_pages_of_gaps_are_all_of_them_once(timeline: list[TimeRange], limit: int) -> None:
    everything = coverage(timeline, CoverageQuery(ETERNITY, limit=100)).gaps
    paged, after, more = [], None, True
    while more:
        page = coverage(timeline, CoverageQuery(ETERNITY, after=after, limit=limit))
        paged += page.gaps
        after, more = page.gaps[-1].end if page.gaps else None, page.more

    assert paged == list(everything)


@pytest.mark.parametrize(("tolerance", "gaps"), [(0, 2), (39, 2), (40, 1), (2_000, 0)])
def test_time_that_is_tolerated_is_no_gap(tolerance: int, gaps: int) -> None:
    timeline = [
        TimeRange.half_open(0, 960),
        TimeRange.half_open(1_000, 2_000),
        TimeRange.half_open(4_000, 5_000),
    ]

    found = coverage(timeline, CoverageQuery(ETERNITY, tolerance))

    assert found.gap_count == gaps
    assert found.covered_ns == 2_960
