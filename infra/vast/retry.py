"""Doing a transaction anew, when the database let another one come first.

* A conflict, or a commit whose outcome is unknown, has the whole transaction done anew after
  a random wait (full jitter). So it must be one that can be done twice.
"""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from schemas.domain.errors import Unavailable

T = TypeVar("T")

_ATTEMPTS: Final = 12
_FIRST_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 1.0


def retried(transaction: Callable[[], T]) -> T:
    """What `transaction` returns, once it gets through.

    Raises:
        Unavailable: when the database does not answer, or other writers keep coming first.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return transaction()
        except Unavailable as error:
            if not error.retryable or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**attempt)))  # noqa: S311 - jitter
    raise AssertionError("the last attempt returns or raises")
