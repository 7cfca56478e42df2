import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.domain.flow import Content
from schemas.domain.search import Search
from schemas.domain.timerange import ETERNITY, TimeRange

CUTS = st.integers(-60, 60)
SPANS = st.builds(TimeRange, CUTS, CUTS) | st.just(ETERNITY)


@st.composite
def timelines(draw: st.DrawFn) -> list[TimeRange]:
    """Disjoint timeranges in order, some close together and some far apart."""
    start, found = draw(CUTS), []
    for _ in range(draw(st.integers(0, 30))):
        start += draw(st.sampled_from([0, 0, 1, 7, 10_000]))
        end = start + draw(st.integers(1, 5))
        found.append(TimeRange(start, end))
        start = end
    return found


def searched(
    timeline: list[TimeRange], search: Search, enough: int
) -> tuple[list[TimeRange], int, int]:
    """What a search finds, and how often it asks for how many."""
    wanted, found, asked, seen = search.wanted, [], 0, 0
    while search.goes_on:
        part = [each for each in timeline if each.overlaps(search.window)][:enough]
        asked, seen = asked + 1, seen + len(part)
        assert asked < 500
        if len(part) >= enough:
            search = search.narrower(part)
            continue
        part.sort(reverse=search.descending)
        found += part
        edge = (part[-1].start if search.descending else part[-1].end) if part else None
        search = search.after(len(part), edge)
    return found[:wanted], asked, seen


def content_of(timeline: list[TimeRange]) -> Content:
    return Content(TimeRange.hull(timeline), len(timeline))


@given(
    timeline=timelines(),
    span=SPANS,
    wanted=st.integers(2, 9),
    descending=st.booleans(),
    said=st.none() | st.builds(Content, SPANS, st.integers(0, 1_000)),
)
@example([TimeRange(n, n + 1) for n in range(100)], ETERNITY, 2, False, Content(TimeRange(-9, 0)))
def test_a_search_finds_the_first_of_a_span_whatever_the_flow_is_said_to_hold(
    timeline: list[TimeRange], span: TimeRange, wanted: int, descending: bool, said: Content | None
) -> None:
    content = content_of(timeline) if said is None else said

    found, _, _ = searched(
        timeline, Search.begin(span, wanted, content, descending=descending), 4 * wanted
    )

    there = [each for each in timeline if each.overlaps(span)]
    assert found == (there[::-1] if descending else there)[:wanted]


def test_an_even_flow_is_asked_once_whatever_its_size() -> None:
    for size in (1_000, 100_000):
        timeline = [TimeRange(n * 100, n * 100 + 100) for n in range(size)]
        for start in (0, size * 50, size * 100 - 10):
            span = TimeRange(start, ETERNITY.end)
            search = Search.begin(span, 301, content_of(timeline), descending=False)

            _, asked, seen = searched(timeline, search, 4 * 301)

            assert (asked, seen <= 500) == (1, True)


@pytest.mark.parametrize("kept", ["in order", "in no order"])
@pytest.mark.parametrize("descending", [False, True])
def test_a_long_gap_and_a_dense_part_take_a_few_questions(kept: str, descending: bool) -> None:
    sparse = [TimeRange(n * 1_000_000, n * 1_000_000 + 10) for n in range(1_000)]
    dense = [TimeRange(10**10 + n, 10**10 + n + 1) for n in range(10_000)]
    timeline = [*sparse, *dense]
    if kept == "in no order":
        random.Random(7).shuffle(timeline)

    for cut in (0, sparse[-1].end, dense[500].start, dense[0].start, 10**11):
        span = TimeRange(0, cut) if descending else TimeRange(cut, ETERNITY.end)
        search = Search.begin(span, 301, content_of(timeline), descending=descending)
        found, asked, _ = searched(timeline, search, 4 * 301)

        there = sorted(each for each in timeline if each.overlaps(span))
        assert found == (there[::-1] if descending else there)[:301]
        assert asked < 12
