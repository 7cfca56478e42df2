"""What is remembered of the timeline of a flow, so that the database need not be asked again.

* A *stretch* is a span of time of which every segment is known: all that overlap it.
* Stretches are disjoint. Small ones that meet become one, so that what grows by single segments
  does not become many.
* All of it is true as of the newest mark seen. What was read later than some mark was seen, and no
  later, is true once the spans of all marks that came after that one are forgotten.
* Changes of segments are whole: the span of a mark cuts no segment that it leaves as it was.
* Stretches may have been read at different moments. Neighbours that contradict each other about
  the segment between them were: the older one is forgotten.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Final

from schemas.domain.flow import Flow
from schemas.domain.mark import Mark
from schemas.domain.strip import Strip
from schemas.domain.timerange import ETERNITY, NEVER, TimeRange

# Stretches that meet become one as long as that has no more segments.
_JOINED: Final = 1_000
PER_FLOW: Final = 4_000
"""What a flow takes up besides its stretches, in bytes, about."""


@dataclass(slots=True, eq=False)
class Stretch:
    """The segments that overlap `span`, as they were read at a moment; when it was `used` last."""

    span: TimeRange
    strip: Strip
    read_s: float
    used_s: float = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.used_s = self.read_s
        self.size = self.strip.size

    def without(self, span: TimeRange) -> Iterator["Stretch"]:
        """What is left of it when `span` is forgotten."""
        if not self.span.overlaps(span):
            yield self
            return
        before = TimeRange(self.span.start, min(self.span.end, span.start))
        after = TimeRange(max(self.span.start, span.end), self.span.end)
        for rest in (before, after):
            if rest:
                yield Stretch(rest, self.strip.overlapping(rest).compact(), self.read_s)

    def agrees(self, other: "Stretch") -> bool:
        """Whether both know of the same segment where one reaches into the other."""
        reaching = self.strip.overlapping(other.span), other.strip.overlapping(self.span)
        return reaching[0].hull == reaching[1].hull

    def joined(self, later: "Stretch") -> "Stretch | None":
        """This stretch and a later one as one; None when they do not meet, or are too long."""
        if self.span.end != later.span.start or len(self.strip) + len(later.strip) > _JOINED:
            return None
        return Stretch(
            TimeRange(self.span.start, later.span.end),
            self.strip.followed_by(later.strip),
            min(self.read_s, later.read_s),
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """A flow as it was read at a moment; None when there was none."""

    flow: Flow | None
    read_s: float


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one flow, as of the newest of `marks`, which is the first of them."""

    marks: tuple[Mark, ...]
    stretches: tuple[Stretch, ...] = ()
    sighting: Sighting | None = None

    @property
    def token(self) -> str:
        """The token of the newest mark seen."""
        return self.marks[0].token

    @property
    def size(self) -> int:
        """The memory it takes up, in bytes, roughly."""
        return PER_FLOW + sum(stretch.size for stretch in self.stretches)

    @property
    def segments(self) -> int:
        """How many segments are known."""
        return sum(len(stretch.strip) for stretch in self.stretches)

    def caught_up(self, marks: Sequence[Mark]) -> "Known":
        """The same once `marks` have been seen, which are all there are of the flow."""
        tokens = [mark.token for mark in marks]
        if self.token in tokens:
            newer = marks[: tokens.index(self.token)]
            caught_up = self._forgetting(mark.span for mark in newer)
            return replace(caught_up, marks=tuple(marks), sighting=_after(self.sighting, newer))
        if any(mark.token == tokens[0] for mark in self.marks):  # others have seen more
            return self
        return Known(tuple(marks))

    def with_stretch(self, stretch: Stretch, token: str) -> "Known":
        """With what was read after the mark `token` had been seen; it takes the place of others."""
        newer = self._since(token)
        if newer is None:
            return self
        new = _without([stretch], (mark.span for mark in newer))
        kept = _without(self.stretches, (each.span for each in new))
        kept = [each for each in kept if all(each.agrees(other) for other in new)]
        return replace(self, stretches=_joined(sorted([*kept, *new], key=_start)))

    def with_sighting(self, sighting: Sighting, token: str) -> "Known":
        """With the flow as it was read after the mark `token` had been seen."""
        newer = self._since(token)
        return self if newer is None else replace(self, sighting=_after(sighting, newer))

    def with_only(self, stretches: Collection[Stretch]) -> "Known":
        """With none but these stretches."""
        return replace(self, stretches=tuple(s for s in self.stretches if s in stretches))

    def leading(
        self, span: TimeRange, wanted: int, *, descending: bool, since_s: float
    ) -> tuple[list[Stretch], list[Strip], TimeRange]:
        """The first `wanted` segments that overlap `span`, as far as they are known without a gap.

        Stretches are relied on when they were read at `since_s` or later. Returns those used,
        their segments in that order, and the rest of `span` if that may hold more of them.
        """
        used: list[Stretch] = []
        found: list[Strip] = []
        for stretch in self._onward(span, descending=descending):
            here = stretch.span.intersection(span)
            if not here:  # the last segment reaches beyond it
                continue
            apart = here.end < span.end if descending else here.start > span.start
            if apart or stretch.read_s < since_s:
                break
            strip = stretch.strip.overlapping(span).leading(wanted, descending=descending)
            used.append(stretch)
            if len(strip):
                found.append(strip)
                wanted -= len(strip)
                here = TimeRange.hull([here, strip.hull])
            if descending:
                span = TimeRange(span.start, here.start)
            else:
                span = TimeRange(here.end, span.end)
            if not (wanted and span):
                return used, found, NEVER
        return used, found, span

    def unknown(self, span: TimeRange, *, descending: bool) -> TimeRange:
        """The time that no stretch begins in, from the start of `span` on, or back from its end."""
        if descending:
            place = bisect_left(self.stretches, span.end, key=_end)
            lower = self.stretches[place - 1].span.end if place else ETERNITY.start
            return TimeRange(lower, span.end)
        place = bisect_right(self.stretches, span.start, key=_start)
        after = self.stretches[place:]
        return TimeRange(span.start, after[0].span.start if after else ETERNITY.end)

    def meets(self, span: TimeRange, *, descending: bool) -> bool:
        """Whether what is known leads up to the start of `span`, or down to its end."""
        if descending:
            place = bisect_left(self.stretches, span.end, key=_start)
            return place < len(self.stretches) and self._reaches(place, span.end)
        place = bisect_right(self.stretches, span.start, key=_start)
        return place > 0 and self._reaches(place - 1, span.start)

    def _reaches(self, place: int, cut: int) -> bool:
        """Whether a stretch, or its first or last segment, ends at a cut."""
        stretch = self.stretches[place]
        hull = stretch.strip.hull
        return cut in {stretch.span.start, stretch.span.end, hull.start, hull.end}

    def _onward(self, span: TimeRange, *, descending: bool) -> Iterator[Stretch]:
        """The stretches from the start of `span` on, or back from its end."""
        if descending:
            return reversed(self.stretches[: bisect_left(self.stretches, span.end, key=_start)])
        return iter(self.stretches[bisect_right(self.stretches, span.start, key=_end) :])

    def _forgetting(self, spans: Iterable[TimeRange]) -> "Known":
        return replace(self, stretches=tuple(_without(self.stretches, spans)))

    def _since(self, token: str) -> Sequence[Mark] | None:
        """The marks after the one called `token`; None when it is not known which they are."""
        for place, mark in enumerate(self.marks):
            if mark.token == token:
                return self.marks[:place]
        return None


_start: Final = attrgetter("span.start")
_end: Final = attrgetter("span.end")


def _without(stretches: Iterable[Stretch], spans: Iterable[TimeRange]) -> list[Stretch]:
    left = list(stretches)
    for span in spans:
        left = [rest for stretch in left for rest in stretch.without(span)]
    return left


def _joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same, in order of time, with small ones that meet as one."""
    found: list[Stretch] = []
    for stretch in stretches:
        one = found[-1].joined(stretch) if found else None
        if one is None:
            found.append(stretch)
        else:
            found[-1] = one
    return tuple(found)


def _after(sighting: Sighting | None, newer: Sequence[Mark]) -> Sighting | None:
    """A flow that was seen before some marks, unless they say that it may be another now."""
    if sighting is None or not newer:
        return sighting
    if sighting.flow is None or not all(mark.span for mark in newer):
        return None
    return sighting
