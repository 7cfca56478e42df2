"""Floors: the same work with the least that could do it, measured in the run they are used in.

* Rows through the VAST SDK alone, into a table like that of segments, one client.
* The same bytes from a bare Flask behind the same web server, see `bench.bare`.
* URLs signed with nothing but hashing; a file put with nothing but boto3.

Each is measured when it is first asked for, so that a run of few scenarios is short.
"""

import hashlib
import hmac
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import psutil

from bench.load import drive
from bench.measures import Floor
from bench.scripts import Ask
from infra.local_services import tether
from infra.local_services.ports import is_free
from infra.settings import Settings
from tests.services.running import clean_environment
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]

_SECONDS = 2.0
_ROWS = 100_000  # in the table that is selected from
_FLOW = "floor"


class Floors:
    """The floors of one run."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory / "bare"
        self._directory.mkdir()
        self.known: dict[str, Floor] = {}

    def insert(self, rows: int) -> Floor:
        """Rows inserted per second, so many in a transaction."""
        return self._once(
            f"SDK inserts of {rows:_}".replace("_", " "),
            "rows/s",
            lambda: rows * rate(lambda: self._sdk.insert(rows)),
        )

    def insert_ms(self) -> Floor:
        """How long inserting one row takes."""
        return self._once("SDK insert", "ms", lambda: 1_000 / self.insert(1).value)

    def select(self, rows: int) -> Floor:
        """Selects per second of so many rows by two bounds, out of many."""
        return self._once(
            f"SDK selects of {rows}", "/s", lambda: rate(lambda: self._sdk.select(rows))
        )

    def delete(self, rows: int) -> Floor:
        """Rows found and deleted per second, so many in a transaction."""
        return self._once(
            f"SDK deletes of {rows:_}".replace("_", " "),
            "rows/s",
            lambda: rows * rate(lambda: self._sdk.delete(rows), most=20),
        )

    def sign(self, urls: int) -> Floor:
        """Lists per second of so many presigned URLs, on one core."""
        return self._once(
            f"{urls} URLs signed", "/s", lambda: rate(lambda: [signed(n) for n in range(urls)])
        )

    def answer(self, name: str, body: bytes, clients: int, *, posted: bytes = b"") -> Floor:
        """The same bytes per second from a bare endpoint."""
        return self._once(
            f"bare endpoint, {name}", "/s", lambda: self._answers(name, body, clients, posted)
        )

    def put_ms(self) -> Floor:
        """How long it takes to put one file and ask for it."""
        return self._once("S3 put and head", "ms", lambda: 1_000 / rate(self._put()))

    def _once(self, name: str, unit: str, measure: Callable[[], float]) -> Floor:
        if name not in self.known:
            self.known[name] = Floor(name, measure(), unit)
        return self.known[name]

    def _answers(self, name: str, body: bytes, clients: int, posted: bytes) -> float:
        file = name.replace(" ", "-")
        (self._directory / file).write_bytes(body)
        api = self._settings.api_workers, self._settings.api_threads
        with bare(self._directory, *api) as url:
            scripts = [Ask(f"/{file}".encode(), posted) for _ in range(clients)]
            return drive(url, scripts, seconds=_SECONDS).rate()

    def _put(self) -> Callable[[], object]:
        from infra.s3 import connect  # noqa: PLC0415 - slow to import, seldom needed

        place = self._settings.backends[0]
        client, numbers = connect(place.store, place.store.endpoint), count()

        def put() -> None:
            # Keys of the store's own raise no questions about what the file means.
            key = f"objects/bench-{next(numbers)}"
            client.put_object(Bucket=place.backend.bucket, Key=key, Body=b"x" * 188)
            client.head_object(Bucket=place.backend.bucket, Key=key)

        return put

    @cached_property
    def _sdk(self) -> "Sdk":
        return Sdk(self._settings)


class Sdk:
    """A table like that of segments, in a schema of its own, through the VAST SDK alone."""

    def __init__(self, settings: Settings) -> None:
        import vastdb  # noqa: PLC0415 - takes seconds
        from vastdb.config import QueryConfig  # noqa: PLC0415
        from vastdb.table_metadata import TableMetadata, TableRef, TableType  # noqa: PLC0415

        from schemas.tables.definitions import SEGMENTS, TABLES  # noqa: PLC0415

        vast, self.schema = settings.vast, TABLES[SEGMENTS]
        self.session = vastdb.connect(
            endpoint=vast.endpoint, access=vast.access_key, secret=vast.secret_key
        )
        place = TableRef(vast.bucket, "bench", SEGMENTS)
        self.metadata = TableMetadata(place, self.schema, TableType.Regular)
        self.config = QueryConfig(num_splits=1, num_sub_splits=1, data_endpoints=[vast.endpoint])
        self.next, self.chance = 0, Random(1)
        with self.session.transaction() as transaction:
            schema = transaction.bucket(vast.bucket).create_schema(place.schema)
            schema.create_table(place.table, self.schema)

    def insert(self, rows: int) -> None:
        import pyarrow as pa  # noqa: PLC0415

        places = range(self.next, self.next + rows)
        self.next += rows
        columns: dict[str, Any] = {
            "flow_id": [_FLOW] * rows,
            "start": list(places),
            "end": [place + 1 for place in places],
            "object_id": [f"{place:036}" for place in places],
        }
        empty = pa.nulls(rows, pa.int64())
        arrays = [columns.get(name, empty) for name in self.schema.names]
        with self.session.transaction() as transaction:
            table = transaction.table_from_metadata(self.metadata)
            table.insert(pa.table(arrays, schema=self.schema))

    def select(self, rows: int) -> None:
        self._fill()
        start = self.chance.randrange(self.next - rows)
        assert self._found(start, start + rows, self.schema.names).num_rows == rows

    def delete(self, rows: int) -> None:
        self._fill(rows)
        self.next -= rows
        with self.session.transaction() as transaction:
            table = transaction.table_from_metadata(self.metadata)
            where = (table["flow_id"] == _FLOW) & (table["start"] >= self.next)
            found = table.select(["start"], where, self.config, internal_row_id=True).read_all()
            assert found.num_rows == rows
            table.delete(found.select(["$row_id"]))

    def _found(self, start: int, end: int, names: Sequence[str]) -> Any:
        with self.session.transaction() as transaction:
            table = transaction.table_from_metadata(self.metadata)
            where = (table["flow_id"] == _FLOW) & (table["start"] < end) & (table["end"] > start)
            return table.select(names, where, self.config).read_all()

    def _fill(self, least: int = _ROWS) -> None:
        if self.next < least:
            self.insert(_ROWS - self.next)


def rate(step: Callable[[], object], *, most: int | None = None) -> float:
    """How often per second `step` can be done by one process; the first time does not count."""
    step()
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < _SECONDS or not done:
        if done == most:
            break
        step()
        done += 1
    return done / took if done else 0.0


def signed(number: int) -> str:
    """A URL presigned as S3 wants it (AWS Signature Version 4)."""
    scope = "20260101/us-east-1/s3/aws4_request"
    key = f"tams-media/objects/00000000-0000-4000-8000-{number:012}"
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential=bench%2F{scope.replace('/', '%2F')}"
        "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=3660&X-Amz-SignedHeaders=host"
    )
    asked = f"GET\n/{quote(key)}\n{query}\nhost:127.0.0.1:8333\n\nhost\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n20260101T000000Z\n{scope}\n{digest}"
    signature = hmac.digest(_signing_key(), text.encode(), "sha256").hex()
    return f"http://127.0.0.1:8333/{key}?{query}&X-Amz-Signature={signature}"


@cache
def _signing_key() -> bytes:
    key = b"AWS4secret"
    for part in ("20260101", "us-east-1", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@contextmanager
def bare(directory: Path, processes: int, threads: int) -> Iterator[str]:
    """A bare endpoint that serves the files of `directory`, where it listens."""
    port = next(port for port in range(22_100, 22_600) if is_free("127.0.0.1", port))
    command = [sys.executable, "-m", "bench.bare", *map(str, (port, processes, threads))]
    tied = [sys.executable, "-I", "-S", tether.__file__, str(psutil.Process().pid), *command]
    with (directory / ".log").open("wb") as log:
        server = psutil.Popen(
            tied,
            cwd=directory,
            env=clean_environment() | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: not is_free("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
    finally:
        children = server.children(recursive=True)
        server.terminate()
        _, left = psutil.wait_procs([server, *children], timeout=10)
        for each in left:
            each.kill()
