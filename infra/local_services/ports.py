"""Where services listen: addresses as configured, as last time, or free ones.

* A configured port is used or refused, never exchanged for another; 0 asks for any.
* Otherwise: the port of the last start if it is free, else the service's usual one, else
  any free one, taken from below the range the kernel gives to outgoing connections.
* Local services listen on loopback only.
"""

import secrets
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from infra.local_services.service import StartError
from infra.settings import is_loopback

_LOWEST, _HIGHEST = 10_000, 22_000
_TRIES = 500
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    @property
    def netloc(self) -> str:
        """The address as URLs have it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The root of an HTTP server at this address."""
        return f"http://{self.netloc}"


@dataclass(slots=True)
class PortChooser:
    """Chooses ports for one start of the store; `remembered` is read and brought up to date.

    Services that run `elsewhere` may well have taken the ports configured for them.
    """

    environ: Mapping[str, str]
    remembered: dict[str, int]
    elsewhere: Collection[str] = ()
    _taken: set[int] = field(default_factory=set)

    def address(self, service: str, variable: str, usual: int | None = None) -> Address:
        """Where `service` shall listen; `TAMS_{variable}_HOST` and `_PORT` configure it.

        Raises:
            StartError: when the configuration is malformed or the port it names is taken.
        """
        host = self._host(service, f"TAMS_{variable}_HOST")
        configured = self._configured(service, host, f"TAMS_{variable}_PORT")
        port = configured or self._free(service, host, usual if configured is None else None)
        self._take(service, port)
        return Address(host, port)

    def pair(self, service: str, host: str, distance: int) -> int:
        """A port such that it and the one `distance` above it are free."""
        port = self._free(service, host, None, distance)
        self._take(service, port)
        self._taken.add(port + distance)
        return port

    def _host(self, service: str, variable: str) -> str:
        host = self.environ.get(variable) or "127.0.0.1"
        if not is_loopback(host):
            raise StartError(
                f"{variable}={host}: {service} listens on loopback only, "
                "because nothing asks its callers who they are"
            )
        return host

    def _configured(self, service: str, host: str, variable: str) -> int | None:
        text = self.environ.get(variable)
        if not text:
            return None
        if not text.isdecimal() or int(text) > _MAX_PORT:
            raise StartError(f"{variable}={text}: {service} needs a port from 0 to {_MAX_PORT}")
        port = int(text)
        free = service in self.elsewhere or is_free(host, port)
        if port and (port in self._taken or not free):
            raise StartError(
                f"port {port} on {host} is taken: {service} cannot listen there "
                f"({variable} says so)"
            )
        return port

    def _free(self, service: str, host: str, usual: int | None, distance: int = 0) -> int:
        for port in (self.remembered.get(service), usual):
            if port is not None and self._open(host, port, distance):
                return port
        for _ in range(_TRIES):
            port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
            if self._open(host, port, distance):
                return port
        raise StartError(f"no free port was found for {service} on {host}")

    def _open(self, host: str, port: int, distance: int) -> bool:
        wanted = {port, port + distance}
        return not wanted & self._taken and all(is_free(host, each) for each in wanted)

    def _take(self, service: str, port: int) -> None:
        self._taken.add(port)
        self.remembered[service] = port


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `port` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
