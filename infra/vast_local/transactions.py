"""Transactions: a DuckDB cursor, a catalog snapshot and claims under one id.

* Requests of one transaction run one at a time, under its lock; requests of different
  transactions never wait for each other's statements.
* A conflict or a database error ends the transaction's usefulness: it answers 409 from
  then on, to its commit as well. It is undone at once, so it stands in nobody's way until
  its client notices. A refused request (400, 404) changes nothing and fails nothing.
* Transaction id 0 means "this request alone": it commits when the request succeeds.
* A transaction nobody used for ten minutes is rolled back and forgotten (404); one that
  others have met in their way is after twenty seconds, because its client may have died.
* A commit with catalog changes and every begin exclude each other for the moment of the
  DuckDB call, so a catalog snapshot and a data snapshot are always of the same instant.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from infra.vast_local import catalog
from infra.vast_local.catalog import Catalog, Key, Schema, Table
from infra.vast_local.claims import Claims, Holder
from infra.vast_local.errors import Conflict, Lost, Missing, Refused
from infra.vast_local.storage import Storage

IDLE_S = 600.0
"""Seconds after which an unused transaction is rolled back."""

IN_THE_WAY_S = 20.0
"""Seconds after which an unused transaction that stands in others' way is."""

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Transaction:
    """One open transaction; everything but ``used`` is guarded by ``lock``.

    ``places`` are where its queries in key order left off.
    """

    id: int
    cursor: duckdb.DuckDBPyConnection
    parsed: Callable[[str], duckdb.Statement]
    catalog: Catalog
    holder: Holder
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    changes: dict[Key, Schema | Table | None] = field(default_factory=dict)
    places: list[tuple[object, ...]] = field(default_factory=list)
    failed: bool = False
    ended: bool = False

    def execute(
        self, statement: str, parameters: Sequence[object] = ()
    ) -> duckdb.DuckDBPyConnection:
        """Run a statement that will come again, with other parameters."""
        return self.cursor.execute(self.parsed(statement), parameters)

    def define(self, changes: dict[Key, Schema | Table | None]) -> None:
        """Change the catalog for this transaction, and for all once it commits."""
        catalog.save(self.cursor, changes)
        self.changes.update(changes)
        self.catalog = self.catalog.apply(changes)


