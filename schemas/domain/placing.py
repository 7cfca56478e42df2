"""Where on its flow's timeline an object stands whose time is not simply given.

* A time may be *stated* more coarsely than media are timed: the object then begins where the one
  before it ends, if that is within the precision of what was stated.
* An encoder's clock *runs*: media timestamps, or a sequence number times a duration. What it shows
  when a segment begins is kept with the segment's object, so that the next is placed by the
  difference, and nothing needs to be remembered that is not registered.
* An MPEG-TS clock wraps every 26.5 hours; of all times it may show, the nearest is meant.
* A playlist *lists* objects with their durations: one stands as far from another of them as the
  durations between them add up to.
* An object may also simply *follow* another, as samples without timestamps do.
* The neighbours an object is placed by are those before and after it by key, then the newest. Late
  and out-of-order objects so find their place in the run of the encoder they belong to.
* A clock that has jumped back, or ahead by more than a tolerance, has *restarted*.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Final, assert_never

from schemas.domain.keys import order_of
from schemas.domain.rejection import Reason, Rejected
from schemas.domain.timerange import NS_PER_S, TimeRange, format_timestamp

# One tick of MPEG-TS is 100 000 / 9 ns.
_TICKS_PER_NS: Final = (9, 100_000)
_WRAP_TICKS: Final = 1 << 33
# Durations in playlists are rounded, and so are their dates.
_PLAYLIST_SLACK_NS: Final = 500_000_000

_by_start = attrgetter("timerange.start")


class Restart(StrEnum):
    """What to do when the encoder's clock or numbering has restarted."""

    CONTINUE = "continue"  # the timeline goes on after its last segment
    NEW_FLOW = "new-flow"  # a new flow of the same source begins
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Stated:
    """It begins at a time that was stated to a precision."""

    start_ns: int
    precision_ns: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the first object of all stands: it begins then, or with `arrived` has ended then."""

    ns: int
    arrived: bool = False

    def start_ns(self, duration_ns: int) -> int:
        """When it begins, if it plays for `duration_ns`."""
        return self.ns - duration_ns if self.arrived else self.ns


@dataclass(frozen=True, slots=True)
class Running:
    """It begins when the encoder's clock shows `at_ns`."""

    at_ns: int
    wraps: bool
    anchor: Anchor
    restart: Restart
    tolerance_ns: int


@dataclass(frozen=True, slots=True)
class Listed:
    """It begins `offset_ns` after the first object of a playlist.

    `near` are keys that play on from or up to it without a break, and their offsets. `stated` is
    when it begins by the wall clock, if the playlist says.
    """

    offset_ns: int
    near: tuple[tuple[str, int], ...]
    anchor: Anchor
    stated: Stated | None = None


@dataclass(frozen=True, slots=True)
class Following:
    """It follows what is before it by key, or else the newest.

    Its clock counts samples, of which there are `rate` in a second, so that rounding to nanoseconds
    never adds up.
    """

    anchor: Anchor
    rate: int | None = None


Bearing = Stated | Running | Listed | Following


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What stands on the timeline: under which key it was dropped, and what the clock showed."""

    timerange: TimeRange
    key: str
    etag: str
    clock_ns: int | None

    @property
    def start_ns(self) -> int:
        """When it begins."""
        return self.timerange.start_ns

    @property
    def end_ns(self) -> int:
        """When it has ended."""
        return -(-self.timerange.end // 2)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object belongs, and what the encoder's clock shows there, counted through wraps."""

    timerange: TimeRange
    clock_ns: int | None = None


class Restarted(Exception):
    """The encoder's clock has restarted, and its rule wants a new flow then."""


