"""Lists in order, page by page."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.domain.errors import Invalid
from schemas.domain.query import Listing, TagFilter, page_of, position

Thing = tuple[str | None, str]
THINGS = st.lists(
    st.tuples(st.none() | st.text(max_size=3), st.uuids().map(str)),
    max_size=20,
    unique_by=lambda t: t[1],
)


def by_label(thing: Thing) -> tuple[int, int | str, str]:
    return position(thing[0], thing[1])


def read_all(things: list[Thing], limit: int, *, reverse: bool) -> list[Thing]:
    found: list[Thing] = []
    page = None
    while True:
        part = page_of(things, by_label, Listing(limit, page, "label", reverse))
        found += part.items
        if part.next_key is None:
            return found
        page = part.next_key


@given(THINGS, st.integers(1, 5), st.booleans())
def test_pages_hold_everything_once_in_order(
    things: list[Thing], limit: int, reverse: bool
) -> None:
    found = read_all(things, limit, reverse=reverse)

    assert found == sorted(things, key=by_label, reverse=reverse)


def test_things_without_a_value_come_last_and_first_when_reversed() -> None:
    things: list[Thing] = [(None, "a"), ("z", "b"), ("y", "c")]

    assert [t[1] for t in read_all(things, 9, reverse=False)] == ["c", "b", "a"]
    assert [t[1] for t in read_all(things, 9, reverse=True)] == ["a", "b", "c"]


def test_what_arrives_between_two_pages_is_neither_repeated_nor_skipped() -> None:
    things = [(f"{n:02}", str(n)) for n in range(0, 20, 2)]
    first = page_of(things, by_label, Listing(5, None, "label"))

    things += [("00a", "early"), ("19", "late")]
    second = page_of(things, by_label, Listing(50, first.next_key, "label"))

    assert [t[1] for t in second.items] == ["10", "12", "14", "16", "18", "late"]


def test_moments_sort_latest_first() -> None:
    early, late = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)

    assert position(late, "x") < position(early, "a")


@pytest.mark.parametrize("page", ["nonsense", "WzFd", "W10", "eyJhIjoxfQ", "é"])
def test_a_page_key_that_was_not_given_out_is_refused(page: str) -> None:
    with pytest.raises(Invalid) as refusal:
        page_of([("a", "b")], by_label, Listing(5, page, "label"))

    assert refusal.value.field == "page"


def test_tags_are_matched_by_any_value_or_by_presence() -> None:
    tags = {"colour": "red", "crew": ["ann", "bob"]}

    assert TagFilter({"colour": frozenset({"blue", "red"})})(tags)
    assert TagFilter({"crew": frozenset({"bob"})})(tags)
    assert not TagFilter({"crew": frozenset({"bo"})})(tags)
    assert TagFilter(exists={"colour": True, "size": False})(tags)
    assert not TagFilter(exists={"colour": False})(tags)
