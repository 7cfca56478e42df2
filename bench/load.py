"""Clients that cost little, since they share the cores with the store they measure.

* A client is a process of its own with one connection, kept alive, over a plain socket.
* What it does is a *script*: a value that is sent to the process, acts step by step, and comes
  back with what it was told. Scripts import nothing heavy.
* All clients begin at once, after a warm-up whose answers are not timed, but kept in mind.
* 503 is asked again, within the time the answer takes; any other status that was not expected
  ends the run.
"""

import math
import multiprocessing
import signal
import socket
import time
import traceback
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import wait
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

_TIMEOUT_S = 120
_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the driver's threads' locks


class Unexpected(Exception):
    """An answer that no client of a healthy store should get."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; header names in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Connection:
    """A connection to an HTTP server; `timing` holds the seconds each kind of request took."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._host = where.netloc.encode()
        self._socket = socket.create_connection((where.hostname, where.port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.timing: dict[str, array[float]] = defaultdict(lambda: array("d"))
        self.retries = 0

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def get(self, kind: str, path: bytes, *, expected: Collection[int] = (200,)) -> Answer:
        """The answer to a GET; `kind` is what it is counted as."""
        return self._ask(
            kind, b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, self._host), expected
        )

    def pages(self, kind: str, path: bytes, query: str) -> Iterator[bytes]:
        """The bodies of a list's pages, from the first to the last."""
        page = b"%s?%s" % (path, query.encode())
        while True:
            answer = self.get(kind, page)
            yield answer.body
            key = answer.headers.get(b"x-paging-nextkey")
            if key is None:
                return
            page = b"%s?%s&page=%s" % (path, query.encode(), quote(key).encode())

    def send(
        self,
        kind: str,
        method: bytes,
        path: bytes,
        body: bytes = b"",
        *,
        expected: Collection[int] = (201,),
    ) -> Answer:
        """The answer to any other request, whose body is JSON."""
        head = b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, path, self._host)
        head += b"Content-Type: application/json\r\n" if body else b""
        return self._ask(
            kind, b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body), expected
        )

    def _ask(self, kind: str, request: bytes, expected: Collection[int]) -> Answer:
        began = time.perf_counter()
        while (answer := self._exchange(request)).status == 503:
            if time.perf_counter() - began > _TIMEOUT_S:
                break
            self.retries += 1
        self.timing[kind].append(time.perf_counter() - began)
        if answer.status not in expected:
            line = request.partition(b"\r\n")[0].decode()
            raise Unexpected(f"{line}: {answer.status} {answer.body[:500].decode()}")
        return answer

    def _exchange(self, request: bytes) -> Answer:
        self._socket.sendall(request)
        read = self._file.readline
        status = read()
        if not status:
            raise Unexpected("the server closed the connection")
        headers = {}
        while (line := read()) != b"\r\n":
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if b"transfer-encoding" in headers:
            raise Unexpected("an answer in chunks, which these clients do not read")
        body = self._file.read(int(headers.get(b"content-length", 0)))
        return Answer(int(status[9:12]), headers, body)


class Script(Protocol):
    """What a client does."""

    def step(self, number: int, to: Connection) -> None:
        """Do it for the `number`th time, counted from 0."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one client did while it was timed; `script` remembers the warm-up, too."""

    script: Any
    timing: Mapping[str, Sequence[float]]
    began: float
    ended: float
    cpu_s: float
    retries: int

    def rate(self, kinds: Collection[str]) -> float:
        return sum(len(self.timing.get(kind, ())) for kind in kinds) / (self.ended - self.began)


@dataclass(frozen=True, slots=True)
class Drive:
    """What several clients did at once, and the CPU seconds it took, by process."""

    clients: Sequence[Ran]
    cpu_s: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return max(each.ended for each in self.clients) - min(each.began for each in self.clients)

    @property
    def scripts(self) -> list[Any]:
        return [each.script for each in self.clients]

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(kind for each in self.clients for kind in each.timing))

    @property
    def retries(self) -> int:
        return sum(each.retries for each in self.clients)

    def rate(self, *kinds: str) -> float:
        """Requests per second of these kinds, of any kind if none is given.

        Each client's own, added up: so a long request that one of them ends with costs nothing.
        """
        return sum(each.rate(kinds or self.kinds) for each in self.clients)

    def timing(self, kind: str) -> list[float]:
        """The seconds that requests of this kind took, in order of size."""
        return sorted(took for each in self.clients for took in each.timing.get(kind, ()))


@dataclass(frozen=True, slots=True)
class _Run:
    url: str
    seconds: float
    steps: float
    warm_up_s: float


def drive(
    url: str,
    scripts: Sequence[Script],
    *,
    seconds: float | None = None,
    steps: int | None = None,
    warm_up_s: float = 1.0,
    cpu: Callable[[], Mapping[str, float]] = dict,
) -> Drive:
    """Act out `scripts` at once, for so many `seconds`, or so many `steps` each.

    `cpu` tells the CPU seconds that others have used so far, by name.
    """
    assert seconds or steps, "clients would never end"
    run = _Run(url, seconds or math.inf, steps or math.inf, 0.0 if steps else warm_up_s)
    clients = [_Client(script, run) for script in scripts]
    try:
        _each(clients)  # they are ready
        before = cpu()
        for each in clients:
            each.begin()
        ran = _each(clients)
        after = cpu()
    finally:
        for each in clients:
            each.end()
    used = {name: total - before.get(name, 0.0) for name, total in after.items()}
    return Drive(ran, {**used, "clients": sum(each.cpu_s for each in ran)})


def _each(clients: Sequence["_Client"]) -> list[Any]:
    """What each of them says next; whoever says first that it failed is heard first."""
    by_pipe = {each.pipe: each for each in clients}
    told: dict[Any, Any] = {}
    while len(told) < len(clients):
        for pipe in wait(by_pipe.keys() - told.keys()):
            told[pipe] = by_pipe[pipe].receive()
    return [told[each.pipe] for each in clients]


@dataclass
class _Client:
    """The process of one client, as the driver sees it."""

    script: Script
    run: _Run
    _process: Any = field(init=False)
    pipe: Any = field(init=False)

    def __post_init__(self) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_act, args=(self.script, self.run, theirs), daemon=True
        )
        self._process.start()
        theirs.close()

    def receive(self) -> Any:
        try:
            told = self.pipe.recv()
        except EOFError:
            raise Unexpected("a client died") from None
        if isinstance(told, str):
            raise Unexpected(f"a client failed:\n{told}")
        return told

    def begin(self) -> None:
        self.pipe.send(None)

    def end(self) -> None:
        """Whatever it does, it does no more."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _act(script: Script, run: _Run, pipe: Any) -> None:
    """What the process of a client does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends it
    try:
        with closing(Connection(run.url)) as to:
            numbers = count()
            warm = time.perf_counter() + run.warm_up_s
            while time.perf_counter() < warm:
                script.step(next(numbers), to)
            to.timing.clear()
            to.retries = 0
            pipe.send(None)
            pipe.recv()
            began, cpu = time.perf_counter(), time.process_time()
            done = 0
            while done < run.steps and time.perf_counter() < began + run.seconds:
                script.step(next(numbers), to)
                done += 1
            ended, cpu = time.perf_counter(), time.process_time() - cpu
            pipe.send(Ran(script, dict(to.timing), began, ended, cpu, to.retries))
    except Exception:  # noqa: BLE001 - the driver raises it
        pipe.send(traceback.format_exc())
