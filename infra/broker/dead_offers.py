"""The `DeadOffers`: entries of the inbox that could not be decided, in one hash.

* An entry is kept as it was, under its shard and id: burying it twice is burying it once.
* What was buried stays until somebody replays or discards it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import orjson
import redis

from infra.broker.connection import Broker
from schemas.domain.dead_letter import DeadOffers
from schemas.domain.identifiers import FlowId, JobId

_KEY: Final = "tams:dead-offers"


def bury(
    client: redis.Redis,
    name: str,
    shard: int,
    fields: Mapping[bytes, bytes],
    reason: str,
    now: datetime,
) -> None:
    """Keep an entry of the inbox, whose fields may be anything."""
    kept = {
        "shard": shard,
        "fields": {_text(field): _text(value) for field, value in fields.items()},
        "reason": reason,
        "time": now.isoformat(),
    }
    client.hsetnx(_KEY, name, orjson.dumps(kept).decode())


class RedisDeadOffers:
    """The `DeadOffers` of all shards."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def all(self) -> list[DeadOffers]:
        """Every one of them; in no particular order."""
        with self._broker.translated() as client:
            found = cast("dict[bytes, bytes]", client.hgetall(_KEY))
        return [_entry(name.decode(), orjson.loads(kept)) for name, kept in found.items()]

    def discard(self, entry_id: str) -> bool:
        """Forget one; whether it was there."""
        with self._broker.translated() as client:
            return bool(client.hdel(_KEY, entry_id))

    def replay(self, entry_id: str) -> int | None:
        """Put one back into the inbox, at once; its shard, or None if it is not there."""
        with self._broker.translated() as client:
            found = cast("bytes | None", client.hget(_KEY, entry_id))
            if found is None:
                return None
            kept = orjson.loads(found)
            shard = int(kept["shard"])
            fields: dict[Any, Any] = {
                _bytes(name): _bytes(value) for name, value in kept["fields"].items()
            }
            with client.pipeline(transaction=True) as pipe:
                pipe.xadd(stream_of(shard), fields)
                pipe.hdel(_KEY, entry_id)
                pipe.execute()
        return shard


def stream_of(shard: int) -> str:
    """The stream in which the offers of a shard wait."""
    return f"tams:inbox:{shard}"


def _entry(entry_id: str, kept: Mapping[str, Any]) -> DeadOffers:
    fields = kept["fields"]
    return DeadOffers(
        entry_id,
        FlowId(fields.get("flow", "")),
        JobId(fields.get("job", "")),
        offers=_bytes(fields.get("offers", "")).decode(errors="replace"),
        reason=kept["reason"],
        time=datetime.fromisoformat(kept["time"]),
    )


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
