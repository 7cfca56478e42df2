"""A crash keeps what was committed and nothing else; a row id is never used twice."""

import pyarrow as pa
import pytest
from vastdb import errors

FIELDS = pa.schema([("n", pa.int64())])


def insert(db, tx, *values):
    return db.table(tx, "t").insert(pa.table([list(values)], schema=FIELDS)).to_pylist()


def test_a_killed_server_keeps_committed_rows_and_drops_the_rest(start_server, open_database):
    server = start_server()
    db = open_database(server)
    db.create("t", FIELDS, [[1, 2]])
    with db.session.transaction() as tx:
        db.table(tx, "t").delete(pa.table({"$row_id": pa.array([0], pa.uint64())}))
        insert(db, tx, 3)
    left = db.session.transaction().__enter__()
    insert(db, left, 4)
    left.bucket(db.bucket).schema("s").create_table("u", FIELDS)

    server.kill()

    db = open_database(start_server())
    with db.session.transaction() as tx:
        assert db.read(tx, "t", internal_row_id=True) == {"n": [2, 3], "$row_id": [1, 2]}
        assert tx.bucket(db.bucket).schema("s").tablenames() == ["t"]
    with pytest.raises(errors.NotFound):
        db.session.api.commit_transaction(left.txid)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_row_ids_are_not_reused_after_a_restart(start_server, open_database, end):
    server = start_server()
    db = open_database(server)
    db.create("t", FIELDS)
    with db.session.transaction() as tx:
        given = insert(db, tx, 1, 2, 3)
    with db.session.transaction() as tx:
        db.table(tx, "t").delete(pa.table({"$row_id": pa.array(given, pa.uint64())}))

    getattr(server, end)()

    db = open_database(start_server())
    with db.session.transaction() as tx:
        again = insert(db, tx, 4)
        assert again[0] > given[-1]
    assert db.committed("t") == {"n": [4]}


def test_a_clean_stop_wastes_no_row_ids_and_rolls_back_what_is_open(start_server, open_database):
    server = start_server()
    db = open_database(server)
    db.create("t", FIELDS, [[1]])
    insert(db, db.session.transaction().__enter__(), 2)

    assert server.stop() == 0

    db = open_database(start_server())
    assert db.committed("t") == {"n": [1]}
    with db.session.transaction() as tx:
        assert insert(db, tx, 3) == [2]


def test_the_catalog_survives_a_restart(start_server, open_database):
    server = start_server()
    db = open_database(server)
    fields = pa.schema([("m", pa.map_(pa.string(), pa.int32())), ("ts", pa.timestamp("ns", "UTC"))])
    with db.session.transaction() as tx:
        table = tx.bucket(db.bucket).schema("s").create_table("t", fields)
        table.create_projection("p", sorted_columns=["ts"], unsorted_columns=[])
        table.rename_column("m", "renamed")
    server.kill()

    db = open_database(start_server())

    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        assert table.arrow_schema.names == ["renamed", "ts"]
        assert table.arrow_schema.types == fields.types
        assert [p.name for p in table.projections()] == ["p"]
