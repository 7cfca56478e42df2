"""Values: dataclasses whose objects never change, and are made by the thousand.

That they never change is seen to by the type checker, as of any frozen dataclass. At run time
nothing does: an object that did would take four times as long to make.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(*, order: bool = False) -> Callable[[type[T]], type[T]]:
    """Makes a class one of values; two are equal, and hash alike, if their fields do."""
    return dataclass(slots=True, unsafe_hash=True, order=order)
