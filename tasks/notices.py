"""Messages that object stores send of their buckets, whichever way they come.

* `take` makes what a message tells of durable, and then it may be acknowledged.
* A message that cannot be read is kept as a dead notice, with its reason; it can be
  read again.
* A topic of SNS is confirmed if the operator allows it; of any other the log says how.
"""

import logging

from schemas.domain.errors import DeadLetterNotFound, Invalid
from schemas.http.s3_events import Subscription, decoded, notifications, subscription
from tasks import ingest
from tasks.ports import Intake

log = logging.getLogger(__name__)


def take(intake: Intake, body: bytes, origin: str) -> None:
    """Take over a message from `origin`; when this returns, it may be forgotten there.

    Raises:
        Unavailable: when it could not be made durable; it must be sent again.
    """
    try:
        message = decoded(body)
        asked = subscription(message)
        if asked is not None:
            _confirm(intake, asked)
        found = notifications(message)
    except Invalid as error:
        bury(intake, body, origin, str(error))
    else:
        ingest.accept(intake, found)


def bury(intake: Intake, body: bytes, origin: str, reason: str) -> None:
    """Keep a message that cannot be read.

    Raises:
        Unavailable: when it could not be made durable; it must be sent again.
    """
    log.warning("a message from %s becomes a dead notice: %s", origin, reason)
    intake.dead_notices.add(body, origin, reason, intake.clock.now())


def replay(intake: Intake, notice_id: str) -> None:
    """Read a dead notice again, and take over what it tells of.

    Raises:
        NotFound: when there is none of this id.
        Invalid: when it still cannot be read; it stays.
    """
    notice = intake.dead_notices.get(notice_id)
    if notice is None:
        raise DeadLetterNotFound(f"dead notice {notice_id} does not exist")
    ingest.accept(intake, notifications(decoded(notice.body)))
    intake.dead_notices.discard(notice_id)


def _confirm(intake: Intake, asked: Subscription) -> None:
    if not asked.can_be_trusted:
        raise Invalid("SubscribeURL does not confirm this topic of SNS", field="SubscribeURL")
    if asked.topic in intake.subscriptions.wanted:
        intake.subscriptions.confirm(asked.url)
        log.info("%s sends its notifications here from now on", asked.topic)
    else:
        log.warning(
            "%s wants to send notifications here, and TAMS_SNS_CONFIRM does not name it; "
            "to have it do so, open %s",
            asked.topic,
            asked.url,
        )
