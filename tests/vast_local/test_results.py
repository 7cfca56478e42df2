"""Results of queries are read as the SDK would have read them."""

import io
import struct
from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vastdb import _internal as sdk

from infra.vast.results import FINISHED, pages
from infra.vast_local import protocol

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("start", pa.int64()),
        ("collects", pa.bool_()),
        ("created", pa.timestamp("us")),
        ("$row_id", pa.uint64()),
    ]
)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 - as columns hold them
_ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            "start": st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
            "collects": st.none() | st.booleans(),
            "created": st.none() | _MOMENTS,
            "$row_id": st.integers(0, 1 << 40),
        }
    )
)
_KEEP_ALIVE = struct.pack("<I", sdk.TABULAR_KEEP_ALIVE_STREAM_ID)


def page(rows: list[dict[str, object]], next_row: int = FINISHED, stream: int = 0) -> list[bytes]:
    leaves = pa.RecordBatch.from_pylist(rows, schema=_SCHEMA).columns
    return [bytes(frame) for frame in protocol.cycle(stream, next_row, leaves, len(rows))]


def answer(*frames: bytes) -> bytes:
    return b"".join([*frames, protocol.completed()])


@given(st.lists(_ROWS, min_size=1, max_size=3))
def test_pages_are_those_that_the_sdk_reads(given_pages: list[list[dict[str, object]]]) -> None:
    frames = [page(rows, number) for number, rows in enumerate(given_pages)]
    body = answer(_KEEP_ALIVE, *(frame for each in frames for frame in [*each, _KEEP_ALIVE]))

    found = list(pages(body, _SCHEMA))

    by_the_sdk = list(sdk.parse_query_data_response(io.BytesIO(body), _SCHEMA))
    assert found == [(next_row, table) for _, next_row, table in by_the_sdk]
    assert [table.to_pylist() for _, table in found] == given_pages


def test_a_column_in_several_batches_is_one_column() -> None:
    schema = pa.schema([("f", pa.int64())])
    head = struct.pack("<IQ", 0, FINISHED)
    batches = [pa.record_batch([pa.array([n, n + 1])], schema=schema) for n in (1, 5)]
    end = protocol.cycle(0, FINISHED, batches[0].columns, 2)
    messages = [schema.serialize(), *(batch.serialize() for batch in batches)]
    body = answer(*(head + bytes(message) for message in messages), b"".join(end)[-20:])

    ((next_row, table),) = pages(body, schema)

    assert next_row == FINISHED
    assert table["f"].to_pylist() == [1, 2, 5, 6]


def test_an_answer_that_breaks_off_anywhere_is_noticed() -> None:
    body = answer(*page([{"id": "a", "start": 1, "$row_id": 7}]))

    for length in range(len(body)):
        with pytest.raises((EOFError, OSError, ValueError)):
            list(pages(body[:length], _SCHEMA))


def test_a_query_that_failed_says_with_what() -> None:
    failed = struct.pack("<IQI", sdk.TABULAR_QUERY_DATA_FAILED_STREAM_ID, 42, 0)

    with pytest.raises(ValueError, match="42"):
        list(pages(b"".join(page([])) + failed, _SCHEMA))


def test_a_sub_split_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="sub-split 3"):
        list(pages(answer(*page([], stream=3)), _SCHEMA))
