"""Ends a worker that has stopped consuming, so that whoever supervises it starts another.

* A worker that lost its place in a conversation with the broker can hang: connected, idle, and deaf
  to its queue for ever (celery on Redis, when the broker restarts at the wrong moment).
* It is deaf when messages wait in its queues while it has nothing to do and has been given nothing
  for a while. Whether the broker answers is not its fault.
* It is asked to end, and made to end when it does not listen.
"""

import logging
import os
import signal
from collections.abc import Callable, Sequence
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

import kombu.exceptions
from celery import Celery
from celery.signals import task_received, worker_ready, worker_shutdown
from celery.worker import state

_LOOKS_PER_PATIENCE: Final = 4
_GRACE_S: Final = 10.0

log = logging.getLogger(__name__)


class Watchdog:
    """Watches the worker of this process, once it is ready."""

    def __init__(self, app: Celery, queues: Sequence[str], patience_s: float) -> None:
        """`patience_s` is how long the worker may be deaf."""
        self._app = app
        self._queues = queues
        self._patience_s = patience_s
        self._last_sign = monotonic()
        self._stopped = Event()

    def watch(self) -> None:
        """Begin, as soon as the worker is ready."""
        task_received.connect(self._received, weak=False)
        worker_ready.connect(self._ready, weak=False)
        worker_shutdown.connect(self._shut_down, weak=False)

    def _received(self, **_: Any) -> None:  # noqa: ANN401 - celery's signals pass what they like
        self._last_sign = monotonic()

    def _ready(self, **_: Any) -> None:  # noqa: ANN401
        self._last_sign = monotonic()
        Thread(target=self._look_again_and_again, daemon=True).start()

    def _shut_down(self, **_: Any) -> None:  # noqa: ANN401
        self._stopped.set()

    def _look_again_and_again(self) -> None:
        while not self._stopped.wait(self._patience_s / _LOOKS_PER_PATIENCE):
            if not self._deaf():
                continue
            log.critical(
                "messages wait in %s and this worker has taken none for %.0f s: it ends",
                ", ".join(self._queues),
                monotonic() - self._last_sign,
            )
            end(self._stopped.wait)
            return

    def _deaf(self) -> bool:
        try:
            waiting = self._waiting()
        except (kombu.exceptions.OperationalError, OSError):
            waiting = 0
        if not waiting or state.active_requests or state.reserved_requests:
            self._last_sign = monotonic()
        return monotonic() - self._last_sign > self._patience_s

    def _waiting(self) -> int:
        with self._app.connection_for_read() as connection:
            return sum(_length(connection, queue) for queue in self._queues)


def _length(connection: Any, queue: str) -> int:  # noqa: ANN401 - kombu's types leave out channels
    # Declared as celery does: kombu's Redis transport cannot look without declaring.
    declared = connection.default_channel.queue_declare(queue, durable=True, auto_delete=False)
    return int(declared.message_count)


def end(ended: Callable[[float], bool]) -> None:
    """End this process; `ended` waits so many seconds for an orderly end and says if it came."""
    os.kill(os.getpid(), signal.SIGTERM)
    if not ended(_GRACE_S):
        os._exit(1)
