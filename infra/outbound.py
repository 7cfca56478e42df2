"""HTTP requests to addresses that clients of the store chose.

* Whoever can name a URL must not reach through us what only we can reach: a host is resolved
  once, and the connection goes to an address that was checked, whatever its name says later.
* An address must be global, or lie in a network the operator allows (`TAMS_FETCH_ALLOW`).
  How a host is written is no matter: what it resolves to is checked.
* The server is asked, and must prove itself, under the name in the URL.
* Connections are kept for the next request only by a client of a single host: by address they
  must not serve another name.
* Redirects are not followed, and neither proxies nor credentials are taken from the environment.
* What is said of a refusal tells nothing about the network we are in.
"""

import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import BinaryIO, Final

import httpx

from schemas.domain.errors import Invalid, Unavailable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str], Collection[str]]

# Besides those ipaddress knows: site-local addresses, and those that carry another one, to which
# a tunnel or a translator would connect.
_NOT_GLOBAL: Final = tuple(
    map(ip_network, ("fec0::/10", "2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48"))
)
# The whole content must arrive within this time, however steadily it trickles.
_CONTENT_S: Final = 3_600.0
_TEMPORARY: Final = {408, 425, 429}
# Of a host with more addresses than this, the rest are not tried.
_MOST_ADDRESSES: Final = 4
# The parts of a URL that may well be secrets: credentials, and what follows the path.
_SECRETS: Final = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)


def outbound_client(
    allow: Collection[Network], timeout_s: float, resolve: Resolve | None = None
) -> httpx.Client:
    """A client for URLs from outside; each step of a request may take `timeout_s`.

    A request raises `Invalid` when its URL must not be asked, else what httpx raises.
    """
    # Connections are known by address: one must not serve another name at that address.
    inner = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
    return _client(_Guarded(inner, allow, resolve or _addresses_of), timeout_s)


def client_of_one_host(
    allow: Collection[Network],
    timeout_s: float,
    context: ssl.SSLContext,
    resolve: Resolve | None = None,
) -> httpx.Client:
    """The same for requests to one host, which is resolved once; connections are kept."""
    inner = httpx.HTTPTransport(verify=context)
    return _client(_Guarded(inner, allow, lru_cache(resolve or _addresses_of)), timeout_s)


def _client(transport: "_Guarded", timeout_s: float) -> httpx.Client:
    return httpx.Client(
        transport=transport,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
    )


@contextmanager
def content_of(client: httpx.Client, url: str) -> Iterator[BinaryIO]:
    """What `url` answers to GET, to be read while the context lasts.

    Raises:
        Invalid: when `url` must not be asked, or answers with anything but content.
        Unavailable: when nobody answers, or the answer breaks off or says to come again.
    """
    where = without_secrets(url)
    try:
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            _require_content(response, where)
            chunks = _in_time(response.iter_raw(), time.monotonic() + _CONTENT_S, where)
            yield io.BufferedReader(_Chunks(chunks))
    except httpx.InvalidURL as error:
        raise Invalid(f"{where} is not a URL: {error}") from error
    except httpx.HTTPError as error:
        raise Unavailable(f"{where}: {error or type(error).__name__}") from error


def without_secrets(url: str) -> str:
    """`url` as it may be shown to anybody: without credentials, query and fragment."""
    return _SECRETS.sub("", url)


def is_refused(host: str, allow: Collection[Network]) -> bool:
    """Whether `host` is an address, however it is written, that must not be asked.

    What a name leads to is seen when it is asked; only `localhost` leads nowhere else.
    """
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        host = "127.0.0.1"
    try:
        found = _addresses_of(host, socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return not any(_is_permitted(ip_address(each), allow) for each in found)


def is_global(address: Address) -> bool:
    """Whether `address` can be one of the public internet."""
    address = _unmapped(address)
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NOT_GLOBAL)
    )


class _Guarded(httpx.BaseTransport):
    """Connects to checked addresses only."""

    def __init__(
        self, inner: httpx.BaseTransport, allow: Collection[Network], resolve: Resolve
    ) -> None:
        self._inner = inner
        self._allow = allow
        self._resolve = resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` to the first of the host's permitted addresses that takes it."""
        host = request.url.raw_host.decode("ascii")
        if request.url.scheme not in {"http", "https"} or not host:
            raise Invalid(f"{request.url.scheme}://{host} is not the address of an HTTP server")
        *others, last = self._permitted(host)
        for address in others:
            try:
                return self._inner.handle_request(_pinned(request, host, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent yet
        return self._inner.handle_request(_pinned(request, host, last))

    def close(self) -> None:
        """Let go of all connections."""
        self._inner.close()

    def _permitted(self, host: str) -> list[str]:
        try:
            found = [ip_address(text) for text in self._resolve(host)]
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} cannot be resolved: {error}") from error
        permitted = [str(each) for each in found if _is_permitted(each, self._allow)]
        if not permitted:
            raise Invalid(f"{host} is neither in the public internet nor in an allowed network")
        return permitted[:_MOST_ADDRESSES]


class _Chunks(io.RawIOBase):
    """A file that reads from `chunks`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader's
        """The next bytes; 0 when there are no more."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _require_content(response: httpx.Response, where: str) -> None:
    status = response.status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _TEMPORARY:
        raise Unavailable(f"{where} answers {status}")
    if response.is_redirect:
        raise Invalid(f"{where} answers with a redirect, which is not followed")
    if status != httpx.codes.OK:
        raise Invalid(f"{where} answers {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise Invalid(f"{where} answers with encoded content, though it was told not to")


def _in_time(chunks: Iterator[bytes], deadline: float, where: str) -> Iterator[bytes]:
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise Unavailable(f"{where} took more than {_CONTENT_S:g} s to answer")
        yield chunk


def _pinned(request: httpx.Request, host: str, address: str) -> httpx.Request:
    """`request`, to be sent to `address` in the name of `host`."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def _is_permitted(address: Address, allow: Collection[Network]) -> bool:
    return is_global(address) or any(_unmapped(address) in network for network in allow)


def _unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one is a way to write, if it is."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _addresses_of(host: str, flags: int = 0) -> list[str]:
    """The addresses of `host`, each once, in the order the system prefers."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
