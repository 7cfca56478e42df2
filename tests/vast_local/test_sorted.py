"""Sorted tables and projections are read in key order, page after page."""

import random

import pyarrow as pa
import pytest
from vastdb import errors
from vastdb.config import QueryConfig

FIELDS = pa.schema([("a", pa.string()), ("b", pa.int64()), ("c", pa.int64())])
COUNT = 1000


@pytest.fixture
def rows():
    chance = random.Random(1)
    a = [chance.choice(["x", "y", "ü", None]) for _ in range(COUNT)]
    b = [chance.choice([None, *range(-5, 5)]) for _ in range(COUNT)]
    return list(zip(a, b, range(COUNT), strict=True))


def key(row):
    """The order of a key: NULL is greatest, strings compare by bytes."""
    a, b, c = row
    return a is None, (a or "").encode(), b is None, b or 0, c


@pytest.fixture
def table(db, rows):
    """Names a table of `rows`, sorted by `a`, then `b`; row `c` has the row id `c`."""
    with db.session.transaction() as tx:
        schema = tx.bucket(db.bucket).schema(db.schema)
        made = schema.create_table("t", FIELDS, sorting_key=[0, 1])
        for half in (rows[: COUNT // 2], rows[COUNT // 2 :]):
            columns = [list(column) for column in zip(*half, strict=True)]
            made.insert(pa.table(columns, schema=FIELDS))
    return db


def small_pages(db, **options):
    return QueryConfig(
        num_splits=1,
        num_sub_splits=1,
        limit_rows_per_sub_split=70,
        data_endpoints=[db.endpoint],
        **options,
    )


def in_rows(read):
    return list(zip(*read.to_pydict().values(), strict=True))


def test_a_sorted_table_is_read_in_key_order(table, rows):
    with table.session.transaction() as tx:
        read = table.table(tx, "t").select(config=small_pages(table)).read_all()

    assert in_rows(read) == sorted(rows, key=key)


def test_a_filtered_read_is_in_key_order_too(table, rows):
    with table.session.transaction() as tx:
        t = table.table(tx, "t")
        read = t.select(["c"], t["b"] > 0, small_pages(table)).read_all()

    wanted = sorted((row for row in rows if (row[1] or 0) > 0), key=key)
    assert read["c"].to_pylist() == [c for _, _, c in wanted]


def test_rows_may_be_deleted_while_they_are_read(table, rows):
    with table.session.transaction() as tx:
        t = table.table(tx, "t")
        read = []
        for batch in t.select(["c"], config=small_pages(table), internal_row_id=True):
            read += batch["c"].to_pylist()
            t.delete(pa.table({"$row_id": batch["$row_id"]}))
        left = t.select(["c"], config=table.config).read_all()

    assert read == [c for _, _, c in sorted(rows, key=key)]
    assert left.num_rows == 0


def test_a_table_sorted_later_is_read_in_key_order_from_then_on(db):
    db.create("t", FIELDS, [["b", "c", "a"], [1, 2, 3], [0, 0, 0]])
    with db.session.transaction() as tx:
        db.table(tx, "t").add_sorting_key([0])

    assert db.committed("t")["a"] == ["a", "b", "c"]


def test_a_projection_is_read_in_its_own_order(db, rows):
    db.create("t", FIELDS, [list(column) for column in zip(*rows, strict=True)])
    with db.session.transaction() as tx:
        t = db.table(tx, "t")
        t.create_projection("p", sorted_columns=["b"], unsorted_columns=["c"])
        config = small_pages(db, semi_sorted_projection_name="p")
        read = t.select(["b", "c"], config=config).read_all()

    wanted = sorted(((b, c) for _, b, c in rows), key=lambda row: (row[0] is None, row[0] or 0))
    assert in_rows(read) == wanted


def test_a_sorted_column_cannot_be_updated(table):
    with table.session.transaction() as tx:
        t = table.table(tx, "t")
        ids = t.select(["c"], t["c"] == 0, table.config, internal_row_id=True).read_all()
        change = pa.table([ids["$row_id"], ["z"]], names=["$row_id", "a"])
        with pytest.raises((errors.BadRequest, errors.NotSupported)):
            t.update(change)
