"""Queries: which sub-splits are asked for, from where on, how many rows of each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infra.vast_local import protocol, query
from infra.vast_local.calls import Call, whole
from infra.vast_local.errors import Invalid
from infra.vast_local.listener import Response
from infra.vast_local.query import DEFAULT_LIMIT, PAGE_BYTES, ROW_GROUP, Page, Query, Reader, Share
from infra.vast_local.routes.parts import Command, Parts, Route, count

_SPLIT_ESTIMATE = 0xFFFFFFFC
_START_ROW = re.compile(r"tabular-start-row-id-\d+")


def select(parts: Parts, call: Call) -> Response:
    """Answer a query; its pages are read before the transaction is let go."""
    if call.number("tabular-schedule-id", 0) < 0:
        raise Invalid("a schedule id is not negative")
    asked = _Asked.of(call)
    with parts.table(call) as (tx, table):
        read, parameters = query.decode(table, call.body)
        decoded = _projected(call, read)
        if asked.split == _SPLIT_ESTIMATE:
            return Response(body=_estimate(count(tx, table)))
        budget = PAGE_BYTES // max(1, len(asked.starts))
        end = parts.row_ids.end(table.id)
        reader = Reader(tx, decoded, parameters, end=end, budget=budget)
        pages = list(_pages(reader, asked))
    arranged = pages if decoded.order else parts.arrange(pages)
    return Response(body=query.frames(decoded, arranged))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which part of a table a request wants."""

    split: int
    splits: int
    run: int
    sub_splits: int
    starts: tuple[tuple[int, int], ...]
    """Sub-splits that are not finished, and where each goes on."""
    limit: int

    @classmethod
    def of(cls, call: Call) -> "_Asked":
        split, splits, groups = _split(call)
        sub_splits = max(1, call.number("tabular-num-of-subsplits", 1))
        limit = call.number("tabular-limit-rows", 0)
        return cls(
            split,
            splits,
            groups * ROW_GROUP,
            sub_splits,
            _starts(call, sub_splits),
            limit if limit > 0 else DEFAULT_LIMIT,
        )

    def share(self, sub_split: int) -> Share:
        place = self.split * self.sub_splits + sub_split
        return Share(place, self.splits * self.sub_splits, self.run)


def _pages(reader: Reader, asked: _Asked) -> Iterator[tuple[int, Page]]:
    for sub_split, start in asked.starts:
        yield sub_split, reader.page(asked.share(sub_split), start, asked.limit)


def _split(call: Call) -> tuple[int, int, int]:
    match [whole(part) for part in call.headers.get("tabular-split", "0,1,8").split(",")]:
        case [split, splits, groups] if split >= 0 and splits > 0 and groups > 0:
            return split, splits, groups
    raise Invalid("tabular-split is split, number of splits, row groups")


def _starts(call: Call, sub_splits: int) -> tuple[tuple[int, int], ...]:
    found = [value for name, value in call.headers.items() if _START_ROW.fullmatch(name)]
    pairs = [value.partition(",") for value in found]
    starts = sorted((whole(sub), whole(start)) for sub, _, start in pairs)
    if any(not 0 <= sub < sub_splits or start < 0 for sub, start in starts):
        raise Invalid("a start row id is of no sub-split")
    if not starts:
        starts = [(sub, 0) for sub in range(sub_splits)]
    return tuple((sub, start) for sub, start in starts if start != protocol.FINISHED)


def _projected(call: Call, asked: Query) -> Query:
    """Return the query, ordered by the projection it names or the one that suits it."""
    name = call.parameters.get("name")
    if name:
        return asked.sorted_by(asked.table.projection(name))
    suited = asked.suited if call.flag("tabular-enable-sorted-projections") else None
    return suited or asked


def _estimate(rows: int) -> bytes:
    """Answer how many row groups a query touches: all of them."""
    groups = -(-rows // ROW_GROUP)
    counted = protocol.cycle(0, protocol.FINISHED, [], groups)
    return b"".join([*counted, protocol.completed()])


ROUTES: Mapping[Command, Route] = {("GET", "data"): select}
