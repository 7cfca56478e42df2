"""How fast a whole store is, beside the floor: the same rows through the bare VAST SDK.

    make bench            or    .venv/bin/python -m bench [--segments N]

Starts a store of its own on free ports, measures, stops it. Each line is a ratio of two figures of
the same run; figures of different runs or machines do not compare.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from infra.vast.session import Database
from schemas.domain.timerange import TimeRange
from schemas.tables.definitions import SEGMENTS
from tests.making import external, put_flow
from tests.services.running import Running, running_store

Step = Callable[[], object]


class Bench:
    """One store, its API, and its database underneath."""

    def __init__(self, store: Running) -> None:
        self.api = httpx.Client(base_url=store.facts["api"], timeout=120)
        self.database = Database(store.settings.vast)
        self.ms = count(0, 1_000)

    def post(self, flow_id: str, segments: int) -> None:
        """Register `segments` of one second in one request."""
        offers = [external(start := next(self.ms), start + 1_000) for _ in range(segments)]
        answer = self.api.post(f"/flows/{flow_id}/segments", json=offers)
        assert answer.status_code == 201, answer.text

    def insert(self, rows: int) -> None:
        """The floor of `post`: one transaction that inserts as many rows."""
        starts = [next(self.ms) for _ in range(rows)]
        with self.database.transaction() as transaction:
            transaction.table(SEGMENTS).insert(
                [{"flow_id": "floor", "start": start, "end": start + 1} for start in starts]
            )

    def list(self, flow_id: str, **query: str) -> None:
        """Read one page."""
        answer = self.api.get(f"/flows/{flow_id}/segments", params=query)
        assert len(answer.json()) == int(query["limit"]), answer.text

    def select(self, limit: int) -> None:
        """The floor of `list`: one transaction that reads as many rows."""
        with self.database.transaction() as transaction:
            found = transaction.table(SEGMENTS).select(
                equal={"flow_id": "floor"}, span=TimeRange(0, 1 << 60), limit=limit
            )
        assert found.num_rows == limit


def per_second(step: Step, rows: int, *, times: int, threads: int = 1) -> float:
    """Rows per second when `step`, which handles `rows`, is done `times` over by `threads`."""
    step()
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(step) for _ in range(times)]:
            done.result()
    return rows * times / (time.perf_counter() - began)


def measure(bench: Bench, segments: int) -> Iterator[tuple[str, float, float]]:
    """What was measured, the store's figure, and the floor's."""
    flow = put_flow(bench.api)
    floor = per_second(lambda: bench.insert(1), 1, times=30)
    yield "register 1, one client", per_second(lambda: bench.post(flow, 1), 1, times=30), floor
    together = per_second(lambda: bench.post(flow, 1), 1, times=200, threads=16)
    yield "register 1, 16 clients", together, floor
    floor = per_second(lambda: bench.insert(1_000), 1_000, times=5)
    yield (
        "register 1000, one client",
        per_second(lambda: bench.post(flow, 1_000), 1_000, times=5),
        floor,
    )
    while next(bench.ms) < segments * 1_000:
        bench.post(flow, 10_000)
    floor = per_second(lambda: bench.select(100), 100, times=20)
    first = per_second(lambda: bench.list(flow, limit="100"), 100, times=20)
    yield "list 100, from the start", first, floor
    middle = f"[{segments // 2}:0_{segments // 2 + 100}:0)"
    inside = per_second(lambda: bench.list(flow, limit="100", timerange=middle), 100, times=20)
    yield "list 100, by timerange", inside, floor


@contextmanager
def a_bench() -> Iterator[Bench]:
    """A store that is gone afterwards."""
    with tempfile.TemporaryDirectory() as directory, running_store(Path(directory)) as store:
        yield Bench(store)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=20_000, help="in the flow that is listed")
    options = parser.parse_args()
    table = Table("", "store, rows/s", "bare SDK, rows/s", "ratio")
    with a_bench() as bench:
        for name, store, floor in measure(bench, options.segments):
            table.add_row(name, f"{store:,.0f}", f"{floor:,.0f}", f"{store / floor:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
