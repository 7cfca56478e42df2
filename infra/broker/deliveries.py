"""The `Deliveries`: whose turn it is, when to look again, and what was tried last.

* One worker at a time tells a webhook of events.
* When a webhook may be tried again stands in the database; it stands here, too, so that looking
  costs next to nothing until that has come.
* The history of a webhook is its last tries, and is forgotten when there are none for a week. It is
  for people who look for what went wrong: it may be lost, deliveries depend on nothing here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, cast

import orjson

from infra.broker.connection import Broker
from schemas.domain.delivery import Delivery, Reply
from schemas.domain.identifiers import WebhookId
from tasks.ports import Turn

_KEPT: Final = 100
_KEPT_S: Final = 604_800
_WAITING: Final = "tams:webhooks:waiting"


class RedisDeliveries:
    """The `Deliveries` of all webhooks."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @contextmanager
    def turn(self, webhook_id: WebhookId) -> Iterator[Turn | None]:
        """The right to send to a webhook; None when another worker has it."""
        with self._broker.lock(f"webhook:{webhook_id}") as lock:
            yield lock

    def wake(self, webhook_id: WebhookId, moment: datetime) -> None:
        """Have a webhook looked at again, at that moment or earlier."""
        with self._broker.translated() as client:
            client.zadd(_WAITING, {webhook_id: moment.timestamp()}, lt=True)

    def due(self, now: datetime) -> list[WebhookId]:
        """The webhooks that are to be looked at again now; see `Deliveries.due`."""
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.zrangebyscore(_WAITING, "-inf", now.timestamp())
            pipe.zremrangebyscore(_WAITING, "-inf", now.timestamp())
            found, _ = pipe.execute()
        return [WebhookId(each.decode()) for each in found]

    def record(self, webhook_id: WebhookId, tried: Sequence[Delivery]) -> None:
        """Remember what was tried, in this order, after all there is."""
        if not tried:
            return
        key = _key(webhook_id)
        with self._broker.translated() as client, client.pipeline(transaction=True) as pipe:
            pipe.lpush(key, *(_text(each) for each in tried[-_KEPT:]))
            pipe.ltrim(key, 0, _KEPT - 1)
            pipe.expire(key, _KEPT_S)
            pipe.execute()

    def recent(self, webhook_id: WebhookId) -> list[Delivery]:
        """What was tried last, the latest first."""
        with self._broker.translated() as client:
            found = cast("list[bytes]", client.lrange(_key(webhook_id), 0, -1))
        return [_delivery(orjson.loads(text)) for text in found]

    def forget(self, webhook_id: WebhookId) -> None:
        """Forget what was tried."""
        with self._broker.translated() as client:
            client.delete(_key(webhook_id))


def _key(webhook_id: WebhookId) -> str:
    return f"tams:webhooks:tried:{webhook_id}"


def _text(item: Delivery) -> bytes:
    reply = item.reply
    return orjson.dumps(
        [
            item.event_id,
            item.type,
            item.time,
            item.attempt,
            item.took_ms,
            *(reply.status, reply.silence, reply.retry_after.total_seconds()),
        ]
    )


def _delivery(kept: Sequence[Any]) -> Delivery:
    event_id, kind, time, attempt, took_ms, status, silence, pause_s = kept
    return Delivery(
        event_id,
        kind,
        datetime.fromisoformat(time),
        attempt,
        took_ms,
        Reply(status, silence, timedelta(seconds=pause_s)),
    )
