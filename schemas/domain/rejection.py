"""Why a dropped object did not become a segment: a closed set of reasons.

* The word is for programs and filters, the message for the person who is to act on it.
"""

from collections.abc import Sequence
from enum import StrEnum

from schemas.domain.errors import BeingDeleted, FlowNotFound, Invalid, ReadOnly, TamsError


class Reason(StrEnum):
    """What was wrong, in a word."""

    NO_FLOW = "no-flow"  # no rule applies, and no metadata name a flow
    NO_SUCH_FLOW = "no-such-flow"
    READ_ONLY = "read-only"
    NO_TIME = "no-time"  # none of the rule's ways to find the time found it
    IMPLAUSIBLE_TIME = "implausible-time"
    TIME_TAKEN = "time-taken"
    RESTARTED = "restarted"
    REWRITTEN = "rewritten"
    GONE = "gone"  # deleted before it could be read
    EMPTY = "empty"
    NOT_MEDIA = "not-media"
    WRONG_CONTAINER = "wrong-container"
    WRONG_DURATION = "wrong-duration"
    UNREADABLE = "unreadable"  # reading it brought workers down
    WAITING = "waiting"  # for its playlist or its init segment; it is tried again when that comes
    UNKNOWN_BUCKET = "unknown-bucket"
    REFUSED = "refused"  # anything else that breaks a rule


class Rejected(Invalid):
    """The object cannot become a segment."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Waits(Rejected):
    """The object cannot become a segment yet."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.WAITING, message)


def reason_of(error: TamsError) -> Reason:
    """The word for why `error` kept an object from becoming a segment."""
    match error:
        case Rejected():
            return error.reason
        case FlowNotFound() | BeingDeleted():
            return Reason.NO_SUCH_FLOW
        case ReadOnly():
            return Reason.READ_ONLY
        case TamsError(field="timerange"):
            return Reason.TIME_TAKEN
        case _:
            return Reason.REFUSED


def none_of(tried: Sequence[tuple[str, Rejected]]) -> Rejected:
    """The rejection of an object whose time was looked for in several ways, in vain."""
    if len(tried) == 1:
        return tried[0][1]
    told = "; ".join(f"{way}: {error}" for way, error in tried)
    grave = [error.reason for _, error in tried if error.reason is not Reason.NO_TIME]
    return Rejected(grave[0] if grave else Reason.NO_TIME, f"no time found: {told}")
