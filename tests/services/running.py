"""Real services for tests, started as `tams up` starts them.

* `running_services` is the broker, the object store and the VAST server; `running_store`
  is everything. Both are a process of their own on ports that were free, with their data in
  the directory given, and both stop what they started, however the block ends.
* Several may run at the same time, in different directories.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.local_services import tether
from infra.settings import ENDPOINTS_FILE, Settings, process_environment

LOCAL_SERVICES = ("valkey", "seaweedfs", "vast")

_START_S = 180.0
_STOP_S = 60.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Running:
    """A store, or part of one, that runs."""

    process: psutil.Popen
    directory: Path
    given: Mapping[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """What `endpoints.json` says now."""
        facts: dict[str, Any] = json.loads((self.directory / ENDPOINTS_FILE).read_text())
        return facts

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make `Settings.from_env` and any `tams` command find this store."""
        known = self.facts
        s3, vast, listener = known["s3"], known["vast"], known["listener"]
        api_host, api_port = _host_and_port(known["api"])
        listener_host, listener_port = _host_and_port(listener["endpoint"])
        return {
            **self.given,
            "TAMS_DATA_DIR": str(self.directory),
            "TAMS_API_HOST": api_host,
            "TAMS_API_PORT": api_port,
            "TAMS_LISTENER_HOST": listener_host,
            "TAMS_LISTENER_PORT": listener_port,
            "TAMS_LISTENER_TOKEN": listener["token"],
            "TAMS_REDIS_URL": known["redis"],
            "TAMS_SECRET_KEYS": known["secret_keys"],
            "TAMS_S3_ENDPOINT": s3["endpoint"],
            "TAMS_S3_REGION": s3["region"],
            "TAMS_S3_ACCESS_KEY": s3["access_key"],
            "TAMS_S3_SECRET_KEY": s3["secret_key"],
            "TAMS_S3_BUCKET": s3["bucket"],
            "TAMS_VAST_ENDPOINT": vast["endpoint"],
            "TAMS_VAST_ACCESS_KEY": vast["access_key"],
            "TAMS_VAST_SECRET_KEY": vast["secret_key"],
            "TAMS_VAST_BUCKET": vast["bucket"],
            "TAMS_VAST_SCHEMA": vast["schema"],
        }

    @property
    def settings(self) -> Settings:
        """The settings of a process that works with this store."""
        return Settings.from_env(self.environ)

    @property
    def log(self) -> str:
        """What has been printed so far."""
        return _log(self.directory).read_text(errors="replace")


@contextmanager
def running_services(
    directory: Path, *, only: Collection[str] = LOCAL_SERVICES, **variables: str
) -> Iterator[Running]:
    """The local services named in `only`, without our own processes, healthy."""
    with _running(directory, only, variables) as running:
        yield running


@contextmanager
def running_store(directory: Path, **variables: str) -> Iterator[Running]:
    """A whole store; `variables` are further settings of it, by their full names."""
    with _running(directory, (), variables) as running:
        yield running


@contextmanager
def _running(
    directory: Path, only: Collection[str], variables: Mapping[str, str]
) -> Iterator[Running]:
    started = start(directory, only, **variables)
    try:
        wait_until_started(started)
        yield started
    finally:
        stop(started)


def start(directory: Path, only: Collection[str] = (), **variables: str) -> Running:
    """Start `tams up` for `directory` and do not wait for it; it ends with this process."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ENDPOINTS_FILE).unlink(missing_ok=True)
    given = {"TAMS_API_PORT": "0", "TAMS_LISTENER_PORT": "0", **variables}
    program = f"import sys; from workers.up import up; sys.exit(up({tuple(only)!r}))"
    with _log(directory).open("wb") as log:
        process = psutil.Popen(
            [
                sys.executable,
                *("-I", "-S", tether.__file__, str(os.getpid())),
                *(sys.executable, "-c", program),
            ],
            env=clean_environment() | given | {"TAMS_DATA_DIR": str(directory)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Running(process, directory, given)


def wait_until_started(running: Running) -> None:
    """Wait for `endpoints.json`, which is written when all is healthy."""
    deadline = time.monotonic() + _START_S
    while not (running.directory / ENDPOINTS_FILE).exists():
        if running.process.poll() is not None:
            raise AssertionError(f"the store ended while starting:\n{running.log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"the store did not start in {_START_S:g} s:\n{running.log}")
        time.sleep(_POLL_S)


def stop(running: Running) -> None:
    """Stop what `start` started, by process id, and make sure of it."""
    if running.process.poll() is not None:
        return
    descendants = running.process.children(recursive=True)
    running.process.terminate()
    try:
        running.process.wait(_STOP_S)
    except psutil.TimeoutExpired:
        for each in (running.process, *descendants):
            _kill(each)
        raise AssertionError(f"the store did not stop in {_STOP_S:g} s:\n{running.log}") from None


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def clean_environment() -> dict[str, str]:
    """This process's environment without anybody's store in it; chaos is asked for there."""
    return {
        name: value
        for name, value in process_environment().items()
        if not name.startswith("TAMS_") or name == "TAMS_VAST_CHAOS"
    }


def _host_and_port(url: str) -> tuple[str, str]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host.strip("[]"), port


def _log(directory: Path) -> Path:
    return directory / "up.log"
