"""The first so many segments of a stretch of time, found window by window.

The database has no order: it can be asked for the segments of a window, not for the next 300.

* The first window is as wide as it takes, on the flow's average, to hold a few more than wanted.
* While too few are found, each next window is four times as wide as the one before.
* Of a window that holds far too many, only some come, in no order. They tell how far the search
  has to go at most; first it is tried with a quarter of the window.
* What the flow is said to hold is a guide and not believed: all of the stretch is searched, if
  necessary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from schemas.domain.flow import Content
from schemas.domain.timerange import TimeRange

_STEP: Final = 4
_STORABLE: Final = TimeRange(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Search:
    """A search that goes on: `wanted` more segments of `span`, from its start or from its end.

    `enough` is a cut up to which there are as many, if one is known.
    """

    span: TimeRange
    wanted: int
    descending: bool
    content: TimeRange
    width: int
    enough: int | None = None

    @classmethod
    def begin(cls, span: TimeRange, wanted: int, content: Content, *, descending: bool) -> "Search":
        """A search in a flow with that content; with none, it begins with all of `span`."""
        whole = content.timerange or _STORABLE
        width = _length(whole)
        if content.segments:
            width = (wanted + wanted // 2) * width // content.segments
        return cls(span, wanted, descending, whole, max(1, width))

    @property
    def goes_on(self) -> bool:
        """Whether more is wanted and may be found."""
        return self.wanted > 0 and bool(self.span)

    @property
    def window(self) -> TimeRange:
        """Where to look next."""
        span, content = self.span, self.content
        if self.descending:
            cut = min(span.end, content.end) - self.width
            return span if cut <= max(span.start, content.start) else TimeRange(cut, span.end)
        cut = max(span.start, content.start) + self.width
        return span if cut >= min(span.end, content.end) else TimeRange(span.start, cut)

    def narrower(self, some: Sequence[TimeRange]) -> "Search":
        """After the window was found to hold too many, of which `some` are known."""
        if self.descending:
            enough = sorted((each.start for each in some), reverse=True)[self.wanted - 1]
        else:
            enough = sorted(each.end for each in some)[self.wanted - 1]
        width = _length(self.window.intersection(self.content)) // _STEP
        if width:
            return replace(self, width=width, enough=enough)
        width = _length(self.window.intersection(_STORABLE)) // _STEP
        return replace(self, content=_STORABLE, width=max(1, width), enough=enough)

    def after(self, found: int, reached: int | None) -> "Search":
        """After the window was found to hold `found` segments, the last of which ends at `reached`.

        In descending order that is the cut at which it starts.
        """
        window, wider = self.window, self.width * _STEP
        if self.descending:
            cut = window.start if reached is None else min(window.start, reached)
            rest = TimeRange(self.span.start, cut)
            ahead = 0 if self.enough is None else cut - self.enough
        else:
            cut = window.end if reached is None else max(window.end, reached)
            rest = TimeRange(cut, self.span.end)
            ahead = 0 if self.enough is None else self.enough - cut
        width, enough = (ahead, self.enough) if ahead > 0 else (wider, None)
        return replace(self, span=rest, wanted=self.wanted - found, width=width, enough=enough)


def _length(span: TimeRange) -> int:
    return span.end - span.start
