"""A request of the protocol, parsed: command, place, parameters.

* The first bare word of the query string is the command; a request without one is a
  plain S3 request on a bucket.
* What a path means depends on the command: for commands on a table the last segment is
  the table; otherwise everything after the bucket is a schema path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from urllib.parse import unquote, unquote_plus

import pyarrow as pa

from infra.vast_local.errors import Invalid
from infra.vast_local.flatbuf import reading, root
from infra.vast_local.listener import Request

MAX_KEYS = 1000
"""Names on a page of a listing when the client does not say."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Call:
    """One parsed request."""

    method: str
    command: str
    bucket: str
    path: tuple[str, ...]
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def schema(self) -> str:
        """Schema path when the whole path is one."""
        return "/".join(self.path)

    @property
    def place(self) -> tuple[str, str, str]:
        """Bucket, schema path and table when the path ends in a table."""
        if not self.path[1:]:
            raise Invalid("the path names no table")
        return self.bucket, "/".join(self.path[:-1]), self.path[-1]

    @property
    def transaction(self) -> int:
        """Transaction id, 0 for none."""
        return self.number("tabular-txid", 0)

    def number(self, header: str, default: int) -> int:
        """Return an integer header."""
        return whole(self.headers.get(header, str(default)))

    def flag(self, header: str) -> bool:
        """Return a boolean header, written ``True`` or ``true``."""
        return self.headers.get(header, "").lower() == "true"

    @cached_property
    def fields(self) -> pa.Schema:
        """The body as an Arrow schema message."""
        try:
            return pa.ipc.read_schema(pa.py_buffer(self.body))
        except (pa.ArrowInvalid, OSError) as error:
            raise Invalid(f"the body is not an Arrow schema: {error}") from error

    def text(self, slot: int) -> str:
        """Return a string of the body's flatbuffers table, empty when absent."""
        with reading("the body"):
            return root(self.body).text(slot)

    @cached_property
    def columns(self) -> list[tuple[str, bool]]:
        """The columns of a projection to create, and whether each is sorted."""
        with reading("the body"):
            listed = root(self.body).tables(0)
            return [(column.text(0), bool(column.byte(1))) for column in listed]


def parse(request: Request) -> Call:
    """Return the call a request makes."""
    path, _, query = request.target.partition("?")
    parts = [part.partition("=") for part in query.split("&") if part]
    is_command = bool(parts) and not parts[0][1]
    command = parts[0][0] if is_command else ""
    parameters = {name: unquote_plus(value) for name, _, value in parts[is_command:]}
    bucket, *rest = [unquote(segment) for segment in path.strip("/").split("/")]
    return Call(
        request.method, command, bucket, tuple(rest), parameters, request.headers, request.body
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """Which names of a listing a client asks for."""

    prefix: str
    exact: str | None
    start: int
    limit: int
    count_only: bool

    @classmethod
    def of(cls, call: Call) -> "Listing":
        """Read the paging headers."""
        return cls(
            prefix=call.headers.get("tabular-name-prefix", ""),
            exact=call.headers.get("tabular-name-exact-match"),
            start=call.number("tabular-next-key", 0),
            limit=max(1, call.number("tabular-max-keys", MAX_KEYS)),
            count_only=call.flag("tabular-list-count-only"),
        )

    def select(
        self, items: Sequence[Item], names: Sequence[str]
    ) -> tuple[Sequence[Item], dict[str, str]]:
        """Return the items of this page and the headers that say where the next begins."""
        chosen = [item for item, name in zip(items, names, strict=True) if self._wants(name)]
        stop = self.start + self.limit
        headers = {
            "tabular-next-key": str(min(stop, len(chosen))),
            "tabular-is-truncated": "true" if stop < len(chosen) else "false",
        }
        if self.count_only:
            headers |= {"tabular-list-count": str(len(chosen)), "tabular-is-truncated": "false"}
            return [], headers
        return chosen[self.start : stop], headers

    def _wants(self, name: str) -> bool:
        return name == self.exact if self.exact is not None else name.startswith(self.prefix)


def whole(text: str) -> int:
    """Return the integer a header or parameter holds."""
    try:
        return int(text)
    except ValueError as error:
        raise Invalid(f"{text!r} is not an integer") from error
