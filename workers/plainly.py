"""How a command that cannot go on ends: with one line that says why, and status 1."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from infra.settings import SettingsError
from schemas.domain.errors import TamsError

P = ParamSpec("P")
T = TypeVar("T")


def plainly(command: Callable[P, T]) -> Callable[P, T]:
    """Have `command` end with one line where the fault is not in the program."""

    @wraps(command)
    def plain(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (SettingsError, TamsError) as error:
            raise click.ClickException(str(error)) from error

    return plain
