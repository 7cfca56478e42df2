"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import Any

_DEADLINE_S = 60.0
_POLL_S = 0.05


def eventually(find: Callable[[], Any], deadline_s: float = _DEADLINE_S) -> Any:
    """What `find` finds, once it finds something."""
    deadline = time.monotonic() + deadline_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"nothing came of it in {deadline_s:g} s"
        time.sleep(_POLL_S)
    return found
