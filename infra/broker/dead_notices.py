"""The `DeadNotices`: messages that could not be read, in one stream of bounded length."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from infra.broker.connection import Broker
from schemas.domain.errors import Invalid
from schemas.domain.ingest import DeadNotice
from schemas.domain.query import Listing, Page

_ID: Final = re.compile(r"\d{1,19}-\d{1,19}")


class RedisDeadNotices:
    """The `DeadNotices`: the latest thousand; of each as much as a notification can be long."""

    _STREAM: Final = "tams:dead-notices"
    _MOST: Final = 1_000
    _LONGEST: Final = 256 * 1_024

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

    def page(self, listing: Listing) -> Page[DeadNotice]:
        """Those `listing` asks for, the latest first; a page key is the id it ended with."""
        if listing.page is not None and not _ID.fullmatch(listing.page):
            raise Invalid("page is not a key this list gave out", field="page")
        after = f"({listing.page}" if listing.page else None
        with self._broker.translated() as client:
            if listing.reverse_order:
                found = client.xrange(self._STREAM, after or "-", "+", listing.limit + 1)
            else:
                found = client.xrevrange(self._STREAM, after or "+", "-", listing.limit + 1)
        notices = [_notice(*entry) for entry in cast("list[Any]", found)]
        shown = notices[: listing.limit]
        more = len(notices) > len(shown)
        return Page(shown, shown[-1].id if more else None, listing.limit)

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
