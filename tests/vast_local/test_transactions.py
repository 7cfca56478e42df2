"""Snapshot isolation, and the first updater wins."""

import threading
from contextlib import ExitStack

import pyarrow as pa
import pytest
from vastdb import errors

FIELDS = pa.schema([("n", pa.int64()), ("m", pa.int64())])


def ids(*values):
    return pa.table({"$row_id": pa.array(values, pa.uint64())})


def set_n(table, row, value):
    table.update(ids(row).append_column("n", pa.array([value], pa.int64())))


def set_m(table, row, value):
    table.update(ids(row).append_column("m", pa.array([value], pa.int64())))


def delete(table, row, _value):
    table.delete(ids(row))


@pytest.fixture
def rows(db):
    db.create("t", FIELDS, [[1, 2, 3], [10, 20, 30]])
    return db


@pytest.fixture
def two(rows):
    """Opens two transactions; whatever is left of them is rolled back."""
    opened = [rows.session.transaction().__enter__() for _ in range(2)]
    yield opened
    for tx in opened:
        if tx.txid is not None:
            try:
                rows.session.api.rollback_transaction(tx.txid)
            except errors.NotFound:
                tx.txid = None


def end(tx):
    tx.__exit__(None, None, None)


def test_a_transaction_sees_the_database_as_it_was_at_its_begin(rows):
    with rows.session.transaction() as reader:
        with rows.session.transaction() as writer:
            set_n(rows.table(writer, "t"), 0, 100)
            rows.table(writer, "t").delete(ids(1))
            rows.table(writer, "t").insert(pa.table([[4], [40]], schema=FIELDS))

        assert rows.read(reader, "t")["n"] == [1, 2, 3]
    assert rows.committed("t")["n"] == [100, 3, 4]


def test_a_transaction_sees_its_own_changes_and_nobody_else_does(rows):
    with rows.session.transaction() as writer, rows.session.transaction() as reader:
        set_n(rows.table(writer, "t"), 0, 100)

        assert rows.read(writer, "t")["n"] == [100, 2, 3]
        assert rows.read(reader, "t")["n"] == [1, 2, 3]


def test_a_rolled_back_transaction_leaves_nothing(rows):
    tx = rows.session.transaction().__enter__()
    rows.table(tx, "t").delete(ids(0, 1, 2))
    tx.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    assert rows.committed("t")["n"] == [1, 2, 3]


@pytest.mark.parametrize("first", [set_n, delete])
@pytest.mark.parametrize("second", [set_n, set_m, delete])
@pytest.mark.parametrize("committed", [False, True])
def test_the_second_to_change_a_row_conflicts_at_the_statement(rows, two, first, second, committed):
    winner, loser = two
    first(rows.table(winner, "t"), 0, 100)
    if committed:
        end(winner)

    with pytest.raises(errors.Conflict):
        second(rows.table(loser, "t"), 0, 200)


def test_a_failed_transaction_conflicts_from_then_on_and_cannot_commit(rows, two):
    winner, loser = two
    set_n(rows.table(loser, "t"), 2, 300)
    set_n(rows.table(winner, "t"), 0, 100)
    table = rows.table(loser, "t")
    with pytest.raises(errors.Conflict):
        set_n(table, 0, 200)

    with pytest.raises(errors.Conflict):
        set_n(table, 1, 200)
    with pytest.raises(errors.Conflict):
        end(loser)
    end(winner)
    assert rows.committed("t")["n"] == [100, 2, 3]


def test_different_rows_do_not_conflict(rows):
    with rows.session.transaction() as one, rows.session.transaction() as other:
        set_n(rows.table(one, "t"), 0, 100)
        set_n(rows.table(other, "t"), 1, 200)
        rows.table(one, "t").insert(pa.table([[4], [40]], schema=FIELDS))
        rows.table(other, "t").insert(pa.table([[5], [50]], schema=FIELDS))

    assert sorted(rows.committed("t")["n"]) == [3, 4, 5, 100, 200]


def test_a_rolled_back_change_is_in_nobodys_way(rows, two):
    undone, other = two
    set_n(rows.table(undone, "t"), 0, 100)
    undone.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    set_n(rows.table(other, "t"), 0, 200)
    end(other)

    assert rows.committed("t")["n"] == [200, 2, 3]


def test_concurrent_increments_are_all_counted(rows):
    done = []

    def increment():
        session = rows.session
        while len(done) < 15:
            try:
                with session.transaction() as tx:
                    (n, *_) = rows.read(tx, "t")["n"]
                    set_n(rows.table(tx, "t"), 0, n + 1)
            except errors.Conflict:
                continue
            done.append(n)

    threads = [threading.Thread(target=increment) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert rows.committed("t")["n"][0] == 1 + len(done)
    assert sorted(done) == list(range(1, 1 + len(done)))


def test_concurrent_inserts_all_arrive_under_ids_of_their_own(rows):
    def insert():
        for _ in range(10):
            with rows.session.transaction() as tx:
                rows.table(tx, "t").insert(pa.table([[7] * 100, [7] * 100], schema=FIELDS))

    threads = [threading.Thread(target=insert) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = rows.committed("t", internal_row_id=True)["$row_id"]
    assert len(found) == 4003
    assert found == sorted(set(found))


def test_a_column_cannot_change_under_an_open_insert(rows, two):
    inserter, definer = two
    rows.table(inserter, "t").insert(pa.table([[4], [40]], schema=FIELDS))

    with pytest.raises(errors.Conflict):
        rows.table(definer, "t").add_column(pa.schema([("x", pa.int64())]))
    end(inserter)
    assert rows.committed("t")["n"] == [1, 2, 3, 4]


def test_rows_cannot_change_under_an_open_definition(rows, two):
    definer, writer = two
    rows.table(definer, "t").drop_column(pa.schema([("m", pa.int64())]))

    with pytest.raises(errors.Conflict):
        set_n(rows.table(writer, "t"), 0, 5)
    end(definer)
    assert rows.committed("t") == {"n": [1, 2, 3]}


def test_a_snapshot_still_reads_a_table_that_was_changed_and_dropped(rows, two):
    reader, _ = two
    table = rows.table(reader, "t")
    with rows.session.transaction() as tx:
        rows.table(tx, "t").add_column(pa.schema([("x", pa.int64())]))
    with rows.session.transaction() as tx:
        rows.table(tx, "t").drop()

    assert table.select(config=rows.config).read_all()["m"].to_pylist() == [10, 20, 30]


def test_a_name_is_given_once(rows, two):
    one, other = two
    one.bucket(rows.bucket).schema(rows.schema).create_table("new", FIELDS)

    with pytest.raises(errors.Conflict):
        other.bucket(rows.bucket).schema(rows.schema).create_table("new", FIELDS)


def test_a_schema_cannot_be_dropped_under_a_table_being_created(rows):
    with rows.session.transaction() as tx:
        tx.bucket(rows.bucket).create_schema(f"{rows.schema}2")
    with ExitStack() as stack:
        creator = stack.enter_context(rows.session.transaction())
        creator.bucket(rows.bucket).schema(f"{rows.schema}2").create_table("t", FIELDS)

        with pytest.raises(errors.Conflict), rows.session.transaction() as dropper:
            dropper.bucket(rows.bucket).schema(f"{rows.schema}2").drop()


def test_an_unknown_transaction_is_not_found(rows):
    with pytest.raises(errors.NotFound):
        rows.session.api.commit_transaction(12345)
