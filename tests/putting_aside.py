"""Dead letters for tests: what a store puts aside when it cannot deal with it."""

import json
from typing import Any

import httpx
import redis

from schemas.domain.identifiers import FlowId
from schemas.inbox import encode_offers
from tests.making import new_id
from tests.services.running import Running
from tests.workers.conftest import offer


def bury_message(store: Running, body: bytes) -> str:
    """Send the listener a message that cannot be read; the id of its letter."""
    endpoint, token = store.facts["listener"]["endpoint"], store.facts["listener"]["token"]
    before = _letters(store)
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.post(f"{endpoint}/notifications", content=body, headers=headers).is_success
    (added,) = _letters(store) - before
    return added


def bury_offers(store: Running, flow: str, job: str | None = None) -> str:
    """Put a segment offered for the first second of a flow aside; the id of its letter."""
    fields = {"flow": flow, "job": job or new_id(), "last": "1", "followed": "1"}
    fields["offers"] = encode_offers([offer(FlowId(flow), 0, 1)]).decode()
    kept: dict[str, Any] = {"shard": 0, "fields": fields, "reason": "a test"}
    kept["time"] = "2026-11-25T00:00:00+00:00"
    name = f"0-{new_id()}"
    redis.Redis.from_url(store.facts["redis"]).hset("tams:dead-offers", name, json.dumps(kept))
    return f"offers-{name}"


def _letters(store: Running) -> set[str]:
    found = httpx.get(f"{store.facts['api']}/admin/dead-letters", params={"limit": 1000})
    return {letter["id"] for letter in found.json()}
