"""What came of sending an event to a webhook, and when to try again.

* Any status of success is delivery; everything else, silence included, is a failure.
* Pauses between tries grow, each drawn anew between nothing and its bound (full jitter), so that
  a receiver that comes back is not met by everybody at once. They are never shorter than what the
  receiver asked for with `Retry-After`.
* A receiver that answers 410 wants nothing any more.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_FIRST_S: Final = 2.0
_LONGEST_S: Final = 3_600.0
_MOST_DOUBLINGS: Final = 16
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of a receiver: its status, or why there is none; what it asks to wait."""

    status: int | None = None
    silence: str = ""
    retry_after: timedelta = timedelta(0)

    @property
    def is_success(self) -> bool:
        """Whether the event is delivered."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP

    @property
    def is_final(self) -> bool:
        """Whether trying again makes no sense."""
        return self.status == _GONE

    def __str__(self) -> str:
        if self.status is None:
            return self.silence
        if 300 <= self.status < 400:  # noqa: PLR2004 - HTTP
            return f"answers {self.status}, a redirect, which is not followed"
        return f"answers {self.status}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to deliver one event; `attempt` counts those in a row, from 1."""

    event_id: str
    type: str
    time: datetime
    attempt: int
    took_ms: int
    reply: Reply


def pause_after(attempts: int, reply: Reply, chance: float) -> timedelta:
    """How long to wait after so many failures in a row; `chance` is from 0 to 1."""
    bound_s = min(_LONGEST_S, _FIRST_S * 2 ** min(attempts - 1, _MOST_DOUBLINGS))
    return max(timedelta(seconds=bound_s * chance), reply.retry_after)
