"""Rows go in and come out as they were, under ids that stay."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest
from vastdb import errors

INT = pa.schema([("n", pa.int64()), ("s", pa.string())])


def ids(*values):
    return pa.table({"$row_id": pa.array(values, pa.uint64())})


def test_every_type_comes_back_as_it_went_in(db):
    fields = pa.schema(
        [
            ("b", pa.bool_()),
            ("i8", pa.int8()),
            ("u64", pa.uint64()),
            ("f32", pa.float32()),
            ("s", pa.string()),
            ("bin", pa.binary()),
            ("d", pa.decimal128(38, 4)),
            ("date", pa.date32()),
            ("t_ns", pa.time64("ns")),
            ("ts_ns", pa.timestamp("ns", tz="UTC")),
            ("ts_s", pa.timestamp("s")),
            ("list", pa.list_(pa.timestamp("ms"))),
            ("vector", pa.list_(pa.field("item", pa.float32(), nullable=False), 2)),
            ("map", pa.map_(pa.string(), pa.date32())),
            ("st", pa.struct([("x", pa.int16()), ("X", pa.struct([("y z", pa.string())]))])),
        ]
    )
    day, second = dt.date(1969, 7, 20), dt.datetime.fromisoformat("2262-01-01T01:01:01")
    row = [True, -128, 2**64 - 1, 0.5, "ü\0'", b"\xff\0", Decimal("-1.2345"), day]
    row += [7, 10**18 + 1, second, [second, None], [1.5, -2.5], [("k", day)]]
    row += [{"x": 1, "X": {"y z": None}}]
    pairs = zip(row, fields, strict=True)
    rows = pa.table([pa.array([value, None], field.type) for value, field in pairs], schema=fields)
    with db.session.transaction() as tx:
        tx.bucket(db.bucket).schema(db.schema).create_table("t", fields).insert(rows)

    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        read = table.select(config=db.config).read_all()

        assert table.arrow_schema == fields
        assert read == rows


def test_a_column_left_out_of_an_insert_is_null(db):
    db.create("t", INT)
    with db.session.transaction() as tx:
        db.table(tx, "t").insert(pa.table({"s": ["x"]}))

    assert db.committed("t") == {"n": [None], "s": ["x"]}


def test_updates_and_deletes_go_by_row_id(db):
    db.create("t", INT, [[1, 2, 3, 4], ["a", "b", "c", "d"]])
    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        table.update(ids(2, 0).append_column("s", [["C", "A"]]))
        table.delete(ids(1))

    rows = db.committed("t", internal_row_id=True)

    assert rows == {"n": [1, 3, 4], "s": ["A", "C", "d"], "$row_id": [0, 2, 3]}


def test_nested_values_can_be_updated_and_keep_their_row_id(db):
    fields = pa.schema([("l", pa.list_(pa.int32())), ("st", pa.struct([("x", pa.int32())]))])
    db.create("t", fields, [[[1], [2]], [{"x": 1}, {"x": 2}]])
    with db.session.transaction() as tx:
        new = pa.array([[9, 9]], pa.list_(pa.int32()))
        db.table(tx, "t").update(ids(0).append_column("l", new))

    rows = db.committed("t", internal_row_id=True)

    assert rows == {"l": [[9, 9], [2]], "st": [{"x": 1}, {"x": 2}], "$row_id": [0, 1]}


def test_updating_a_row_that_is_not_there_fails_the_transaction(db):
    db.create("t", INT, [[1], ["a"]])

    with pytest.raises(errors.Conflict), db.session.transaction() as tx:
        db.table(tx, "t").update(ids(5).append_column("s", [["x"]]))


def test_a_value_of_another_type_is_refused_and_changes_nothing(db):
    db.create("t", INT, [[1], ["a"]])
    with db.session.transaction() as tx, pytest.raises(errors.BadRequest):
        db.table(tx, "t").update(ids(0).append_column("n", [["one"]]))

    assert db.committed("t") == {"n": [1], "s": ["a"]}


def test_rows_too_large_for_one_request_arrive_whole(db):
    fields = pa.schema([(f"c{i}", pa.string()) for i in range(20)])
    rows = [[f"{i}-{j}" * 5000 for j in range(40)] for i in range(20)]
    db.create("t", fields, rows)

    assert list(db.committed("t").values()) == rows


def test_statistics_count_the_rows_a_transaction_sees(db):
    db.create("t", INT, [[1, 2, 3], ["a", "b", "c"]])
    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        table.delete(ids(1))

        assert table.get_stats().num_rows == 2


@pytest.mark.parametrize("count", [1, 2, 8, 17])
@pytest.mark.parametrize("values", [("same", 7), ("same", None), (None, 7)])
def test_rows_are_set_to_the_same_values_and_no_others_are(db, count, values):
    db.create("t", INT)
    with db.session.transaction() as tx:
        db.table(tx, "t").insert(pa.table({"n": range(40), "s": ["x"] * 40}))
        ids = list(range(1, 2 * count, 2))
        text, number = values

        db.table(tx, "t").update(
            pa.table(
                {
                    "$row_id": pa.array(ids, pa.uint64()),
                    "n": pa.array([number] * count, pa.int64()),
                    "s": pa.array([text] * count, pa.string()),
                }
            )
        )

    found = db.committed("t")
    expected = [(number, text) if n in ids else (n, "x") for n in range(40)]
    assert list(zip(found["n"], found["s"], strict=True)) == expected


def test_several_rows_of_which_one_is_not_there_are_not_updated(db):
    db.create("t", INT)
    with db.session.transaction() as tx:
        db.table(tx, "t").insert(pa.table({"n": [1, 2]}))
    changed = pa.table({"$row_id": pa.array([1, 2], pa.uint64()), "n": [5, 5]})

    with pytest.raises(errors.Conflict), db.session.transaction() as tx:
        db.table(tx, "t").update(changed)

    assert db.committed("t")["n"] == [1, 2]


@pytest.mark.parametrize("count", [1, 5, 16, 17])
def test_inserted_rows_hold_their_values_and_nulls(db, count):
    db.create("t", INT)
    rows = {
        "n": [None if n % 3 == 0 else -(1 << 63) if n % 3 == 1 else n for n in range(count)],
        "s": [None if n % 2 else "ü\0'%s" for n in range(count)],
    }
    with db.session.transaction() as tx:
        schema = pa.schema([("n", pa.int64()), ("s", pa.string())])
        db.table(tx, "t").insert(pa.table(rows, schema=schema))

    assert db.committed("t") == rows
