"""Nodes of pytest-celery that are processes of this machine, where the plugin expects containers.

A node asks its container for a name, a status, logs, and to be killed, restarted and torn down;
what these classes answer is about a process. Whoever starts one tears it down.
"""

import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

_DEADLINE_S = 90.0

# `tams`, with the lines about each task that the store leaves out of its log.
_PROGRAM = """
import logging
from celery.signals import worker_init
from workers.cli import main

def tell(**_):
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.INFO)

worker_init.connect(tell)
main()
"""
_POLL_S = 0.05


class BrokerProcess:
    """The Valkey of a store that runs."""

    def __init__(self, url: str) -> None:
        self.id = self.name = "valkey"
        self.celeryconfig = {"url": url, "host_url": url}


class WorkerProcess:
    """`tams worker`, in a process group of its own."""

    def __init__(
        self,
        name: str,
        queue: str,
        environ: Mapping[str, str],
        directory: Path,
        options: Sequence[str] = ("--concurrency", "1"),
    ) -> None:
        self.id = self.name = name
        self._queue = queue
        self._options = options
        self._environ = {**environ, "PYTHONUNBUFFERED": "1"}
        self._log = directory / f"{name}.log"
        self._process = self._started()

    @property
    def celeryconfig(self) -> dict[str, Any]:
        """Nothing: the worker has its settings from its environment."""
        return {}

    @property
    def status(self) -> str:
        return "running" if self._process.poll() is None else "exited"

    @property
    def children(self) -> list[psutil.Process]:
        """The processes that run its tasks."""
        return psutil.Process(self._process.pid).children(recursive=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    def worker_queue(self) -> str:
        return self._queue

    def logs(self) -> str:
        """What it has printed since its last start."""
        return self._log.read_text(errors="replace")

    def ready(self) -> bool:
        """Wait until it takes tasks."""
        eventually(lambda: " ready." in self.logs())
        return True

    def reload(self) -> None:
        """Nothing: a process is looked at whenever it is asked about."""

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Signal the worker; SIGKILL is for its children too, and has happened on return."""
        number = signals.Signals[signal] if isinstance(signal, str) else signals.Signals(signal)
        if number != signals.SIGKILL:
            self._process.send_signal(number)
            return
        os.killpg(self._process.pid, number)
        self._process.wait(_DEADLINE_S)

    def restart(self, timeout: float = _DEADLINE_S) -> None:
        """Start it again, once it has ended."""
        self._process.wait(timeout)
        self._process = self._started()

    def teardown(self) -> None:
        if self.status == "running":
            self.kill()

    def _started(self) -> "subprocess.Popen[bytes]":
        command = ("worker", "--queues", self._queue, *self._options)
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *command],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def eventually(holds: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until `holds`; a time of its own goes by between looks."""
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        meanwhile()
        time.sleep(_POLL_S)
