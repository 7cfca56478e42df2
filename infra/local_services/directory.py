"""The data directory: one store at a time, and what that store remembers.

* Whoever holds the lock owns the directory; the lock ends with the process that holds it.
* Files with secrets are written with mode 600 before anything is in them, and replaced
  whole: a reader sees the old content or the new.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.local_services.service import StartError

LOCK_FILE = "lock"
MEMORY_FILE = "local-services.json"


def make_directory(directory: Path) -> Path:
    """Create `directory`, for its owner only, unless it is there.

    Raises:
        StartError: when that is not possible.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"cannot use {directory} as a data directory: {error.strerror}") from error
    return directory


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Own `directory` until the block ends, in this process and those it forks.

    Raises:
        StartError: when another process owns it.
    """
    path = make_directory(directory) / LOCK_FILE
    try:
        lock = path.open("a+")
    except OSError as error:
        raise StartError(f"cannot write in the data directory {directory}: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise StartError(
                f"the data directory {directory} is in use by process {owner}"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def write_private(path: Path, text: str) -> None:
    """Put `text` into `path`, at once, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@dataclass(slots=True)
class Memory:
    """What one start of the store leaves for the next: credentials and ports."""

    path: Path
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Path) -> "Memory":
        """Recall what the last start in `directory` knew; nothing, if there was none.

        Raises:
            StartError: when the file is there but cannot be used.
        """
        path = directory / MEMORY_FILE
        try:
            known = json.loads(path.read_text())
            return cls(path, _texts(known["credentials"]), _numbers(known["ports"]))
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            raise StartError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartError(f"{path} is damaged: {error!r}") from error

    def credential(self, name: str) -> str:
        """The credential called `name`; one that nobody knows yet is generated."""
        return self.credentials.setdefault(name, secrets.token_hex(16))

    def save(self) -> None:
        """Write everything down for the next start."""
        known = {"credentials": self.credentials, "ports": self.ports}
        write_private(self.path, json.dumps(known, indent=2) + "\n")


def _texts(known: Mapping[str, object]) -> dict[str, str]:
    return {str(name): str(value) for name, value in known.items()}


def _numbers(known: Mapping[str, object]) -> dict[str, int]:
    return {str(name): int(str(value)) for name, value in known.items()}
