"""Whatever several transactions do to one table, in whatever order, a small model agrees.

The model is the promise: a transaction sees the table as it was at its begin, plus its own
changes. The first to change a row wins, the other fails at the statement; so does whoever
changes the shape of a table others write to, and the other way round. What has failed can
only be rolled back. An index on the table changes nothing of that.
"""

import itertools
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from vastdb import errors
from vastdb.config import QueryConfig
from vastdb.table_metadata import TableMetadata, TableRef, TableType
from vastdb.transaction import Transaction

FIELDS = pa.schema([("n", pa.int64()), ("m", pa.int64())])
SHAPE = "shape"
NUMBERS = st.integers(0, 9)
ROWS = st.integers(0, 11)


@dataclass(eq=False)
class Opened:
    """A transaction as the model knows it."""

    tx: Transaction
    began: int
    rows: dict[int, list[int]]
    written: set[int | str] = field(default_factory=set)
    reshaped: bool = False
    failed: bool = False
    ended: int | None = None


class Transactions(RuleBasedStateMachine):
    """Transactions on one table of a running server."""

    transactions = Bundle("transactions")
    database = None
    is_indexed = False
    numbers = itertools.count()

    def __init__(self):
        super().__init__()
        db = self.database
        self.name = f"machine{next(self.numbers)}"
        db.create(self.name, FIELDS, [[0, 0, 0, 0], [0, 0, 0, 0]])
        if self.is_indexed:
            with db.session.transaction() as tx:
                db.table(tx, self.name).create_projection("p", ["n"], ["m"])
        self.clock = 0
        self.committed = {row: [0, 0] for row in range(4)}
        self.known: list[Opened] = []
        self.ids = set(self.committed)
        self.columns = itertools.count()
        self.metadata = TableMetadata(
            TableRef(db.bucket, db.schema, self.name), FIELDS, TableType.Regular
        )

    def table(self, opened):
        return opened.tx.table_from_metadata(self.metadata)

    def rivals(self, opened):
        return [
            other
            for other in self.known
            if other is not opened
            and not other.failed
            and (other.ended is None or other.ended > opened.began)
        ]

    def attempt(self, opened, act, *, wins):
        """Make a change that succeeds or fails as the model says; tell whether it succeeded."""
        if wins and not opened.failed:
            act()
            return True
        with pytest.raises(errors.Conflict):
            act()
        opened.failed = True
        return False

    def may_write(self, opened, row):
        view = self.rivals(opened)
        taken = any(row in other.written or other.reshaped for other in view)
        return not taken and row in opened.rows

    @rule(target=transactions)
    def begin(self):
        rows = {row: list(values) for row, values in self.committed.items()}
        opened = Opened(self.database.session.transaction().__enter__(), self.clock, rows)
        self.known.append(opened)
        return opened

    @rule(opened=transactions)
    def read(self, opened):
        table = self.table(opened)
        if opened.failed:
            with pytest.raises(errors.Conflict):
                self.contents(table)
        else:
            assert self.contents(table) == opened.rows

    @rule(opened=transactions, number=NUMBERS)
    def find(self, opened, number):
        if not opened.failed:
            table = self.table(opened)
            expected = {row: v for row, v in opened.rows.items() if v[0] == number}
            assert self.contents(table, table["n"] == number) == expected

    @rule(opened=transactions, numbers=st.lists(NUMBERS, min_size=2, max_size=5, unique=True))
    def find_any(self, opened, numbers):
        if not opened.failed:
            table = self.table(opened)
            expected = {row: v for row, v in opened.rows.items() if v[0] in numbers}
            assert self.contents(table, table["n"].isin(numbers)) == expected

    @rule(opened=transactions, numbers=st.lists(NUMBERS, min_size=1, max_size=3))
    def insert(self, opened, numbers):
        wins = not any(other.reshaped for other in self.rivals(opened))
        given = []
        rows = pa.table([numbers, numbers], schema=FIELDS)
        if self.attempt(opened, lambda: given.extend(self.table(opened).insert(rows)), wins=wins):
            ids = [id_.as_py() for id_ in given]
            assert len(ids) == len(numbers)
            assert self.ids.isdisjoint(ids)
            self.ids.update(ids)
            opened.rows.update({id_: [n, n] for id_, n in zip(ids, numbers, strict=True)})
            opened.written |= {SHAPE, *ids}

    @rule(opened=transactions, row=ROWS, column=st.sampled_from([0, 1]), number=NUMBERS)
    def update(self, opened, row, column, number):
        change = ids(row).append_column(FIELDS.names[column], pa.array([number], pa.int64()))
        wins = self.may_write(opened, row)
        if self.attempt(opened, lambda: self.table(opened).update(change), wins=wins):
            opened.rows[row][column] = number
            opened.written |= {SHAPE, row}

    @rule(opened=transactions, row=ROWS)
    def replace(self, opened, row):
        """Delete a row and insert its values again, under a new id."""
        values = opened.rows.get(row)
        self.delete(opened, row)
        if values and not opened.failed:
            self.insert(opened, [values[0]])

    @rule(opened=transactions, row=ROWS)
    def delete(self, opened, row):
        if row in opened.rows:
            wins = self.may_write(opened, row)
            if self.attempt(opened, lambda: self.table(opened).delete(ids(row)), wins=wins):
                del opened.rows[row]
                opened.written |= {SHAPE, row}

    @rule(opened=transactions)
    def add_column(self, opened):
        new = pa.schema([(f"x{next(self.columns)}", pa.int64())])
        wins = not any(SHAPE in o.written or o.reshaped for o in self.rivals(opened))
        place = (self.database.bucket, self.database.schema, self.name)
        api = self.database.session.api

        def add():
            api.add_columns(*place, new, txid=opened.tx.txid)

        if self.attempt(opened, add, wins=wins):
            opened.reshaped = True

    @rule(opened=consumes(transactions))
    def commit(self, opened):
        def end():
            opened.tx.__exit__(None, None, None)

        if self.attempt(opened, end, wins=True):
            self.clock += 1
            opened.ended = self.clock
            for row in opened.written - {SHAPE}:
                self.committed.pop(row, None)
                if row in opened.rows:
                    self.committed[row] = opened.rows[row]
        else:
            self.known.remove(opened)

    @rule(opened=consumes(transactions))
    def roll_back(self, opened):
        opened.tx.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
        self.known.remove(opened)

    @invariant()
    def committed_rows_are_there(self):
        with self.database.session.transaction() as tx:
            assert self.contents(tx.table_from_metadata(self.metadata)) == self.committed

    def teardown(self):
        for opened in self.known:
            if opened.ended is None:
                opened.tx.__exit__(ZeroDivisionError, ZeroDivisionError(), None)

    def contents(self, table, predicate=None):
        config = QueryConfig(
            num_splits=1, num_sub_splits=1, data_endpoints=[self.database.endpoint]
        )
        rows = table.select(["n", "m"], predicate, config, internal_row_id=True).read_all()
        ids, n, m = (rows[name].to_pylist() for name in ("$row_id", "n", "m"))
        return {row: [a, b] for row, a, b in zip(ids, n, m, strict=True)}


def ids(*values):
    return pa.table({"$row_id": pa.array(values, pa.uint64())})


@pytest.mark.parametrize("indexed", [False, True])
def test_concurrent_transactions_keep_their_promises(db, indexed):
    class Machine(Transactions):
        database = db
        is_indexed = indexed

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
