"""Pages of lists: what is asked for, and the headers that lead on (TAMS 8.2, `X-Paging-*`, `Link`).

* The service has a default limit, and a maximum to which a higher one is lowered.
* A page key goes with one list in one order: given to another it would name another place, so that
  it is refused there.
"""

import json
import re
from collections.abc import Sized
from hashlib import blake2s
from typing import Any, Final, Protocol

from flask import request
from werkzeug.datastructures import MultiDict

from api.context import ports
from api.links import this_page
from schemas.domain.errors import Invalid


def in_force(asked: "MultiDict[str, str]") -> "MultiDict[str, str]":
    """The query string of a list with the limit in force, and `page` as the list knows it.

    Raises:
        Invalid: when `page` was not given out for this list in this order.
    """
    limits, query = ports().limits, asked.copy()
    limit = query.setdefault("limit", str(limits.page_limit_default))
    if re.fullmatch("[0-9]+", limit, re.ASCII) and (
        len(limit) > _DIGITS or int(limit) > limits.page_limit_max
    ):
        query["limit"] = str(limits.page_limit_max)
    if "page" in query:
        seal, _, query["page"] = query["page"].partition(".")
        if seal != _seal():
            raise Invalid("page was not given out for this list in this order", field="page")
    return query


class Paged(Protocol):
    """A page of anything."""

    @property
    def items(self) -> Sized:
        """What is on it."""

    @property
    def next_key(self) -> str | None:
        """The cursor of the next page, if there is one."""

    @property
    def limit(self) -> int:
        """The limit in force."""


def paging_headers(page: Paged, *, reverse_order: bool | None = None) -> dict[str, str]:
    """Headers that describe `page` and lead to the next one."""
    headers = {"X-Paging-Limit": str(page.limit), "X-Paging-Count": str(len(page.items))}
    if reverse_order is not None:
        headers["X-Paging-Reverse-Order"] = str(reverse_order).lower()
    if page.next_key is not None:
        key = f"{_seal()}.{page.next_key}"
        headers["X-Paging-NextKey"] = key
        headers["Link"] = f'<{this_page(page=key)}>; rel="next"'
    return headers


def _seal() -> str:
    """What tells the list and the order of this request from all others."""
    order = (request.args.get("sort_by", "created"), request.args.get("reverse_order", "false"))
    named = json.dumps([request.endpoint, request.view_args, order])
    return blake2s(named.encode(), digest_size=6).hexdigest()


def _header(description: str, kind: str = "string", *, always: bool = False) -> dict[str, Any]:
    return {"description": description, "required": always, "schema": {"type": kind}}


_DIGITS: Final = 18

# How the OpenAPI document describes the above.
PAGING_HEADERS: Final = {
    "Link": _header('The next page, with rel="next"; absent on the last page.'),
    "X-Paging-NextKey": _header("Value for `page` to get the next page; absent on the last."),
    "X-Paging-Limit": _header("The limit in force.", "integer", always=True),
    "X-Paging-Count": _header("The number of items on this page.", "integer", always=True),
}
ORDERED_PAGING_HEADERS: Final = {
    **PAGING_HEADERS,
    "X-Paging-Reverse-Order": _header("Whether the order is reversed.", "boolean", always=True),
}
SEGMENT_PAGING_HEADERS: Final = {
    **ORDERED_PAGING_HEADERS,
    "X-Paging-Timerange": _header("The timerange of the segments on this page.", always=True),
}
