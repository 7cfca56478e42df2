"""A local VAST server as a process of its own, and databases on it for tests to use.

* ``local_server`` is started once for the session on a free port, and ended by its pid.
* ``server`` is the same, unless the environment names a cluster: then what is true of every
  VAST Database is tested there. The bucket it names is emptied by the client library's tests.
* Tests that kill or restart a server start their own with ``start_server``.
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
import vastdb
from vastdb.config import QueryConfig
from vastdb.schema import Schema
from vastdb.session import Session
from vastdb.table import Table
from vastdb.transaction import Transaction

from infra.settings import process_environment

ROOT = Path(__file__).parents[2]
ACCESS, SECRET, BUCKET = "test-access", "test-secret", "vastdb"
SDK_BUCKETS = ("sdk-0", "sdk-1")  # the client library's tests empty the bucket they are given
CLUSTER = "TAMS_TEST_VAST"  # what the names of the variables of a cluster begin with


@dataclass
class Address:
    """Where a server is and how it lets us in."""

    endpoint: str
    access: str = ACCESS
    secret: str = SECRET
    bucket: str = BUCKET
    sdk_buckets: tuple[str, str] = SDK_BUCKETS
    is_cluster: bool = False

    def options(self, bucket: str) -> list[str]:
        """Options of the client library's own tests."""
        return [
            f"--tabular-endpoint-url={self.endpoint}",
            f"--tabular-bucket-name={bucket}",
            f"--tabular-access-key={self.access}",
            f"--tabular-secret-key={self.secret}",
        ]

    def connect(self, **options: object) -> Session:
        return vastdb.connect(
            endpoint=self.endpoint, access=self.access, secret=self.secret, **options
        )


@dataclass
class Server(Address):
    """A local server process."""

    process: "subprocess.Popen[str] | None" = None
    data_dir: Path | None = None

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)


def command(data_dir: Path, *options: str) -> list[str]:
    keys = ["--access-key", ACCESS, "--secret-key", SECRET]
    place = ["--port", "0", "--data-dir", str(data_dir)]
    buckets = [word for name in (BUCKET, *SDK_BUCKETS) for word in ("--bucket", name)]
    return [sys.executable, "-m", "infra.vast_local", *place, *buckets, *keys, *options]


def start(data_dir: Path, *options: str) -> Server:
    with (data_dir.parent / f"{data_dir.name}.log").open("a") as log:
        process = subprocess.Popen(
            command(data_dir, *options), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True
        )
    line = process.stdout.readline()
    match = re.fullmatch(r"listening on port (\d+)\n", line)
    if match is None:
        process.kill()
        pytest.fail(f"the server did not start: {line!r}, see {log.name}")
    return Server(f"http://127.0.0.1:{match[1]}", process=process, data_dir=data_dir)


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start(tmp_path_factory.mktemp("vast") / "data")
    try:
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Address:
    environ = process_environment()
    if f"{CLUSTER}_ENDPOINT" not in environ:
        return request.getfixturevalue("local_server")
    names = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "BUCKET")
    endpoint, access, secret, bucket = (environ[f"{CLUSTER}_{name}"] for name in names)
    cluster = Address(endpoint, access, secret, bucket, (bucket, bucket), is_cluster=True)
    with cluster.connect().transaction() as tx:
        for schema in tx.bucket(bucket).schemas():
            drop(schema)
    return cluster


def drop(schema: Schema) -> None:
    """Drop a schema and all in it."""
    for inner in schema.schemas():
        drop(inner)
    for table in schema.tables():
        table.drop()
    schema.drop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts a server on this test's own directory, again and again if need be."""
    with ExitStack() as stack:

        def begin(*options: str) -> Server:
            running = start(tmp_path / "data", *options)
            stack.callback(running.kill)
            return running

        yield begin


@pytest.fixture
def server_command(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a server that is expected to end by itself."""

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(tmp_path / "data", *options),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return run


@dataclass
class Database:
    """A schema of its own for one test, and the few things tests do with tables."""

    session: Session
    endpoint: str
    schema: str
    bucket: str = BUCKET
    config: QueryConfig = field(init=False)

    def __post_init__(self) -> None:
        self.config = QueryConfig(num_splits=1, num_sub_splits=1, data_endpoints=[self.endpoint])

    def create(self, name: str, fields: pa.Schema, rows: Sequence[Sequence[object]] = ()) -> None:
        """Create a table with columns of values, committed."""
        with self.session.transaction() as tx:
            table = tx.bucket(self.bucket).schema(self.schema).create_table(name, fields)
            if rows:
                table.insert(pa.table(list(rows), schema=fields))

    def table(self, tx: Transaction, name: str) -> Table:
        return tx.bucket(self.bucket).schema(self.schema).table(name)

    def read(self, tx: Transaction, name: str, **options: object) -> dict[str, list[object]]:
        """Return rows as columns of values; the row id as ``$row_id`` when asked for."""
        reader = self.table(tx, name).select(config=self.config, **options)
        return reader.read_all().to_pydict()

    def committed(self, name: str, **options: object) -> dict[str, list[object]]:
        with self.session.transaction() as tx:
            return self.read(tx, name, **options)


@pytest.fixture
def db(server: Address, request: pytest.FixtureRequest) -> Database:
    schema = re.sub(r"\W+", "_", request.node.nodeid)
    session = server.connect()
    with session.transaction() as tx:
        tx.bucket(server.bucket).create_schema(schema)
    return Database(session, server.endpoint, schema, server.bucket)


@pytest.fixture
def open_database() -> Callable[..., Database]:
    """Opens the schema ``s`` on a server of the test's own, creating it at first."""

    def open_(server: Server, **options: object) -> Database:
        session = server.connect(**options)
        with session.transaction() as tx:
            bucket = tx.bucket(BUCKET)
            if bucket.schema("s", fail_if_missing=False) is None:
                bucket.create_schema("s")
        return Database(session, server.endpoint, "s")

    return open_
