"""The `Notices`: notifications of objects that appeared, in one stream.

* One worker at a time takes the oldest; they leave the stream once it is done with them.
* How often a notification was begun is counted before anything is done with it, so that one
  that brings workers down is found out.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final, cast

from infra.broker.connection import Broker
from schemas.domain.errors import Unavailable
from schemas.domain.ingest import Notification
from tasks.ports import Noticed


class RedisNotices:
    """The `Notices`: one stream, read by one worker at a time."""

    _STREAM: Final = "tams:notices"
    _ATTEMPTS: Final = "tams:notices:attempts"

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def append(self, notifications: Sequence[Notification]) -> None:
        """Make `notifications` durable."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            for notification in notifications:
                pipe.xadd(self._STREAM, cast("dict[Any, Any]", asdict(notification)))
            pipe.execute()

    def queued(self, most: int) -> set[tuple[str, str]] | None:
        """Bucket and key of those that wait; see `Notices.queued`."""
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(self._STREAM, count=most + 1))
        if len(found) > most:
            return None
        waiting = (_notification(fields) for _, fields in found)
        return {(each.bucket, each.key) for each in waiting}

    @contextmanager
    def take(self, limit: int) -> Iterator[list[Noticed]]:
        """The oldest notifications, counted as begun; see `Notices.take`."""
        with self._broker.lock("notices") as lock:
            if lock is None:
                yield []
                return
            taken = self._begin(limit)
            ids = [noticed.id for noticed in taken]
            try:
                yield taken
            except Unavailable:
                self._count(ids, -1)
                raise
            if ids:
                with self._broker.translated() as client, client.pipeline() as pipe:
                    pipe.xdel(self._STREAM, *ids)
                    pipe.hdel(self._ATTEMPTS, *ids)
                    pipe.execute()

    def _begin(self, limit: int) -> list[Noticed]:
        """The oldest notifications, singly if the very oldest was begun before."""
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(self._STREAM, count=limit))
            if found and int(client.hget(self._ATTEMPTS, found[0][0]) or 0):
                found = found[:1]
        attempts = self._count([entry_id for entry_id, _ in found], 1)
        return [
            Noticed(entry_id.decode(), _notification(fields), tries)
            for (entry_id, fields), tries in zip(found, attempts, strict=True)
        ]

    def _count(self, ids: Sequence[str | bytes], change: int) -> list[int]:
        """Change the number of times each was begun; the new numbers."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            for entry_id in ids:
                pipe.hincrby(self._ATTEMPTS, cast("str", entry_id), change)
            return cast("list[int]", pipe.execute())

    def waiting(self) -> bool:
        """Whether there are any."""
        with self._broker.translated() as client:
            return bool(client.xlen(self._STREAM))


def _notification(fields: Mapping[bytes, bytes]) -> Notification:
    return Notification(**{name.decode(): text.decode() for name, text in fields.items()})
