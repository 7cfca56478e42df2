"""The `Notices`: notifications of objects that came or went, in one stream.

* One worker at a time takes the oldest; they leave the stream once it is done with them.
* How often a notification was begun is counted before anything is done with it, so that one
  that brings workers down is found out.
* What was done last for a key is remembered for an hour, so that repeated and overtaken
  notifications are let go unheeded. To act upon one that comes later than that does no harm.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, cast

import orjson

from infra.broker.connection import Broker
from schemas.domain.errors import Unavailable
from schemas.domain.ingest import BucketEvent, Handled, Notification
from tasks.ports import Noticed

_REMEMBERED_S: Final = 3_600


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
                pipe.xadd(self._STREAM, cast("dict[Any, Any]", _fields(notification)))
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
        """The oldest notifications that are news, counted as begun; see `Notices.take`."""
        with self._broker.lock("notices") as lock:
            if lock is None:
                yield []
                return
            batch = self._begin(limit)
            while batch.ids and not batch.taken:
                self._end(batch)
                batch = self._begin(limit)
            try:
                yield batch.taken
            except Unavailable:
                self._count([noticed.id for noticed in batch.taken], -1)
                raise
            self._end(batch)

    def waiting(self) -> bool:
        """Whether there are any."""
        with self._broker.translated() as client:
            return bool(client.xlen(self._STREAM))

    def _begin(self, limit: int) -> "_Batch":
        """The oldest notifications, singly if the very oldest was begun before."""
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(self._STREAM, count=limit))
            if found and int(client.hget(self._ATTEMPTS, found[0][0]) or 0):
                found = found[:1]
        entries = [(entry_id.decode(), _notification(fields)) for entry_id, fields in found]
        remembered = self._remembered([notification for _, notification in entries])
        news = []
        handled: dict[str, Handled] = {}
        for entry_id, notification in entries:
            key = _handled(notification)
            last = handled.get(key) or remembered.get(key)
            if last is None or not last.covers(notification):
                news.append((entry_id, notification))
                if notification.identity is not None:
                    handled[key] = Handled.after(notification)
        attempts = self._count([entry_id for entry_id, _ in news], 1)
        taken = [Noticed(*entry, tries) for entry, tries in zip(news, attempts, strict=True)]
        return _Batch([entry_id for entry_id, _ in entries], taken, handled)

    def _remembered(self, notifications: Sequence[Notification]) -> dict[str, Handled]:
        """What was done last for the keys of `notifications`, where that is remembered."""
        keys = list({_handled(notification) for notification in notifications})
        if not keys:
            return {}
        with self._broker.translated() as client:
            found = cast("list[bytes | None]", client.mget(keys))
        return {
            key: Handled(*orjson.loads(text))
            for key, text in zip(keys, found, strict=True)
            if text is not None
        }

    def _end(self, batch: "_Batch") -> None:
        """Let go of what was taken or no news, and remember what was done."""
        if not batch.ids:
            return
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.xdel(self._STREAM, *batch.ids)
            pipe.hdel(self._ATTEMPTS, *batch.ids)
            for key, last in batch.handled.items():
                text = orjson.dumps([last.origin, last.identity, last.sequencer])
                pipe.set(key, text, ex=_REMEMBERED_S)
            pipe.execute()

    def _count(self, ids: Sequence[str], change: int) -> list[int]:
        """Change the number of times each was begun; the new numbers."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            for entry_id in ids:
                pipe.hincrby(self._ATTEMPTS, entry_id, change)
            return cast("list[int]", pipe.execute())


@dataclass(frozen=True, slots=True)
class _Batch:
    """The entries read, those of them that are news, and what to remember once these are done."""

    ids: Sequence[str]
    taken: list[Noticed]
    handled: Mapping[str, Handled]


def _handled(notification: Notification) -> str:
    """Under which name it is remembered what was done last for a key."""
    name = f"{notification.bucket}/{notification.key}".encode()
    return f"tams:notices:handled:{blake2b(name, digest_size=16).hexdigest()}"


def _fields(notification: Notification) -> dict[str, str | int]:
    """A notification as an entry of the stream; what is not known is left out."""
    fields: dict[str, str | int | None] = {
        "bucket": notification.bucket,
        "key": notification.key,
        "origin": notification.origin,
        "event": notification.event.value,
        "size": notification.size,
        "etag": notification.etag,
        "version_id": notification.version_id,
        "sequencer": notification.sequencer,
        "time": None if notification.time is None else notification.time.isoformat(),
        "decoded_key": notification.decoded_key,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _notification(fields: Mapping[bytes, bytes]) -> Notification:
    text = {name.decode(): value.decode() for name, value in fields.items()}
    return Notification(
        text["bucket"],
        text["key"],
        text["origin"],
        BucketEvent(text.get("event", BucketEvent.CREATED)),
        size=int(text["size"]) if "size" in text else None,
        etag=text.get("etag"),
        version_id=text.get("version_id"),
        sequencer=text.get("sequencer"),
        time=datetime.fromisoformat(text["time"]) if "time" in text else None,
        decoded_key=text.get("decoded_key"),
    )
