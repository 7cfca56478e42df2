"""The `Courier`: events to the URLs of webhooks, over HTTP.

* Where a URL may lead is for `infra.outbound` to say, anew for every connection; what can be seen
  of it beforehand is said when the webhook is registered.
* A receiver has so long for the whole of its answer, however steadily it trickles: then the
  connection is shut down under whoever waits for it.
* Of the answer only the status is heeded, and `Retry-After`: nothing of what it says is shown.
"""

import socket
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from math import inf
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

import httpx

from infra.outbound import Network, Resolve, client_of_one_host, is_refused
from schemas.domain.delivery import Reply
from schemas.domain.errors import Invalid

_LONGEST_ANSWER: Final = 1 << 16
_LONGEST_PAUSE: Final = timedelta(days=1)
_LOOK_S: Final = 0.25
_LAST_PORT: Final = 65_535
_CONNECTED: Final = ("connection.connect_tcp.complete", "connection.start_tls.complete")


class HttpCourier:
    """Delivers to the public internet, and to networks in `allow`."""

    def __init__(
        self,
        allow: Collection[Network],
        *,
        plain_http: bool,
        timeout_s: float,
        resolve: Resolve | None = None,
    ) -> None:
        """`plain_http` says whether receivers may do without TLS."""
        self._allow = allow
        self._plain_http = plain_http
        self._timeout_s = timeout_s
        self._resolve = resolve

    def require_permitted(self, url: str) -> None:
        """Raises Invalid, naming `url`; see `Courier.require_permitted`."""
        try:
            parts = httpx.URL(url)
            host = parts.raw_host.decode()
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Invalid(f"url: it is not a URL: {error}", field="url") from error
        if parts.scheme not in {"http", "https"} or not host or (parts.port or 0) > _LAST_PORT:
            raise Invalid("url: it is not the address of an HTTP server", field="url")
        if parts.scheme == "http" and not self._plain_http:
            raise Invalid("url: it must begin with https:// here", field="url")
        if parts.userinfo:
            raise Invalid(
                "url: it must not hold credentials, which api_key_value is for", field="url"
            )
        if is_refused(host, self._allow):
            raise Invalid(
                f"url: {host} is neither in the public internet nor in an allowed network",
                field="url",
            )

    @contextmanager
    def line(self, url: str) -> Iterator[Callable[[Mapping[str, str], bytes], Reply]]:
        """What sends to `url`; see `Courier.line`."""
        limit = _Limit()
        with client_of_one_host(
            self._allow, self._timeout_s, self._context, self._resolve
        ) as client:

            def send(headers: Mapping[str, str], body: bytes) -> Reply:
                try:
                    self.require_permitted(url)  # the settings may have changed
                    with limit.within(self._timeout_s):
                        return _send(client, url, headers, body, limit.trace)
                except Invalid as error:
                    return Reply(silence=str(error).removeprefix("url: "))
                except httpx.HTTPError as error:
                    if limit.passed or isinstance(error, httpx.TimeoutException):
                        return Reply(silence=f"does not answer within {self._timeout_s:g} s")
                    return Reply(silence=f"cannot be reached: {error or type(error).__name__}")

            with limit.enforced():
                yield send

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Made once: it takes longer than a request does."""
        return httpx.create_ssl_context()


class _Limit:
    """A time for whatever is done on a connection, after which the connection is shut down."""

    def __init__(self) -> None:
        self.passed = False
        self._deadline = inf
        self._socket: socket.socket | None = None
        self._closed = Event()

    def trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Take note of a new connection; httpx calls this."""
        if event in _CONNECTED:
            self._socket = about["return_value"].get_extra_info("socket")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Everything in the context has so long, as a whole."""
        self.passed = False
        self._deadline = monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = inf

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Watch over it, in a thread of its own."""
        watching = Thread(target=self._watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            self._closed.set()
            watching.join()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_S):
            connection = self._socket
            if connection is not None and monotonic() > self._deadline:
                self.passed = True
                with suppress(OSError):  # it is down already
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _send(
    client: httpx.Client,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    trace: Callable[[str, Mapping[str, Any]], None],
) -> Reply:
    request = client.build_request(
        "POST", url, headers=dict(headers), content=body, extensions={"trace": trace}
    )
    response = client.send(request, stream=True)
    with suppress(httpx.HTTPError):  # the status is there, whatever becomes of the rest
        _read_on(response)
    response.close()
    return Reply(response.status_code, retry_after=_pause(response.headers.get("Retry-After")))


def _read_on(response: httpx.Response) -> None:
    """Read the answer to its end, so that the connection can be kept, unless that is far."""
    length = 0
    for chunk in response.iter_raw():
        length += len(chunk)
        if length > _LONGEST_ANSWER:
            return


def _pause(text: str | None) -> timedelta:
    """What `Retry-After` asks for (RFC 9110, 10.2.3), within reason."""
    if not text:
        return timedelta(0)
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return timedelta(0)
    wait = moment.astimezone(UTC) - datetime.now(UTC)  # noqa: TID251 - as the header means it
    return max(timedelta(0), min(wait, _LONGEST_PAUSE))
