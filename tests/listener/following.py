"""Feeds followed for as long as a test looks on."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from infra.feeds.address import FeedAddress
from infra.feeds.feed import Take, follow, open_feed

_DEADLINE_S = 60.0


@contextmanager
def followed(url: str, take: Take) -> Iterator[None]:
    """`take` gets what the feed at `url` brings, until the block ends."""
    stopped = Event()
    feed = open_feed(FeedAddress.parse(url))
    thread = Thread(target=follow, args=(feed, "feed", take, stopped), kwargs={"pause_s": 0.1})
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(_DEADLINE_S)
        assert not thread.is_alive()


class Taker:
    """Takes messages, after it has refused some of them."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse = refuse
        self.refused: list[bytes] = []
        self.taken: list[bytes] = []

    def __call__(self, body: bytes) -> None:
        if len(self.refused) < self.refuse:
            self.refused.append(body)
            raise RuntimeError("not now")
        self.taken.append(body)
