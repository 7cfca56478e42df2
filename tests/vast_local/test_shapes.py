"""A request that is recognised reads as it would if it were decoded."""

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from vastdb import _internal as sdk
from vastdb.table_metadata import TableMetadata, TableRef, TableType

from infra.vast.prepared import Term, request
from infra.vast_local import catalog, query
from infra.vast_local.errors import Refused
from schemas.tables.definitions import OBJECTS, TABLES

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
_VALUES = st.tuples(_TEXTS, _INTEGERS, st.lists(_TEXTS, min_size=1, max_size=40))


def _table() -> catalog.Table:
    fields = tuple(catalog.Column(i, field) for i, field in enumerate(TABLES[OBJECTS]))
    return catalog.Table(1, 1, OBJECTS, fields, next_column=len(fields))


def _prepared(role: str, start: int, ids: list[str]) -> bytes:
    terms = [Term("role", "=", role), Term("start", "<", start), Term("id", "in", ids)]
    return bytes(request(OBJECTS, ["id", "created"], terms).serialized)


def _by_the_sdk(role: str, start: int, ids: list[str]) -> bytes:
    metadata = TableMetadata(TableRef("", "", OBJECTS), TABLES[OBJECTS], TableType.Regular)
    columns: Any = metadata.ibis_table
    asked = sdk.build_query_data_request(
        schema=pa.schema([pa.field("$row_id", pa.uint64()), *TABLES[OBJECTS]]),
        predicate=(columns["role"] == role)
        & (columns["start"] < start)
        & columns["id"].isin(ids)
        & columns["key"].startswith(role + "x"),
        field_names=["id", "created"],
    )
    return bytes(asked.serialized)


def _read(table: catalog.Table, body: bytes) -> object:
    try:
        found, parameters = query.decode(table, body)
    except Refused as refusal:
        return str(refusal)
    return found.condition.sql, parameters, found.condition.columns, found.leaves


_KNOWING = _table()
"""A table whose shapes have been learned from all examples before."""


@given(st.lists(_VALUES, min_size=1, max_size=5), st.sampled_from([_prepared, _by_the_sdk]))
def test_other_values_of_a_known_shape_are_found_where_they_are(
    asked: list[tuple[str, int, list[str]]], encode: Any
) -> None:
    for values in asked:
        body = encode(*values)

        read = _read(_KNOWING, body)

        assert read == _read(_table(), body)


def test_a_request_like_one_before_is_recognised() -> None:
    table = _table()
    one, _ = query.decode(table, _prepared("media", 1, ["a", "b"]))

    other, parameters = query.decode(table, _prepared("init", 2, ["long" * 99, "d"]))

    assert other is one
    assert parameters == ["init", 2, "long" * 99, "d"]


def test_many_texts_of_a_request_like_one_before_are_a_list() -> None:
    table = _table()
    one, _ = query.decode(table, _prepared("media", 1, [*"abcdefgh"]))

    other, parameters = query.decode(table, _prepared("init", 2, ["long" * 99, *"stuvwxy"]))

    assert other is one
    assert parameters == ["init", 2, ["long" * 99, *"stuvwxy"]]


@given(_VALUES, st.data())
def test_a_request_that_differs_in_anything_else_is_not_taken_for_a_known_one(
    values: tuple[str, int, list[str]], data: Any
) -> None:
    body = bytearray(_prepared(*values))
    _read(_KNOWING, bytes(body))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.integers(0, 255))

    read = _read(_KNOWING, bytes(body))

    assert read == _read(_table(), bytes(body))
