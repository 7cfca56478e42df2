"""The feeds of the listener, each followed by a thread of its own."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Final

from infra.feeds.address import FeedAddress
from infra.feeds.feed import follow, open_feed
from schemas.domain.errors import Unavailable
from tasks import notices
from tasks.ports import Intake

_STOP_S: Final = 5.0

log = logging.getLogger(__name__)


@contextmanager
def following(addresses: Sequence[FeedAddress], intake: Intake) -> Iterator[None]:
    """Take what comes from the feeds at `addresses`, for as long as the context lasts.

    Raises:
        SettingsError: when one of them needs a package that is not installed.
    """
    feeds = [(str(address), open_feed(address)) for address in addresses]
    stopped = Event()
    threads = [
        Thread(
            target=follow,
            args=(feed, name, partial(_take, intake, name), stopped),
            name=name,
            daemon=True,
        )
        for name, feed in feeds
    ]
    for thread in threads:
        log.info("following %s", thread.name)
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join(_STOP_S)


def _take(intake: Intake, origin: str, body: bytes) -> None:
    """Take over a message; one that meets a fault of ours must not stand in the way of others."""
    try:
        notices.take(intake, body, origin)
    except Unavailable:
        raise
    except Exception as error:
        log.exception("a message from %s was too much", origin)
        notices.bury(intake, body, origin, f"a fault of the store: {error!r}")
