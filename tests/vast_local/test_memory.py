"""Memory does not grow with what is read."""

import psutil
import pyarrow as pa
import pytest
from vastdb.config import QueryConfig

FIELDS = pa.schema([("n", pa.int64()), ("s", pa.string())])
MIB = 1 << 20


def fill(server, count, batch_rows):
    session = server.connect()
    with session.transaction() as tx:
        table = tx.bucket(server.bucket).create_schema("m").create_table("t", FIELDS)
        for start in range(0, count, batch_rows):
            numbers = range(start, start + batch_rows)
            table.insert(pa.table([numbers, [f"row {n:027}" for n in numbers]], schema=FIELDS))


def grown_while_reading(server, count):
    """How much the server's memory grew at most while all rows were read."""
    config = QueryConfig(num_splits=1, num_sub_splits=1, data_endpoints=[server.endpoint])
    process = psutil.Process(server.process.pid)
    before, peak, rows = process.memory_info().rss, 0, 0
    with server.connect().transaction() as tx:
        table = tx.bucket(server.bucket).schema("m").table("t")
        for batch in table.select(config=config):
            rows += batch.num_rows
            peak = max(peak, process.memory_info().rss)
    assert rows == count
    return peak - before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_million_rows_are_read_in_bounded_memory(start_server):
    count = 10_000_000
    writing = start_server()
    fill(writing, count, 100_000)
    assert writing.stop() == 0

    grown = grown_while_reading(start_server(), count)

    print(f"{count} rows: {grown / MIB:.0f} MiB more than at the start")  # noqa: T201 - the figure
    assert grown < 768 * MIB  # the rows are 450 MiB, a page is 32 MiB, DuckDB caches blocks
