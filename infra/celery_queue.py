"""The `TaskQueue` on Celery: rings are tasks, sent by name."""

import time
from typing import Final

import kombu.exceptions
from celery import Celery

from infra.broker.bells import bell, bell_of_flush
from infra.broker.connection import Broker
from schemas.domain.errors import Unavailable
from tasks.ports import Work

_RING_MS: Final = 10_000
# A flush that is killed keeps others from ringing for so long.
_ATTENDED_MS: Final = 3_000
_ATTEND_S: Final = 1.0


class CeleryQueue:
    """Sends tasks, at most one per doorbell until it is answered."""

    def __init__(self, app: Celery, broker: Broker, *, flush: str, flushers: int) -> None:
        """`flush` is the name of the task that flushes shards; there are so many at once."""
        self._app = app
        self._broker = broker
        self._flush = flush
        self._flushers = flushers
        self._attended = 0.0

    def ring(self, shard: int) -> None:
        """Have the shard flushed, and those attended with it, unless they are attended."""
        self._send(self._bell(shard), self._flush, shard)

    def attend(self, shard: int) -> None:
        """Note that the flush goes on, so that nobody need ring."""
        now = time.monotonic()
        if now - self._attended >= _ATTEND_S:
            with self._broker.translated() as client:
                client.set(self._bell(shard), 1, px=_ATTENDED_MS)
            self._attended = now

    def answered(self, shard: int) -> None:
        """Note that the flush has ended, so that the next ring is heard."""
        self._attended = 0.0
        self._answered(self._bell(shard))

    def call(self, work: Work, of: str | None = None) -> None:
        """Have some work done; it waits in the queue once at most."""
        self._send(_bell_of(work, of), work, *(() if of is None else (of,)))

    def begun(self, work: Work, of: str | None = None) -> None:
        """Note that the work called for has begun, so that the next call is heard."""
        self._answered(_bell_of(work, of))

    def _bell(self, shard: int) -> str:
        return bell_of_flush(shard, self._flushers)

    def _send(self, key: str, task: str, *args: int | str) -> None:
        with self._broker.translated() as client:
            if not client.set(key, 1, nx=True, px=_RING_MS):
                return
        try:
            self._app.send_task(task, args=args)
        except kombu.exceptions.OperationalError as error:
            self._answered(key)
            raise Unavailable(f"the message broker does not answer: {error}") from error

    def _answered(self, key: str) -> None:
        with self._broker.translated() as client:
            client.delete(key)


def _bell_of(work: Work, of: str | None) -> str:
    return bell(work if of is None else f"{work}:{of}")
