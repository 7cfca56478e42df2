"""A feed that kombu consumes.

* Messages are handed over as they are: their senders know nothing of kombu.
* What `take` did not take over stays unacknowledged, and the connection ends with it.
"""

from collections.abc import Callable
from threading import Event
from typing import Any, Final

from kombu import Connection, Consumer, Message, Queue

from infra.feeds.feed import Take

_WAIT_S: Final = 1.0


class QueueFeed:
    """The queue called `queue` on the connection that `connect` makes."""

    def __init__(self, connect: Callable[[], Connection], queue: str, *, prefetch: int) -> None:
        """Up to `prefetch` messages are fetched at once."""
        self._connect = connect
        self._queue = Queue(queue, no_declare=True)
        self._prefetch = prefetch

    def run(self, take: Take, stopped: Event) -> None:
        """Hand every message to `take`; see `Feed.run`."""

        def on_message(message: Message) -> None:
            take(_bytes(message.body))
            message.ack()

        def on_decode_error(message: Message, _: Exception) -> None:
            on_message(message)  # it was not as compressed as it said; `take` may judge it

        with (
            self._connect() as connection,
            Consumer(
                connection.channel(),
                [self._queue],
                on_message=on_message,
                on_decode_error=on_decode_error,
                prefetch_count=self._prefetch,
            ),
        ):
            while not stopped.is_set():
                try:
                    connection.drain_events(timeout=_WAIT_S)
                except TimeoutError:
                    connection.heartbeat_check()


def _bytes(body: Any) -> bytes:  # noqa: ANN401 - each transport has its own type of it
    return body.encode() if isinstance(body, str) else bytes(body or b"")
