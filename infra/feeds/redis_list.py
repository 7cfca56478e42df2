"""Feeds that are lists in Redis, as MinIO writes them.

* An entry moves to a second list, `LIST:tams`, and leaves that once it has been taken over. What
  is found there at the start was not, and is taken first.
"""

from threading import Event
from typing import Final, cast
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from infra.feeds.address import FeedAddress, Scheme
from infra.feeds.feed import Take

_WAIT_S: Final = 1
_PORT: Final = 6379


class RedisListFeed:
    """The list at `address`, the oldest entry at its left."""

    def __init__(self, address: FeedAddress) -> None:
        self._address = address
        self._database, self._list = address.path
        self._begun = f"{self._list}:tams"

    def run(self, take: Take, stopped: Event) -> None:
        """Hand every entry to `take`; see `Feed.run`."""
        with self._connect() as client:
            for body in cast("list[bytes]", client.lrange(self._begun, 0, -1)):
                self._take(client, take, body)
            while not stopped.is_set():
                found = client.blmove(self._list, self._begun, _WAIT_S, "LEFT", "RIGHT")
                if found is not None:
                    self._take(client, take, cast("bytes", found))

    def _take(self, client: redis.Redis, take: Take, body: bytes) -> None:
        take(body)
        client.lrem(self._begun, 1, cast("str", body))

    def _connect(self) -> redis.Redis:
        # Without retries: a move whose answer got lost is found in the second list.
        secure = self._address.scheme is Scheme.REDISS_LIST
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return redis.Redis.from_url(
            f"{'rediss' if secure else 'redis'}://{host}:{self._address.port or _PORT}"
            f"/{quote(self._database)}",
            username=self._address.user or None,
            password=self._address.password,
            socket_timeout=_WAIT_S + 10,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )
