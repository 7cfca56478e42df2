"""Coverage of a timerange, worked out of two columns of integers.

* Segments of a flow are disjoint, so that starts and ends can be sorted each by itself.
* The distance of two cuts may take 64 bits without a sign: differences are taken modulo 2^64.
* No Python object is made of any segment; only the gaps that are told become some.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.domain.coverage import Coverage, CoverageQuery
from schemas.domain.timerange import NEVER, TimeRange

_INT64: Final = 1 << 63
_UINT64: Final = 1 << 64


def coverage_of(starts: pa.ChunkedArray, ends: pa.ChunkedArray, query: CoverageQuery) -> Coverage:
    """The coverage of `query.timerange` by segments that overlap it, given in any order."""
    asked = query.timerange
    starts, ends = _sorted(starts), _sorted(ends)
    edges = _edges(asked, starts, ends)
    if not edges:
        return Coverage()
    starts = pc.max_element_wise(starts, pa.scalar(edges.start, pa.int64()))
    ends = pc.min_element_wise(ends, pa.scalar(edges.end, pa.int64()))
    opened = pa.concat_arrays([pa.array([edges.start], pa.int64()), ends])
    closed = pa.concat_arrays([starts, pa.array([edges.end], pa.int64())])
    widths = _distance(closed, opened)
    tolerated = pa.scalar(min(2 * query.tolerance_ns, _UINT64 - 1), pa.uint64())
    found = pc.greater(widths, tolerated)
    opened, closed, widths = (column.filter(found) for column in (opened, closed, widths))
    shown = _shown(opened, query)
    return Coverage(
        edges,
        segments=len(starts),
        covered_ns=_total(_distance(ends, starts)) // 2,
        gap_count=len(widths),
        gap_ns=_total(widths) // 2,
        longest_gap=_longest(opened, closed, widths),
        gaps=[_gap(opened, closed, index) for index in shown],
        more=shown.stop < len(widths),
    )


def _sorted(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    return whole.take(pc.array_sort_indices(whole))


def _edges(asked: TimeRange, starts: pa.Array, ends: pa.Array) -> TimeRange:
    """What to look at; for a bound that no segment can reach, the bound of the segments."""
    start, end = asked.start, asked.end
    if start < -_INT64:
        start = starts[0].as_py() if len(starts) else end
    if end >= _INT64:
        end = ends[-1].as_py() if len(ends) else start
    return TimeRange(start, end)


def _distance(later: pa.Array, earlier: pa.Array) -> pa.Array:
    return pc.subtract(later.view(pa.uint64()), earlier.view(pa.uint64()))


def _total(widths: pa.Array) -> int:
    return pc.sum(widths).as_py() or 0


def _shown(opened: pa.Array, query: CoverageQuery) -> range:
    """The indices of the gaps to tell."""
    first = 0
    if query.after is not None:
        cut = pa.scalar(query.after, pa.int64())
        first = pc.sum(pc.less(opened, cut)).as_py() or 0
    return range(first, min(first + query.limit, len(opened)))


def _longest(opened: pa.Array, closed: pa.Array, widths: pa.Array) -> TimeRange:
    if not len(widths):
        return NEVER
    return _gap(opened, closed, pc.index(widths, pc.max(widths)).as_py())


def _gap(opened: pa.Array, closed: pa.Array, index: int) -> TimeRange:
    return TimeRange(opened[index].as_py(), closed[index].as_py())
