"""A server killed at any moment keeps what it has confirmed, and nothing by halves."""

import random
import threading
import time
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
import requests
from vastdb import errors
from vastdb.config import BackoffConfig

FIELDS = pa.schema([("writer", pa.int64()), ("number", pa.int64()), ("part", pa.int64())])
IMPATIENT = BackoffConfig(max_tries=1)
WRITERS = 3
PARTS = 3


@dataclass
class Written:
    """What one writer knows of its transactions."""

    confirmed: dict[int, list[int]] = field(default_factory=dict)
    unknown: set[int] = field(default_factory=set)


def write(db, writer, written, numbers):
    """Insert in transaction after transaction, deleting a row in each, until the server is gone."""
    session = db.session
    for number in numbers:
        written.unknown.add(number)
        try:
            with session.transaction() as tx:
                table = db.table(tx, "t")
                rows = [[writer] * (PARTS + 1), [number] * (PARTS + 1), list(range(PARTS + 1))]
                given = table.insert(pa.table(rows, schema=FIELDS)).to_pylist()
                table.delete(pa.table({"$row_id": pa.array(given[-1:], pa.uint64())}))
        except (errors.ConnectionError, requests.RequestException):
            return
        written.unknown.discard(number)
        written.confirmed[number] = given


def wait_for_more(known, least):
    """Wait until the writers have confirmed more transactions than that."""
    deadline = time.monotonic() + 30
    while sum(len(writer.confirmed) for writer in known) <= least:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_it_keeps_exactly_what_was_committed(
    start_server, open_database, seed
):
    chance = random.Random(seed)
    server = start_server()
    db = open_database(server)
    db.create("t", FIELDS)
    with db.session.transaction() as tx:
        db.table(tx, "t").create_projection("by_number", ["number"], ["writer", "part"])
    known = [Written() for _ in range(WRITERS)]

    for round_ in range(3):
        numbers = range(round_ * 100_000, (round_ + 1) * 100_000)
        databases = [open_database(server, backoff_config=IMPATIENT) for _ in range(WRITERS)]
        threads = [
            threading.Thread(target=write, args=(databases[i], i, known[i], numbers))
            for i in range(WRITERS)
        ]
        for thread in threads:
            thread.start()
        wait_for_more(known, (round_ + 1) * WRITERS)
        threads[0].join(chance.uniform(0, 0.3))  # the moment is what is tested
        server.kill()
        for thread in threads:
            thread.join()
        server = start_server()

    found = open_database(server).committed("t", internal_row_id=True)
    rows = sorted(zip(*(found[name] for name in (*FIELDS.names, "$row_id")), strict=True))
    assert sum(len(writer.confirmed) for writer in known) > 0
    for i, written in enumerate(known):
        there = {number for writer, number, _, _ in rows if writer == i}
        assert set(written.confirmed) <= there <= set(written.confirmed) | written.unknown
        for number in there:
            own = [(part, id_) for w, n, part, id_ in rows if (w, n) == (i, number)]
            assert [part for part, _ in own] == list(range(PARTS))
            assert (
                number in written.unknown
                or [id_ for _, id_ in own] == written.confirmed[number][:PARTS]
            )
    db = open_database(server)
    with db.session.transaction() as tx:
        table = db.table(tx, "t")
        numbers = sorted({number for _, number, _, _ in rows})
        for number in chance.sample(numbers, min(len(numbers), 20)):
            read = table.select(["part"], table["number"] == number, db.config).read_all()
            assert read.num_rows == sum(n == number for _, n, _, _ in rows)
    handed_out = [id_ for w in known for given in w.confirmed.values() for id_ in given]
    assert len(handed_out) == len(set(handed_out))
