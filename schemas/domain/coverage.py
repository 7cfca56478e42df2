"""What of a timerange the segments of a flow cover, and the gaps between them.

* A bound the question leaves open is that of the segments: before the first of them and after the
  last there is no gap unless that time was asked about.
* Time nobody covers is a gap when it is longer than the tolerance.
* Durations are nanoseconds, cut down to whole ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.domain.timerange import NEVER, TimeRange


@dataclass(frozen=True, slots=True)
class Coverage:
    """The segments and gaps of a timerange.

    `timerange` is what was looked at, `gaps` the first so many of `gap_count` after the cut that
    was asked for, in order of time; `more` says that others follow.
    """

    timerange: TimeRange = NEVER
    segments: int = 0
    covered_ns: int = 0
    gap_count: int = 0
    gap_ns: int = 0
    longest_gap: TimeRange = NEVER
    gaps: Sequence[TimeRange] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class CoverageQuery:
    """What to look at, and which gaps to tell: the first `limit` from the cut `after` on."""

    timerange: TimeRange
    tolerance_ns: int = 0
    after: int | None = None
    limit: int = 0
