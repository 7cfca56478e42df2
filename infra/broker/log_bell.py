"""The `LogBell`: a lock, and a stream whose only entry is called by the place of the last event.

* Who has the lock keeps it until the pace is over, and who comes meanwhile waits for that.
* While nobody follows the log the pace is slower. Whoever does says so each time it waits, or is
  sent for, and is believed for a while.
* Place and name are the same number, so that who waits after a place waits for the names after it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any, Final, cast

from infra.broker.connection import Broker

_LAST: Final = "tams:events:last"
_FOLLOWED: Final = "tams:events:followed"
_FOLLOWED_S: Final = 60
_SLOWER: Final = 5
_PATIENCE_S: Final = 5.0
_POLL_S: Final = 0.02


class RedisLogBell:
    """Takes turns and wakes who waits, through the broker."""

    def __init__(self, broker: Broker, *, pace_s: float) -> None:
        """`pace_s` is the least time from one turn to the next, while somebody follows."""
        self._broker = broker
        self._pace_s = pace_s

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """The right to move events; see `LogBell.turn`."""
        deadline = time.monotonic() + _SLOWER * self._pace_s + _PATIENCE_S
        while time.monotonic() < deadline:
            began = time.monotonic()
            with self._broker.lock("relay") as lock:
                if lock is not None:
                    yield True
                    time.sleep(max(0.0, began + self._pace() - time.monotonic()))
                    return
            time.sleep(_POLL_S)
        yield False

    def tell(self, last: int) -> None:
        """Wake whoever waits for something after a place before `last`."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.delete(_LAST)  # the log may have begun anew
            pipe.xadd(_LAST, {"": ""}, id=f"{last}-1")
            pipe.execute()

    def followed(self) -> None:
        """Say that somebody follows the log; see `LogBell.followed`."""
        with self._broker.translated() as client:
            client.set(_FOLLOWED, 1, ex=_FOLLOWED_S)

    def wait(self, after: int, timeout_s: float) -> int:
        """The place that was told last, once it comes after `after`; see `LogBell.wait`."""
        self.followed()
        block_ms = max(1, ceil(timeout_s * 1_000))
        with self._broker.translated() as client:
            found = cast("Any", client.xread({_LAST: f"{after}-1"}, count=1, block=block_ms))
        return int(found[0][1][0][0].partition(b"-")[0]) if found else after

    def _pace(self) -> float:
        with self._broker.translated() as client:
            return self._pace_s * (1 if client.exists(_FOLLOWED) else _SLOWER)
