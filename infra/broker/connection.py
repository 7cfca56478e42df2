"""The connection to Redis (or Valkey), and its locks.

* Whatever the broker does not do is `Unavailable`.
* A lock is a key with a token that expires unless a thread renews it; who holds a lock asks
  `require` before anything that must not happen twice.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from schemas.domain.errors import Unavailable
from tasks.ports import LeaseLost

_LEASE_MS: Final = 10_000
_CONNECT_S: Final = 5.0

_RENEW: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Broker:
    """One connection pool, whose failures are `Unavailable`."""

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self.redis = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=min(timeout_s, _CONNECT_S),
            retry=Retry(NoBackoff(), 1),
        )

    @contextmanager
    def translated(self) -> Iterator[redis.Redis]:
        """The client; its errors are raised as `Unavailable`."""
        try:
            yield self.redis
        except redis.RedisError as error:
            raise Unavailable(f"the message broker does not answer: {error}") from error

    def ping(self) -> None:
        """Raises Unavailable when the broker does not answer."""
        with self.translated() as client:
            client.ping()

    @contextmanager
    def lock(self, name: str) -> Iterator["Lock | None"]:
        """A named lock, renewed while the context lasts; None when another has it."""
        with self.translated() as client:
            lock = Lock(client, f"tams:lease:{name}")
            if not lock.acquire():
                yield None
                return
        try:
            yield lock
        finally:
            lock.release()


class Lock:
    """A key with a token that expires unless renewed; a thread of its own renews it."""

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._token = token_hex(16)
        self._lost = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def acquire(self) -> bool:
        """Whether it was free and is now held."""
        if not self._client.set(self._key, self._token, nx=True, px=_LEASE_MS):
            return False
        self._thread.start()
        return True

    def require(self) -> None:
        """Raises LeaseLost when it may have passed to somebody else."""
        if self._lost.is_set():
            raise LeaseLost(self._key)

    def release(self) -> None:
        """Let it go, if it is still held."""
        self._released.set()
        self._thread.join()
        try:
            self._client.eval(_RELEASE, 1, self._key, self._token)
        except redis.RedisError:
            return  # it expires by itself

    def _keep(self) -> None:
        failures = 0
        while not self._released.wait(_LEASE_MS / 3_000):
            try:
                kept = self._client.eval(_RENEW, 1, self._key, self._token, _LEASE_MS)
                failures = 0
            except redis.RedisError:
                failures += 1
                kept = failures < 2  # noqa: PLR2004 - two missed renewals leave a third in doubt
            if not kept:
                self._lost.set()
                return
