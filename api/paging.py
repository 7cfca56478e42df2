"""The paging headers of lists (TAMS 8.2, `X-Paging-*` and `Link`)."""

from typing import Any, Final
from urllib.parse import urlencode

from flask import request, url_for

from schemas.domain.query import Page


def paging_headers(page: Page[Any], *, reverse_order: bool | None = None) -> dict[str, str]:
    """Headers that describe `page` and lead to the next one."""
    headers = {"X-Paging-Limit": str(page.limit), "X-Paging-Count": str(len(page.items))}
    if reverse_order is not None:
        headers["X-Paging-Reverse-Order"] = str(reverse_order).lower()
    if page.next_key is not None:
        query = [(name, text) for name, text in request.args.items(multi=True) if name != "page"]
        following = urlencode([*query, ("page", page.next_key)])
        headers["X-Paging-NextKey"] = page.next_key
        here = url_for(request.endpoint or "", _external=True, **(request.view_args or {}))
        headers["Link"] = f'<{here}?{following}>; rel="next"'
    return headers


def _header(description: str, kind: str = "string", *, always: bool = False) -> dict[str, Any]:
    return {"description": description, "required": always, "schema": {"type": kind}}


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
