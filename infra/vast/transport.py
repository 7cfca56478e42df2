"""How requests of the SDK reach a database next door: signed, on a connection that is kept.

* It stands in for `requests` in the SDK, which spends several times as long on a request (proxies,
  cookies, redirects, hooks, head and body apart) as the wire does; a transaction makes about ten.
* Answers are received whole. One that breaks off is a `requests.ConnectionError`, as with it.
* The key that signs is derived once a day (AWS Signature Version 4, without a region).
"""

import hmac
import select
import socket
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from io import BufferedReader, BytesIO
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

_DAY: Final = "%Y%m%d"
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_SIGNED: Final = "host;x-amz-date"
_LONGEST_LINE: Final = 65_536


class Connections:
    """The part of `requests.Session` that the SDK uses, for one endpoint without TLS."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str) -> None:
        place = urlsplit(endpoint)
        self._address = (str(place.hostname), place.port or 80)
        self._host = f"{place.hostname}:{place.port}" if place.port else str(place.hostname)
        self._access_key = access_key
        self._secret_key = secret_key
        self._open: _Connection | None = None

    def request(
        self,
        method: str,
        url: str,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        data: Any = b"",
        stream: bool = False,  # noqa: ARG002 - as the SDK calls it
    ) -> requests.Response:
        """The answer to a request; raises `requests.ConnectionError`."""
        _, _, target = url.partition("://")
        _, slash, target = target.partition("/")
        path, question, query = f"/{target}".partition("?") if slash else _without_path(url)
        body = bytes(data)
        signed = {
            "Host": self._host,
            "Content-Length": str(len(body)),
            **(headers or {}),
            **self._signature(method, path, query, body),
        }
        try:
            connection = self._connection(timeout)
            answer = connection.ask(method, f"{path}{question}{query}", signed, body)
        except (OSError, ValueError) as error:
            self.close()
            raise requests.ConnectionError(error) from error
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return _Response(answer, method, url)

    def close(self) -> None:
        """Close what is open."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connection(self, timeout: float) -> "_Connection":
        """The open connection, or a new one if there is none, or it was closed over there."""
        if self._open is not None and self._open.ended():
            self.close()
        if self._open is None:
            self._open = _Connection(socket.create_connection(self._address, timeout))
        return self._open

    def _signature(self, method: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """The headers that sign a request."""
        now = datetime.now(UTC)  # noqa: TID251 - what is signed is the time of the request
        day, moment, content = now.strftime(_DAY), now.strftime(_MOMENT), sha256(body).hexdigest()
        scope = f"{day}//s3/aws4_request"
        canonical = (
            f"{method}\n{path}\n{_canonical(query)}\n"
            f"host:{self._host}\nx-amz-date:{moment}\n\n{_SIGNED}\n{content}"
        )
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(_key_of(self._secret_key, day), text.encode(), "sha256").hex()
        return {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, "
            f"SignedHeaders={_SIGNED}, Signature={signature}",
            "x-amz-date": moment,
            "x-amz-content-sha256": content,
        }


@lru_cache(maxsize=8)
def _key_of(secret_key: str, day: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, "", "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(query: str) -> str:
    """The parameters in order, each with a value."""
    if not query:
        return ""
    return "&".join(part if "=" in part else f"{part}=" for part in sorted(query.split("&")))


def _without_path(url: str) -> tuple[str, str, str]:
    """Path and query of a URL whose host the query follows at once."""
    _, question, query = url.partition("?")
    return "/", question, query


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Connection:
    """An HTTP/1.1 connection; whatever is amiss is an OSError or a ValueError."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader = connected.makefile("rb")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Before its parts are finalised, whatever the order of that.
        self._end = weakref.finalize(self, _shut, connected, self._reader)

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        """Send a request at once, head and body, and receive the answer whole."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self._socket.sendall("\r\n".join(lines).encode("latin-1") + body)
        _, status, *_ = self._line().split(" ", 2)
        found = dict(self._headers())
        if method == "HEAD" or status in {"204", "304"}:
            return _Answer(int(status), found, b"")
        if found.get("transfer-encoding", "").lower() == "chunked":
            return _Answer(int(status), found, b"".join(self._chunks()))
        if "content-length" not in found:  # it ends with the connection
            return _Answer(int(status), {**found, "connection": "close"}, self._reader.read())
        return _Answer(int(status), found, self._exactly(int(found["content-length"])))

    def ended(self) -> bool:
        """Whether the other side closed it, or says something nobody asked for."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Close it, which also happens when its thread has ended."""
        self._end()

    def _line(self) -> str:
        line = self._reader.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError("the answer breaks off")
        return line.rstrip(b"\r\n").decode("latin-1")

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self._line():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(";")[0], 16):
            yield self._exactly(size)
            self._line()
        dict(self._headers())  # trailers

    def _exactly(self, size: int) -> bytes:
        found = self._reader.read(size)
        if len(found) != size:
            raise ConnectionError("the answer breaks off")
        return found


def _shut(connected: socket.socket, reader: BufferedReader) -> None:
    reader.close()
    connected.close()


class _Response(requests.Response):
    """An answer as the SDK reads it, without the cookies, which take longer to set up than it."""

    def __init__(self, answer: _Answer, method: str, url: str) -> None:
        self.status_code = answer.status
        self.headers = CaseInsensitiveDict(answer.headers)
        self.url = url
        self.request = requests.PreparedRequest()
        self.request.method, self.request.url = method, url
        self.encoding = None
        self.raw = BytesIO(answer.body)
        self._content = answer.body
        self._content_consumed = True
