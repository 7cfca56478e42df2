"""Queries whose shape is encoded once, and filled in with values again and again.

* The SDK takes longer to encode a query than a nearby database takes to answer it. What it encodes
  depends on values in few places: the eight bytes of an integer, and where a text begins.
* A text is appended to the request and pointed at, so that one of any length fits: offsets in a
  flatbuffer point forward, and its end is aligned.
* Lists of values come in powers of two, the last value repeated, so that there are few shapes.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, reduce
from operator import and_, eq, ge, gt, lt
from typing import Any, Final

import pyarrow as pa
from vastdb import _internal as sdk
from vastdb.table_metadata import TableMetadata, TableRef, TableType

from schemas.tables.definitions import TABLES

ROW_ID: Final = "$row_id"
MOST_VALUES: Final = 4_096
"""How many values a list may have."""

_INTEGER: Final = struct.Struct("<q")
_OFFSET: Final = struct.Struct("<I")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - columns hold UTC without saying so
_MICROSECOND: Final = timedelta(microseconds=1)
# Places are found by what is put there at first, which nothing else in a request looks like.
_MARK: Final = 0x0123_4567_89AB_0000
_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"=": eq, "<": lt, ">": gt, ">=": ge}


@dataclass(frozen=True, slots=True)
class Term:
    """A condition: a column is `=`, `<`, `>` or `>=` a value, one of a list (`in`), or `null`.

    Values are texts, integers, truths, and moments in UTC that do not say so.
    """

    column: str
    operator: str
    value: Any = None


# Column, operator, and how many values follow, or the truth itself.
_Shape = tuple[str, str, int | bool]


def request(table: str, columns: Sequence[str], terms: Sequence[Term]) -> sdk.QueryDataRequest:
    """The request for `columns`, and the row id, of those rows for which every term holds.

    A list has between 1 and `MOST_VALUES` values.
    """
    shapes: list[_Shape] = []
    values: list[Any] = []
    for term in terms:
        found = _values(term)
        shapes.append((term.column, term.operator, len(found) if found else bool(term.value)))
        values += found
    return _encoded(table, tuple(columns), tuple(shapes)).filled(values)


class _Encoded:
    """An encoded query with places for values."""

    def __init__(self, table: str, columns: Sequence[str], shapes: Sequence[_Shape]) -> None:
        condition, marks = _condition(table, shapes)
        request = sdk.build_query_data_request(
            schema=pa.schema([pa.field(ROW_ID, pa.uint64()), *TABLES[table]]),
            predicate=condition,
            field_names=[*columns, ROW_ID],
        )
        self._bytes = bytes(request.serialized)
        self._places = [_place(self._bytes, mark) for mark in marks]
        self._schema = request.response_schema
        self._parser = request.response_parser

    def filled(self, values: Sequence[Any]) -> sdk.QueryDataRequest:
        """The request with `values`, in the order of the terms."""
        encoded = bytearray(self._bytes)
        for place, value in zip(self._places, values, strict=True):
            if isinstance(value, str):
                _OFFSET.pack_into(encoded, place, len(encoded) - place)
                text = value.encode()
                encoded += _OFFSET.pack(len(text)) + text + bytes(4 - len(text) % 4)
            else:
                _INTEGER.pack_into(encoded, place, value)
        return sdk.QueryDataRequest(bytes(encoded), self._schema, self._parser)


@lru_cache(maxsize=512)
def _encoded(table: str, columns: tuple[str, ...], shapes: tuple[_Shape, ...]) -> _Encoded:
    return _Encoded(table, columns, shapes)


def _values(term: Term) -> list[Any]:
    """What is to be filled in for a term; truths are part of the shape."""
    match term.value:
        case None | bool():
            return []
        case str() | int():
            return [term.value]
        case datetime():
            return [(term.value - _EPOCH) // _MICROSECOND]
        case _:
            values = list(term.value)
            return values + values[-1:] * ((1 << (len(values) - 1).bit_length()) - len(values))


def _condition(table: str, shapes: Sequence[_Shape]) -> tuple[Any, list[bytes]]:
    """The condition as the SDK takes it, and what stands encoded in each place for a value."""
    schema = TABLES[table]
    columns = TableMetadata(TableRef("", "", table), schema, TableType.Regular).ibis_table
    terms: list[Any] = []
    marks: list[bytes] = []
    for name, operator, count in shapes:
        column, kind = columns[name], schema.field(name).type
        if operator == "null":
            terms.append(column.isnull())
        elif pa.types.is_boolean(kind):
            terms.append(column == count)
        else:
            values, encoded = zip(
                *(_mark(kind, len(marks) + number) for number in range(count)), strict=True
            )
            terms.append(
                column.isin(values) if operator == "in" else _COMPARE[operator](column, *values)
            )
            marks += encoded
    return reduce(and_, terms) if terms else None, marks


def _mark(kind: pa.DataType, number: int) -> tuple[Any, bytes]:
    """A value that is found again, and what it looks like encoded."""
    if pa.types.is_string(kind):
        text = f"{_MARK + number:x}"
        return text, _OFFSET.pack(len(text)) + text.encode()
    encoded = _INTEGER.pack(_MARK + number)
    if pa.types.is_timestamp(kind):
        return _EPOCH + timedelta(microseconds=_MARK + number), encoded
    return _MARK + number, encoded


def _place(encoded: bytes, mark: bytes) -> int:
    """Where to put a value: at the mark if that is an integer, else at the offset of the text."""
    found = encoded.index(mark)
    if len(mark) == _INTEGER.size:
        return found
    return next(
        place
        for place in range(found - _OFFSET.size, -1, -_OFFSET.size)
        if place + _OFFSET.unpack_from(encoded, place)[0] == found
    )
