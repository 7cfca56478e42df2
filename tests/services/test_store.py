"""A whole store, started as an operator starts it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from infra.local_services.vast import says_its_version
from tests.services.running import Running, running_store
from workers.up import SERVICES

_DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_store(tmp_path_factory.mktemp("store")) as running:
        yield running


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as response:
            return response.status == 200
    except (OSError, HTTPException):
        return False


def test_endpoints_say_all_there_is_to_know(store: Running):
    known = store.facts

    assert set(known) == {
        *("api", "s3", "storage_backends", "vast", "redis", "listener", "secret_keys", "processes")
    }
    assert set(known["s3"]) == {"endpoint", "region", "access_key", "secret_key", "bucket"}
    assert set(known["vast"]) == {"endpoint", "access_key", "secret_key", "bucket", "schema"}
    assert set(known["listener"]) == {"endpoint", "token"}
    assert set(known["processes"]) == set(SERVICES) - {"init"}


def test_a_store_that_has_started_is_healthy(store: Running):
    assert answers(f"{store.facts['api']}/health")
    assert answers(f"{store.facts['api']}/service")
    assert answers(f"{store.facts['listener']['endpoint']}/health")
    assert says_its_version(store.settings.vast)


def test_the_operator_is_told_where_everything_is_and_what_to_try(store: Running):
    for word in ("tams demo", f"curl {store.facts['api']}/service", store.facts["s3"]["endpoint"]):
        assert word in store.log


def test_a_second_shell_finds_the_store_by_its_directory_alone(store: Running):
    settings = type(store.settings).from_env({"TAMS_DATA_DIR": str(store.directory)})

    assert settings.redis_url == store.facts["redis"]
    assert settings.s3.secret_key == store.facts["s3"]["secret_key"]


@pytest.mark.parametrize("name", ["api", "worker", "vast"])
def test_a_killed_process_comes_back_and_the_store_is_healthy_again(store: Running, name):
    before = store.facts["processes"][name]
    children = psutil.Process(before).children(recursive=True)

    os.kill(before, signal.SIGKILL)

    wait_until(lambda: store.facts["processes"][name] != before)
    wait_until(lambda: answers(f"{store.facts['api']}/health"))
    assert not [each for each in children if each.is_running()]


def test_ctrl_c_stops_every_process_and_the_next_start_finds_the_same_addresses(tmp_path: Path):
    with running_store(tmp_path) as first:
        before = first.facts
        started = first.process.children(recursive=True)
        first.process.send_signal(signal.SIGINT)

        assert first.process.wait(_DEADLINE_S) == 0

    assert len(started) > len(SERVICES)
    assert not [each for each in started if each.is_running()]
    with running_store(tmp_path) as second:
        assert json.dumps({**second.facts, "processes": 0}) == json.dumps(
            {**before, "processes": 0}
        )
