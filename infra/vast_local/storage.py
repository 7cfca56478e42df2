"""The DuckDB file: opening it, cursors on it, and row ids that are never used twice.

* One process owns the file; a second one is told so in one line.
* Every transaction sees the database as it was at its BEGIN, not at its first statement.
* Row ids of a table are handed out in memory from a range whose end was committed
  beforehand, so no crash can hand one out again. A clean close gives the rest back.
* Strings are stored uncompressed (in ``rows``' tables): comparing a million of them takes
  a fifth of the time, which is worth the disk on a laptop.
* A statement runs on the thread that asks for it; threads of DuckDB's own would cost a
  wake-up per statement. What runs side by side are the requests.
* Statements are parsed once, and planned without the optimizers that can do nothing for the
  few shapes there are: parsing and planning were two thirds of the cost of a small one.
"""

import threading
from functools import lru_cache
from pathlib import Path

import duckdb

from infra.vast_local.errors import CannotStart

ROW_IDS_RESERVED = 1 << 16
"""Row ids reserved by one commit: one row group, as clients count them."""

MEMORY_LIMIT = "2GB"
"""What DuckDB may hold in memory; beyond it, it spills into the data directory."""

CHECKPOINT_AT = "128MiB"
"""How much of the log a commit writes into the file at last, and is as long as that takes. Into a
table with indexes it takes about as long for little as for much; to read so much of the log again
after a crash takes half a second."""

STATEMENTS_KEPT = 4096
"""Statements kept parsed."""

_OPTIMIZERS = frozenset(
    {
        "build_side_probe_side",
        "expression_rewriter",
        "filter_pushdown",
        "join_filter_pushdown",
        "join_order",
        "late_materialization",
        "limit_pushdown",
        "statistics_propagation",
        "top_n",
        "unused_columns",
    }
)
"""The optimizers that are left on. The one for IN is not: it makes a join of more than five values,
which costs more than it saves where an index or a comparison of integers finds them."""

_ROW_IDS = "CREATE TABLE IF NOT EXISTS row_ids (table_id BIGINT, reserved BIGINT)"


class Storage:
    """The open DuckDB file."""

    def __init__(self, data_dir: Path) -> None:
        """Open or create the file; ``CannotStart`` when another process has it."""
        data_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = duckdb.connect(
                data_dir / "vast.duckdb",
                config={
                    "memory_limit": MEMORY_LIMIT,
                    "checkpoint_threshold": CHECKPOINT_AT,
                    "threads": 1,
                },
            )
        except duckdb.IOException as error:
            if "lock" in str(error):
                message = f"the data directory {data_dir} is in use by another process"
                raise CannotStart(message) from error
            raise CannotStart(f"cannot open {data_dir}: {error}") from error
        self._connection.execute("SET immediate_transaction_mode = true")
        self._connection.execute(f"SET disabled_optimizers = '{self._needless_optimizers()}'")
        self._parser = self._connection.cursor()
        self._parsing = threading.Lock()
        self.parsed = lru_cache(STATEMENTS_KEPT)(self._parse)
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self.row_ids = RowIds(self._connection.cursor())

    def borrow(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor that is in no transaction."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._connection.cursor()

    def give_back(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Take back a cursor whose transaction has ended."""
        self._idle.append(cursor)

    def _parse(self, text: str) -> duckdb.Statement:
        with self._parsing:
            (statement,) = self._parser.extract_statements(text)
        return statement

    def _needless_optimizers(self) -> str:
        names = self._connection.execute("SELECT name FROM duckdb_optimizers()").fetchall()
        return ",".join(name for (name,) in names if name not in _OPTIMIZERS)

    def close(self) -> None:
        """Return unused row ids, write everything into the file and close it."""
        self.row_ids.settle()
        self._connection.execute("CHECKPOINT")
        self._connection.close()


class RowIds:
    """The next row id of every table."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Continue after the ranges reserved by earlier runs."""
        self._cursor = cursor
        self._lock = threading.Lock()
        cursor.execute(_ROW_IDS)
        rows = cursor.execute("SELECT table_id, max(reserved) FROM row_ids GROUP BY 1").fetchall()
        self._next: dict[int, int] = dict(rows)
        self._reserved: dict[int, int] = dict(rows)

    def allocate(self, table: int, count: int) -> int:
        """Return the first of ``count`` consecutive fresh row ids of a table."""
        with self._lock:
            first = self._next.get(table, 0)
            if first + count > self._reserved.get(table, 0):
                self._reserve(table, first + count + ROW_IDS_RESERVED)
            self._next[table] = first + count
            return first

    def end(self, table: int) -> int:
        """Return the id after the last one handed out for a table."""
        return self._next.get(table, 0)

    def settle(self) -> None:
        """Commit the exact next ids, giving back what was reserved and not used."""
        with self._lock:
            for table, end in self._next.items():
                self._reserve(table, end)

    def keep_only(self, tables: set[int]) -> None:
        """Forget the tables that no longer exist; only while nobody else is connected."""
        with self._lock:
            for table in set(self._next) - tables:
                self._cursor.execute("DELETE FROM row_ids WHERE table_id = ?", [table])
                del self._next[table], self._reserved[table]

    def _reserve(self, table: int, end: int) -> None:
        if self._reserved.get(table) == end:
            return
        self._cursor.begin()
        self._cursor.execute("DELETE FROM row_ids WHERE table_id = ?", [table])
        self._cursor.execute("INSERT INTO row_ids VALUES (?, ?)", [table, end])
        self._cursor.commit()
        self._reserved[table] = end
