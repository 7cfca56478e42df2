"""Strips of segments (see `schemas.strips`), made of columns.

* What is written is what `segment_json` says; a test compares them.
* No Python object is made of any segment: texts are joined column by column. Only where a column
  holds something out of the ordinary, its texts are made one by one.
"""

from array import array
from collections.abc import Callable
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.domain.strip import Alike, Strip, Texts, beginning
from schemas.domain.timerange import NS_PER_S, TimeRange, format_timestamp

SEGMENT_COLUMNS: Final = (
    "start",
    "end",
    "object_id",
    "ts_offset",
    "last_duration",
    "sample_offset",
    "sample_count",
)
OBJECT_COLUMNS: Final = ("id", "instances", "start", "end", "key_frame_count", "init_object_id")

# A text that JSON writes otherwise than as it is.
_UNUSUAL: Final = r"[^ !#-\[\]-~]"


def strip_of(segments: pa.Table, objects: pa.Table) -> Strip:
    """The strip of segments in order of time; `objects` has theirs, and the init objects of these.

    Both have the columns named above, and the former at least one row.
    """
    own = _found(objects, segments["object_id"])
    init_ids = own["init_object_id"]
    inits = _found(objects, init_ids)
    start, end = segments["start"], segments["end"]
    init_names = _json(init_ids)
    shown = _joined(
        pc.coalesce(_joined('{"init_object":{"object_id":', init_names, ',"get_urls":[]},'), "{"),
        _joined('"object_id":', _json(segments["object_id"])),
        _joined(',"timerange":"', _timeranges(start, end), '"'),
        _field("ts_offset", _timestamps(_not_zero(segments["ts_offset"]))),
        _field("last_duration", _timestamps(segments["last_duration"])),
        _field("sample_offset", _numbers(segments["sample_offset"])),
        _field("sample_count", _numbers(segments["sample_count"])),
        _field("key_frame_count", _numbers(own["key_frame_count"])),
        ',"get_urls":[]},',
        optional=True,
    )
    sources = _joined(
        "[",
        pc.coalesce(own["instances"], "[]"),
        ",",
        pc.coalesce(_joined('"', _timeranges(own["start"], own["end"]), '"'), "null"),
        ",",
        pc.coalesce(
            _joined("[", init_names, ",", pc.coalesce(inits["instances"], "[]"), "]"), "null"
        ),
        "]",
    )
    return Strip.of(_array(start), _array(end), _texts(shown), _alike(sources))


def _found(objects: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """The row of each of `ids`; one of nulls, where there is none."""
    return objects.take(pc.index_in(ids, value_set=objects["id"].combine_chunks()))


def _joined(*parts: Any, optional: bool = False) -> pa.ChunkedArray:
    """The texts of `parts` after one another; null where one is, unless that may be missing."""
    missing = "replace" if optional else "emit_null"
    return pc.binary_join_element_wise(*parts, "", null_handling=missing, null_replacement="")


def _field(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return _joined(f',"{name}":', values)


def _json(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.any(pc.match_substring_regex(texts, _UNUSUAL)).as_py():
        return _one_by_one(lambda text: orjson.dumps(text).decode(), texts)
    return _joined('"', texts, '"')


def _timeranges(starts: pa.ChunkedArray, ends: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timeranges as texts: most are half open and after 1970."""
    odd = pc.bit_wise_and(pc.bit_wise_or(starts, ends), 1)
    usual = pc.and_(pc.equal(odd, 0), pc.greater_equal(starts, 0))
    if pc.all(usual).as_py() is False:
        return _one_by_one(lambda start, end: str(TimeRange(start, end)), starts, ends)
    return _joined("[", _times(_halved(starts)), "_", _times(_halved(ends)), ")")


def _timestamps(times_ns: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps as JSON: most are after 1970."""
    if pc.all(pc.greater_equal(times_ns, 0)).as_py() is False:
        return _one_by_one(lambda ns: f'"{format_timestamp(ns)}"', times_ns)
    return _joined('"', _times(times_ns), '"')


def _times(times_ns: pa.ChunkedArray) -> pa.ChunkedArray:
    seconds = pc.divide(times_ns, NS_PER_S)
    rest = pc.subtract(times_ns, pc.multiply(seconds, NS_PER_S))
    return _joined(_numbers(seconds), ":", _numbers(rest))


def _numbers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(values, pa.string())


def _halved(cuts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(cuts, 2)


def _not_zero(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(values, 0), pa.scalar(None, values.type), values)


def _one_by_one(text: Callable[..., str], *columns: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text for each row; null where one of its values is null."""
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    texts = [None if None in row else text(*row) for row in rows]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _array(column: pa.ChunkedArray) -> "array[int]":
    found = array("q")
    for chunk in column.chunks:
        found.frombytes(chunk.buffers()[1][8 * chunk.offset :][: 8 * len(chunk)])
    return found


def _alike(texts: pa.ChunkedArray) -> Alike:
    before = _beginning(texts)
    texts = pc.utf8_slice_codeunits(texts, len(before))
    after = _beginning(pc.utf8_reverse(texts))[::-1]
    middles = pc.utf8_slice_codeunits(texts, 0, -len(after) or None)
    return Alike(before.encode(), _texts(middles), after.encode())


def _beginning(texts: pa.ChunkedArray) -> str:
    found = pc.min_max(texts)
    first: str = found["min"].as_py()
    last: str = found["max"].as_py()
    return beginning(first, last)


def _texts(column: pa.ChunkedArray) -> Texts:
    texts = column.combine_chunks()
    _, offsets, joined = texts.buffers()
    assert texts.offset == 0  # they were just made
    ends = array("I")
    ends.frombytes(offsets[: 4 * (len(texts) + 1)])
    return Texts(joined.slice(0, ends[-1]).to_pybytes() if ends[-1] else b"", ends)
