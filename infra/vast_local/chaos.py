"""Trouble on purpose, for tests of clients: what a cluster may do, but rarely does.

* A specification is words and ``word=value`` between commas. Chances are from 0 to 1:

  - ``pages=N`` - at most N rows on a page;
  - ``shuffle`` - pages arrive in pieces, rows of a piece in any order, the pieces of
    different sub-splits in any order; results in key order are left alone;
  - ``conflict=P`` - a change, or the commit of a transaction with changes, answers 409;
  - ``slowdown=P`` - a request answers 503 ``SlowDown`` and nothing has happened (never a
    HEAD, whose answer has no body to say so);
  - ``lose=P`` - the connection breaks instead of a commit of changes, which rolls back;
  - ``mute=P`` - the connection breaks after a commit of changes, which has happened;
  - ``cut=P`` - the connection breaks in the middle of a query's result;
  - ``latency=MS`` - a request waits, up to so many milliseconds;
  - ``seed=N`` - the same decisions again, as far as the order of requests is the same.

* It stands around the routes, so whoever does not ask for it does not pay for it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import pyarrow as pa

from infra.vast_local.calls import Call
from infra.vast_local.definitions import ROW_ID
from infra.vast_local.errors import CannotStart, Conflict, Lost, SlowDown
from infra.vast_local.listener import Response
from infra.vast_local.query import Few, Page, Pages
from infra.vast_local.transactions import Transactions

_MOST_PIECES = 3
_MOST_FRAMES = 8
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Spec:
    """What goes wrong, and how often."""

    pages: int = 0
    shuffle: bool = False
    conflict: float = 0.0
    slowdown: float = 0.0
    lose: float = 0.0
    mute: float = 0.0
    cut: float = 0.0
    latency: float = 0.0
    seed: int = 0


def parse(text: str) -> Spec:
    """Return the specification in a text; ``CannotStart`` when it makes no sense."""
    kinds: dict[str, type[bool | int | float]] = {
        f.name: type(getattr(Spec(), f.name)) for f in fields(Spec)
    }
    found: dict[str, bool | int | float] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        name, _, value = word.partition("=")
        if name not in kinds:
            raise CannotStart(f"chaos knows no {name}; there are {', '.join(kinds)}")
        try:
            found[name] = kinds[name](value or 1)
        except ValueError as error:
            raise CannotStart(f"chaos cannot read {word}") from error
        if found[name] < 0:
            raise CannotStart(f"chaos cannot read {word}: it is negative")
    return Spec(**found)  # type: ignore[arg-type]


class Chaos:
    """Disturbs the requests on one database."""

    def __init__(self, spec: Spec) -> None:
        """Disturb as specified."""
        self._spec = spec
        self._changed: set[int] = set()
        self._random = random.Random(spec.seed)  # noqa: S311 - chance, not secrecy

    def around(
        self, routes: Callable[[Call], Response], transactions: Transactions
    ) -> Callable[[Call], Response]:
        """Return the routes, disturbed."""

        def answer(call: Call) -> Response:
            time.sleep(self._random.uniform(0, self._spec.latency) / 1000)
            if call.method != "HEAD" and self._happens(self._spec.slowdown):
                raise SlowDown("chaos: later, please")
            if call.command == "transaction":
                return self._end(call, routes, transactions)
            if call.transaction and call.method not in _READING:
                self._changed.add(call.transaction)
                if self._happens(self._spec.conflict):
                    with transactions.use(call.transaction):
                        raise Lost("chaos: another transaction came first")
            response = routes(self._with_small_pages(call))
            return self._cut(response) if self._happens(self._spec.cut) else response

        return answer

    def arrange(self, pages: Pages) -> Pages:
        """Return pages in pieces that arrive in an order nobody expects."""
        if not self._spec.shuffle:
            return pages
        streams = [[(stream, piece) for piece in self._pieces(page)] for stream, page in pages]
        arranged: Pages = []
        while streams := [stream for stream in streams if stream]:
            arranged.append(self._random.choice(streams).pop(0))
        return arranged

    def _end(
        self, call: Call, routes: Callable[[Call], Response], transactions: Transactions
    ) -> Response:
        """Begin, commit or roll back; only a commit of changes is disturbed."""
        if call.method in _READING or call.transaction not in self._changed:
            return routes(call)
        self._changed.discard(call.transaction)
        if call.method == "DELETE":
            return routes(call)
        if self._happens(self._spec.conflict):
            transactions.roll_back(call.transaction)
            raise Conflict("chaos: the commit came too late")
        if self._happens(self._spec.lose):
            transactions.roll_back(call.transaction)
            raise ConnectionAbortedError("chaos: before a commit")
        response = routes(call)
        if self._happens(self._spec.mute):
            raise ConnectionAbortedError("chaos: after a commit")
        return response

    def _with_small_pages(self, call: Call) -> Call:
        if not self._spec.pages or call.command != "data":
            return call
        asked = call.number("tabular-limit-rows", 0)
        limit = min(asked, self._spec.pages) if asked > 0 else self._spec.pages
        return replace(call, headers={**call.headers, "tabular-limit-rows": str(limit)})

    def _pieces(self, page: Page) -> list[Page]:
        """Cut a page; a client may go on after any piece, whose rows are in no order."""
        count = page.rows.num_rows
        if not count:
            return [page]
        rows = page.rows.arrow() if isinstance(page.rows, Few) else page.rows
        wanted = min(count - 1, self._random.randrange(_MOST_PIECES))
        bounds = [0, *sorted(self._random.sample(range(1, count), wanted)), count]
        return [self._piece(rows, page.next_row, start, end) for start, end in pairwise(bounds)]

    def _piece(self, rows: pa.Table | pa.RecordBatch, next_row: int, start: int, end: int) -> Page:
        order = list(range(start, end))
        self._random.shuffle(order)
        if end < rows.num_rows:
            next_row = rows.column(ROW_ID)[end].as_py()
        return Page(rows.take(pa.array(order, pa.int64())), next_row)

    def _cut(self, response: Response) -> Response:
        if isinstance(response.body, bytes):
            return response
        return replace(response, body=self._some(response.body))

    def _some(self, frames: Iterator[bytes]) -> Iterator[bytes]:
        for _ in range(self._random.randrange(_MOST_FRAMES)):
            yield next(frames)
        raise ConnectionAbortedError("chaos: within a result")

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance
