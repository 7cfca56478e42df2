"""What every route works with: the parts of one open database.

* A route is a function of these parts and a call. It runs in the call's transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.vast_local.calls import Call
from infra.vast_local.catalog import Table
from infra.vast_local.definitions import Definitions
from infra.vast_local.listener import Response
from infra.vast_local.query import Pages
from infra.vast_local.rows import Rows
from infra.vast_local.storage import RowIds
from infra.vast_local.transactions import Transaction, Transactions


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one open database."""

    transactions: Transactions
    definitions: Definitions
    rows: Rows
    row_ids: RowIds
    arrange: Callable[[Pages], Pages]
    """Puts the pages of a response that is in no key's order in the order they are sent."""

    @contextmanager
    def transaction(self, call: Call) -> Iterator[Transaction]:
        """Enter the transaction of a call."""
        with self.transactions.use(call.transaction) as tx:
            yield tx

    @contextmanager
    def table(self, call: Call) -> Iterator[tuple[Transaction, Table]]:
        """Enter the transaction of a call, with the table it names."""
        with self.transactions.use(call.transaction) as tx:
            yield tx, tx.catalog.table(*call.place)


Route = Callable[[Parts, Call], Response]
Command = tuple[str, str]
"""Method and command word."""


def count(tx: Transaction, table: Table) -> int:
    """Return the number of rows a transaction sees in a table."""
    (rows,) = tx.cursor.execute(f"SELECT count(*) FROM {table.physical}").fetchall()[0]  # noqa: S608
    return int(rows)
