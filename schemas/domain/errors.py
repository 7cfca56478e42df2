"""Every error the store raises on purpose.

* Four families carry all that callers need: what was asked is wrong (`Invalid`), not allowed
  (`Forbidden`), not there (`NotFound`), or cannot be answered just now (`Unavailable`).
* The class docstring is the default message; the message says what was wrong with which thing.
* `retryable` says that doing the whole thing again at once may well succeed.
* An unavailable service is never reported as an absent thing.
"""


class TamsError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        """`field` names the part of the request the message is about, as a dotted path."""
        super().__init__(message or type(self).__doc__)
        self.field = field

    def __str__(self) -> str:
        return str(self.args[0])


class Invalid(TamsError):
    """The request breaks a rule."""


class TimeTaken(Invalid):
    """Another segment of the flow takes up some of the same time."""


class Forbidden(TamsError):
    """The request is not allowed."""


class NotFound(TamsError):
    """There is no such thing."""


class Unavailable(TamsError):
    """A service the store depends on is not available; try again later."""

    retry_after_s = 2
    retryable = False


class Conflict(Unavailable):
    """Another writer changed the same rows; nothing was written."""

    retryable = True


class PutAside(TamsError):
    """It could not be decided, and is kept for somebody to look at."""


class BeingDeleted(Unavailable):
    """The flow is still being deleted."""


class Cancelled(Invalid):
    """The job was cancelled before this was done."""


class ReadOnly(Forbidden):
    """The flow is read-only."""


class FlowNotFound(NotFound):
    """The flow does not exist."""


class SourceNotFound(NotFound):
    """The source does not exist."""


class ProfileNotFound(NotFound):
    """The profile does not exist."""


class NotSet(NotFound):
    """The thing exists, but has no such property."""


class ObjectNotFound(NotFound):
    """The object does not exist, or is allocated but not registered yet."""


class DeletionNotFound(NotFound):
    """The flow delete request does not exist."""


class RuleNotFound(NotFound):
    """The ingest rule does not exist."""


class JobNotFound(NotFound):
    """The job does not exist, or ended too long ago."""


class ScanNotFound(NotFound):
    """The scan does not exist, or ended too long ago."""


class WebhookNotFound(NotFound):
    """The webhook does not exist."""


class DeadLetterNotFound(NotFound):
    """There is no such dead letter."""
