"""Prepared queries say what the SDK would have said."""

from datetime import datetime, timedelta
from functools import reduce
from operator import and_
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from vastdb import _internal as sdk
from vastdb.table_metadata import TableMetadata, TableRef, TableType

from infra.vast.prepared import ROW_ID, Term, request
from infra.vast_local import catalog, query
from schemas.tables.definitions import OBJECTS, TABLES

_COLUMNS = ["id", "created", "references"]
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001 - as columns hold them
    lambda moment: moment - timedelta(microseconds=moment.microsecond % 10)
)


@given(_TEXTS, _INTEGERS, _INTEGERS, _MOMENTS, st.lists(_TEXTS, min_size=1, max_size=40))
def test_a_prepared_query_reads_as_one_that_the_sdk_encodes(
    role: str, start: int, end: int, moment: datetime, ids: list[str]
) -> None:
    terms = [
        Term("role", "=", role),
        Term("key", "null"),
        Term("start", "<", end),
        Term("end", ">", start),
        Term("created", ">=", moment),
        Term("id", "in", ids),
    ]

    prepared = _read(request(OBJECTS, _COLUMNS, terms))

    assert prepared == _read(_by_the_sdk(role, start, end, moment, _padded(ids)))


def _padded(values: list[str]) -> list[str]:
    size = 1
    while size < len(values):
        size *= 2
    return values + values[-1:] * (size - len(values))


def _by_the_sdk(
    role: str, start: int, end: int, moment: datetime, ids: list[str]
) -> sdk.QueryDataRequest:
    columns = TableMetadata(
        TableRef("", "", OBJECTS), TABLES[OBJECTS], TableType.Regular
    ).ibis_table
    terms: list[Any] = [
        columns["role"] == role,
        columns["key"].isnull(),
        columns["start"] < end,
        columns["end"] > start,
        columns["created"] >= moment,
        columns["id"].isin(ids),
    ]
    return sdk.build_query_data_request(
        schema=pa.schema([pa.field(ROW_ID, pa.uint64()), *TABLES[OBJECTS]]),
        predicate=reduce(and_, terms),
        field_names=[*_COLUMNS, ROW_ID],
    )


def _read(asked: sdk.QueryDataRequest) -> tuple[str, list[object], list[str]]:
    """What the local server makes of a request: condition, its values, the columns to read."""
    fields = tuple(catalog.Column(i, field) for i, field in enumerate(TABLES[OBJECTS]))
    table = catalog.Table(1, 1, OBJECTS, fields, next_column=len(fields))
    found, parameters = query.decode(table, bytes(asked.serialized))
    return found.condition.sql, parameters, [leaf.column for leaf in found.leaves]
