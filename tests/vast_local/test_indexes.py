"""What a table or a projection is sorted by first is found without a scan, and found rightly."""

import duckdb
import pyarrow as pa
import pytest
from vastdb import errors

FIELDS = pa.schema([("key", pa.string()), ("n", pa.int64()), ("m", pa.int64())])
ROWS = 3000


@pytest.fixture
def indexed(db):
    """A table `t` of many rows with a projection sorted by `key`; row `n` has the row id `n`."""
    numbers = list(range(ROWS))
    db.create("t", FIELDS, [[f"key {n}" for n in numbers], numbers, [0] * ROWS])
    with db.session.transaction() as tx:
        db.table(tx, "t").create_projection("by_key", ["key"], ["n", "m"])
    return db


def found(db, *keys):
    """The numbers of the rows with these keys."""
    with db.session.transaction() as tx:
        t = db.table(tx, "t")
        where = t["key"].isin(keys) if len(keys) > 1 else t["key"] == keys[0]
        return sorted(t.select(["n"], where, db.config).read_all()["n"].to_pylist())


def update(db, **columns):
    ids, *values = (pa.array(column) for column in columns.values())
    names = ["$row_id", *list(columns)[1:]]
    with db.session.transaction() as tx:
        db.table(tx, "t").update(pa.table([ids.cast(pa.uint64()), *values], names=names))


@pytest.mark.parametrize("count", [1, 2, 15, 16, 100, 1000, 1025, 2500])
def test_any_number_of_keys_is_found(indexed, count):
    wanted = list(range(0, 2 * count, 2)) if count < ROWS // 2 else list(range(count))

    assert found(indexed, *(f"key {n}" for n in wanted)) == wanted


def test_a_key_that_changes_is_found_under_its_new_name_only(indexed):
    update(indexed, row=[5], key=["other"], m=[1])
    update(indexed, row=[6, 7], key=["other", "key 7"], m=[1, 1])

    assert found(indexed, "other") == [5, 6]
    assert found(indexed, "key 5", "key 6", "key 7") == [7]


def test_a_key_that_is_written_and_stays_as_it_is_lets_the_rest_change(indexed):
    update(indexed, row=[5], key=["key 5"], m=[1])
    update(indexed, row=[6, 7], key=["key 6", "key 7"], m=[1, 1])
    update(indexed, row=[8], key=["key 8"])

    assert found(indexed, "key 5", "key 6", "key 7", "key 8") == [5, 6, 7, 8]
    with indexed.session.transaction() as tx:
        t = indexed.table(tx, "t")
        assert t.select(["n"], t["m"] == 1, indexed.config).read_all()["n"].to_pylist() == [5, 6, 7]


@pytest.mark.parametrize("rows", [[ROWS], [5, ROWS]])
def test_writing_the_key_of_a_row_that_is_not_there_fails_the_transaction(indexed, rows):
    with pytest.raises(errors.Conflict):
        update(indexed, row=rows, key=["key 5"] * len(rows))


def test_columns_and_projections_come_and_go_around_an_index(indexed):
    with indexed.session.transaction() as tx:
        t = indexed.table(tx, "t")
        t.add_column(pa.schema([("more", pa.int64())]))
        t.create_projection("again", ["key"], [])
        t.projection("by_key").drop()
        t.drop_column(pa.schema([("m", pa.int64())]))
    assert found(indexed, "key 5") == [5]

    with indexed.session.transaction() as tx:
        indexed.table(tx, "t").projection("again").drop()
    assert found(indexed, "key 5") == [5]


def test_a_projection_is_not_made_while_others_write(indexed):
    with indexed.session.transaction() as tx:
        indexed.table(tx, "t").insert(pa.table([["new"], [-1], [0]], schema=FIELDS))
        with pytest.raises(errors.Conflict), indexed.session.transaction() as other:
            indexed.table(other, "t").create_projection("by_n", ["n"], [])

    assert found(indexed, "new") == [-1]


def test_an_index_that_an_earlier_version_did_not_make_is_made_at_the_start(
    start_server, open_database
):
    server = start_server()
    db = open_database(server)
    db.create("t", FIELDS, [["a", "b"], [1, 2], [0, 0]])
    with db.session.transaction() as tx:
        db.table(tx, "t").create_projection("by_key", ["key"], [])
    server.stop()
    names = indexes(server)
    with duckdb.connect(server.data_dir / "vast.duckdb") as file:
        for name in names:
            file.execute(f"DROP INDEX {name}")

    again = start_server()

    assert found(open_database(again), "b") == [2]
    again.stop()
    assert indexes(again) == names
    assert len(names) == 1


def indexes(server):
    with duckdb.connect(server.data_dir / "vast.duckdb") as file:
        return [
            name for (name,) in file.execute("SELECT index_name FROM duckdb_indexes()").fetchall()
        ]