def locate(
    bearing: Bearing, duration_ns: int, key: str, etag: str, among: Iterable[Neighbour]
) -> Place:
    """Where an object of `duration_ns` belongs `among` its neighbours, which are disjoint.

    Raises:
        Rejected: when it has no place there.
        Restarted: when it belongs into a new flow.
    """
    around = _Around(key, etag, duration_ns, sorted(among, key=_by_start))
    if (same := around.same()) is not None:
        return Place(same.timerange, same.clock_ns)
    match bearing:
        case Stated():
            return Place(_stated(bearing, around))
        case Running():
            return _running(bearing, around)
        case Listed():
            return Place(_listed(bearing, around))
        case Following():
            return _following(bearing, around)
        case _:
            assert_never(bearing)


def unrolled(at_ns: int, near_ns: int) -> int:
    """The time nearest to `near_ns` at which an MPEG-TS clock shows `at_ns`."""
    tick, near = _ticks(at_ns), _ticks(near_ns)
    wraps = (near - tick + _WRAP_TICKS // 2) // _WRAP_TICKS
    return (tick + wraps * _WRAP_TICKS) * _TICKS_PER_NS[1] // _TICKS_PER_NS[0]


def _ticks(ns: int) -> int:
    """The tick whose time, rounded down to nanoseconds, is `ns`."""
    return -(-ns * _TICKS_PER_NS[0] // _TICKS_PER_NS[1])


class _Around:
    """An object to be placed, and what is on the timeline already, in order of time."""

    def __init__(
        self, key: str, etag: str, duration_ns: int, neighbours: Sequence[Neighbour]
    ) -> None:
        self.key = key
        self.etag = etag
        self.duration_ns = duration_ns
        self.neighbours = neighbours

    def same(self) -> Neighbour | None:
        """This very object, if it stands there already."""
        return next((n for n in self.neighbours if (n.key, n.etag) == (self.key, self.etag)), None)

    def named(self, key: str) -> Neighbour | None:
        """The latest object dropped under `key`."""
        return next((n for n in reversed(self.neighbours) if n.key == key), None)

    @property
    def newest(self) -> Neighbour:
        """The last on the timeline, which must not be empty."""
        return self.neighbours[-1]

    def by_key(self, among: Sequence[Neighbour]) -> tuple[Neighbour | None, Neighbour | None]:
        """Those before and after it among the keys of its series."""
        series, own = order_of(self.key)
        keyed = [(order_of(n.key), n) for n in among]
        ranked = sorted(
            ((number, n.start_ns, n) for (kind, number), n in keyed if kind == series),
            key=lambda item: item[:2],
        )
        below = [n for number, _, n in ranked if number < own]
        above = [n for number, _, n in ranked if number > own]
        return (below[-1] if below else None), (above[0] if above else None)

    def in_series(self, other: Neighbour) -> bool:
        """Whether the keys tell which of both comes first."""
        return order_of(self.key)[0] == order_of(other.key)[0]

    def span(self, start_ns: int) -> TimeRange:
        """The time it takes up when it begins at `start_ns`."""
        return TimeRange.half_open(start_ns, start_ns + self.duration_ns)

    def occupant(self, span: TimeRange) -> Neighbour | None:
        """What takes up some of `span`."""
        place = bisect_right(self.neighbours, span.start, key=_by_start)
        for other in self.neighbours[max(0, place - 1) :]:
            if other.timerange.overlaps(span):
                return other
            if other.timerange.start >= span.end:
                break
        return None


def _stated(bearing: Stated, around: _Around) -> TimeRange:
    start, precision = bearing.start_ns, bearing.precision_ns
    ends = [n.end_ns for n in around.neighbours if abs(n.end_ns - start) <= precision]
    span = around.span(min(ends, key=lambda end: abs(end - start)) if ends else start)
    follower = around.occupant(span)
    if follower is not None:
        overrun = span.end_ns - follower.start_ns
        if 0 < overrun <= min(precision, around.duration_ns // 2):
            return TimeRange(span.start, follower.timerange.start)
    return span


def _running(bearing: Running, around: _Around) -> Place:
    clocked = [n for n in around.neighbours if n.clock_ns is not None]
    if not clocked:
        return Place(around.span(bearing.anchor.start_ns(around.duration_ns)), bearing.at_ns)
    below, above = around.by_key(clocked)
    newest = clocked[-1]
    late = not around.in_series(newest)
    trials: list[tuple[Neighbour | None, Callable[[int], bool]]] = [
        (below, lambda gap: gap >= 0),
        (above, lambda gap: gap < 0),
        (newest, lambda gap: gap >= 0 or late),
    ]
    for reference, fits in trials:
        if reference is None:
            continue
        place = _by_clock(bearing, around, reference)
        gap = place.timerange.start_ns - reference.end_ns
        if not fits(gap) or abs(gap) > bearing.tolerance_ns + around.duration_ns:
            continue
        occupant = around.occupant(place.timerange)
        if occupant is None:
            return place
        if occupant.etag == around.etag:
            raise Rejected(
                Reason.TIME_TAKEN,
                f"the same media are registered at {occupant.timerange}, dropped as {occupant.key}",
            )
    return _restarted(bearing, around, newest)


def _by_clock(bearing: Running, around: _Around, reference: Neighbour) -> Place:
    """Where the object is by what the clock showed at the beginning of `reference`."""
    assert reference.clock_ns is not None
    at, until = bearing.at_ns, bearing.at_ns + around.duration_ns
    if bearing.wraps:
        at = unrolled(at, reference.clock_ns)
        until = unrolled(until, at)  # rounded as the start of what follows will be
    zero = reference.start_ns - reference.clock_ns
    return Place(TimeRange.half_open(zero + at, zero + until), at)


def _restarted(bearing: Running, around: _Around, newest: Neighbour) -> Place:
    match bearing.restart:
        case Restart.CONTINUE:
            return Place(around.span(around.newest.end_ns), bearing.at_ns)
        case Restart.NEW_FLOW:
            raise Restarted
        case Restart.REFUSE:
            assert newest.clock_ns is not None
            raise Rejected(
                Reason.RESTARTED,
                f"the encoder's clock shows {format_timestamp(bearing.at_ns)}, which does not go "
                f"on from {format_timestamp(newest.clock_ns)} of {newest.key}, and the rule "
                "refuses a restart",
            )
        case _:
            assert_never(bearing.restart)


def _listed(bearing: Listed, around: _Around) -> TimeRange:
    own = bearing.offset_ns
    for key, offset in sorted(bearing.near, key=lambda item: abs(item[1] - own)):
        reference = around.named(key)
        if reference is None:
            continue
        start = reference.start_ns + own - offset
        if abs(start - reference.end_ns) <= _PLAYLIST_SLACK_NS:
            start = reference.end_ns
        elif abs(start + around.duration_ns - reference.start_ns) <= _PLAYLIST_SLACK_NS:
            start = reference.start_ns - around.duration_ns
        if bearing.stated is None or abs(start - bearing.stated.start_ns) <= _PLAYLIST_SLACK_NS:
            return around.span(start)
    if bearing.stated is not None:
        return _stated(bearing.stated, around)
    if not around.neighbours:
        return around.span(bearing.anchor.start_ns(around.duration_ns))
    return around.span(around.newest.end_ns + own)


def _following(bearing: Following, around: _Around) -> Place:
    if not around.neighbours:
        return Place(around.span(bearing.anchor.start_ns(around.duration_ns)), 0)
    before, after = around.by_key(around.neighbours)
    if before is None and after is not None:
        return Place(around.span(after.start_ns - around.duration_ns))
    before = before or around.newest
    if bearing.rate is None or before.clock_ns is None:
        return Place(around.span(before.end_ns), 0)
    rate, counted = bearing.rate, before.clock_ns
    zero = before.start_ns - counted * NS_PER_S // rate
    first = counted + round(before.timerange.duration_ns * rate / NS_PER_S)
    last = first + round(around.duration_ns * rate / NS_PER_S)
    start, end = (zero + count * NS_PER_S // rate for count in (first, last))
    return Place(TimeRange.half_open(start, end), first)
