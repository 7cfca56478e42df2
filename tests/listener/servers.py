"""Servers of queues that run here, each a process of its own on a free port of loopback."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.services.running import clean_environment
from tests.waiting import eventually

_RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_STOP_S = 20.0


@contextmanager
def moto_server(log: Path) -> Iterator[str]:
    """AWS as moto has it; the address of all its services."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(argv, log, {}, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def rabbitmq_server(directory: Path) -> Iterator[str]:
    """RabbitMQ with its data in `directory`; its address. Skips where there is none."""
    epmd, server = shutil.which("epmd"), shutil.which(_RABBITMQ)
    if epmd is None or server is None:
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    port, names_port = free_port(), free_port()
    config = directory / "rabbitmq.conf"
    config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    variables = {
        "HOME": str(directory),  # of its cookie
        "ERL_EPMD_PORT": str(names_port),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_MNESIA_BASE": str(directory),
        "RABBITMQ_NODENAME": "tams-test@localhost",
    }
    # Were there none, Erlang would start the daemon of names itself, and leave it running.
    names = [epmd, "-address", "127.0.0.1", "-port", str(names_port)]
    with (
        running(names, directory / "names", {}, names_port),
        running([server], directory / "log", variables, port),
    ):
        yield f"amqp://guest:guest@127.0.0.1:{port}"


@contextmanager
def running(
    argv: Sequence[str], log: Path, variables: Mapping[str, str], port: int
) -> Iterator[None]:
    """A process that listens on `port`, and all that it started, until the block ends."""
    with log.open("wb") as output:
        process = psutil.Popen(
            argv,
            env=clean_environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text(errors="replace")
        yield
    finally:
        started = [process, *process.children(recursive=True)] if process.is_running() else []
        if started:
            process.terminate()
        _, left = psutil.wait_procs(started, _STOP_S)
        for each in left:
            each.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
