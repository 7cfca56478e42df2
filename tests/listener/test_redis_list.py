"""A list in Redis is read without losing what was begun."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis

from tasks.ports import Intake
from tests.http import samples
from tests.listener.conftest import taken
from tests.listener.following import Taker, followed
from tests.services.running import Running, clean_environment
from tests.waiting import eventually

ACCESS = json.dumps(samples.MINIO_REDIS_ACCESS).encode()


@pytest.fixture
def url(broker: Running) -> str:
    where = urlsplit(broker.facts["redis"])
    return f"redis-list://{where.netloc}/0/events"


def test_entries_are_taken_in_order_and_leave(client: redis.Redis, url: str) -> None:
    taker = Taker()
    client.rpush("events", "a", "b")

    with followed(url, taker):
        eventually(lambda: len(taker.taken) == 2)
        client.rpush("events", "c")
        eventually(lambda: len(taker.taken) == 3)

    assert taker.taken == [b"a", b"b", b"c"]
    assert not client.exists("events", "events:tams")


def test_what_was_not_taken_comes_again_first(client: redis.Redis, url: str) -> None:
    taker = Taker(refuse=2)
    client.rpush("events", "a", "b")

    with followed(url, taker):
        eventually(lambda: len(taker.taken) == 2)

    assert taker.refused == [b"a", b"a"]
    assert taker.taken == [b"a", b"b"]


def test_what_an_earlier_process_had_begun_is_taken(client: redis.Redis, url: str) -> None:
    taker = Taker()
    client.rpush("events", "b")
    client.rpush("events:tams", "a")

    with followed(url, taker):
        eventually(lambda: len(taker.taken) == 2)

    assert taker.taken == [b"a", b"b"]
    assert not client.exists("events:tams")


def test_a_list_that_is_none_is_tried_again(client: redis.Redis, url: str) -> None:
    taker = Taker()
    client.set("events", "not a list")

    with followed(url, taker):
        client.delete("events")
        client.rpush("events", "a")
        eventually(lambda: taker.taken)

    assert taker.taken == [b"a"]


def test_the_listener_follows_its_feeds_and_survives_what_it_cannot_read(
    broker: Running, client: redis.Redis, intake: Intake, url: str, tmp_path: Path
) -> None:
    settings = {"TAMS_INGEST_SOURCES": url, "TAMS_LISTENER_PORT": "0"}
    client.rpush("events", "nonsense", ACCESS)

    with (tmp_path / "log").open("wb") as log:
        listener = psutil.Popen(
            [sys.executable, "-m", "workers.cli", "listen"],
            env=clean_environment() | broker.environ | settings | {"PYTHONUNBUFFERED": "1"},
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: client.xlen("tams:notices"))
        client.rpush("events", ACCESS)
        eventually(lambda: not client.exists("events", "events:tams"))
    finally:
        listener.kill()
        listener.wait()

    assert [found.key for found in taken(intake)] == [samples.KEY]  # the second was the same
    ((_, dead),) = client.xrange("tams:dead-notices")
    assert dead[b"body"] == b"nonsense"
    assert urlsplit(url).password not in (tmp_path / "log").read_text()
