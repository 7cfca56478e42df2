"""Arrow reads what is written without it."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from infra.vast_local import few

_VALUES = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(1 << 31), (1 << 31) - 1),
    pa.int64(): st.integers(-(1 << 63), (1 << 63) - 1),
    pa.uint64(): st.integers(0, (1 << 64) - 1),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
}


@given(st.sampled_from(list(_VALUES)), st.data())
def test_a_column_comes_back_as_it_was_written(type_: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | _VALUES[type_], max_size=few.MOST_ROWS))
    message = few.message(values, type_)

    batch = pa.ipc.read_record_batch(pa.py_buffer(message), pa.schema([("f", type_)]))

    batch.validate(full=True)
    assert batch.column(0).equals(pa.array(values, type_))
