"""Requests of this process that wait for news, of jobs or of anything that happens.

* Each of them takes a thread of the web server, so there are only so many places for them.
* Those that follow events read the log together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final, cast

from flask import Flask, current_app

from tasks.events import Tail
from tasks.ports import Ports

_PLACES: Final = "tams-followers"
_TAIL: Final = "tams-tail"


def let_follow(app: Flask, ports: Ports) -> None:
    """Let as many follow at once as the limits of `ports` say."""
    app.extensions[_PLACES] = BoundedSemaphore(ports.limits.followers)
    app.extensions[_TAIL] = Tail(ports)


def tail() -> Tail:
    """The end of the log of events."""
    return cast("Tail", current_app.extensions[_TAIL])


def places() -> BoundedSemaphore:
    """The places there are; who follows takes one, and gives it back."""
    return cast("BoundedSemaphore", current_app.extensions[_PLACES])


@contextmanager
def following() -> Iterator[bool]:
    """A place while the context lasts; False when there is none."""
    free = places().acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            places().release()
