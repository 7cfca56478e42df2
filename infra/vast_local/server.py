"""The server process: opens the database, listens, and stops cleanly.

* Every request is verified before anything is read from it.
* What is refused is rendered here, and only here; anything unforeseen is logged and is a 500.
* Chaos stands between the signature and the routes, and only when asked for.
* The well-known default keys are good on a loopback address only.
"""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from infra.vast_local import calls, catalog, definitions
from infra.vast_local.auth import Verifier
from infra.vast_local.calls import Call
from infra.vast_local.catalog import Table
from infra.vast_local.chaos import Chaos, parse
from infra.vast_local.definitions import Definitions
from infra.vast_local.errors import CannotStart, Refused
from infra.vast_local.listener import Answer, Listener, Request, Response
from infra.vast_local.query import Pages
from infra.vast_local.routes import Routes
from infra.vast_local.routes.parts import Parts
from infra.vast_local.rows import Rows
from infra.vast_local.storage import Storage
from infra.vast_local.transactions import Transactions

DEFAULT_ACCESS_KEY = "vast-local"
DEFAULT_SECRET_KEY = "vast-local-secret"  # noqa: S105 - public, hence refused off loopback

EXPIRY_CHECK_S = 5.0
"""Seconds between two looks for idle transactions."""

_log = logging.getLogger(__name__)


def serve(
    *,
    host: str,
    port: int,
    data_dir: Path,
    buckets: Sequence[str],
    access_key: str = DEFAULT_ACCESS_KEY,
    secret_key: str = DEFAULT_SECRET_KEY,
    chaos: str = "",
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve the database of a directory until SIGTERM or SIGINT.

    Port 0 takes a free one; ``ready`` is called with the port once requests are answered.
    Buckets that do not exist are created. ``CannotStart`` says in one line why not.
    ``chaos`` is a specification of trouble, see :mod:`infra.vast_local.chaos`.
    Signals are handled when called from the main thread, as a process of its own.
    """
    if secret_key == DEFAULT_SECRET_KEY and not _is_loopback(host):
        raise CannotStart(f"the default keys are refused on {host}, which is not loopback")
    trouble = Chaos(parse(chaos)) if chaos else None
    database = Database(data_dir, buckets, trouble)
    try:
        answer = _verified(Verifier(access_key, secret_key), database.routes)
        with Listener(host, port, answer) as listener:
            _run(listener, database.transactions, ready)
    finally:
        database.close()


class Database:
    """An open database and the routes on it."""

    def __init__(self, data_dir: Path, buckets: Sequence[str], chaos: Chaos | None = None) -> None:
        """Open or create the database of a directory."""
        self._storage = Storage(data_dir)
        cursor = self._storage.borrow()
        known = catalog.load(cursor, buckets)
        tables = [one for one in known.objects.values() if isinstance(one, Table)]
        definitions.sweep(cursor, tables)
        self._storage.give_back(cursor)
        self._storage.row_ids.keep_only({table.id for table in tables})
        self.transactions = Transactions(self._storage, known)
        claims = self.transactions.claims
        definers = Definitions(claims, first_id=1 + max((i for _, i in known.objects), default=0))
        rows = Rows(claims, definers, self._storage.row_ids)
        arrange = chaos.arrange if chaos else _as_read
        routes = Routes(Parts(self.transactions, definers, rows, self._storage.row_ids, arrange))
        self.routes = chaos.around(routes, self.transactions) if chaos else routes

    def close(self) -> None:
        """Roll back what is open and close the file."""
        self.transactions.close()
        self._storage.close()


def _run(
    listener: Listener, transactions: Transactions, ready: Callable[[int], None] | None
) -> None:
    stop = threading.Event()
    with _Signals(stop):
        thread = threading.Thread(target=listener.serve_forever, name="listener", daemon=True)
        thread.start()
        _log.info("serving on port %d", listener.port)
        if ready is not None:
            ready(listener.port)
        while not stop.wait(EXPIRY_CHECK_S):
            transactions.expire()
        _log.info("stopping")
        listener.shutdown()
        thread.join()


class _Signals:
    """Sets an event on SIGTERM and SIGINT, when used in the main thread."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._is_main = threading.current_thread() is threading.main_thread()
        self._former: dict[int, object] = {}

    def __enter__(self) -> None:
        if self._is_main:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._former[number] = signal.signal(number, lambda *_: self._stop.set())

    def __exit__(self, *_: object) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)  # type: ignore[arg-type]


def _as_read(pages: Pages) -> Pages:
    return pages


def _verified(verifier: Verifier, routes: Callable[[Call], Response]) -> Answer:
    def answer(request: Request) -> Response:
        try:
            verifier.check(request.method, request.target, request.headers, request.body)
            return routes(calls.parse(request))
        except Refused as refusal:
            _log.debug("%s %s: %s", request.method, request.target, refusal)
            return _rendered(refusal)
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - the edge: whatever broke is logged and is a 500
            _log.exception("%s %s broke", request.method, request.target)
            return _rendered(Refused("the server failed; its log says how"))

    return answer


def _rendered(refusal: Refused) -> Response:
    return Response(refusal.status, refusal.xml(), {"Content-Type": "application/xml"})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
