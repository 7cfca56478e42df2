"""What the wire costs: the same work through the local VAST server and in DuckDB itself.

`python -m bench.vast_wire [ROWS]` prints milliseconds per transaction, side by side, and
their ratio. Most of the difference is the client library's own work.
"""

import multiprocessing
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import duckdb
import pyarrow as pa
import vastdb
from vastdb.config import QueryConfig
from vastdb.table_metadata import TableMetadata, TableRef, TableType

ROOT = Path(__file__).parents[1]
FIELDS = pa.schema(
    [("flow", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("object", pa.string())]
)
PLACE = TableRef("b", "s", "t")
FLOWS = 100
PROCESSES = 8
SPAN = 300  # rows of a range

FRESH = count(10**9)


def rows(numbers):
    """Rows of many flows, each a timeline; the object of a row is its number."""
    flows = [f"flow {n % FLOWS:031}" for n in numbers]
    starts = [n // FLOWS for n in numbers]
    objects = [f"object {n:029}" for n in numbers]
    return pa.table([flows, starts, [s + 1 for s in starts], objects], schema=FIELDS)


class Wire:
    """The client library and the server."""

    def __init__(self, endpoint):
        self.session = vastdb.connect(endpoint=endpoint, access="bench", secret="bench")
        self.metadata = TableMetadata(PLACE, FIELDS, TableType.Regular)
        self.config = QueryConfig(num_splits=1, num_sub_splits=1, data_endpoints=[endpoint])

    def create(self):
        with self.session.transaction() as tx:
            tx.bucket("b").create_schema("s").create_table("t", FIELDS)

    def empty(self):
        with self.session.transaction():
            pass

    def insert(self, new):
        with self.session.transaction() as tx:
            tx.table_from_metadata(self.metadata).insert(new)

    def point(self, key):
        with self.session.transaction() as tx:
            table = tx.table_from_metadata(self.metadata)
            found = table.select(FIELDS.names, table["object"] == key, self.config).read_all()
        assert found.num_rows == 1

    def span(self, flow, start):
        with self.session.transaction() as tx:
            t = tx.table_from_metadata(self.metadata)
            where = (t["flow"] == flow) & (t["start"] < start + SPAN) & (t["end"] > start)
            found = t.select(FIELDS.names, where, self.config).read_all()
        assert found.num_rows == SPAN


class InProcess:
    """DuckDB itself."""

    def __init__(self, path):
        self.cursor = duckdb.connect(path).cursor()

    def create(self):
        self.cursor.execute('CREATE TABLE t (flow TEXT, start BIGINT, "end" BIGINT, object TEXT)')

    def empty(self):
        self.cursor.begin()
        self.cursor.commit()

    def insert(self, new):  # noqa: ARG002 - the statement reads it by name
        self.cursor.begin()
        self.cursor.execute("INSERT INTO t SELECT * FROM new")
        self.cursor.commit()

    def point(self, key):
        assert self._read("object = ?", [key]) == 1

    def span(self, flow, start):
        where = 'flow = ? AND start < ? AND "end" > ?'
        assert self._read(where, [flow, start + SPAN, start]) == SPAN

    def _read(self, where, parameters):
        self.cursor.begin()
        found = self.cursor.sql(f"SELECT * FROM t WHERE {where}", params=parameters)
        table = found.to_arrow_table()
        self.cursor.commit()
        return table.num_rows


def fresh(size):
    return rows([next(FRESH) for _ in range(size)])


def work(database, total) -> dict[str, Callable[[], None]]:
    chance = random.Random(1)
    flow = f"flow {7:031}"
    return {
        "empty transaction": database.empty,
        "insert 1 row": lambda: database.insert(fresh(1)),
        "insert 1 000 rows": lambda: database.insert(fresh(1000)),
        "insert 10 000 rows": lambda: database.insert(fresh(10_000)),
        "point select": lambda: database.point(f"object {chance.randrange(total):029}"),
        f"select of {SPAN} rows": lambda: database.span(
            flow, chance.randrange(total // FLOWS - SPAN)
        ),
    }


def per_run(act, seconds=1.0):
    """Milliseconds a run takes, the median of those that fit into the time."""
    act()
    taken, end = [], time.perf_counter() + seconds
    while len(taken) < 5 or time.perf_counter() < end:
        begun = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[len(taken) // 2] * 1000


def mixed(endpoint, seed, total, seconds, done):
    """Insert, find and read spans in turn, and count."""
    database, chance, runs = Wire(endpoint), random.Random(seed), 0
    numbers = count(10**12 + seed * 10**9)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        database.insert(rows([next(numbers)]))
        database.point(f"object {chance.randrange(total):029}")
        database.span(f"flow {seed:031}", chance.randrange(total // FLOWS - SPAN))
        runs += 3
    done.put(runs)


def together(endpoint, total, seconds=5.0):
    """Transactions a second of several processes at once."""
    done = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(target=mixed, args=(endpoint, seed, total, seconds, done))
        for seed in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    runs = sum(done.get() for _ in workers)
    for worker in workers:
        worker.join()
    return runs / seconds


def serve(directory):
    command = [sys.executable, "-m", "infra.vast_local", "--port", "0", "--bucket", "b"]
    command += ["--data-dir", directory, "--access-key", "bench", "--secret-key", "bench"]
    server = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return server, f"http://127.0.0.1:{server.stdout.readline().split()[-1]}"


def main() -> None:
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        server, endpoint = serve(f"{directory}/vast")
        try:
            wire, inside = Wire(endpoint), InProcess(f"{directory}/plain.duckdb")
            for database in (wire, inside):
                database.create()
                for start in range(0, total, 25_000):
                    database.insert(rows(range(start, start + 25_000)))
            print(f"{total} rows".ljust(22), "wire ms", "DuckDB ms", "ratio", sep="  ")
            pairs = zip(work(wire, total).items(), work(inside, total).values(), strict=True)
            for (name, through_wire), in_process in pairs:
                ms, plain = per_run(through_wire), per_run(in_process)
                print(f"{name:22}  {ms:7.2f}  {plain:9.2f}  {ms / plain:5.1f}")
            rate = together(endpoint, total)
            print(f"{PROCESSES} processes, mixed: {rate:.0f} transactions a second")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    main()
