"""Work that was put aside: what there is, trying it again, and throwing it away.

* There are offered segments whose deciding brought workers down, and messages of object stores that
  could not be read. Both are dead letters here, told apart by the beginning of their ids.
* Whoever replays one has it go the way it went before.
"""

from typing import Final

from schemas.domain.dead_letter import DeadLetter, DeadNotice, DeadOffers
from schemas.domain.errors import DeadLetterNotFound
from schemas.domain.query import Listing, Page, page_of, position
from tasks import notices
from tasks.ports import Ports

_OFFERS: Final = "offers-"
_NOTICE: Final = "notice-"


def listing(ports: Ports, listing: Listing) -> Page[DeadLetter]:
    """The dead letters there are, latest first."""
    return page_of(_all(ports), lambda letter: position(letter.time, letter.id), listing)


def get(ports: Ports, letter_id: str) -> DeadLetter:
    """One dead letter; raises DeadLetterNotFound when there is none of that id."""
    for letter in _all(ports):
        if letter.id == letter_id:
            return letter
    raise _unknown(letter_id)


def replay(ports: Ports, letter_id: str) -> None:
    """Have a dead letter dealt with as if it had just come.

    Raises:
        DeadLetterNotFound: when there is none of that id.
        Invalid: when it is a message that still cannot be read; it stays.
    """
    if letter_id.startswith(_NOTICE):
        notices.replay(ports, letter_id.removeprefix(_NOTICE))
        return
    shard = ports.dead_offers.replay(letter_id.removeprefix(_OFFERS))
    if shard is None:
        raise _unknown(letter_id)
    ports.queue.ring(shard)


def discard(ports: Ports, letter_id: str) -> None:
    """Throw a dead letter away; raises DeadLetterNotFound when there is none of that id."""
    if letter_id.startswith(_NOTICE):
        found = ports.dead_notices.discard(letter_id.removeprefix(_NOTICE))
    else:
        found = ports.dead_offers.discard(letter_id.removeprefix(_OFFERS))
    if not found:
        raise _unknown(letter_id)


def _all(ports: Ports) -> list[DeadLetter]:
    return [
        *(_of_offers(each) for each in ports.dead_offers.all()),
        *(_of_notice(each) for each in ports.dead_notices.all()),
    ]


def _of_offers(offers: DeadOffers) -> DeadLetter:
    about = {"flow_id": offers.flow_id, "job_id": offers.job_id}
    return DeadLetter(
        f"{_OFFERS}{offers.id}", "segments", offers.reason, offers.time, about, offers.offers
    )


def _of_notice(notice: DeadNotice) -> DeadLetter:
    return DeadLetter(
        f"{_NOTICE}{notice.id}",
        "notification",
        notice.reason,
        notice.time,
        {"origin": notice.origin},
        notice.body.decode(errors="replace"),
    )


def _unknown(letter_id: str) -> DeadLetterNotFound:
    return DeadLetterNotFound(f"dead letter {letter_id} does not exist")
