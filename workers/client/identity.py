"""Identifiers that follow from the content of a file.

* The same bytes give the same flows and sources, so a second run finds what the first did.
* They are UUIDs of version 5, in lower case, as the specification's pattern wants them.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("6f1c7a53-5d0e-5b8e-9b0a-3f8f7b7c6a11")
_CHUNK: Final = 1 << 22


def digest(path: Path, read: Callable[[int], object] = lambda _: None) -> str:
    """The SHA-256 of a file, in hexadecimal; `read` is told how many bytes were just read."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
            read(len(chunk))
    return state.hexdigest()


def flow_of_content(fingerprint: str) -> str:
    """The flow of a whole file with this digest."""
    return str(uuid5(_NAMESPACE, fingerprint))


def flow_of_stream(flow_id: str, number: int) -> str:
    """The flow of stream `number` (from 0) of what `flow_id` collects."""
    return str(uuid5(UUID(flow_id), f"stream {number}"))


def source_of(flow_id: str) -> str:
    """The source of a flow that has none yet."""
    return str(uuid5(UUID(flow_id), "source"))
