"""What the server refuses, as the status codes and XML codes a client acts upon.

* A request that is refused raises a :class:`Refused`; the listener renders it as XML.
* A ``Conflict`` raised while a statement runs ends its transaction: from then on every
  request of that transaction, its commit included, answers 409.
* A server that cannot start raises :class:`CannotStart`, whose message is one line.
"""

from typing import ClassVar
from xml.sax.saxutils import escape


class CannotStart(Exception):
    """The server cannot start; the message says why in one line."""


class Refused(Exception):
    """The request is refused with an HTTP status, a code word and a message."""

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "InternalError"

    def __init__(self, message: str, code: str | None = None) -> None:
        """Keep the message and the code word, by default that of the class."""
        super().__init__(message)
        self.code = code or self.default_code

    def xml(self) -> bytes:
        """Return the error body in the S3 form clients parse."""
        text = (
            f"<Error><Code>{escape(self.code)}</Code><Message>{escape(str(self))}</Message></Error>"
        )
        return text.encode()


class Invalid(Refused):
    """400: the request makes no sense, whatever the state of the database."""

    status = 400
    default_code = "InvalidArgument"


class Forbidden(Refused):
    """403: the signature does not match the configured keys."""

    status = 403
    default_code = "AccessDenied"


class Missing(Refused):
    """404: the bucket, schema, table, column, row or transaction does not exist."""

    status = 404
    default_code = "NotFound"


class Conflict(Refused):
    """409: another transaction came first, or the object is in the way."""

    status = 409
    default_code = "Conflict"


class Unsupported(Refused):
    """501: the protocol has this request, this server does not."""

    status = 501
    default_code = "NotImplemented"


class Lost(Conflict):
    """409: another transaction came first; this one has failed."""


class SlowDown(Refused):
    """503: nothing has happened; clients try again after a while."""

    status = 503
    default_code = "SlowDown"
