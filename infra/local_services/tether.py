"""Ties processes together, so that none outlives the one that answers for it.

* `python -I -S tether.py PARENT PROGRAM ARGUMENT...` becomes PROGRAM, under the same
  process id, and is killed when PARENT ends.
* The kernel sees to it, so it happens however a parent ended. Linux only; elsewhere the
  program simply starts.
* It runs before the program in a process of its own because between `fork` and `exec` a
  process with threads can do almost nothing safely.
* Standard library only, and little of it: this stands in the way of every start.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def end_with_parent(parent: int, sent: signal.Signals) -> None:
    """Have the kernel send this process `sent` when `parent` ends, or ended already."""
    _prctl(_PR_SET_PDEATHSIG, int(sent))
    if os.getppid() != parent:
        os.kill(os.getpid(), sent)


def adopt_orphans() -> None:
    """Make this process the parent of every descendant that loses its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - not needed elsewhere

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - what a tether is for
    except OSError as error:
        sys.exit(f"{sys.argv[2]}: {error.strerror}")
