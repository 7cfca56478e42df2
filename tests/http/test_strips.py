"""What is made of the strip of a page is the JSON of each of its segments."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.vast.strips import OBJECT_COLUMNS, SEGMENT_COLUMNS, strip_of
from schemas.domain.identifiers import FlowId, ObjectId, StorageId
from schemas.domain.media_object import Controlled, Instance, MediaObject, Role
from schemas.domain.segment import Link, Segment
from schemas.domain.strip import Shown, Strip
from schemas.domain.timerange import TimeRange
from schemas.http.segments import segment_json
from schemas.strips import Instances, page_json
from schemas.tables.definitions import OBJECTS, SEGMENTS, TABLES
from schemas.tables.rows import instances_json, to_row

NOW = datetime(2026, 11, 20, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)
MAYBE = st.none() | st.integers(0, 9)
OFFSETS = st.sampled_from([0, 0, 1, 10**9 + 1, -1, -(10**9)])
INSTANCES = st.lists(
    st.builds(Controlled, TEXTS.map(StorageId), TEXTS) | st.builds(Link, TEXTS, TEXTS), max_size=2
).map(tuple)
INITS = {
    ObjectId('in"it'): (Controlled(StorageId("s"), 'k"ey'), Link("l", "u")),
    ObjectId("bare"): (),
}


def segment(start: int, object_id: str, ts_offset: int, *more: int | None) -> Segment:
    return Segment(FlowId("f"), ObjectId(object_id), TimeRange(start, start + 9), ts_offset, *more)


@st.composite
def listings(draw: st.DrawFn) -> tuple[list[Segment], dict[ObjectId, MediaObject]]:
    segments, objects = [], {}
    first = draw(st.sampled_from([0, -20, 10**18, -(2**60)]))
    step = draw(st.sampled_from([10, 4 * 10**9]))
    for place in range(draw(st.integers(0, 4))):
        name = f"{place}{draw(TEXTS)}"
        more = (draw(MAYBE) for _ in "abc")
        segments.append(segment(first + place * step, name, draw(OFFSETS), *more))
        if draw(st.integers(0, 9)):
            objects[ObjectId(name)] = MediaObject(
                ObjectId(name),
                Role.MEDIA,
                NOW,
                draw(INSTANCES),
                timerange=draw(st.sampled_from([None, TimeRange(0, 8), TimeRange(-3, 9)])),
                init_object_id=draw(st.none() | st.sampled_from([*INITS, ObjectId("gone")])),
                key_frame_count=draw(MAYBE),
            )
    inits = {key: MediaObject(key, Role.INIT, NOW, each) for key, each in INITS.items()}
    return segments, objects | inits


def strip(segments: list[Segment], objects: dict[ObjectId, MediaObject]) -> Strip:
    """As it is made of rows; chunks of columns need not be the same."""
    if not segments:
        return Strip.empty()
    found = [
        pa.Table.from_pylist([dict(to_row(each)) for each in part], schema=TABLES[name])
        for name, part in (
            (SEGMENTS, segments[:1]),
            (SEGMENTS, segments[1:]),
            (OBJECTS, list(objects.values())[1:]),
            (OBJECTS, list(objects.values())[:1]),
        )
    ]
    tables = pa.concat_tables(found[:2]), pa.concat_tables(found[2:])
    return strip_of(tables[0].select(SEGMENT_COLUMNS), tables[1].select(OBJECT_COLUMNS))


def urls(instances: Instances) -> bytes:
    return orjson.dumps([list(each.values()) for each in instances])[1:-1]


def urls_of(instances: tuple[Instance, ...]) -> Any:
    return [list(each.values()) for each in instances_json(instances)]


@given(
    listing=listings(),
    with_urls=st.booleans(),
    with_object_timerange=st.booleans(),
    descending=st.booleans(),
    cut=st.integers(0, 4),
)
def test_a_page_is_the_json_of_its_segments(
    listing: tuple[list[Segment], dict[ObjectId, MediaObject]],
    with_urls: bool,
    with_object_timerange: bool,
    descending: bool,
    cut: int,
) -> None:
    segments, objects = listing
    parts = [strip(segments[:cut], objects), strip(segments[cut:], objects)]
    shown = Shown.of(parts[::-1] if descending else parts, 9, descending=descending)

    text = page_json(
        shown, urls if with_urls else None, with_object_timerange=with_object_timerange
    )

    wanted = []
    for each in segments[::-1] if descending else segments:
        item, init = objects.get(each.object_id), None
        if item is not None and item.init_object_id is not None:
            found = objects.get(item.init_object_id)
            init_urls = urls_of(found.instances) if found is not None and with_urls else []
            init = (item.init_object_id, init_urls)
        own = urls_of(item.instances) if item is not None and with_urls else []
        wanted.append(
            segment_json(each, item, own, init, with_object_timerange=with_object_timerange)
        )
    assert orjson.loads(text) == orjson.loads(orjson.dumps(wanted))


@pytest.mark.parametrize("descending", [False, True])
def test_a_page_of_nothing_is_an_empty_list(descending: bool) -> None:
    shown = Shown.of([Strip.empty()], 9, descending=descending)

    assert page_json(shown, None, with_object_timerange=False) == b"[]"
    assert page_json(shown, urls, with_object_timerange=True) == b"[]"
    assert not shown.hull
