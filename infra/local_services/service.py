"""A process to run: how it is started, and how one knows that it works.

* A `Service` is a value; running it is `workers.supervisor`'s business.
* `healthy` asks once and answers; whoever waits, repeats it.
* Secrets travel in files or in the environment: `argv` is visible to everybody.
"""

import http.client
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

HEALTH_TIMEOUT_S = 3.0


class StartError(Exception):
    """The store cannot be started, for a reason its operator can do something about."""


@dataclass(frozen=True, slots=True)
class Service:
    """One process, or with `once` one command that ends by itself.

    `needs` names the services that must be healthy before this one is started, and that
    are stopped only after it. `leftovers` are files it does not clear away itself; lines
    that match `noise` at their start are not printed.
    """

    name: str
    argv: tuple[str, ...]
    healthy: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    needs: frozenset[str] = frozenset()
    once: bool = False
    start_timeout_s: float = 120.0
    stop_timeout_s: float = 10.0
    leftovers: tuple[Path, ...] = ()
    noise: re.Pattern[str] | None = None


def without_ours(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a program that knows nothing of the store, and of no other S3 store."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("TAMS_", "AWS_", "S3_", "WEED_"))
    }


def running() -> bool:
    """The health of a service that offers nothing to ask: that it has not died is enough."""
    return True


def http_answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a GET of `url` is answered with 200."""
    return http_body(url, headers) is not None


def http_body(url: str, headers: Mapping[str, str] | None = None) -> bytes | None:
    """What a GET of `url` is answered with, if it is answered with 200."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=HEALTH_TIMEOUT_S
    )
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        connection.request("GET", target, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.read() if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