class Transactions:
    """All open transactions."""

    def __init__(
        self,
        storage: Storage,
        catalog: Catalog,
        *,
        idle_s: float = IDLE_S,
        in_the_way_s: float = IN_THE_WAY_S,
    ) -> None:
        """Start with the stored catalog and no open transaction."""
        self.claims = Claims()
        self._storage = storage
        self._begins, self._commits = map(storage.parsed, ("BEGIN TRANSACTION", "COMMIT"))
        self._catalog = catalog
        self._idle_s = idle_s
        self._in_the_way_s = in_the_way_s
        self._snapshot = threading.Lock()
        self._lock = threading.Lock()
        self._open: dict[int, Transaction] = {}
        self._last_id = time.time_ns()

    @property
    def catalog(self) -> Catalog:
        """The catalog as last committed."""
        return self._catalog

    def begin(self) -> int:
        """Open a transaction and return its id."""
        transaction = self._begin()
        with self._lock:
            self._open[transaction.id] = transaction
        return transaction.id

    @contextmanager
    def use(self, id_: int) -> Iterator[Transaction]:
        """Run one request in a transaction; id 0 is a transaction for this request alone."""
        if id_ == 0:
            with self._alone() as transaction:
                yield transaction
            return
        transaction = self._find(id_)
        with transaction.lock:
            _check_open(transaction)
            if transaction.failed:
                raise Conflict(f"transaction {id_} has failed and can only be rolled back")
            with self._failing(transaction):
                yield transaction
            transaction.used = time.monotonic()

    def touch(self, id_: int) -> None:
        """Keep a transaction from expiring."""
        self._find(id_).used = time.monotonic()

    def commit(self, id_: int) -> None:
        """Make a transaction's changes visible, or refuse with 409 and roll it back."""
        transaction = self._find(id_)
        with transaction.lock:
            _check_open(transaction)
            self._forget(transaction)
            self._commit(transaction)

    def roll_back(self, id_: int) -> None:
        """Undo and forget a transaction."""
        transaction = self._find(id_)
        with transaction.lock:
            _check_open(transaction)
            self._forget(transaction)
            self._roll_back(transaction)

    def expire(self) -> None:
        """Roll back the transactions nobody used for too long; one at work is in use."""
        for transaction in self._listed():
            if self._is_idle(transaction) and transaction.lock.acquire(blocking=False):
                try:
                    if self._is_idle(transaction) and not transaction.ended:
                        _log.warning("transaction %d was idle, rolling back", transaction.id)
                        self._forget(transaction)
                        self._roll_back(transaction)
                finally:
                    transaction.lock.release()

    def close(self) -> None:
        """Roll back everything still open."""
        for transaction in self._listed():
            with transaction.lock:
                if not transaction.ended:
                    self._forget(transaction)
                    self._roll_back(transaction)

    def _is_idle(self, transaction: Transaction) -> bool:
        limit = self._in_the_way_s if transaction.holder.in_the_way else self._idle_s
        return transaction.used < time.monotonic() - limit

    def _listed(self) -> list[Transaction]:
        with self._lock:
            return list(self._open.values())

    def _begin(self) -> Transaction:
        cursor = self._storage.borrow()
        holder = self.claims.enter()
        try:
            with self._snapshot:
                cursor.execute(self._begins)
                known = self._catalog
        except duckdb.Error:
            self.claims.leave(holder, committed=False)
            raise
        with self._lock:
            self._last_id += 1
            id_ = self._last_id
        parsed = self._storage.parsed
        return Transaction(id_, cursor, parsed, known, holder, used=time.monotonic())

    @contextmanager
    def _alone(self) -> Iterator[Transaction]:
        transaction = self._begin()
        try:
            with self._failing(transaction):
                yield transaction
        except BaseException:
            self._roll_back(transaction)
            raise
        self._commit(transaction)

    @contextmanager
    def _failing(self, transaction: Transaction) -> Iterator[None]:
        """Fail the transaction when a statement conflicts or breaks."""
        try:
            yield
        except duckdb.TransactionException as error:
            self._fail(transaction)
            raise Conflict(f"another transaction came first: {error}") from error
        except Lost:
            self._fail(transaction)
            raise
        except Refused:
            raise
        except BaseException:
            self._fail(transaction)
            raise

    def _fail(self, transaction: Transaction) -> None:
        transaction.failed = True
        self._undo(transaction)

    def _commit(self, transaction: Transaction) -> None:
        if transaction.failed:
            self._end(transaction)
            raise Conflict(f"transaction {transaction.id} has failed and was rolled back")
        try:
            if transaction.changes:
                with self._snapshot:
                    transaction.cursor.execute(self._commits)
                    self._catalog = self._catalog.apply(transaction.changes)
            else:
                transaction.cursor.execute(self._commits)
        except duckdb.Error as error:
            self._roll_back(transaction)
            raise Conflict(f"transaction {transaction.id} cannot commit: {error}") from error
        self.claims.leave(transaction.holder, committed=True)
        self._end(transaction)

    def _roll_back(self, transaction: Transaction) -> None:
        if not transaction.failed:
            self._undo(transaction)
        self._end(transaction)

    def _undo(self, transaction: Transaction) -> None:
        try:
            transaction.cursor.rollback()
        except duckdb.TransactionException as error:
            _log.debug("transaction %d was already rolled back: %s", transaction.id, error)
        self.claims.leave(transaction.holder, committed=False)

    def _end(self, transaction: Transaction) -> None:
        transaction.ended = True
        self._storage.give_back(transaction.cursor)

    def _find(self, id_: int) -> Transaction:
        with self._lock:
            found = self._open.get(id_)
        if found is None:
            raise Missing(f"transaction {id_} does not exist", "NoSuchTransaction")
        return found

    def _forget(self, transaction: Transaction) -> None:
        with self._lock:
            del self._open[transaction.id]


def _check_open(transaction: Transaction) -> None:
    """Refuse when the transaction ended while this request waited for its lock."""
    if transaction.ended:
        raise Missing(f"transaction {transaction.id} does not exist", "NoSuchTransaction")
