"""What a feed is, how one is opened, and how it is followed.

* The address of a feed says what it is: SQS, AMQP, Kafka or a list in Redis.
* A message is acknowledged when it has been taken over, and left where it is otherwise, so that
  it comes again. Nothing is declared, created or published there.
* A feed is followed for ever: whatever goes wrong, it is tried again, at longer and longer pauses.
"""

import logging
from collections.abc import Callable
from threading import Event
from typing import Final, Protocol, assert_never

from infra.feeds.address import FeedAddress, Scheme
from infra.settings import SettingsError

log = logging.getLogger(__name__)

Take = Callable[[bytes], None]

_LONGEST_PAUSE_S: Final = 30.0


class Feed(Protocol):
    """A queue that messages come from."""

    def run(self, take: Take, stopped: Event) -> None:
        """Hand every message to `take` until `stopped`; ends with an error if anything fails.

        A message of which `take` raised, or whose acknowledgement failed, comes again.
        """


def open_feed(address: FeedAddress) -> Feed:
    """The feed at `address`, not connected yet.

    Raises:
        SettingsError: when a package that it needs is not installed.
    """
    # Each brings libraries that only it needs.
    match address.scheme:
        case Scheme.SQS:
            from infra.feeds.sqs import sqs_feed  # noqa: PLC0415

            return sqs_feed(address)
        case Scheme.AMQP | Scheme.AMQPS:
            from infra.feeds.amqp import amqp_feed  # noqa: PLC0415

            return amqp_feed(address)
        case Scheme.KAFKA:
            try:
                from infra.feeds.kafka import kafka_feed  # noqa: PLC0415
            except ImportError as error:
                raise SettingsError(
                    f"{address} needs a package that is not installed: "
                    f"pip install 'tams-server[kafka]' ({error})"
                ) from error
            return kafka_feed(address)
        case Scheme.REDIS_LIST | Scheme.REDISS_LIST:
            from infra.feeds.redis_list import RedisListFeed  # noqa: PLC0415

            return RedisListFeed(address)
    assert_never(address.scheme)


def follow(feed: Feed, name: str, take: Take, stopped: Event, *, pause_s: float = 1.0) -> None:
    """Take everything that `feed` brings, until `stopped`."""
    pause = pause_s

    def taken(body: bytes) -> None:
        nonlocal pause
        take(body)
        pause = pause_s

    while not stopped.is_set():
        try:
            feed.run(taken, stopped)
        except Exception as error:  # noqa: BLE001 - libraries raise what they like; a feed must go on
            log.warning("%s: %s; trying again in %g s", name, _plainly(error), pause)
            stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _plainly(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
