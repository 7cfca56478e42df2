"""Transactions and tables of VAST Database, with errors in the store's own words.

* A session belongs to one thread, and is made on first use.
* Importing the SDK takes seconds: a process that may not need it imports this package late.
* Table metadata come from `schemas.tables`, so that no transaction begins with look-ups.
* A conflict is `Conflict`; everything else the database answers amiss is `Unavailable`.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import requests
from urllib3.util import parse_url
from vastdb import errors
from vastdb._internal import VastdbApi
from vastdb.config import BackoffConfig, QueryConfig
from vastdb.session import Session
from vastdb.table import TableInTransaction
from vastdb.table_metadata import TableMetadata, TableRef, TableType
from vastdb.transaction import Transaction as SdkTransaction

from infra.settings import VastSettings
from infra.vast.prepared import MOST_VALUES, ROW_ID, Term, request
from infra.vast.results import FINISHED, pages
from infra.vast.transport import Connections
from schemas.domain.errors import Conflict, Unavailable
from schemas.domain.timerange import TimeRange
from schemas.tables.definitions import TABLES

_BROKEN: Final = (errors.ConnectionError, requests.RequestException)
_INT64: Final = 1 << 63
_DEFAULTS: Final = QueryConfig()


class OutcomeUnknown(Unavailable):
    """The connection to VAST Database broke during a commit; it may have arrived or not."""

    retryable = True


class Table:
    """One table within one transaction."""

    def __init__(self, metadata: TableMetadata, sdk: SdkTransaction, api: VastdbApi) -> None:
        self._metadata = metadata
        self._sdk = sdk
        self._api = api

    def select(
        self,
        columns: Sequence[str] | None = None,
        *,
        equal: Mapping[str, object] | None = None,
        isin: tuple[str, Sequence[object]] | None = None,
        below: tuple[str, object] | None = None,
        since: tuple[str, object] | None = None,
        null: str | None = None,
        span: TimeRange | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """The rows for which every condition holds, with their `$row_id`.

        `span` asks for overlap of the columns `start` and `end` with it, clipped to what they
        can hold. Of more than `limit` rows, any `limit` are returned. There is no order.
        """
        names = self.schema.names if columns is None else columns
        terms = [Term(name, "=", value) for name, value in (equal or {}).items()]
        if null is not None:
            terms.append(Term(null, "null"))
        if below is not None:
            terms.append(Term(below[0], "<", below[1]))
        if since is not None:
            terms.append(Term(since[0], ">=", since[1]))
        if span is not None:
            terms.append(Term("start", "<", _clipped(span.end)))
            terms.append(Term("end", ">", _clipped(span.start)))
        if isin is None:
            return self._read(names, terms, limit)
        name, values = isin
        if len(values) == 1:
            return self._read(names, [*terms, Term(name, "=", values[0])], limit)
        parts = [
            self._read(names, [*terms, Term(name, "in", chunk)], limit)
            for chunk in _chunks(list(values), MOST_VALUES)
        ]
        return pa.concat_tables(parts) if parts else self._empty(names)

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Append `rows`, which all have the same columns in the same order.

        Columns without any value are left out.
        """
        columns = zip(*(row.values() for row in rows), strict=True)
        given = {
            name: pa.array(column, self.schema.field(name).type)
            for name, column in zip(rows[0], columns, strict=True)
            if column.count(None) < len(column)
        }
        self._table.insert(pa.RecordBatch.from_pydict(given))

    def update(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Overwrite the columns in `rows`, each with its `$row_id`; all have the same columns."""
        fields = [pa.field(ROW_ID, pa.uint64())]
        fields += [self.schema.field(name) for name in rows[0] if name != ROW_ID]
        self._table.update(pa.RecordBatch.from_pylist(list(rows), schema=pa.schema(fields)))

    def delete(self, row_ids: Sequence[int]) -> None:
        """Remove the rows with these `$row_id`."""
        self._table.delete(pa.table({ROW_ID: pa.array(row_ids, pa.uint64())}))

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return self._metadata.arrow_schema

    @property
    def _table(self) -> TableInTransaction:
        """The table as the SDK writes to it; metadata are shared, since nothing reloads them."""
        return TableInTransaction(self._metadata, self._sdk, self._sdk._session_context)  # noqa: SLF001 - copies cost more than a write

    def _read(self, columns: Sequence[str], terms: Sequence[Term], limit: int | None) -> pa.Table:
        """Read as the SDK does, without its threads: there is one split, of one endpoint."""
        ref = self._metadata.ref
        asked = request(ref.table, columns, terms)
        found: list[pa.Table] = []
        start = 0

        def read() -> None:  # goes on where it broke off
            nonlocal start
            while start != FINISHED and (limit is None or sum(map(len, found)) < limit):
                response = self._api.query_data(
                    ref.bucket,
                    ref.schema,
                    ref.table,
                    asked.serialized,
                    split=(0, 1, _DEFAULTS.num_row_groups_per_sub_split),
                    txid=self._sdk.active_txid,
                    limit_rows=limit or _DEFAULTS.limit_rows_per_sub_split,
                    sub_split_start_row_ids=[(0, start)],
                    enable_sorted_projections=_DEFAULTS.use_semi_sorted_projections,
                )
                try:
                    for next_row, page in pages(response.content, asked.response_schema):
                        found.append(page)
                        start = next_row
                except (EOFError, OSError, ValueError) as error:
                    raise errors.ConnectionError(cause=error, may_retry=True) from error

        self._api._backoff_decorator(read)()  # noqa: SLF001 - as the SDK's own select does
        together = pa.concat_tables(found)
        return together if limit is None else together.slice(0, limit)

    def _empty(self, columns: Sequence[str]) -> pa.Table:
        fields = [*(self.schema.field(name) for name in columns), pa.field(ROW_ID, pa.uint64())]
        return pa.schema(fields).empty_table()


class Database:
    """Sessions with one VAST Database endpoint."""

    def __init__(self, settings: VastSettings) -> None:
        self._settings = settings
        self._threads = threading.local()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """Commits when the body ends well, rolls back otherwise.

        Raises:
            Conflict: when another transaction changed the same rows first.
            OutcomeUnknown: when the connection broke while committing.
            Unavailable: when the database does not answer, or not as expected.
        """
        body_ended = False
        with self._translated():
            session = self._session()
            try:
                with session.transaction() as sdk_transaction:
                    yield Transaction(sdk_transaction, self._settings, session.api)
                    body_ended = True
            except _BROKEN as error:
                if body_ended:
                    raise OutcomeUnknown(f"{self._name}: {error}") from error
                raise

    def _session(self) -> Session:
        session = getattr(self._threads, "session", None)
        if session is None:
            session = Session(
                self._settings.access_key,
                self._settings.secret_key,
                self._settings.endpoint,
                timeout=60,
                backoff_config=BackoffConfig(max_tries=3, max_time=5.0),
            )
            endpoint = parse_url(self._settings.endpoint)
            if endpoint.scheme == "http":
                session.api._sessions[str(endpoint.host)] = Connections(  # noqa: SLF001 - see there
                    self._settings.endpoint, self._settings.access_key, self._settings.secret_key
                )
            self._threads.session = session
        return session

    @property
    def _name(self) -> str:
        return f"VAST Database at {self._settings.endpoint}"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except errors.Conflict as error:
            raise Conflict(f"{self._name}: another transaction came first") from error
        except (errors.NotFound, errors.Missing) as error:
            raise Unavailable(f"{self._name}: {error}; has `tams init` been run?") from error
        except (errors.HttpError, errors.ApiResponseError, *_BROKEN) as error:
            raise Unavailable(f"{self._name}: {error}") from error


class Transaction:
    """One transaction; its tables are those of `schemas.tables`."""

    def __init__(self, sdk: SdkTransaction, settings: VastSettings, api: VastdbApi) -> None:
        self.sdk = sdk
        self._settings = settings
        self._api = api

    def table(self, name: str) -> Table:
        """The table called `name`."""
        metadata = _metadata(self._settings.bucket, self._settings.schema, name)
        return Table(metadata, self.sdk, self._api)


def rows_of(found: pa.Table) -> list[dict[str, Any]]:
    """What `found.to_pylist()` returns, at an eighth of its cost: it makes values one by one."""
    columns = map(_values, found.columns)
    return [dict(zip(found.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    if column.null_count == len(column):
        return [None] * len(column)
    if column.null_count and not pa.types.is_string(column.type):  # NumPy has no such integers
        return column.to_pylist()  # type: ignore[no-any-return]
    return column.to_numpy().tolist()  # type: ignore[no-any-return]


@lru_cache
def _metadata(bucket: str, schema: str, name: str) -> TableMetadata:
    return TableMetadata(TableRef(bucket, schema, name), TABLES[name], TableType.Regular)


def _clipped(cut: int) -> int:
    return max(-_INT64, min(cut, _INT64 - 1))


def _chunks(values: list[object], size: int) -> Iterator[list[object]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
