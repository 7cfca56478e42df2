"""Which offered segments may join a flow, and why others may not (TAMS 8.2, POST segments).

* Segments of a flow never overlap.
* Registering the same segment twice is one registration.
* A refused segment does not stop its neighbours.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from operator import attrgetter

from schemas.domain.errors import Invalid, TimeTaken
from schemas.domain.segment import Segment
from schemas.domain.timerange import ETERNITY, TimeRange

_by_start = attrgetter("timerange.start")


class Timeline:
    """Segments of one flow, disjoint and in order of time.

    Of a flow with many segments only some are known; `seen` is where none is missing.
    """

    def __init__(self, segments: Iterable[Segment] = (), seen: TimeRange = ETERNITY) -> None:
        self._segments = sorted(segments, key=_by_start)
        self._seen = seen

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __len__(self) -> int:
        return len(self._segments)

    def overlapping(self, segment: Segment) -> Segment | None:
        """The earliest segment that takes up some of the same time, if there is one."""
        if self._is_after_all(segment):
            return None
        place = bisect_left(self._segments, segment.timerange.start, key=_by_start)
        for other in self._segments[max(0, place - 1) : place + 1]:
            if other.timerange.overlaps(segment.timerange):
                return other
        return None

    def admits(self, segment: Segment) -> bool:
        """Whether `segment` is new here; False when it is registered already.

        Raises:
            TimeTaken: when another segment takes up some of its time.
            Invalid: when it is registered already with another value in some field.
        """
        other = self.overlapping(segment)
        if other is None:
            return True
        if (other.timerange, other.object_id) != (segment.timerange, segment.object_id):
            raise TimeTaken(
                f"timerange {segment.timerange} overlaps {other.timerange} of object "
                f"{other.object_id}, which is registered in flow {segment.flow_id}",
                field="timerange",
            )
        if field := segment.difference(other):
            raise Invalid(
                f"object {segment.object_id} is registered at {segment.timerange} with another "
                f"{field}; delete that segment before writing a new one",
                field=field,
            )
        return False

    def sees(self, span: TimeRange) -> bool:
        """Whether every segment that takes up some of `span` is known."""
        return self._seen.contains(span)

    def learn(self, segments: Iterable[Segment]) -> None:
        """Take more of the existing segments into account."""
        known = {segment.timerange.start for segment in self._segments}
        for segment in segments:
            if segment.timerange.start not in known:
                insort(self._segments, segment, key=_by_start)

    def add(self, segment: Segment) -> None:
        """Take in a segment that `admits` allowed."""
        if self._is_after_all(segment):
            self._segments.append(segment)
        else:
            insort(self._segments, segment, key=_by_start)

    def _is_after_all(self, segment: Segment) -> bool:
        """Whether `segment` begins where all others have ended, as most do."""
        return not self._segments or segment.timerange.start >= self._segments[-1].timerange.end
