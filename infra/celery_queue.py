"""The `TaskQueue` on Celery: rings are tasks, sent by name."""

from typing import Final

import kombu.exceptions
from celery import Celery

from infra.broker.connection import Broker
from schemas.domain.errors import Unavailable
from tasks.ports import Work

_RING_MS: Final = 10_000


class CeleryQueue:
    """Sends tasks, at most one per doorbell until it is answered."""

    def __init__(self, app: Celery, broker: Broker, *, flush: str) -> None:
        """`flush` is the name of the task that flushes a shard."""
        self._app = app
        self._broker = broker
        self._flush = flush

    def ring(self, shard: int) -> None:
        """Have the shard flushed; one flush per shard waits in the queue at most."""
        self._send(_shard(shard), self._flush, shard)

    def answered(self, shard: int) -> None:
        """Note that the flush rung for has begun, so that the next ring is heard."""
        self._answered(_shard(shard))

    def call(self, work: Work, of: str | None = None) -> None:
        """Have some work done; it waits in the queue once at most."""
        self._send(_work(work, of), work, *(() if of is None else (of,)))

    def begun(self, work: Work, of: str | None = None) -> None:
        """Note that the work called for has begun, so that the next call is heard."""
        self._answered(_work(work, of))

    def _send(self, bell: str, task: str, *args: int | str) -> None:
        with self._broker.translated() as client:
            if not client.set(_key(bell), 1, nx=True, px=_RING_MS):
                return
        try:
            self._app.send_task(task, args=args)
        except kombu.exceptions.OperationalError as error:
            self._answered(bell)
            raise Unavailable(f"the message broker does not answer: {error}") from error

    def _answered(self, bell: str) -> None:
        with self._broker.translated() as client:
            client.delete(_key(bell))


def _shard(shard: int) -> str:
    return f"shard:{shard}"


def _work(work: Work, of: str | None) -> str:
    return work if of is None else f"{work}:{of}"


def _key(bell: str) -> str:
    return f"tams:ring:{bell}"
