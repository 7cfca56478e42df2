"""How many requests of this process may wait for news of jobs at the same time.

Each of them takes a thread of the web server, and the rest must be left for the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final, cast

from flask import Flask, current_app

_EXTENSION: Final = "tams-followers"


def limit_followers(app: Flask, most: int) -> None:
    """Let at most so many follow at once."""
    app.extensions[_EXTENSION] = BoundedSemaphore(most)


def places() -> BoundedSemaphore:
    """The places there are; who follows takes one, and gives it back."""
    return cast("BoundedSemaphore", current_app.extensions[_EXTENSION])


@contextmanager
def following() -> Iterator[bool]:
    """A place while the context lasts; False when there is none."""
    free = places().acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            places().release()
