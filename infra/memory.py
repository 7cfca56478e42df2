"""How a process looks for garbage once everything it needs is imported.

* What was imported stays for good: it is not looked through again, and a fork shares its pages.
* Requests of thousands of segments make many objects that live on for a moment and are freed when
  the last reference goes; looking for cycles among them all the time costs a third of the work.
"""

import gc
from typing import Final

_YOUNG: Final = 50_000


def settle() -> None:
    """Take everything there is for permanent, and look for cycles less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)
