"""The `DeadNoticeStore`: messages that could not be read, in one stream of bounded length."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from infra.broker.connection import Broker
from schemas.domain.dead_letter import DeadNotice

_ID: Final = re.compile(r"\d{1,19}-\d{1,19}")


class RedisDeadNotices:
    """The latest thousand; of each as much as a notification can be long."""

    _STREAM: Final = "tams:dead-notices"
    _MOST: Final = 1_000
    _LONGEST: Final = 65_536

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def add(self, body: bytes, origin: str, reason: str, now: datetime) -> None:
        """Keep a message; of one that is too long only the beginning, and its reason says so."""
        if len(body) > self._LONGEST:
            reason = f"{reason} (only the first {self._LONGEST} of {len(body)} bytes were kept)"
        fields: dict[Any, Any] = {
            "body": body[: self._LONGEST],
            "origin": origin,
            "reason": reason,
            "time": now.isoformat(),
        }
        with self._broker.translated() as client:
            client.xadd(self._STREAM, fields, maxlen=self._MOST, approximate=False)

    def all(self) -> list[DeadNotice]:
        """Every one of them, the oldest first."""
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(self._STREAM))
        return [_notice(*entry) for entry in found]

    def get(self, notice_id: str) -> DeadNotice | None:
        """One of them; None if there is none."""
        if not _ID.fullmatch(notice_id):
            return None
        with self._broker.translated() as client:
            found = cast("list[Any]", client.xrange(self._STREAM, notice_id, notice_id))
        return _notice(*found[0]) if found else None

    def discard(self, notice_id: str) -> bool:
        """Forget one; whether it was there."""
        if not _ID.fullmatch(notice_id):
            return False
        with self._broker.translated() as client:
            return bool(client.xdel(self._STREAM, notice_id))


def _notice(entry_id: bytes, fields: Mapping[bytes, bytes]) -> DeadNotice:
    return DeadNotice(
        entry_id.decode(),
        body=fields[b"body"],
        origin=fields[b"origin"].decode(),
        reason=fields[b"reason"].decode(),
        time=datetime.fromisoformat(fields[b"time"].decode()),
    )
