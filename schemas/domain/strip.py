"""A strip: neighbouring segments of a flow, as they are shown, in little memory.

* A segment is its two cuts and two texts: the JSON that is the same for everybody, and what the
  rest is made from for each request.
* Texts of neighbours are one text: to show many is to copy once, and no object stands for a
  segment. How texts begin and end alike is kept once.
* A strip never changes. A part of one shares its memory, unless it is a small part.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import AnyStr

from schemas.domain.timerange import NEVER, TimeRange

# What a segment takes up besides its texts, and a strip besides its segments.
_PER_SEGMENT = 24
_PER_STRIP = 1_000


@dataclass(frozen=True, slots=True)
class Texts:
    """Some texts, one after the other; `ends` has a zero, and where each of them ends."""

    joined: bytes
    ends: "array[int]"

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "Texts":
        """These texts."""
        return cls(b"".join(texts), array("I", accumulate(map(len, texts), initial=0)))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def between(self, first: int, last: int) -> bytes:
        """The texts from number `first` up to, not including, number `last`."""
        return self.joined[self.ends[first] : self.ends[last]]

    def each(self, first: int, last: int) -> Iterator[bytes]:
        """The same, one by one."""
        ends = self.ends[first : last + 1]
        return (self.joined[a:b] for a, b in pairwise(ends))

    def part(self, first: int, last: int) -> "Texts":
        """The same, without the others."""
        base = self.ends[first]
        ends = array("I", (end - base for end in self.ends[first : last + 1]))
        return Texts(self.between(first, last), ends)

    def followed_by(self, others: "Texts") -> "Texts":
        """These and `others`."""
        base = self.ends[-1]
        ends = array("I", (base + end for end in others.ends[1:]))
        return Texts(self.joined + others.joined, self.ends + ends)


@dataclass(frozen=True, slots=True)
class Alike:
    """Some texts that begin and end alike, of which what is between is kept."""

    before: bytes
    middles: Texts
    after: bytes

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> "Alike":
        """These texts."""
        if not texts:
            return cls(b"", Texts.of([]), b"")
        before = beginning(min(texts), max(texts))
        rests = [text[len(before) :][::-1] for text in texts]
        after = beginning(min(rests), max(rests))[::-1]
        return cls(before, Texts.of([rest[len(after) :][::-1] for rest in rests]), after)

    def each(self, first: int, last: int) -> Iterator[bytes]:
        """The texts from number `first` up to, not including, number `last`."""
        return (self.before + middle + self.after for middle in self.middles.each(first, last))

    def part(self, first: int, last: int) -> "Alike":
        """The same, without the others."""
        return Alike(self.before, self.middles.part(first, last), self.after)

    def followed_by(self, others: "Alike") -> "Alike":
        """These and `others`."""
        if (self.before, self.after) == (others.before, others.after):
            return Alike(self.before, self.middles.followed_by(others.middles), self.after)
        lengths = len(self.middles), len(others.middles)
        return Alike.of([*self.each(0, lengths[0]), *others.each(0, lengths[1])])


def beginning(first: AnyStr, last: AnyStr) -> AnyStr:
    """How the first and the last of some texts in order begin, and so do all of them."""
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((place for place, (a, b) in pairs if a != b), len(first))]


@dataclass(frozen=True, slots=True)
class _Reel:
    """What strips are parts of: columns of the same length, in order of time."""

    starts: "array[int]"
    ends: "array[int]"
    shown: Texts
    sources: Alike


@dataclass(frozen=True, slots=True)
class Strip:
    """Segments `first` up to `last` of a reel, disjoint and in order of time."""

    reel: _Reel
    first: int
    last: int

    @classmethod
    def of(cls, starts: "array[int]", ends: "array[int]", shown: Texts, sources: Alike) -> "Strip":
        """Segments in order of time, with what is shown of each and what the rest is made from."""
        return cls(_Reel(starts, ends, shown, sources), 0, len(starts))

    @classmethod
    def empty(cls) -> "Strip":
        """No segments."""
        return cls.of(array("q"), array("q"), Texts.of([]), Alike.of([]))

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def hull(self) -> TimeRange:
        """From the start of the first segment to the end of the last."""
        if not len(self):
            return NEVER
        return TimeRange(self.reel.starts[self.first], self.reel.ends[self.last - 1])

    @property
    def size(self) -> int:
        """The memory it takes up, in bytes."""
        shown, sources = self.reel.shown.ends, self.reel.sources.middles.ends
        texts = shown[self.last] - shown[self.first] + sources[self.last] - sources[self.first]
        return _PER_STRIP + texts + _PER_SEGMENT * len(self)

    @property
    def shown(self) -> bytes:
        """What is shown of its segments, one after the other."""
        return self.reel.shown.between(self.first, self.last)

    def each(self) -> Iterator[bytes]:
        """What is shown of each segment."""
        return self.reel.shown.each(self.first, self.last)

    def sources(self) -> Iterator[bytes]:
        """What the rest of each segment is made from."""
        return self.reel.sources.each(self.first, self.last)

    def overlapping(self, span: TimeRange) -> "Strip":
        """Those of its segments that overlap `span`."""
        reel = self.reel
        first = bisect_right(reel.ends, span.start, self.first, self.last)
        return Strip(reel, first, max(first, bisect_left(reel.starts, span.end, first, self.last)))

    def leading(self, count: int, *, descending: bool) -> "Strip":
        """Its first `count` segments in that order, or all of them."""
        if count >= len(self):
            return self
        if descending:
            return Strip(self.reel, self.last - count, self.last)
        return Strip(self.reel, self.first, self.first + count)

    def compact(self) -> "Strip":
        """The same without the rest of its reel, if that is larger."""
        return self if 2 * len(self) >= len(self.reel.starts) else self._alone()

    def followed_by(self, later: "Strip") -> "Strip":
        """This strip and a later one, whose first segment may be the last of this one."""
        if len(self) and len(later) and later.hull.start == self.reel.starts[self.last - 1]:
            later = Strip(later.reel, later.first + 1, later.last)
        one, other = self._alone().reel, later._alone().reel
        reel = _Reel(
            one.starts + other.starts,
            one.ends + other.ends,
            one.shown.followed_by(other.shown),
            one.sources.followed_by(other.sources),
        )
        return Strip(reel, 0, len(reel.starts))

    def _alone(self) -> "Strip":
        reel, first, last = self.reel, self.first, self.last
        if last - first == len(reel.starts):
            return self
        alone = _Reel(
            reel.starts[first:last],
            reel.ends[first:last],
            reel.shown.part(first, last),
            reel.sources.part(first, last),
        )
        return Strip(alone, 0, last - first)


@dataclass(frozen=True, slots=True)
class Shown:
    """The segments of a page: strips in its order."""

    strips: Sequence[Strip]
    descending: bool

    @classmethod
    def of(cls, strips: Iterable[Strip], limit: int, *, descending: bool) -> "Shown":
        """The first `limit` segments of `strips`."""
        shown = []
        for strip in strips:
            shown.append(strip.leading(limit, descending=descending))
            limit -= len(shown[-1])
        return cls([strip for strip in shown if len(strip)], descending)

    def __len__(self) -> int:
        return sum(map(len, self.strips))

    @property
    def hull(self) -> TimeRange:
        """From the start of the earliest segment to the end of the latest."""
        return TimeRange.hull(strip.hull for strip in self.strips)

    def texts(self) -> Iterator[bytes]:
        """What is shown of them, in as few pieces as their order allows."""
        return self.each() if self.descending else (strip.shown for strip in self.strips)

    def each(self) -> Iterator[bytes]:
        """What is shown of each of them."""
        for strip in self.strips:
            yield from reversed(list(strip.each())) if self.descending else strip.each()

    def sources(self) -> Iterator[bytes]:
        """What the rest of each is made from."""
        for strip in self.strips:
            yield from reversed(list(strip.sources())) if self.descending else strip.sources()


@dataclass(frozen=True, slots=True)
class ShownPage:
    """A page of segments, and the cursor of the next one if there is one."""

    items: Shown
    next_key: str | None
    limit: int
