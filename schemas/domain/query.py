"""What to list, in which order, and from where on.

* A page begins after the position its cursor names; positions are values of the sort key, so
  that what arrives meanwhile is neither repeated nor skipped.
* Things without a value for the sort key come after those that have one, by id
  (TAMS 8.2, parameter `sort_by`); `reverse_order` reverses the whole.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Generic, TypeVar

from schemas.domain.errors import Invalid
from schemas.domain.identifiers import ObjectId
from schemas.domain.source import Tags
from schemas.domain.timerange import ETERNITY, TimeRange

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Tags a thing must have: any of some values, or be present, or be absent."""

    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    exists: Mapping[str, bool] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values or self.exists)

    def __call__(self, tags: Tags) -> bool:
        """Whether `tags` satisfy every condition."""
        return all(
            _has_any(tags.get(name), values) for name, values in self.values.items()
        ) and all((name in tags) == wanted for name, wanted in self.exists.items())


ANY_TAGS = TagFilter()


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the things asked for, and the cursor of the next page if there is one."""

    items: Sequence[T]
    next_key: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Which page of a list, in which order."""

    limit: int
    page: str | None = None
    sort_by: str = "created"
    reverse_order: bool = False


@dataclass(frozen=True, slots=True)
class SourceQuery:
    """Filters of GET /sources; `collected_by` empty asks for sources in no collection."""

    listing: Listing
    label: str | None = None
    format: str | None = None
    tags: TagFilter = ANY_TAGS
    collected_by: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class FlowQuery:
    """Filters of GET /flows; an empty `timerange` asks for flows without content."""

    listing: Listing
    equal: Mapping[str, object] = field(default_factory=dict)
    timerange: TimeRange | None = None
    tags: TagFilter = ANY_TAGS
    collected_by: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """Filters of GET /service/profiles."""

    listing: Listing
    label: str | None = None
    format: str | None = None
    codec: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookQuery:
    """Filters of GET /service/webhooks."""

    listing: Listing
    tags: TagFilter = ANY_TAGS


@dataclass(frozen=True, slots=True)
class SegmentQuery:
    """Which segments of a flow GET /flows/{id}/segments asks for.

    `after` is the cut the last page ended at: in ascending order the end of its last segment,
    in descending order the start of it.
    """

    limit: int
    timerange: TimeRange = ETERNITY
    object_id: ObjectId | None = None
    reverse_order: bool = False
    after: int | None = None

    @property
    def remaining(self) -> TimeRange:
        """The part of the timerange that earlier pages have not answered."""
        if self.after is None:
            return self.timerange
        if self.reverse_order:
            return TimeRange(self.timerange.start, min(self.timerange.end, self.after))
        return TimeRange(max(self.timerange.start, self.after), self.timerange.end)


Position = tuple[int, int | str, str]


def position(value: datetime | str | None, identity: str) -> Position:
    """Where a thing stands in a list sorted by `value`: times latest first, texts by alphabet."""
    if value is None:
        return (1, "", identity)
    if isinstance(value, datetime):
        return (0, -int(value.timestamp() * 1_000_000), identity)
    return (0, value, identity)


def resumed_at(listing: Listing) -> Position | None:
    """The position the page before this one ended at; None for the first page.

    Raises:
        Invalid: when the page key is not one that `page_of` made.
    """
    return None if listing.page is None else _decoded(listing.page)


def is_beyond(place: Position, last: Position, listing: Listing) -> bool:
    """Whether `place` comes after `last` in the order of `listing`."""
    return place < last if listing.reverse_order else place > last


def in_order(items: Iterable[T], position_of: Callable[[T], Position], listing: Listing) -> list[T]:
    """`items` in the order of `listing`, from where the last page ended on.

    Raises:
        Invalid: when the page key is not one that `page_of` made for the same order.
    """
    ordered = sorted(items, key=position_of, reverse=listing.reverse_order)
    last = resumed_at(listing)
    if last is None:
        return ordered
    try:
        return [item for item in ordered if is_beyond(position_of(item), last, listing)]
    except TypeError as error:
        raise Invalid("page belongs to a list in another order", field="page") from error


def page_of(items: Iterable[T], position_of: Callable[[T], Position], listing: Listing) -> Page[T]:
    """The page of `items` that `listing` asks for.

    Raises:
        Invalid: when the page key is not one this function made for the same order.
    """
    return page_from(in_order(items, position_of, listing), position_of, listing)


def page_from(
    items: Iterable[T], position_of: Callable[[T], Position], listing: Listing
) -> Page[T]:
    """The page that begins with `items`, of which no more are looked at than it takes."""
    found = list(islice(items, listing.limit + 1))
    shown = found[: listing.limit]
    more = len(found) > len(shown)
    return Page(shown, encoded(position_of(shown[-1])) if more else None, listing.limit)


def encoded(place: Sequence[int | str]) -> str:
    """A page key: opaque to clients, safe in a URL."""
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def decoded(page: str) -> list[int | str]:
    """What `encoded` made a page key of; raises Invalid for any other text."""
    try:
        place = json.loads(urlsafe_b64decode(page + "=" * (-len(page) % 4)))
    except (ValueError, RecursionError) as error:  # the latter when nested deeply
        raise Invalid(f"page {page!r} is not a key this service gave out", field="page") from error
    if not isinstance(place, list) or not all(isinstance(part, int | str) for part in place):
        raise Invalid(f"page {page!r} is not a key this service gave out", field="page")
    return place


def _decoded(page: str) -> Position:
    match decoded(page):
        case [int(rank), int() | str() as value, str(identity)]:
            return (rank, value, identity)
        case _:
            raise Invalid("page belongs to another list", field="page")


def _has_any(value: str | Sequence[str] | None, wanted: frozenset[str]) -> bool:
    if value is None:
        return False
    return bool(wanted & ({value} if isinstance(value, str) else set(value)))
